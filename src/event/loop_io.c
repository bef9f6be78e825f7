/* What both back ends do with connections, listeners and polls; the loop itself is in loop.c. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tls.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/loop_internal.h"

/* Calls for one connection's bytes before others get their turn. */
enum { PUSH_BURST = 64 };

/* ---- connections ---------------------------------------------------------------------------- */

int cl_io_open(struct cl_loop *l, struct cl_io *io, int fd) {
    io->loop = l;
    io->fd = fd;
    io->state = 0;
    io->pending = 0;
    io->file = NULL;
    io->next = NULL;
    io->held = io->held_last = NULL;
    int err = l->ops->io_open(io);
    if (err)
        return err;
    io->all_next = &l->all;
    io->all_prev = l->all.all_prev;
    io->all_prev->all_next = io;
    l->all.all_prev = io;
    l->open_count++;
    return CELLO_OK;
}

int cl_io_send(struct cl_io *io, struct iovec *iov, int count) {
    assert(!(io->state & CL_IO_SENDING));
    if (CL_UNLIKELY(io->state & CL_IO_CLOSED)) {
        errno = EPIPE;
        return CELLO_ESYS;
    }
    io->iov = iov;
    io->iov_count = count;
    if (cl_io_advance(io, 0))
        return CELLO_OK;
    return io->loop->ops->io_send(io);
}

static int push(struct cl_io *io, struct iovec *iov, int count, struct cl_file_part *file) {
    assert(!(io->state & CL_IO_SENDING));
    if (CL_UNLIKELY(io->state & CL_IO_CLOSED)) {
        errno = EPIPE;
        return CELLO_ESYS;
    }
    io->iov = iov;
    io->iov_count = count;
    io->file = file;
    int err = io->loop->ops->io_sendfile(io);
    if (err == CELLO_EAGAIN)
        io->state |= CL_IO_SENDING;
    else
        io->file = NULL;
    return err;
}

int cl_io_sendfile(struct cl_io *io, struct iovec *iov, int count, struct cl_file_part *file) {
    assert(file->left);
    return push(io, iov, count, file);
}

int cl_io_push(struct cl_io *io, struct iovec *iov, int count, struct cl_file_part *file,
               unsigned char record) {
    io->record = record;
    io->state |= CL_IO_PUSH;
    int err = push(io, iov, count, file && file->left ? file : NULL);
    if (err != CELLO_EAGAIN)
        io->state &= ~CL_IO_PUSH;
    return err;
}

void cl_io_recv_pause(struct cl_io *io) {
    if (io->state & (CL_IO_PAUSED | CL_IO_CLOSED))
        return;
    io->state |= CL_IO_PAUSED;
    io->loop->ops->io_pause(io);
}

void cl_io_recv_resume(struct cl_io *io) {
    if ((io->state & (CL_IO_PAUSED | CL_IO_CLOSED)) != CL_IO_PAUSED)
        return;
    io->state &= ~CL_IO_PAUSED;
    io->loop->ops->io_resume(io);
}

void cl_io_shutdown(struct cl_io *io) {
    if (io->state & CL_IO_CLOSED)
        return;
    if (io->state & CL_IO_SENDING)
        io->state |= CL_IO_SHUTDOWN;
    else
        shutdown(io->fd, SHUT_WR);
}

void cl_io_close(struct cl_io *io) {
    if (io->state & CL_IO_CLOSED)
        return;
    io->state = (io->state | CL_IO_CLOSED) & ~CL_IO_SENDING;
    io->loop->ops->io_close(io);
    cl_loop_need_turn(io->loop);
}

bool cl_io_report(struct cl_io *io, int result) {
    io->ops->on_recv(io, result);
    if (CL_UNLIKELY(io->state & CL_IO_CLOSED))
        return false;
    cl_block_drop_empty(io->in);
    return true;
}

void cl_io_report_stop(struct cl_io *io, int why) {
    cl_io_recv_pause(io);
    io->ops->on_recv(io, why);
}

static int make_room(struct cl_io *io, size_t *room) {
    size_t wanted = cl_block_wanted(io->in_room ? *io->in_room : 0);
    return cl_block_receive_room(&io->loop->pool, io->in, wanted, *io->in_max, room);
}

static void recv_failed(struct cl_io *io) {
    if (errno == EINTR) {
        cl_loop_ready(io);
        return;
    }
    io->state &= ~CL_IO_READABLE;
    if (errno == EAGAIN) {
        cl_block_drop_empty(io->in);
        return;
    }
    io->state |= CL_IO_DONE;
    cl_io_report(io, CELLO_ESYS);
}

void cl_io_recv_by_hand(struct cl_io *io, bool on) {
    io->state = on ? io->state | CL_IO_BY_HAND : io->state & ~CL_IO_BY_HAND;
}

/* Errors and the end leave it readable, so that cl_io_receive meets them again: an end stays, and
 * behind an error there is one. */
int cl_io_recv_now(struct cl_io *io, char *to, size_t n) {
    if ((io->state & (CL_IO_READABLE | CL_IO_CLOSED)) != CL_IO_READABLE)
        return CELLO_EAGAIN;
    ssize_t got = recv(io->fd, to, CL_MIN(n, (size_t)INT_MAX), MSG_DONTWAIT);
    if (got == 0)
        return CELLO_EOF;
    if (got < 0 && errno != EAGAIN)
        return errno == EINTR ? CELLO_EAGAIN : CELLO_ESYS;
    if (got < (ssize_t)n && !(io->state & CL_IO_HUP))
        io->state &= ~CL_IO_READABLE;
    return got < 0 ? CELLO_EAGAIN : (int)got;
}

void cl_io_receive(struct cl_io *io) {
    size_t room;
    int err = CL_UNLIKELY(io->state & CL_IO_BY_HAND) ? CELLO_EAGAIN : make_room(io, &room);
    if (CL_UNLIKELY(err)) {
        cl_io_report_stop(io, err);
        return;
    }
    ssize_t n = recv(io->fd, cl_block_wr(*io->in), room, MSG_DONTWAIT);
    if (CL_UNLIKELY(n < 0)) {
        recv_failed(io);
        return;
    }
    if (n == 0) {
        io->state = (io->state & ~CL_IO_READABLE) | CL_IO_DONE;
        cl_io_report(io, CELLO_EOF);
        return;
    }
    (*io->in)->wr += (size_t)n;
    if ((size_t)n < room && !(io->state & CL_IO_HUP))
        io->state &= ~CL_IO_READABLE;
    if (cl_io_report(io, (int)n) && io->state & CL_IO_READABLE && !(io->state & CL_IO_PAUSED))
        cl_loop_ready(io);
}

bool cl_io_advance(struct cl_io *io, size_t n) {
    while (io->iov_count && n >= io->iov->iov_len) {
        n -= io->iov->iov_len;
        io->iov++;
        io->iov_count--;
    }
    if (!io->iov_count)
        return true;
    io->iov->iov_base = (char *)io->iov->iov_base + n;
    io->iov->iov_len -= n;
    return false;
}

/* The head of an answer leaves in one packet, or record, with the file's first bytes: MSG_MORE. */
static ssize_t push_some(const struct cl_io *io) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(1)];
    } control = {0};
    struct msghdr m = {
        .msg_iov = io->iov,
        .msg_iovlen = CL_MIN((size_t)io->iov_count, (size_t)CL_IOV_MAX),
    };
    if (io->state & CL_IO_PUSH && io->record) {
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(1), .cmsg_level = SOL_TLS, .cmsg_type = TLS_SET_RECORD_TYPE};
        *CMSG_DATA(&control.head) = io->record;
        m.msg_control = &control;
        m.msg_controllen = CMSG_LEN(1);
    }
    return sendmsg(io->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT | (io->file ? MSG_MORE : 0));
}

static int push_iov(struct cl_io *io, bool *full) {
    *full = false;
    for (int i = 0; !cl_io_advance(io, 0); i++) {
        if (i >= PUSH_BURST)
            return CELLO_EAGAIN;
        ssize_t n = push_some(io);
        *full = n < 0 && errno == EAGAIN;
        if (n >= 0)
            cl_io_advance(io, (size_t)n);
        else if (errno != EINTR)
            return *full ? CELLO_EAGAIN : CELLO_ESYS;
    }
    return CELLO_OK;
}

int cl_io_push_file(struct cl_io *io, bool *full) {
    int err = push_iov(io, full);
    if (err || !io->file)
        return err;
    for (size_t burst = CL_FILE_BURST; burst;) {
        int64_t n = cl_file_part_send(io->file, io->fd, burst);
        *full = n == CELLO_EAGAIN;
        if (n < 0)
            return (int)n;
        if (!io->file->left)
            return CELLO_OK;
        burst -= (size_t)n;
    }
    return CELLO_EAGAIN;
}

void cl_io_finish_send(struct cl_io *io, int err) {
    io->file = NULL;
    if (io->state & CL_IO_SHUTDOWN)
        shutdown(io->fd, SHUT_WR);
    io->state &= ~(CL_IO_SENDING | CL_IO_SHUTDOWN | CL_IO_PUSH);
    io->ops->on_sent(io, err);
}

void cl_loop_ready(struct cl_io *io) {
    if (io->state & CL_IO_QUEUED)
        return;
    struct cl_loop *l = io->loop;
    io->state |= CL_IO_QUEUED;
    io->next = NULL;
    *l->ready_end = io;
    l->ready_end = &io->next;
    cl_loop_need_turn(l);
}

static struct cl_io *take_ready(struct cl_loop *l) {
    struct cl_io *io = l->ready;
    if (!(l->ready = io->next))
        l->ready_end = &l->ready;
    io->state &= ~CL_IO_QUEUED;
    return io;
}

void cl_loop_serve_ready(struct cl_loop *l, void (*serve)(struct cl_io *io)) {
    struct cl_io *last = l->ready ? CL_CONTAINER_OF(l->ready_end, struct cl_io, next) : NULL;
    for (int i = 0; last && i < CL_LOOP_EVENTS_MAX; i++) {
        struct cl_io *io = take_ready(l);
        if (io == last)
            last = NULL; /* what comes behind it was queued in this turn */
        serve(io);
    }
}

void cl_loop_retire(struct cl_io *io) {
    assert(!(io->state & CL_IO_QUEUED) && !io->pending);
    io->next = io->loop->closed;
    io->loop->closed = io;
}

/* ---- listeners and polls -------------------------------------------------------------------- */

static void retry_accept(struct cl_timer *t) {
    struct cl_listener *ls = CL_CONTAINER_OF(t, struct cl_listener, retry);
    ls->state &= ~CL_LISTENER_RETRY;
    ls->loop->ops->listener_update(ls);
}

int cl_listener_open(struct cl_loop *l, struct cl_listener *ls, int fd) {
    ls->loop = l;
    ls->fd = fd;
    ls->state = 0;
    ls->pending = 0;
    ls->warn_ns = 0;
    cl_timer_init(&ls->retry, retry_accept);
    int err = l->ops->listener_open(ls);
    if (err)
        return err;
    ls->all_next = l->listeners;
    l->listeners = ls;
    l->open_count++;
    return CELLO_OK;
}

void cl_listener_pause(struct cl_listener *ls) {
    if (ls->state & CL_LISTENER_PAUSED)
        return;
    ls->state |= CL_LISTENER_PAUSED;
    if (!(ls->state & CL_LISTENER_CLOSED))
        ls->loop->ops->listener_update(ls);
}

void cl_listener_resume(struct cl_listener *ls) {
    if ((ls->state & (CL_LISTENER_CLOSED | CL_LISTENER_PAUSED)) != CL_LISTENER_PAUSED)
        return;
    ls->state &= ~CL_LISTENER_PAUSED;
    ls->loop->ops->listener_update(ls);
}

void cl_listener_close(struct cl_listener *ls) {
    if (ls->state & CL_LISTENER_CLOSED)
        return;
    ls->state |= CL_LISTENER_CLOSED;
    cl_timer_stop(&ls->loop->timers, &ls->retry);
    ls->loop->ops->listener_close(ls);
    cl_loop_need_turn(ls->loop);
}

/* Clients wait meanwhile, so somebody should know; who is at the limit stays there for long. */
static void warn(struct cl_listener *ls, int err) {
    if (ls->loop->now_ns < ls->warn_ns)
        return;
    ls->warn_ns = ls->loop->now_ns + CL_ACCEPT_WARN_NS;
    cl_log(CL_LOG_WARNING, "cannot accept connections, which wait: %s", strerror(err));
}

/* The new connection's own trouble, reported by Linux where it is accepted: accept(2). */
static bool is_passing(int err) {
    switch (err) {
    case EINTR:
    case ECONNABORTED:
    case EPERM: /* a firewall rule */
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case ETIMEDOUT: return true;
    default: return false; /* EMFILE, ENFILE, ENOBUFS, ENOMEM; whatever must not make a loop spin */
    }
}

bool cl_listener_failed(struct cl_listener *ls, int err) {
    if (is_passing(err))
        return true;
    warn(ls, err);
    ls->state |= CL_LISTENER_RETRY;
    cl_timer_set(&ls->loop->timers, &ls->retry,
                 ls->loop->now_ns + CL_ACCEPT_RETRY_MS * CL_NS_PER_MS);
    return false;
}

/* Non-blocking for good: another process that shares the socket may be doing the same, and would
 * wait for ever if it became a blocking one again in between. */
void cl_listener_take_rest(struct cl_listener *ls, int flags) {
    int mode = fcntl(ls->fd, F_GETFL);
    if (mode < 0 || (!(mode & O_NONBLOCK) && fcntl(ls->fd, F_SETFL, mode | O_NONBLOCK)))
        return;
    for (int i = 0; i < CL_ACCEPT_REST_MAX && !(ls->state & CL_LISTENER_PAUSED); i++) {
        int fd = accept4(ls->fd, NULL, NULL, flags);
        if (fd >= 0)
            ls->on_accept(ls, fd);
        else if (!is_passing(errno))
            break;
    }
}

void cl_loop_retire_listener(struct cl_listener *ls) {
    if (ls->state & CL_LISTENER_RETIRED)
        return;
    ls->state |= CL_LISTENER_RETIRED;
    ls->next = ls->loop->closed_listeners;
    ls->loop->closed_listeners = ls;
}

int cl_poll_open(struct cl_loop *l, struct cl_poll *p, int fd) {
    p->loop = l;
    p->fd = fd;
    p->state = 0;
    p->pending = 0;
    return l->ops->poll_open(p);
}

void cl_poll_close(struct cl_poll *p) {
    p->loop->ops->poll_close(p);
}
