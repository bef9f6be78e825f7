/* The io_uring back end: one system call per turn hands over what was started and fetches what is
 * done. Connections are in loop_uring_io.c, buffers in loop_uring_bufs.c.
 *
 * Ring flags: an unknown one must never be set (on one kernel a flag younger than the liburing in
 * use made a process that no signal could end), so exactly these are used, all of which liburing
 * 2.3 knows: SINGLE_ISSUER, DEFER_TASKRUN or COOP_TASKRUN, CQSIZE, R_DISABLED. A kernel that
 * refuses them refuses the back end.
 *
 * DEFER_TASKRUN ties the ring to one thread. The ring is made disabled and enabled by the first
 * turn, so that it belongs to the thread that runs the loop, not to the one that made it. */
#include "event/loop_internal.h"

#ifdef CELLO_HAVE_URING

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "event/loop_uring_internal.h"

enum { SUBMIT_ENTRIES = 1024, COMPLETE_ENTRIES = 4096 };

/* ---- submission ----------------------------------------------------------------------------- */

struct io_uring_sqe *cl_uring_sqe(struct cl_loop *l) {
    struct cl_uring *u = cl_uring(l);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (CL_UNLIKELY(!sqe) && u->started) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    if (sqe)
        cl_loop_need_turn(l);
    return sqe;
}

bool cl_uring_cancel(struct cl_loop *l, uint64_t tag) {
    struct io_uring_sqe *sqe = cl_uring_sqe(l);
    if (!sqe)
        return false;
    io_uring_prep_cancel64(sqe, tag, 0);
    sqe->user_data = CL_URING_NOTHING;
    return true;
}

/* ---- listeners ------------------------------------------------------------------------------ */

static void rest_listener(struct cl_listener *ls) {
    cl_timer_set(&ls->loop->timers, &ls->retry,
                 ls->loop->now_ns + CL_ACCEPT_RETRY_MS * CL_NS_PER_MS);
}

static void finish_listener_close(struct cl_listener *ls) {
    cl_timer_stop(&ls->loop->timers, &ls->retry);
    close(ls->fd);
    ls->fd = -1;
    cl_loop_retire_listener(ls);
}

static void arm_accept(struct cl_listener *ls) {
    struct io_uring_sqe *sqe = cl_uring_sqe(ls->loop);
    if (!sqe) {
        cl_listener_failed(ls, ENOMEM);
        return;
    }
    if (CL_UNLIKELY(ls->state & CL_LISTENER_POLLED))
        io_uring_prep_poll_add(sqe, ls->fd, POLLIN | EPOLLEXCLUSIVE);
    else if (ls->shared) /* who has taken one waits behind the others */
        io_uring_prep_accept(sqe, ls->fd, NULL, NULL, SOCK_CLOEXEC);
    else
        io_uring_prep_multishot_accept(sqe, ls->fd, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = cl_uring_tag(ls, CL_URING_ACCEPT);
    ls->state |= CL_LISTENER_ARMED;
    ls->pending++;
}

/* Also called by the retry timer, so it must bring any state forward. */
static void uring_listener_update(struct cl_listener *ls) {
    bool armed = ls->state & CL_LISTENER_ARMED, wanted = cl_listener_wanted(ls);
    if (wanted && !armed) {
        arm_accept(ls);
    } else if (armed && !wanted && !(ls->state & CL_LISTENER_CANCELED)) {
        if (cl_uring_cancel(ls->loop, cl_uring_tag(ls, CL_URING_ACCEPT)))
            ls->state |= CL_LISTENER_CANCELED;
        else
            rest_listener(ls);
    }
}

/* Whether the socket blocks is left as it is: others who share it may depend on it. */
static int uring_listener_open(struct cl_listener *ls) {
    uring_listener_update(ls);
    return CELLO_OK;
}

static void uring_listener_close(struct cl_listener *ls) {
    if (ls->pending)
        uring_listener_update(ls);
    else
        finish_listener_close(ls);
}

/* On a non-blocking socket the kernel accepts what is there, then answers EAGAIN instead of
 * waiting; a poll waits, and is followed by the next accept. */
static void accepted(struct cl_listener *ls, int res, uint32_t cqe_flags) {
    bool polled = ls->state & CL_LISTENER_POLLED;
    if (CL_UNLIKELY(polled))
        ls->state &= ~CL_LISTENER_POLLED;
    else if (CL_UNLIKELY(res == -EAGAIN))
        ls->state |= CL_LISTENER_POLLED;
    if (!(cqe_flags & IORING_CQE_F_MORE)) {
        ls->state &= ~(CL_LISTENER_ARMED | CL_LISTENER_CANCELED);
        ls->pending--;
    }
    if (res >= 0 && !polled && ls->loop->stopped)
        close(res);
    else if (res >= 0 && !polled)
        ls->on_accept(ls, res);
    if (ls->state & CL_LISTENER_CLOSED) {
        if (ls->pending)
            return;
        if (!ls->loop->stopped)
            cl_listener_take_rest(ls, SOCK_CLOEXEC);
        finish_listener_close(ls);
        return;
    }
    if (res < 0 && res != -ECANCELED && res != -EAGAIN)
        cl_listener_failed(ls, -res);
    /* on_accept may have closed it, and then there is nothing left to do. */
    if (!(ls->state & CL_LISTENER_CLOSED))
        uring_listener_update(ls);
}

/* ---- polls ---------------------------------------------------------------------------------- */

static void arm_poll(struct cl_loop *l, struct cl_uring_poll *n) {
    struct io_uring_sqe *sqe = cl_uring_sqe(l);
    if (!sqe)
        return; /* settle() tries again */
    /* One shot: asking again after every report makes it level-triggered. */
    io_uring_prep_poll_add(sqe, n->owner->fd, POLLIN);
    sqe->user_data = cl_uring_tag(n, CL_URING_POLL);
    n->armed = true;
}

static int uring_poll_open(struct cl_poll *p) {
    struct cl_uring *u = cl_uring(p->loop);
    struct cl_uring_poll *n = cl_malloc(sizeof *n);
    if (!n)
        return CELLO_ENOMEM;
    *n = (struct cl_uring_poll){.owner = p, .next = u->polls};
    u->polls = n;
    arm_poll(p->loop, n);
    return CELLO_OK;
}

static void uring_poll_close(struct cl_poll *p) {
    struct cl_uring_poll *n = cl_uring(p->loop)->polls;
    while (n && n->owner != p)
        n = n->next;
    if (!n)
        return;
    n->owner = NULL;
    /* Without an entry it stays until the descriptor is ready, or as long as the loop. */
    if (n->armed)
        cl_uring_cancel(p->loop, cl_uring_tag(n, CL_URING_POLL));
}

static void polled(struct cl_uring_poll *n, int res) {
    n->armed = false;
    if (n->owner && res > 0)
        n->owner->on_ready(n->owner);
}

/* Watch the open ones again, drop the closed ones. */
static void settle_polls(struct cl_uring *u) {
    for (struct cl_uring_poll **at = &u->polls, *n; (n = *at) != NULL;) {
        if (!n->owner && !n->armed) {
            *at = n->next;
            cl_free(n);
            continue;
        }
        if (!n->armed)
            arm_poll(&u->super, n);
        at = &n->next;
    }
}

/* ---- a turn --------------------------------------------------------------------------------- */

static bool arm_wake(struct cl_uring *u) {
    struct io_uring_sqe *sqe = cl_uring_sqe(&u->super);
    if (!sqe)
        return false;
    /* Every write to the eventfd is an event of its own, so the counter need not be read. */
    io_uring_prep_poll_multishot(sqe, u->wake_fd, POLLIN);
    sqe->user_data = CL_URING_WAKE;
    return true;
}

static int start(struct cl_uring *u) {
    /* io_uring_enable_rings() is declared by liburing 2.3 but not exported. */
    int err = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (err < 0) {
        errno = -err;
        return CELLO_ESYS;
    }
    u->started = true;
    cl_uring_bufs_refill(u);
    return CELLO_OK;
}

static void drain_notify(struct cl_loop *l) {
    int fd = atomic_load_explicit(&l->notify_fd, memory_order_relaxed);
    if (CL_LIKELY(fd < 0))
        return;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* EAGAIN: nothing was there */
}

static int uring_wait(struct cl_loop *l, uint64_t timeout_ns) {
    struct cl_uring *u = cl_uring(l);
    if (CL_UNLIKELY(!u->started) && start(u))
        return CELLO_ESYS;
    drain_notify(l);
    int n;
    if (timeout_ns == 0) {
        n = io_uring_submit_and_get_events(&u->ring);
    } else if (timeout_ns == UINT64_MAX) {
        n = io_uring_submit_and_wait(&u->ring, 1);
    } else {
        struct io_uring_cqe *cqe;
        struct __kernel_timespec ts = {
            .tv_sec = (long long)(timeout_ns / CL_NS_PER_S),
            .tv_nsec = (long long)(timeout_ns % CL_NS_PER_S),
        };
        n = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
    }
    if (CL_LIKELY(n >= 0)) {
        /* A wait that also submitted answers with that number, even when a signal ended it. */
        if (CL_LIKELY(!timeout_ns || io_uring_cq_ready(&u->ring)))
            return CELLO_OK;
        n = -EINTR;
    }
    /* EBUSY, EAGAIN: the kernel wants completions fetched, or has no memory, and tries again. */
    if (n == -ETIME || n == -EBUSY || n == -EAGAIN)
        return CELLO_OK;
    errno = -n;
    return CELLO_ESYS;
}

static void complete(struct cl_uring *u, const struct io_uring_cqe *cqe) {
    void *p = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)CL_URING_OP_MASK);
    switch ((enum cl_uring_op)(cqe->user_data & CL_URING_OP_MASK)) {
    case CL_URING_RECV: cl_uring_io_received(p, cqe->res, cqe->flags); break;
    case CL_URING_SEND: cl_uring_io_sent(p, cqe->res); break;
    case CL_URING_WRITABLE: cl_uring_io_writable(p, cqe->res); break;
    case CL_URING_ACCEPT: accepted(p, cqe->res, cqe->flags); break;
    case CL_URING_POLL: polled(p, cqe->res); break;
    case CL_URING_WAKE:
        if (!(cqe->flags & IORING_CQE_F_MORE))
            arm_wake(u);
        break;
    case CL_URING_READABLE: cl_uring_io_readable(p, cqe->res); break;
    case CL_URING_NOTHING: break;
    }
}

static void uring_dispatch(struct cl_loop *l) {
    struct cl_uring *u = cl_uring(l);
    cl_loop_serve_ready(l, cl_uring_io_serve);
    /* Only what is there now; each entry is given back before its callback, which may submit. */
    for (unsigned left = io_uring_cq_ready(&u->ring); left; left--) {
        struct io_uring_cqe *at;
        if (io_uring_peek_cqe(&u->ring, &at))
            break;
        struct io_uring_cqe cqe = {.user_data = at->user_data, .res = at->res, .flags = at->flags};
        io_uring_cq_advance(&u->ring, 1);
        complete(u, &cqe);
    }
}

static void uring_settle(struct cl_loop *l, bool submit) {
    struct cl_uring *u = cl_uring(l);
    if (CL_UNLIKELY(u->polls != NULL))
        settle_polls(u);
    cl_uring_bufs_refill(u);
    if (submit && io_uring_sq_ready(&u->ring))
        io_uring_submit(&u->ring);
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* With DEFER_TASKRUN the ring's own descriptor does not become readable when work arrives, so an
 * eventfd is registered, which the kernel signals. It starts readable, for the turn that starts the
 * ring. cl_loop_wake writes to it directly: signalled through the ring's poll of wake_fd, one
 * eventfd inside the wake-up of another, the kernel tells it once and then no more (seen on 6.18).
 */
static int uring_poll_fd(struct cl_loop *l) {
    int fd = atomic_load(&l->notify_fd);
    if (fd >= 0)
        return fd;
    fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -1;
    int err = io_uring_register_eventfd(&cl_uring(l)->ring, fd);
    if (err) {
        close(fd);
        errno = -err;
        return -1;
    }
    atomic_store(&l->notify_fd, fd);
    return fd;
}

static void uring_stop(struct cl_loop *l) {
    struct cl_uring *u = cl_uring(l);
    io_uring_queue_exit(&u->ring);
    cl_uring_bufs_free(u);
    while (u->polls) {
        struct cl_uring_poll *next = u->polls->next;
        cl_free(u->polls);
        u->polls = next;
    }
}

static const struct cl_loop_ops uring_ops = {
    .backend = CL_BACKEND_URING,
    .stop = uring_stop,
    .wait = uring_wait,
    .dispatch = uring_dispatch,
    .settle = uring_settle,
    .poll_fd = uring_poll_fd,
    .listener_open = uring_listener_open,
    .listener_update = uring_listener_update,
    .listener_close = uring_listener_close,
    .io_open = cl_uring_io_open,
    .io_send = cl_uring_io_send,
    .io_sendfile = cl_uring_io_sendfile,
    .io_pause = cl_uring_io_pause,
    .io_resume = cl_uring_io_resume,
    .io_close = cl_uring_io_close,
    .poll_open = uring_poll_open,
    .poll_close = uring_poll_close,
};

static int new_ring(struct io_uring *ring, uint32_t task_flag) {
    struct io_uring_params params = {
        .flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | task_flag,
        .cq_entries = COMPLETE_ENTRIES,
    };
    return io_uring_queue_init_params(SUBMIT_ENTRIES, ring, &params);
}

static int ring_error(int err) {
    switch (err) {
    case -ENOMEM: return CELLO_ENOMEM;
    case -EMFILE:
    case -ENFILE: errno = -err; return CELLO_ESYS;
    default: return CELLO_ENOTSUP; /* EPERM, ENOSYS, EINVAL: switched off, absent, too old */
    }
}

int cl_loop_uring_new(struct cl_loop **out, int wake_fd, bool any_kernel) {
    struct cl_uring *u = cl_calloc(1, sizeof *u);
    if (!u)
        return CELLO_ENOMEM;
    u->super.ops = &uring_ops;
    u->wake_fd = wake_fd;
    int err = new_ring(&u->ring, IORING_SETUP_DEFER_TASKRUN);
    if (err == -EINVAL && any_kernel)
        err = new_ring(&u->ring, IORING_SETUP_COOP_TASKRUN);
    if (err) {
        err = ring_error(err);
        goto fail;
    }
    err = cl_uring_bufs_init(u);
    if (!err && !arm_wake(u))
        err = CELLO_ENOTSUP;
    if (err)
        goto fail_ring;
    *out = &u->super;
    return CELLO_OK;

fail_ring:
    io_uring_queue_exit(&u->ring);
    cl_uring_bufs_free(u);
fail:
    cl_free(u);
    return err;
}

#else

int cl_loop_uring_new(struct cl_loop **out, int wake_fd, bool any_kernel) {
    (void)out;
    (void)wake_fd;
    (void)any_kernel;
    return CELLO_ENOTSUP;
}

#endif
