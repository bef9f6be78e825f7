/* A part of a file that is sent or read piece by piece.
 *
 * Nothing here waits for another descriptor than the file's: a part that is not in the page cache
 * costs the time of a disk read. */
#ifndef CL_EVENT_FILE_H
#define CL_EVENT_FILE_H

#include "base/common.h"

/* What is still to do of it; moves on as bytes are taken. The descriptor is the caller's, and its
 * own position is neither used nor moved. offset + left is at most INT64_MAX. */
struct cl_file_part {
    int fd;
    uint64_t offset, left;
};

/* The next `n` bytes (at most `left`) into `to`. Errors: CELLO_EOF: the file ends before;
 * CELLO_ESYS. */
int cl_file_part_read(struct cl_file_part *f, void *to, size_t n) CL_MUST_USE;
/* At most `max` bytes into a socket that does not block. The number (at least 1), or CELLO_EAGAIN:
 * the socket is full; CELLO_EOF: the file ends before `left`; CELLO_ESYS. A connection that has
 * gone raises SIGPIPE, which has no other way to be kept off: the process ignores it. */
int64_t cl_file_part_send(struct cl_file_part *f, int socket_fd, size_t max) CL_MUST_USE;

#endif
