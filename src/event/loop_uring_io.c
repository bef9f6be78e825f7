/* Connections on io_uring.
 *
 * A multishot recv stays with the kernel (measured: 7 % less CPU per request than a recv for each);
 * each completion brings a block. When *io->in has nothing unread the block becomes *io->in, else
 * its bytes are appended. A block that cannot be reported yet (the io is paused, or `in` is full)
 * waits in io->held, and the end of the stream behind it.
 *
 * Where the owner wants more with one call than a block (cl_io_in_bulk) the socket is polled, and
 * read as with epoll: large bodies come in large pieces, to where they stay.
 */
#ifdef CELLO_HAVE_URING

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "event/loop_uring_internal.h"

/* An entry's length field has 32 bits. */
enum { SEND_MAX = 1 << 30 };

/* What a multishot recv may bring in one turn: 32 buffers for one wake-up of the socket (a constant
 * of the kernel). */
enum { BURST_MAX = 32 * CL_BLOCK_SIZE };

/* ---- receive -------------------------------------------------------------------------------- */

/* A burst may be far beyond in_max, and lies in memory until it can be reported. Most connections
 * never send one; one that did gets a recv for a single buffer from then on, unless `in` has room
 * for another burst: a large body. */
static bool may_burst(const struct cl_io *io) {
    if (CL_LIKELY(!(io->state & CL_IO_OVERRAN)))
        return true;
    size_t unread = *io->in ? cl_block_len(*io->in) : 0;
    return *io->in_max >= unread + BURST_MAX;
}

static void arm_recv(struct cl_io *io) {
    if (io->state & (CL_IO_PAUSED | CL_IO_CLOSED | CL_IO_DONE | CL_IO_GOT_END | CL_IO_RECV_ARMED))
        return;
    struct io_uring_sqe *sqe = cl_uring_sqe(io->loop);
    if (!sqe) {
        cl_loop_ready(io);
        return;
    }
    if (CL_UNLIKELY(cl_io_in_bulk(io))) {
        io_uring_prep_poll_add(sqe, io->fd, POLLIN | POLLRDHUP);
        sqe->user_data = cl_uring_tag(io, CL_URING_READABLE);
        io->state |= CL_IO_RECV_ARMED | CL_IO_POLLING;
        io->pending++;
        return;
    }
    if (CL_LIKELY(may_burst(io)))
        io_uring_prep_recv_multishot(sqe, io->fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, io->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = CL_URING_BUF_GROUP;
    sqe->user_data = cl_uring_tag(io, CL_URING_RECV);
    io->state = (io->state & ~CL_IO_STARVED) | CL_IO_RECV_ARMED;
    io->pending++;
}

static void cancel_recv(struct cl_io *io) {
    if ((io->state & (CL_IO_RECV_ARMED | CL_IO_RECV_CANCELED)) != CL_IO_RECV_ARMED)
        return;
    enum cl_uring_op op = io->state & CL_IO_POLLING ? CL_URING_READABLE : CL_URING_RECV;
    if (cl_uring_cancel(io->loop, cl_uring_tag(io, op)))
        io->state |= CL_IO_RECV_CANCELED;
    else
        cl_loop_ready(io);
}

static void hold(struct cl_io *io, struct cl_block *b) {
    b->next = NULL;
    if (io->held) {
        io->held_last->next = b;
        io->state |= CL_IO_OVERRAN;
    } else {
        io->held = b;
    }
    io->held_last = b;
}

static void hold_first(struct cl_io *io, struct cl_block *b) {
    b->next = io->held;
    if (!io->held)
        io->held_last = b;
    io->held = b;
}

/* Append what fits of *b to *io->in. The bytes, CELLO_ELIMIT or CELLO_ENOMEM; *b is NULL when
 * nothing of it is left. */
static int append(struct cl_io *io, struct cl_block **b) {
    size_t n = cl_block_len(*b), in_max = *io->in_max;
    size_t unread = *io->in ? cl_block_len(*io->in) : 0;
    if (CL_LIKELY(!unread && n <= in_max)) {
        if (*io->in)
            cl_block_unref(*io->in);
        *io->in = *b;
        *b = NULL;
        return (int)n;
    }
    if (unread >= in_max)
        return CELLO_ELIMIT;
    n = CL_MIN(n, in_max - unread);
    if (!*io->in && !(*io->in = cl_block_new(&io->loop->pool, n)))
        return CELLO_ENOMEM;
    int err = cl_block_reserve(io->in, n, in_max);
    if (err)
        return err;
    memcpy(cl_block_wr(*io->in), cl_block_rd(*b), n);
    (*io->in)->wr += n;
    (*b)->rd += n;
    if (!cl_block_len(*b))
        cl_block_drop(b);
    return (int)n;
}

static void report_block(struct cl_io *io, struct cl_block *b) {
    int result = append(io, &b);
    if (b)
        hold_first(io, b);
    if (result < 0)
        cl_io_report_stop(io, result);
    else
        cl_io_report(io, result);
}

/* Report one thing that waits: a held block, or the end behind the last of them. */
static void report_waiting(struct cl_io *io) {
    struct cl_block *b = io->held;
    if (b) {
        io->held = b->next;
        b->next = NULL;
        report_block(io, b);
    } else if (io->state & CL_IO_GOT_END) {
        io->state = (io->state & ~CL_IO_GOT_END) | CL_IO_DONE;
        errno = io->end_errno;
        cl_io_report(io, io->end_errno ? CELLO_ESYS : CELLO_EOF);
    }
}

static bool can_report(const struct cl_io *io) {
    return !(io->state & (CL_IO_PAUSED | CL_IO_CLOSED)) && (io->held || io->state & CL_IO_GOT_END);
}

/* The recv has ended, or a result says that it will. */
static void recv_ended(struct cl_io *io, int res) {
    switch (res) {
    case -ECANCELED: /* paused; or resumed already, then it starts again */
    case -EAGAIN:
    case -EINTR: break;
    case -ENOBUFS:
        cl_uring_bufs_grow(cl_uring(io->loop));
        io->state |= CL_IO_STARVED;
        cl_loop_ready(io);
        break;
    default:
        io->state |= CL_IO_GOT_END;
        io->end_errno = -res;
        break;
    }
}

static void finish_close(struct cl_io *io) {
    if (io->pending || io->state & CL_IO_QUEUED)
        return;
    close(io->fd);
    io->fd = -1;
    cl_loop_retire(io);
}

void cl_uring_io_received(struct cl_io *io, int res, uint32_t cqe_flags) {
    struct cl_block *b = NULL;
    if (cqe_flags & IORING_CQE_F_BUFFER)
        b = cl_uring_bufs_take(cl_uring(io->loop), cqe_flags, res > 0 ? (size_t)res : 0);
    if (CL_UNLIKELY(!(cqe_flags & IORING_CQE_F_MORE))) {
        io->state &= ~(CL_IO_RECV_ARMED | CL_IO_RECV_CANCELED);
        io->pending--;
    }
    if (CL_UNLIKELY(io->state & CL_IO_CLOSED || !b || res <= 0)) {
        if (b)
            cl_block_unref(b);
        if (io->state & CL_IO_CLOSED) {
            finish_close(io);
            return;
        }
        recv_ended(io, res);
        if (can_report(io) && !io->held)
            report_waiting(io);
    } else if (CL_UNLIKELY(io->held || io->state & CL_IO_PAUSED)) {
        hold(io, b);
    } else {
        report_block(io, b);
    }
    if (CL_UNLIKELY(can_report(io)))
        cl_loop_ready(io);
    if (CL_UNLIKELY(!(io->state & (CL_IO_RECV_ARMED | CL_IO_STARVED))))
        arm_recv(io);
    else if (CL_UNLIKELY(cl_io_in_bulk(io)))
        cancel_recv(io); /* the next one is of the other kind */
}

/* Held blocks first, then what the socket has, then wait for more. */
static void go_on_receiving(struct cl_io *io) {
    if (can_report(io))
        report_waiting(io);
    else if (cl_io_wants_recv(io))
        cl_io_receive(io);
    if (can_report(io) || cl_io_wants_recv(io))
        cl_loop_ready(io);
    else
        arm_recv(io);
}

void cl_uring_io_readable(struct cl_io *io, int res) {
    io->state &= ~(CL_IO_RECV_ARMED | CL_IO_RECV_CANCELED | CL_IO_POLLING);
    io->pending--;
    if (io->state & CL_IO_CLOSED) {
        finish_close(io);
        return;
    }
    if (res > 0)
        io->state |= CL_IO_READABLE;
    go_on_receiving(io);
}

/* ---- send ----------------------------------------------------------------------------------- */

static void start_send(struct cl_io *io) {
    struct io_uring_sqe *sqe = cl_uring_sqe(io->loop);
    if (CL_UNLIKELY(!sqe)) {
        io->state |= CL_IO_SEND_READY;
        cl_loop_ready(io);
        return;
    }
    if (io->iov_count == 1) {
        size_t n = CL_MIN(io->iov->iov_len, (size_t)SEND_MAX);
        io_uring_prep_send(sqe, io->fd, io->iov->iov_base, n, MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        io->msg = (struct msghdr){
            .msg_iov = io->iov,
            .msg_iovlen = CL_MIN((size_t)io->iov_count, (size_t)CL_IOV_MAX),
        };
        io_uring_prep_sendmsg(sqe, io->fd, &io->msg, MSG_NOSIGNAL | MSG_WAITALL);
    }
    sqe->user_data = cl_uring_tag(io, CL_URING_SEND);
    io->pending++;
}

int cl_uring_io_send(struct cl_io *io) {
    io->state |= CL_IO_SENDING;
    start_send(io);
    return CELLO_EAGAIN;
}

void cl_uring_io_sent(struct cl_io *io, int res) {
    io->pending--;
    if (CL_UNLIKELY(io->state & CL_IO_CLOSED)) {
        finish_close(io);
    } else if (CL_LIKELY(res > 0)) {
        if (CL_LIKELY(cl_io_advance(io, (size_t)res)))
            cl_io_finish_send(io, CELLO_OK);
        else
            start_send(io);
    } else if (res == -EINTR || res == -EAGAIN) {
        start_send(io);
    } else {
        errno = res ? -res : EPIPE;
        cl_io_finish_send(io, CELLO_ESYS);
    }
}

/* ---- send a file ----------------------------------------------------------------------------- */

static void await_room(struct cl_io *io) {
    struct io_uring_sqe *sqe = cl_uring_sqe(io->loop);
    if (CL_UNLIKELY(!sqe)) {
        io->state |= CL_IO_SEND_READY;
        cl_loop_ready(io);
        return;
    }
    io_uring_prep_poll_add(sqe, io->fd, POLLOUT);
    sqe->user_data = cl_uring_tag(io, CL_URING_WRITABLE);
    io->pending++;
}

/* sendfile(2) itself, on a socket that is non-blocking for the time of the call. What is with the
 * kernel already has been started on a blocking one and does not notice.
 *
 * CPU us for 1 MB to one reader on loopback, threads of the kernel included (Linux 6.18, means of
 * three interleaved rounds of 1,000): this 232; splice(2) through a pipe 248; io_uring's splice,
 * which hands every piece to a thread, 268; read and send through the ring 482. */
int cl_uring_io_sendfile(struct cl_io *io) {
    bool full = false, has_file = io->file; /* other calls say themselves that they do not wait */
    if (has_file)
        fcntl(io->fd, F_SETFL, O_NONBLOCK);
    int err = cl_io_push_file(io, &full);
    int saved = errno;
    if (has_file)
        fcntl(io->fd, F_SETFL, 0);
    errno = saved;
    if (err != CELLO_EAGAIN)
        return err;
    if (full) {
        await_room(io);
    } else {
        io->state |= CL_IO_SEND_READY;
        cl_loop_ready(io);
    }
    return CELLO_EAGAIN;
}

static void go_on_file(struct cl_io *io) {
    int err = cl_uring_io_sendfile(io);
    if (err != CELLO_EAGAIN)
        cl_io_finish_send(io, err);
}

void cl_uring_io_writable(struct cl_io *io, int res) {
    io->pending--;
    if (io->state & CL_IO_CLOSED) {
        finish_close(io);
    } else if (res < 0 && res != -EINTR && res != -EAGAIN) {
        errno = -res;
        cl_io_finish_send(io, CELLO_ESYS);
    } else {
        go_on_file(io);
    }
}

/* ---- the connection ------------------------------------------------------------------------- */

int cl_uring_io_open(struct cl_io *io) {
    /* On a non-blocking socket the kernel would answer EAGAIN instead of waiting. */
    if (fcntl(io->fd, F_SETFL, 0))
        return CELLO_ESYS;
    arm_recv(io);
    return CELLO_OK;
}

void cl_uring_io_pause(struct cl_io *io) {
    cancel_recv(io);
}

void cl_uring_io_resume(struct cl_io *io) {
    if (can_report(io) || cl_io_wants_recv(io))
        cl_loop_ready(io);
    else
        arm_recv(io);
}

/* Ends the recv and the send: both are operations on the same file. */
static void cancel_all(struct cl_io *io) {
    struct io_uring_sqe *sqe = cl_uring_sqe(io->loop);
    if (!sqe) {
        cl_loop_ready(io);
        return;
    }
    io_uring_prep_cancel_fd(sqe, io->fd, IORING_ASYNC_CANCEL_ALL);
    sqe->user_data = CL_URING_NOTHING;
}

void cl_uring_io_close(struct cl_io *io) {
    while (io->held) {
        struct cl_block *next = io->held->next;
        cl_block_unref(io->held);
        io->held = next;
    }
    if (io->pending)
        cancel_all(io);
    else
        finish_close(io);
}

void cl_uring_io_serve(struct cl_io *io) {
    if (io->state & CL_IO_CLOSED) {
        cl_uring_io_close(io);
        return;
    }
    if (io->state & CL_IO_SEND_READY) {
        io->state &= ~CL_IO_SEND_READY;
        if (cl_io_pushes(io))
            go_on_file(io);
        else
            start_send(io);
        if (io->state & CL_IO_CLOSED)
            return;
    }
    if (io->state & CL_IO_PAUSED) {
        cancel_recv(io);
        return;
    }
    if (io->state & CL_IO_STARVED) {
        io->state &= ~CL_IO_STARVED;
        if (!cl_uring(io->loop)->bufs.count) {
            cl_io_report_stop(io, CELLO_ENOMEM);
            return;
        }
    }
    go_on_receiving(io);
}

#else

typedef int cl_uring_io_absent;

#endif
