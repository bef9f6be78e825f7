#include "handler/file_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* O_NONBLOCK: the open of a fifo would wait for a writer, of a device for whatever it likes. */
enum {
    READ_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
    FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_CLOEXEC,
    RETRIES = 8, /* of a walk that a rename has crossed */
};

static bool segment_allowed(struct cl_str s) {
    if (s.len == 0 || s.len > CL_FILE_NAME_MAX || memchr(s.ptr, '\0', s.len))
        return false;
    return s.ptr[0] != '.' || cl_str_eq(s, CL_STR(".well-known"));
}

/* The first segment; `path` moves behind it and its slash. False: it was the last. */
static bool cut_segment(struct cl_str *path, struct cl_str *segment) {
    const char *slash = memchr(path->ptr, '/', path->len);
    size_t n = slash ? (size_t)(slash - path->ptr) : path->len;
    *segment = cl_str(path->ptr, n);
    n += slash != NULL;
    *path = cl_str(path->ptr + n, path->len - n);
    return slash != NULL;
}

bool cl_file_name_allowed(struct cl_str path) {
    struct cl_str segment;
    if (path.len == 0 || path.len >= CL_FILE_PATH_MAX)
        return false;
    bool more;
    do {
        more = cut_segment(&path, &segment);
        if (!segment_allowed(segment))
            return false;
    } while (more);
    return true;
}

/* ---- the walk ---- */

static int open_kernel(int root, const char *path, bool follow) {
    struct open_how how = {
        .flags = READ_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    if (!follow)
        how.resolve |= RESOLVE_NO_SYMLINKS;
    long fd;
    int tries = 0;
    do
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN) && ++tries < RETRIES);
    return (int)fd;
}

static void close_folder(int fd, int root) {
    int saved = errno;
    if (fd != root)
        close(fd);
    errno = saved;
}

static int open_by_segments(int root, struct cl_str path) {
    char name[CL_FILE_NAME_MAX + 1];
    struct cl_str segment;
    int at = root;
    for (;;) {
        bool more = cut_segment(&path, &segment);
        memcpy(name, segment.ptr, segment.len);
        name[segment.len] = '\0';
        int fd = openat(at, name, (more ? FOLDER_FLAGS : READ_FLAGS) | O_NOFOLLOW);
        close_folder(at, root);
        if (fd < 0 || !more)
            return fd;
        at = fd;
    }
}

/* Old kernels do not know openat2; sandboxes refuse what they do not know. */
static bool is_refused(int fd) {
    return fd < 0 && (errno == ENOSYS || errno == EPERM);
}

static int open_in(int root, struct cl_str path, unsigned flags) {
    char text[CL_FILE_PATH_MAX];
    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    int fd = -1;
    if (!(flags & CL_OPEN_PORTABLE))
        fd = open_kernel(root, text, flags & CL_OPEN_FOLLOW);
    if ((flags & CL_OPEN_PORTABLE) || is_refused(fd))
        fd = open_by_segments(root, path);
    return fd;
}

/* ---- what it is ---- */

static int error_of_errno(void) {
    switch (errno) {
    case EMFILE:
    case ENFILE: return CELLO_ELIMIT;
    case ENOMEM: return CELLO_ENOMEM;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV: /* out of the folder */
    case ENAMETOOLONG:
    case EACCES:
    case EPERM:
    case ENXIO: /* a socket, or a device without a driver */
    case ENODEV:
    case EAGAIN: return CELLO_ENOENT; /* it is being renamed, all the time */
    default: return CELLO_ESYS;
    }
}

/* Takes over fd. */
static int examine(int fd, int *out, struct stat *st) {
    if (fd < 0)
        return error_of_errno();
    int err = fstat(fd, st) < 0 ? CELLO_ESYS : CELLO_OK;
    if (!err && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
        errno = ENXIO;
        err = CELLO_ENOENT;
    }
    if (err) {
        int saved = errno;
        close(fd);
        errno = saved;
        return err;
    }
    *out = fd;
    return CELLO_OK;
}

int cl_file_open_below(const char *root, struct cl_str path, unsigned flags, int *fd,
                       struct stat *st) {
    if (path.len == 0)
        return examine(open(root, READ_FLAGS | O_DIRECTORY), fd, st);
    if (!cl_file_name_allowed(path)) {
        errno = ENOENT;
        return CELLO_ENOENT;
    }
    int folder = open(root, FOLDER_FLAGS);
    if (folder < 0)
        return error_of_errno();
    int found = open_in(folder, path, flags);
    close_folder(folder, -1);
    return examine(found, fd, st);
}

int cl_file_open_path(const char *path, int *fd, struct stat *st) {
    return examine(open(path, READ_FLAGS), fd, st);
}
