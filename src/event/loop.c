/* The half of the loop that both back ends share.
 *
 * Which one CL_BACKEND_AUTO takes was measured with bench/micro/loop_bench.c (Linux 6.18, two busy
 * virtual cores, server on one and wrk on the other, CPU µs of the server per request, means of
 * interleaved rounds; beside them the same exchange written straight on the kernel's interface):
 *
 *      connections, answer      epoll   io_uring      straight on epoll   straight on io_uring
 *      1, 27 bytes               38.1     39.8              40.0                39.4
 *      64, 27 bytes              10.1      9.6              10.4                 9.5
 *      256, 27 bytes             10.6     10.1              10.8                 9.8
 *      64, 46 KB                 38.3     27.1              34.4                34.5
 *      new connection each       36.3     37.1              36.9                36.1
 *
 * By profile the loop adds 3 % (epoll) and 1.5 % (io_uring) of user time to the straight exchange.
 * So io_uring is taken where the kernel has DEFER_TASKRUN (6.1); without that flag it costs more
 * than epoll, and is used only when asked for by name. */
#include "event/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "event/loop_internal.h"

/* Objects kept for cl_loop_obj_new; what a burst left beyond that goes back to the heap. */
enum { SPARES_MAX = 1024 };

struct cl_loop_spare {
    struct cl_loop_spare *next;
};

/* ---- the last word to an owner ------------------------------------------------------------- */

static void report_io_closed(struct cl_io *io) {
    io->all_prev->all_next = io->all_next;
    io->all_next->all_prev = io->all_prev;
    io->loop->open_count--;
    io->ops->on_closed(io);
}

static void report_listener_closed(struct cl_listener *ls) {
    struct cl_listener **at = &ls->loop->listeners;
    while (*at != ls)
        at = &(*at)->all_next;
    *at = ls->all_next;
    ls->loop->open_count--;
    ls->on_closed(ls);
}

/* ---- the loop's life ------------------------------------------------------------------------ */

static int new_backend(struct cl_loop **out, const struct cl_loop_config *cfg, int wake_fd) {
    bool by_name = cfg->backend == CL_BACKEND_URING;
    if (cfg->backend != CL_BACKEND_EPOLL) {
        int err = cl_loop_uring_new(out, wake_fd, by_name);
        if (!err || by_name)
            return err;
    }
    return cl_loop_epoll_new(out, wake_fd);
}

int cl_loop_new(struct cl_loop **out, const struct cl_loop_config *cfg) {
    int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd < 0)
        return CELLO_ESYS;
    struct cl_loop *l;
    int err = new_backend(&l, cfg, wake_fd);
    if (err) {
        int saved = errno;
        close(wake_fd);
        errno = saved;
        return err;
    }
    l->wake_fd = wake_fd;
    l->now_ns = cl_now_ns();
    l->busy_since_ns = &l->nobody_asks;
    l->flushes_end = &l->flushes;
    l->ready_end = &l->ready;
    l->all.all_next = l->all.all_prev = &l->all;
    atomic_init(&l->posts, NULL);
    atomic_init(&l->notify_fd, -1);
    cl_block_pool_init(&l->pool, cfg->max_buffered_bytes);
    cl_timer_wheel_init(&l->timers, l->now_ns);
    cl_tails_init(&l->tails);
    *out = l;
    return CELLO_OK;
}

void cl_loop_close_all(struct cl_loop *l) {
    for (struct cl_io *io = l->all.all_next; io != &l->all; io = io->all_next)
        cl_io_close(io);
}

/* What no turn reported as closed any more. The back end has stopped: the kernel holds nothing. */
static void report_rest(struct cl_loop *l) {
    while (l->all.all_next != &l->all) {
        struct cl_io *io = l->all.all_next;
        assert(io->state & CL_IO_CLOSED);
        if (io->fd >= 0)
            close(io->fd);
        io->fd = -1;
        report_io_closed(io);
    }
    while (l->listeners) {
        struct cl_listener *ls = l->listeners;
        assert(ls->state & CL_LISTENER_CLOSED);
        cl_timer_stop(&l->timers, &ls->retry);
        if (ls->fd >= 0)
            close(ls->fd);
        ls->fd = -1;
        report_listener_closed(ls);
    }
}

void cl_loop_stop(struct cl_loop *l) {
    if (l->stopped)
        return;
    cl_loop_close_all(l);
    l->stopped = true;
    l->ops->stop(l);
    report_rest(l);
    cl_tails_stop(l);
    l->ready = NULL;
    l->closed = NULL;
    l->closed_listeners = NULL;
    assert(l->open_count == 0);
}

void cl_loop_del(struct cl_loop *l) {
    if (!l)
        return;
    cl_loop_stop(l);
    while (l->spares) {
        struct cl_loop_spare *next = l->spares->next;
        cl_free(l->spares);
        l->spares = next;
    }
    close(l->wake_fd);
    if (atomic_load(&l->notify_fd) >= 0)
        close(atomic_load(&l->notify_fd));
    cl_block_pool_free(&l->pool);
    cl_free(l);
}

void cl_loop_set_hooks(struct cl_loop *l, const struct cl_loop_hooks *hooks) {
    l->hooks = *hooks;
}

void cl_loop_set_heartbeat(struct cl_loop *l, _Atomic uint64_t *busy_since_ns) {
    l->busy_since_ns = busy_since_ns ? busy_since_ns : &l->nobody_asks;
}

/* ---- a turn --------------------------------------------------------------------------------- */

static bool has_work(const struct cl_loop *l) {
    return l->work_left || l->ready || l->flushes || l->closed || l->closed_listeners;
}

uint64_t cl_loop_next_ns(const struct cl_loop *l) {
    return has_work(l) ? 0 : cl_timer_wheel_next_ns(&l->timers);
}

/* The coarse clock is late by some milliseconds, which a wheel of 20 ms ticks does not notice, and
 * costs a fifth of the exact one. */
static uint64_t wait_limit(const struct cl_loop *l, uint64_t timeout_ns) {
    uint64_t next_ns = timeout_ns ? cl_loop_next_ns(l) : 0;
    if (next_ns == UINT64_MAX || next_ns == 0)
        return next_ns ? timeout_ns : 0;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    uint64_t coarse_ns = (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
    uint64_t now_ns = CL_MAX(coarse_ns, l->now_ns);
    return next_ns <= now_ns ? 0 : CL_MIN(timeout_ns, next_ns - now_ns);
}

static int wait_events(struct cl_loop *l, uint64_t limit_ns) {
    if (CL_UNLIKELY(l->stopped))
        return CELLO_OK;
    if (!limit_ns)
        return l->ops->wait(l, 0);
    if (l->hooks.before_wait)
        l->hooks.before_wait(l->hooks.ctx);
    atomic_store_explicit(l->busy_since_ns, 0, memory_order_relaxed);
    int err = l->ops->wait(l, limit_ns);
    if (l->hooks.after_wait) {
        int saved = errno;
        l->hooks.after_wait(l->hooks.ctx);
        errno = saved;
    }
    return err;
}

static void run_posts(struct cl_loop *l) {
    if (!atomic_load_explicit(&l->posts, memory_order_relaxed))
        return;
    struct cl_post *newest = atomic_exchange_explicit(&l->posts, NULL, memory_order_acquire);
    struct cl_post *p = NULL;
    while (newest) {
        struct cl_post *older = newest->next;
        newest->next = p;
        p = newest;
        newest = older;
    }
    while (p) {
        struct cl_post *next = p->next;
        p->run(p);
        p = next;
    }
}

/* Only what is on the list now: a flush that asks for another gets it in the next turn. */
static void run_flushes(struct cl_loop *l) {
    l->flushing = l->flushes;
    l->flushes = NULL;
    l->flushes_end = &l->flushes;
    while (l->flushing) {
        struct cl_flush *f = l->flushing;
        l->flushing = f->next;
        f->queued = false;
        f->run(f);
    }
}

static void report_closed(struct cl_loop *l) {
    while (l->closed) {
        struct cl_io *io = l->closed;
        l->closed = io->next;
        report_io_closed(io);
    }
    while (l->closed_listeners) {
        struct cl_listener *ls = l->closed_listeners;
        l->closed_listeners = ls->next;
        report_listener_closed(ls);
    }
}

int cl_loop_turn(struct cl_loop *l, uint64_t timeout_ns) {
    int err = wait_events(l, wait_limit(l, timeout_ns));
    l->now_ns = cl_now_ns();
    atomic_store_explicit(l->busy_since_ns, l->now_ns, memory_order_relaxed);
    if (CL_UNLIKELY(err) && errno == EINTR)
        return err;
    int saved = errno;
    l->in_turn = true;
    if (CL_LIKELY(!l->stopped))
        l->ops->dispatch(l);
    run_posts(l);
    cl_timer_wheel_run(&l->timers, l->now_ns);
    l->work_left = l->hooks.batch && l->hooks.batch(l->hooks.ctx);
    run_flushes(l);
    report_closed(l);
    if (CL_LIKELY(!l->stopped))
        l->ops->settle(l, timeout_ns == 0);
    l->in_turn = false;
    if (l->driven && has_work(l))
        cl_loop_wake(l);
    if (CL_UNLIKELY(err))
        errno = saved;
    return err;
}

void cl_loop_submit(struct cl_loop *l) {
    if (!l->stopped)
        l->ops->settle(l, true);
}

void cl_loop_need_turn(struct cl_loop *l) {
    if (CL_UNLIKELY(l->driven && !l->in_turn))
        cl_loop_wake(l);
}

void cl_loop_need_batch(struct cl_loop *l) {
    l->work_left = true;
    cl_loop_need_turn(l);
}

static void signal_eventfd(int fd) {
    /* Fails only when the counter is full, and then the loop is being woken already. */
    ssize_t n = write(fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
}

void cl_loop_wake(struct cl_loop *l) {
    int saved = errno;
    signal_eventfd(l->wake_fd);
    int notify_fd = atomic_load_explicit(&l->notify_fd, memory_order_relaxed);
    if (notify_fd >= 0)
        signal_eventfd(notify_fd);
    errno = saved;
}

void cl_loop_post(struct cl_loop *l, struct cl_post *p) {
    struct cl_post *head = atomic_load_explicit(&l->posts, memory_order_relaxed);
    do {
        p->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&l->posts, &head, p, memory_order_release,
                                                    memory_order_relaxed));
    /* Whoever made the list non-empty wakes. `p` may be gone already. */
    if (!head)
        cl_loop_wake(l);
}

void cl_loop_flush_later(struct cl_loop *l, struct cl_flush *f) {
    if (f->queued)
        return;
    f->queued = true;
    f->next = NULL;
    *l->flushes_end = f;
    l->flushes_end = &f->next;
    cl_loop_need_turn(l);
}

void cl_loop_flush_cancel(struct cl_loop *l, struct cl_flush *f) {
    if (!f->queued)
        return;
    f->queued = false;
    struct cl_flush **at = &l->flushing;
    while (*at && *at != f)
        at = &(*at)->next;
    if (*at) {
        *at = f->next;
        return;
    }
    for (at = &l->flushes; *at != f;)
        at = &(*at)->next;
    if (!(*at = f->next))
        l->flushes_end = at;
}

/* ---- what the loop knows -------------------------------------------------------------------- */

uint64_t cl_loop_now_ns(const struct cl_loop *l) {
    return l->now_ns;
}

struct cl_block_pool *cl_loop_pool(struct cl_loop *l) {
    return &l->pool;
}

struct cl_timer_wheel *cl_loop_timers(struct cl_loop *l) {
    return &l->timers;
}

enum cl_backend cl_loop_backend(const struct cl_loop *l) {
    return l->ops->backend;
}

size_t cl_loop_open_count(const struct cl_loop *l) {
    return l->open_count;
}

int cl_loop_poll_fd(struct cl_loop *l) {
    l->driven = true;
    if (has_work(l))
        cl_loop_wake(l);
    return l->ops->poll_fd(l);
}

void *cl_loop_obj_new(struct cl_loop *l, size_t size) {
    assert(size >= sizeof(struct cl_loop_spare));
    assert(!l->spare_size || l->spare_size == size);
    l->spare_size = size;
    struct cl_loop_spare *s = l->spares;
    if (!s)
        return cl_malloc(size);
    l->spares = s->next;
    l->spare_count--;
    return s;
}

void cl_loop_obj_del(struct cl_loop *l, void *obj) {
#if !defined(CL_POISON)
    if (l->spare_count < SPARES_MAX) {
        struct cl_loop_spare *s = obj;
        s->next = l->spares;
        l->spares = s;
        l->spare_count++;
        return;
    }
#endif
    (void)l;
    cl_free(obj);
}
