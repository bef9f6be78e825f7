/* What the files of the io_uring back end share. Only src/event/loop_uring*.c include this. */
#ifndef CL_EVENT_LOOP_URING_INTERNAL_H
#define CL_EVENT_LOOP_URING_INTERNAL_H

#include <liburing.h>

#include "event/loop_internal.h"

/* Buffers offered at first, and at most; the number doubles when the kernel ran out of them. */
enum { CL_URING_BUFS_FIRST = 64, CL_URING_BUFS_MAX = 256, CL_URING_BUF_GROUP = 0 };

/* Blocks of the pool that the kernel may receive into. */
struct cl_uring_bufs {
    struct io_uring_buf_ring *ring; /* NULL: not set up */
    unsigned count;                 /* in the kernel's hands */
    unsigned target;                /* refilled up to this many */
    bool grown;                     /* in this turn */
    unsigned free_count;
    uint16_t free_ids[CL_URING_BUFS_MAX];
    struct cl_block *blocks[CL_URING_BUFS_MAX]; /* by id; NULL: the id is free */
};

/* Outlives its cl_poll until the kernel has let go of it. */
struct cl_uring_poll {
    struct cl_poll *owner; /* NULL: closed */
    struct cl_uring_poll *next;
    bool armed;
};

struct cl_uring {
    struct cl_loop super;
    struct io_uring ring;
    int wake_fd;
    bool started; /* the ring belongs to the thread of the turns now */
    struct cl_uring_poll *polls;
    struct cl_uring_bufs bufs;
};

/* The low bits of a completion's user_data tell what the pointer above them is. */
enum cl_uring_op {
    CL_URING_NOTHING, /* the result of a cancellation */
    CL_URING_RECV,
    CL_URING_SEND,
    CL_URING_ACCEPT,
    CL_URING_POLL,
    CL_URING_WAKE,
    CL_URING_WRITABLE,
    CL_URING_READABLE,
    CL_URING_OP_MASK = 7
};

CL_INLINE struct cl_uring *cl_uring(const struct cl_loop *l) {
    return CL_CONTAINER_OF(l, struct cl_uring, super);
}
CL_INLINE uint64_t cl_uring_tag(const void *p, enum cl_uring_op op) {
    return (uint64_t)(uintptr_t)p | (uint64_t)op;
}

/* A free submission entry; hands the full ones over when there is none. NULL: the kernel takes no
 * more at present (or the ring was not started and is full): try again in the next turn. */
struct io_uring_sqe *cl_uring_sqe(struct cl_loop *l);
/* Ask the kernel to end the operation with this tag. False: no entry. */
bool cl_uring_cancel(struct cl_loop *l, uint64_t tag);

/* loop_uring_bufs.c. Errors: CELLO_ENOMEM, CELLO_ENOTSUP. */
int cl_uring_bufs_init(struct cl_uring *u) CL_MUST_USE;
void cl_uring_bufs_free(struct cl_uring *u);
/* Offer blocks of the pool until the target is reached or the pool is empty. */
void cl_uring_bufs_refill(struct cl_uring *u);
/* The kernel found no buffer: offer more from now on. */
void cl_uring_bufs_grow(struct cl_uring *u);
/* The block of a completion, with `n` bytes in it; the caller owns it. */
struct cl_block *cl_uring_bufs_take(struct cl_uring *u, uint32_t cqe_flags, size_t n);

/* loop_uring_io.c: connections. */
int cl_uring_io_open(struct cl_io *io);
int cl_uring_io_send(struct cl_io *io);
int cl_uring_io_sendfile(struct cl_io *io);
void cl_uring_io_pause(struct cl_io *io);
void cl_uring_io_resume(struct cl_io *io);
void cl_uring_io_close(struct cl_io *io);
/* Go on with what could not be done at once: io comes from the ready list. */
void cl_uring_io_serve(struct cl_io *io);
void cl_uring_io_received(struct cl_io *io, int res, uint32_t cqe_flags);
void cl_uring_io_readable(struct cl_io *io, int res);
void cl_uring_io_sent(struct cl_io *io, int res);
void cl_uring_io_writable(struct cl_io *io, int res);

#endif
