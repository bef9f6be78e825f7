/* The epoll back end: readiness made to look like completions.
 *
 * A connection is registered once, edge-triggered, for everything. An edge sets flags in io->state;
 * one recv follows, and a short read proves the socket drained, so that most requests cost one
 * epoll_wait (shared), one recv and one send. A read that filled its room goes on in the next turn,
 * behind the others (the ready list).
 *
 * Nothing stale can be acted on: a closed io leaves the epoll set at once, its memory stays until
 * the end of the turn, and events fetched before look at its state. A poll has no such delay, so
 * closing one blanks its events instead. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "event/loop_internal.h"

/* Connections accepted and sends tried in one go before others get their turn. */
enum { ACCEPT_BURST = 64, SEND_BURST = 8 };

/* The low bits of epoll_data tell what the pointer is. */
enum source { SOURCE_IO, SOURCE_LISTENER, SOURCE_POLL, SOURCE_WAKE, SOURCE_MASK = 3 };

struct epoll_loop {
    struct cl_loop super;
    int fd;
    int count;   /* events fetched by wait() */
    int at;      /* the one being served */
    bool coarse; /* the kernel waits in whole milliseconds only */
    struct epoll_event events[CL_LOOP_EVENTS_MAX];
};

static struct epoll_loop *epoll_loop(const struct cl_loop *l) {
    return CL_CONTAINER_OF(l, struct epoll_loop, super);
}

static int watch(struct cl_loop *l, int fd, uint32_t events, void *source, enum source kind) {
    struct epoll_event e = {.events = events};
    e.data.u64 = (uint64_t)(uintptr_t)source | (uint64_t)kind;
    return epoll_ctl(epoll_loop(l)->fd, EPOLL_CTL_ADD, fd, &e) ? CELLO_ESYS : CELLO_OK;
}

/* close() alone is not enough: a process forked meanwhile would keep the registration alive. */
static void unwatch(struct cl_loop *l, int fd) {
    epoll_ctl(epoll_loop(l)->fd, EPOLL_CTL_DEL, fd, &(struct epoll_event){0});
}

static void set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* ---- send ----------------------------------------------------------------------------------- */

static ssize_t send_some(const struct cl_io *io) {
    if (io->iov_count == 1)
        return send(io->fd, io->iov->iov_base, io->iov->iov_len, MSG_NOSIGNAL);
    struct msghdr m = {
        .msg_iov = io->iov,
        .msg_iovlen = CL_MIN((size_t)io->iov_count, (size_t)CL_IOV_MAX),
    };
    return sendmsg(io->fd, &m, MSG_NOSIGNAL);
}

/* CELLO_OK: everything is sent. CELLO_EAGAIN: the next edge goes on, or the ready list when
 * CL_IO_WRITABLE is left set. CELLO_ESYS. */
static int send_all(struct cl_io *io) {
    for (int i = 0; i < SEND_BURST; i++) {
        ssize_t n = send_some(io);
        if (CL_LIKELY(n >= 0)) {
            if (CL_LIKELY(cl_io_advance(io, (size_t)n)))
                return CELLO_OK;
        } else if (errno == EAGAIN) {
            io->state &= ~CL_IO_WRITABLE;
            return CELLO_EAGAIN;
        } else if (errno != EINTR) {
            return CELLO_ESYS;
        }
    }
    io->state |= CL_IO_WRITABLE;
    cl_loop_ready(io);
    return CELLO_EAGAIN;
}

static int epoll_io_send(struct cl_io *io) {
    int err = send_all(io);
    if (err == CELLO_EAGAIN)
        io->state |= CL_IO_SENDING;
    return err;
}

/* The same with a file behind the iovecs. */
static int epoll_io_sendfile(struct cl_io *io) {
    bool full;
    int err = cl_io_push_file(io, &full);
    if (err != CELLO_EAGAIN)
        return err;
    if (full) {
        io->state &= ~CL_IO_WRITABLE;
    } else {
        io->state |= CL_IO_WRITABLE;
        cl_loop_ready(io);
    }
    return CELLO_EAGAIN;
}

static void go_on_sending(struct cl_io *io) {
    int err = cl_io_pushes(io) ? epoll_io_sendfile(io) : send_all(io);
    if (err != CELLO_EAGAIN)
        cl_io_finish_send(io, err);
}

/* ---- connections ---------------------------------------------------------------------------- */

static int epoll_io_open(struct cl_io *io) {
    set_nonblocking(io->fd);
    return watch(io->loop, io->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, io, SOURCE_IO);
}

static void watch_again(struct cl_io *io, uint32_t events) {
    struct epoll_event e = {.events = events | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    e.data.u64 = (uint64_t)(uintptr_t)io | (uint64_t)SOURCE_IO;
    epoll_ctl(epoll_loop(io->loop)->fd, EPOLL_CTL_MOD, io->fd, &e);
}

/* Every packet of a fast sender would be an edge, while another thread has what came before. */
static void epoll_io_pause(struct cl_io *io) {
    if (CL_UNLIKELY(io->state & CL_IO_BY_HAND)) {
        io->state |= CL_IO_MUTED;
        watch_again(io, 0);
    }
}

static void epoll_io_resume(struct cl_io *io) {
    if (CL_UNLIKELY(io->state & CL_IO_MUTED)) {
        io->state &= ~CL_IO_MUTED;
        watch_again(io, EPOLLIN); /* an edge, if there is something */
    }
    if (cl_io_wants_recv(io))
        cl_loop_ready(io);
}

static void epoll_io_close(struct cl_io *io) {
    unwatch(io->loop, io->fd);
    close(io->fd);
    io->fd = -1;
    if (!(io->state & CL_IO_QUEUED))
        cl_loop_retire(io);
}

/* A closed io has neither a send to go on with nor a wish to receive. */
static void serve(struct cl_io *io) {
    if (io->state & CL_IO_SENDING && io->state & CL_IO_WRITABLE)
        go_on_sending(io);
    if (cl_io_wants_recv(io))
        cl_io_receive(io);
}

static void serve_again(struct cl_io *io) {
    if (io->state & CL_IO_CLOSED)
        cl_loop_retire(io);
    else
        serve(io);
}

static void io_event(struct cl_io *io, uint32_t events) {
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->state |= CL_IO_HUP | CL_IO_READABLE | CL_IO_WRITABLE;
    if (events & EPOLLIN)
        io->state |= CL_IO_READABLE;
    if (events & EPOLLOUT)
        io->state |= CL_IO_WRITABLE;
    serve(io);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static void epoll_listener_update(struct cl_listener *ls) {
    bool armed = ls->state & CL_LISTENER_ARMED, wanted = cl_listener_wanted(ls);
    if (armed && !wanted) {
        unwatch(ls->loop, ls->fd);
        ls->state &= ~CL_LISTENER_ARMED;
    } else if (wanted && !armed) {
        /* Level-triggered: what a burst left over is reported again. Exclusive: of several
         * workers that share a unix socket one wakes up. */
        if (watch(ls->loop, ls->fd, EPOLLIN | EPOLLEXCLUSIVE, ls, SOURCE_LISTENER))
            cl_listener_failed(ls, ENOMEM);
        else
            ls->state |= CL_LISTENER_ARMED;
    }
}

static int epoll_listener_open(struct cl_listener *ls) {
    set_nonblocking(ls->fd);
    int err = watch(ls->loop, ls->fd, EPOLLIN | EPOLLEXCLUSIVE, ls, SOURCE_LISTENER);
    if (!err)
        ls->state |= CL_LISTENER_ARMED;
    return err;
}

static void epoll_listener_close(struct cl_listener *ls) {
    epoll_listener_update(ls);
    cl_listener_take_rest(ls, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(ls->fd);
    ls->fd = -1;
    cl_loop_retire_listener(ls);
}

static void accept_burst(struct cl_listener *ls) {
    for (int i = 0; i < ACCEPT_BURST && cl_listener_wanted(ls); i++) {
        int fd = accept4(ls->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            ls->on_accept(ls, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (!cl_listener_failed(ls, errno)) {
            epoll_listener_update(ls);
            return;
        }
    }
}

/* ---- polls ---------------------------------------------------------------------------------- */

static int epoll_poll_open(struct cl_poll *p) {
    return watch(p->loop, p->fd, EPOLLIN, p, SOURCE_POLL);
}

static void epoll_poll_close(struct cl_poll *p) {
    struct epoll_loop *el = epoll_loop(p->loop);
    unwatch(p->loop, p->fd);
    for (int i = el->at; i < el->count; i++)
        if (el->events[i].data.u64 == ((uint64_t)(uintptr_t)p | SOURCE_POLL))
            el->events[i].data.u64 = SOURCE_WAKE;
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* Rounded up: waking before a timer's tick would be for nothing. */
static int wait_whole_ms(struct epoll_loop *el, uint64_t timeout_ns) {
    uint64_t ms = timeout_ns / CL_NS_PER_MS + (timeout_ns % CL_NS_PER_MS != 0);
    int timeout_ms = timeout_ns == UINT64_MAX ? -1 : (int)CL_MIN(ms, (uint64_t)INT32_MAX);
    return epoll_wait(el->fd, el->events, CL_LOOP_EVENTS_MAX, timeout_ms);
}

static int epoll_wait_events(struct cl_loop *l, uint64_t timeout_ns) {
    struct epoll_loop *el = epoll_loop(l);
    const struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / CL_NS_PER_S),
        .tv_nsec = (long)(timeout_ns % CL_NS_PER_S),
    };
    el->at = 0;
    el->count = el->coarse ? wait_whole_ms(el, timeout_ns)
                           : epoll_pwait2(el->fd, el->events, CL_LOOP_EVENTS_MAX,
                                          timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
    /* Before Linux 5.11, or in a sandbox that does not know the call. */
    if (CL_UNLIKELY(el->count < 0 && !el->coarse && (errno == ENOSYS || errno == EPERM))) {
        el->coarse = true;
        el->count = wait_whole_ms(el, timeout_ns);
    }
    if (CL_UNLIKELY(el->count < 0)) {
        el->count = 0;
        return CELLO_ESYS;
    }
    return CELLO_OK;
}

static void epoll_dispatch(struct cl_loop *l) {
    struct epoll_loop *el = epoll_loop(l);
    cl_loop_serve_ready(l, serve_again);
    while (el->at < el->count) {
        struct epoll_event e = el->events[el->at++];
        void *source = (void *)(uintptr_t)(e.data.u64 & ~(uint64_t)SOURCE_MASK);
        switch ((enum source)(e.data.u64 & SOURCE_MASK)) {
        case SOURCE_IO: io_event(source, e.events); break;
        case SOURCE_LISTENER: accept_burst(source); break;
        case SOURCE_POLL: ((struct cl_poll *)source)->on_ready(source); break;
        case SOURCE_WAKE: break; /* edge-triggered: the counter need not be read */
        }
    }
}

static void epoll_settle(struct cl_loop *l, bool submit) {
    (void)l;
    (void)submit;
}

static int epoll_poll_fd(struct cl_loop *l) {
    return epoll_loop(l)->fd;
}

static void epoll_stop(struct cl_loop *l) {
    close(epoll_loop(l)->fd);
    epoll_loop(l)->fd = -1; /* the number may be somebody else's before the loop is deleted */
}

static const struct cl_loop_ops epoll_ops = {
    .backend = CL_BACKEND_EPOLL,
    .stop = epoll_stop,
    .wait = epoll_wait_events,
    .dispatch = epoll_dispatch,
    .settle = epoll_settle,
    .poll_fd = epoll_poll_fd,
    .listener_open = epoll_listener_open,
    .listener_update = epoll_listener_update,
    .listener_close = epoll_listener_close,
    .io_open = epoll_io_open,
    .io_send = epoll_io_send,
    .io_sendfile = epoll_io_sendfile,
    .io_pause = epoll_io_pause,
    .io_resume = epoll_io_resume,
    .io_close = epoll_io_close,
    .poll_open = epoll_poll_open,
    .poll_close = epoll_poll_close,
};

int cl_loop_epoll_new(struct cl_loop **out, int wake_fd) {
    struct epoll_loop *el = cl_calloc(1, sizeof *el);
    if (!el)
        return CELLO_ENOMEM;
    el->super.ops = &epoll_ops;
    el->fd = epoll_create1(EPOLL_CLOEXEC);
    if (el->fd < 0)
        goto fail;
    if (watch(&el->super, wake_fd, EPOLLIN | EPOLLET, NULL, SOURCE_WAKE))
        goto fail_watch;
    *out = &el->super;
    return CELLO_OK;

fail_watch:
    close(el->fd);
fail:
    cl_free(el);
    return CELLO_ESYS;
}
