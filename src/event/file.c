#include "event/file.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

int cl_file_part_read(struct cl_file_part *f, void *to, size_t n) {
    char *p = to;
    assert(n <= f->left);
    while (n) {
        ssize_t got = pread(f->fd, p, n, (off_t)f->offset);
        if (got == 0)
            return CELLO_EOF;
        if (got < 0 && errno != EINTR)
            return CELLO_ESYS;
        if (got < 0)
            continue;
        p += got;
        n -= (size_t)got;
        f->offset += (uint64_t)got;
        f->left -= (uint64_t)got;
    }
    return CELLO_OK;
}

int64_t cl_file_part_send(struct cl_file_part *f, int socket_fd, size_t max) {
    off_t offset = (off_t)f->offset;
    size_t n = (size_t)CL_MIN((uint64_t)max, f->left);
    ssize_t sent;
    do
        sent = sendfile(socket_fd, f->fd, &offset, n);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? CELLO_EAGAIN : CELLO_ESYS;
    if (sent == 0)
        return CELLO_EOF;
    f->offset += (uint64_t)sent;
    f->left -= (uint64_t)sent;
    return sent;
}
