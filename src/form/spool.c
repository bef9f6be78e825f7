#include "form/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int error_of(int number) {
    switch (number) {
    case EMFILE:
    case ENFILE: return CELLO_ELIMIT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return CELLO_ENOSPACE;
    default: return CELLO_ESYS;
    }
}

/* Where the file system knows no unnamed files: a name that is taken back at once. */
static int open_unlinked(const char *directory) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/cello-XXXXXX", directory);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

int cl_spool_open(const char *directory, int *fd) {
    *fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (*fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        *fd = open_unlinked(directory);
    return *fd < 0 ? error_of(errno) : CELLO_OK;
}

int cl_spool_write(int fd, uint64_t offset, struct cl_str a, struct cl_str b) {
    struct iovec iov[2] = {
        {(void *)(uintptr_t)a.ptr, a.len},
        {(void *)(uintptr_t)b.ptr, b.len},
    };
    while (iov[0].iov_len + iov[1].iov_len > 0) {
        ssize_t n = pwritev(fd, iov, 2, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_of(errno);
        offset += (uint64_t)n;
        for (int i = 0; i < 2; i++) {
            size_t done = CL_MIN((size_t)n, iov[i].iov_len);
            iov[i].iov_base = (char *)iov[i].iov_base + done;
            iov[i].iov_len -= done;
            n -= (ssize_t)done;
        }
    }
    return CELLO_OK;
}

int cl_upload_read_at(const struct cl_upload *u, uint64_t at, char *out, size_t len, size_t *n) {
    *n = 0;
    if (at >= u->size)
        return CELLO_OK;
    len = (size_t)CL_MIN((uint64_t)len, u->size - at);
    if (!u->file) {
        memcpy(out, u->bytes + at, len);
        *n = len;
        return CELLO_OK;
    }
    while (*n < len) {
        ssize_t got = pread(u->file->fd, out + *n, len - *n, (off_t)(u->offset + at + *n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0) /* a program that shares the file has shortened it */
            errno = EIO;
        if (got <= 0)
            return CELLO_ESYS;
        *n += (size_t)got;
    }
    return CELLO_OK;
}

/* ---- names ---- */

/* A name that nobody uses, beside `path`. False: too long. */
static bool name_beside(const char *path, char out[PATH_MAX]) {
    uint64_t random = 0;
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    int n = snprintf(out, PATH_MAX, "%.*s.cello-%016llx", folder, path, (unsigned long long)random);
    return n > 0 && n < PATH_MAX;
}

/* The unnamed file gets the name. It has only one link then, so that what is written to the name
 * later is nobody else's. */
static int link_to(struct cl_upload_file *file, const char *path, const char *beside) {
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", file->fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST || linkat(AT_FDCWD, self, AT_FDCWD, beside, AT_SYMLINK_FOLLOW) < 0)
        return -1;
    if (rename(beside, path) == 0)
        return 0;
    int number = errno;
    (void)unlink(beside);
    errno = number;
    return -1;
}

/* All of [offset, offset + size) of one file to the start of another, inside the kernel. */
static int copy_file(int from, uint64_t offset, uint64_t size, int to) {
    bool ranges = true;
    while (size > 0) {
        off_t at = (off_t)offset;
        size_t most = (size_t)CL_MIN(size, (uint64_t)1 << 30);
        ssize_t n =
            ranges ? copy_file_range(from, &at, to, NULL, most, 0) : sendfile(to, from, &at, most);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 && ranges) { /* not between these file systems, or not by this kernel */
            ranges = false;
            continue;
        }
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return error_of(errno);
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return CELLO_OK;
}

static int copy_to(const struct cl_upload *u, const char *path, const char *beside) {
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_of(errno);
    int err = u->file ? copy_file(u->file->fd, u->offset, u->size, fd)
                      : cl_spool_write(fd, 0, cl_str(u->bytes, (size_t)u->size), cl_str(NULL, 0));
    if (close(fd) < 0 && !err)
        err = error_of(errno);
    if (!err && rename(beside, path) < 0)
        err = CELLO_ESYS;
    if (err) {
        int number = errno;
        (void)unlink(beside);
        errno = number;
    }
    return err;
}

int cl_upload_save(const struct cl_upload *u, const char *path) {
    char beside[PATH_MAX];
    if (!name_beside(path, beside)) {
        errno = ENAMETOOLONG;
        return CELLO_ESYS;
    }
    if (u->file && !u->file->shared && !atomic_exchange(&u->file->linked, true)) {
        if (link_to(u->file, path, beside) == 0)
            return CELLO_OK;
        atomic_store(&u->file->linked, false);
    }
    return copy_to(u, path, beside);
}
