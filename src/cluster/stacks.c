#define _GNU_SOURCE
#include "cluster/stacks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/members.h"

enum { POLL_MS = 2, STATUS_MAX = 8192 };

static int no_process(void) {
    return errno == ENOENT || errno == ESRCH ? CELLO_ENOENT : CELLO_ESYS;
}

/* Whether the process has a handler for the signal: else it would end by it. */
static int check_handler(pid_t pid) {
    char path[64], text[STATUS_MAX];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return no_process();
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n < 0)
        return no_process();
    text[n] = '\0';
    const char *caught = strstr(text, "\nSigCgt:");
    uint64_t mask = caught ? strtoull(caught + sizeof "\nSigCgt:" - 1, NULL, 16) : 0;
    return mask >> (CL_STACKS_SIGNAL - 1) & 1 ? CELLO_OK : CELLO_ENOTSUP;
}

static bool is_named(int folder, const char *name, const char *memfd) {
    char target[64], wanted[64];
    ssize_t n = readlinkat(folder, name, target, sizeof target - 1);
    if (n < 0)
        return false;
    target[n] = '\0';
    snprintf(wanted, sizeof wanted, "/memfd:%s (deleted)", memfd);
    return strcmp(target, wanted) == 0;
}

/* An unnamed file of the process, by its name all the same. CELLO_ENOTSUP: it has none. */
static int open_file(pid_t pid, const char *memfd, int flags, int *out) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return no_process();
    int err = CELLO_ENOTSUP;
    const struct dirent *entry;
    while (err == CELLO_ENOTSUP && (entry = readdir(folder))) {
        if (!is_named(dirfd(folder), entry->d_name, memfd))
            continue;
        *out = openat(dirfd(folder), entry->d_name, flags | O_CLOEXEC);
        err = *out < 0 ? CELLO_ESYS : CELLO_OK;
    }
    int saved = errno;
    closedir(folder);
    errno = saved;
    return err;
}

static bool read_head(int fd, struct cl_stacks_head *head) {
    return pread(fd, head, sizeof *head, 0) == (ssize_t)sizeof *head &&
           memcmp(head->magic, CL_STACKS_MAGIC, sizeof CL_STACKS_MAGIC) == 0;
}

static int copy(int from, int to, size_t length) {
    char part[4096];
    for (size_t at = 0; at < length;) {
        ssize_t n =
            pread(from, part, CL_MIN(sizeof part, length - at), (off_t)(CL_STACKS_TEXT + at));
        if (n <= 0)
            return n < 0 ? CELLO_ESYS : CELLO_OK;
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(to, part + done, (size_t)(n - done));
            if (written < 0 && errno != EINTR)
                return CELLO_ESYS;
            done += written > 0 ? written : 0;
        }
        at += (size_t)n;
    }
    return CELLO_OK;
}

static int ask(pid_t pid, int fd, uint64_t timeout_ns, struct cl_stacks_head *head) {
    if (!read_head(fd, head))
        return CELLO_ENOTSUP;
    uint32_t before = head->done;
    if (sigqueue(pid, CL_STACKS_SIGNAL, (union sigval){.sival_int = CL_STACKS_QUIETLY}) < 0)
        return no_process();
    const struct timespec pause = {.tv_nsec = POLL_MS * (long)CL_NS_PER_MS};
    for (uint64_t end = cl_now_ns() + timeout_ns; cl_now_ns() < end;) {
        if (!read_head(fd, head))
            return CELLO_ENOTSUP;
        if (head->done != before)
            return CELLO_OK;
        nanosleep(&pause, NULL);
    }
    return kill(pid, 0) < 0 && errno == ESRCH ? CELLO_ENOENT : CELLO_ETIMEOUT;
}

static int read_one(pid_t pid, int to, uint64_t timeout_ns) {
    int fd;
    int err = check_handler(pid);
    if (!err)
        err = open_file(pid, CL_STACKS_NAME, O_RDONLY, &fd);
    if (err)
        return err;
    struct cl_stacks_head head;
    err = ask(pid, fd, timeout_ns, &head);
    if (!err)
        err = copy(fd, to, head.length);
    int saved = errno;
    close(fd);
    errno = saved;
    return err;
}

/* ---- a supervisor ---- */

/* Processes that have a record, once each; 0: the process is one of them, or nobody's supervisor.
 */
static size_t workers_of(pid_t pid, pid_t *pids) {
    int fd;
    struct cl_segment *segment = NULL;
    if (open_file(pid, CL_SEGMENT_NAME, O_RDWR, &fd) != CELLO_OK)
        return 0;
    if (cl_segment_attach(&segment, fd) != CELLO_OK) {
        close(fd);
        return 0;
    }
    const struct cl_members *m = cl_members_of(segment, 0);
    size_t count = 0;
    uint32_t records = m ? CL_MIN(m->count, 2u * CL_WORKERS_MAX) : 0;
    for (uint32_t i = 0; i < records; i++) {
        pid_t worker = m->at[i].pid;
        if (worker == pid) {
            count = 0;
            break;
        }
        if (worker > 0 && m->at[i].state != CL_MEMBER_FREE)
            pids[count++] = worker;
    }
    cl_segment_del(segment);
    return count;
}

static int read_all(const pid_t *pids, size_t count, int to, uint64_t timeout_ns) {
    int err = CELLO_OK;
    for (size_t i = 0; i < count; i++) {
        int result = read_one(pids[i], to, timeout_ns);
        if (result == CELLO_ETIMEOUT || result == CELLO_ENOTSUP)
            dprintf(to, "Worker process %d does not answer\n", (int)pids[i]);
        else if (result != CELLO_ENOENT && result)
            err = result;
        dprintf(to, "\n");
    }
    return err;
}

int cl_stacks_read(pid_t pid, int to, uint64_t timeout_ns) {
    pid_t *pids = cl_malloc(2 * CL_WORKERS_MAX * sizeof *pids);
    if (!pids)
        return CELLO_ENOMEM;
    size_t count = workers_of(pid, pids);
    int err = count ? read_all(pids, count, to, timeout_ns) : read_one(pid, to, timeout_ns);
    cl_free(pids);
    return err;
}

int cl_stacks_show(pid_t pid) {
    int err = check_handler(pid);
    if (!err && kill(pid, CL_STACKS_SIGNAL) < 0)
        err = no_process();
    return err;
}
