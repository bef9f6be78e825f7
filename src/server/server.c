/* The life of a server: made, listening, turning, draining, gone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cello/service.h>

#include "base/alloc.h"
#include "base/log.h"
#include "handler/file_cache.h"
#include "server/server_internal.h"

/* After the first of them nobody waits for what TLS has to say to clients who do not read. */
enum { CLOSE_TURNS = 500, GOODBYE_TURNS = 20 };
#define CLOSE_TURN_NS (10 * CL_NS_PER_MS)

/* So much memory given back by blocks is worth a look, when no more has come for so long. */
#define TRIM_MIN ((size_t)4 << 20)
#define TRIM_QUIET_NS CL_NS_PER_S

/* ---- memory of a burst ---- */

static struct cl_block_pool *pool_of(struct cl_server *s) {
    return cl_loop_pool(s->worker.loop);
}

static void set_trim_timer(struct cl_server *s) {
    s->returned = pool_of(s)->returned;
    s->big_uses = pool_of(s)->big_uses;
    cl_timer_set(cl_loop_timers(s->worker.loop), &s->trim_timer,
                 cl_loop_now_ns(s->worker.loop) + TRIM_QUIET_NS);
}

/* Large blocks are kept while they are used, and small ones of a burst lie free between memory that
 * stays: all goes back to the system once things are quiet, so that no traffic waits for it. */
static void on_trim_timer(struct cl_timer *t) {
    struct cl_server *s = CL_CONTAINER_OF(t, struct cl_server, trim_timer);
    t->deadline_ns = UINT64_MAX;
    struct cl_block_pool *pool = pool_of(s);
    if (pool->returned != s->returned || pool->big_uses != s->big_uses) {
        set_trim_timer(s);
        return;
    }
    cl_block_pool_trim(pool);
    s->trimmed = pool->returned;
    cl_alloc_trim();
}

static void watch_memory(struct cl_server *s) {
    const struct cl_block_pool *pool = pool_of(s);
    if (CL_UNLIKELY(pool->returned - s->trimmed + pool->big_bytes > TRIM_MIN) &&
        s->trim_timer.deadline_ns == UINT64_MAX)
        set_trim_timer(s);
}

static bool batch(void *ctx) {
    struct cl_server *s = ctx;
    watch_memory(s);
    if (!s->queue.head && !s->batch_asked)
        return false;
    s->batches++;
    s->batch_asked = false;
    if (s->application.run && s->application.run(s->application.ctx))
        s->batch_asked = true; /* what is left need not be requests */
    return s->batch_asked;
}

/* ---- stop and drain ---- */

static void kill_connections(struct cl_server *s) {
    struct cl_worker *w = &s->worker;
    while (w->conns.next != &w->conns)
        w->conns.next->ops->close(w->conns.next);
}

/* A server that retires may be stopped later on. */
static void begin_drain(struct cl_server *s, bool retire) {
    struct cl_worker *w = &s->worker;
    s->draining = w->draining = true;
    w->retiring = retire;
    if (s->cluster)
        atomic_store(&s->cluster->member->state, (uint32_t)CL_MEMBER_DRAINING);
    cello_service_stopping(s);
    cl_server_close_listeners(s);
    struct cl_conn *next;
    for (struct cl_conn *c = w->conns.next; c != &w->conns; c = next) {
        next = c->next;
        c->ops->drain(c);
    }
    w->drain_told = true;
}

static void on_drain_timer(struct cl_timer *t) {
    struct cl_server *s = CL_CONTAINER_OF(t, struct cl_server, drain_timer);
    if (s->worker.conn_count)
        cl_log(CL_LOG_WARNING, "stopped with %u connections unfinished", s->worker.conn_count);
    s->overdue = true;
    kill_connections(s);
}

static void check_stop(struct cl_server *s) {
    if (!atomic_exchange(&s->stop_asked, false))
        return;
    bool retire = atomic_exchange(&s->retire_asked, false);
    if (!s->draining || (s->worker.retiring && !retire))
        begin_drain(s, retire);
    uint64_t timeout_ns = atomic_load(&s->stop_timeout_ns);
    uint64_t now = cl_now_ns(); /* the loop's is as old as its last turn */
    uint64_t at = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
    if (at < s->drain_timer.deadline_ns)
        cl_timer_set(cl_loop_timers(s->worker.loop), &s->drain_timer, at);
}

static void ask_to_stop(struct cl_server *s, uint64_t timeout_ns, bool retire) {
    atomic_store(&s->stop_timeout_ns, timeout_ns);
    atomic_store(&s->retire_asked, retire);
    atomic_store(&s->stop_asked, true);
    cl_loop_wake(s->worker.loop);
}

void cello_server_stop(struct cl_server *s, uint64_t timeout_ns) {
    ask_to_stop(s, timeout_ns, false);
}

void cello_server_retire(struct cl_server *s, uint64_t timeout_ns) {
    if (!atomic_load(&s->stop_asked))
        ask_to_stop(s, timeout_ns, true);
}

bool cello_server_draining(const struct cl_server *s) {
    return s->draining;
}

bool cello_server_done(const struct cl_server *s) {
    return s->draining && s->worker.conn_count == 0 && s->open_listeners == 0 &&
           (s->holds == 0 || s->overdue);
}

void cello_server_hold(struct cl_server *s) {
    s->holds++;
    s->hold_begun = true;
}

/* A loop that drives this one has to look whether it is done now. */
void cello_server_release(struct cl_server *s) {
    if (--s->holds == 0 && s->draining)
        cl_loop_wake(s->worker.loop);
}

/* ---- made and gone ---- */

static void set_log_timer(struct cl_server *s) {
    cl_timer_set(cl_loop_timers(s->worker.loop), &s->log_timer,
                 cl_loop_now_ns(s->worker.loop) + CL_ACCESS_LOG_FLUSH_MS * CL_NS_PER_MS);
}

static void on_log_timer(struct cl_timer *t) {
    struct cl_server *s = CL_CONTAINER_OF(t, struct cl_server, log_timer);
    t->deadline_ns = UINT64_MAX;
    if (cl_access_log_flush(s->log))
        set_log_timer(s);
}

void cl_server_log_request(struct cl_server *s, const struct cl_request *r) {
    cl_access_log_request(s->log, r);
    if (s->log_timer.deadline_ns == UINT64_MAX)
        set_log_timer(s);
}

int cello_server_log_to(struct cl_server *s, const char *path) {
    return s->log ? cl_access_log_open(s->log, path) : CELLO_ESTATE;
}

void cello_server_reopen_log(struct cl_server *s) {
    if (s->log && cl_access_log_reopen(s->log))
        cl_log(CL_LOG_ERROR, "cannot open the access log %s again, it stays in the old file: %s",
               cl_access_log_path(s->log), strerror(errno));
}

static int open_log(struct cl_server *s, const struct cello_server_config *cfg) {
    if (cfg->access_log_fd < 0)
        return CELLO_OK;
    if (!(cfg->access_log_sample >= 0 && cfg->access_log_sample <= 1))
        return CELLO_EINVAL;
    int err = cl_access_log_new(&s->log, cfg->access_log_fd, cfg->access_log_format);
    if (!err)
        cl_access_log_sample(s->log, cfg->access_log_sample);
    return err;
}

static void start_timers(struct cl_server *s) {
    cl_timer_init(&s->drain_timer, on_drain_timer);
    cl_timer_init(&s->log_timer, on_log_timer);
    cl_timer_init(&s->trim_timer, on_trim_timer);
    cl_timer_init(&s->accept_timer, cl_server_on_accept_timer);
    cl_timer_init(&s->watchdog_timer, cl_server_on_watchdog);
}

/* sendfile(2) to a client that has gone raises it, and takes no flag against that. */
static void ignore_broken_pipes(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

int cello_server_new(struct cl_server **out, struct cl_app *app,
                     const struct cello_server_config *cfg) {
    int err = cello_app_freeze(app);
    if (err)
        return err;
    struct cl_server *s = cl_calloc(1, sizeof *s);
    if (!s)
        return CELLO_ENOMEM;
    const struct cl_loop_config loop_cfg = {
        .backend = (enum cl_backend)cfg->backend,
        .max_buffered_bytes = cfg->limits.max_buffered_bytes,
    };
    struct cl_loop *loop = NULL;
    err = open_log(s, cfg);
    if (!err)
        err = cl_loop_new(&loop, &loop_cfg);
    if (err) {
        cl_access_log_del(s->log);
        cl_free(s);
        return err;
    }
    cl_worker_init(&s->worker, loop, &cfg->limits, &cfg->timeouts);
    s->worker.service = &cl_server_service;
    s->worker.app_queue = &s->queue;
    cl_app_queue_init(&s->queue);
    cl_ip_table_init(&s->per_ip);
    s->application = cfg->application;
    s->app = app;
    cl_app_ref(app);
    const char *directory = getenv("TMPDIR");
    if (directory && *directory)
        s->upload_directory = cl_strndup(directory, strlen(directory)); /* else /tmp */
    pthread_mutex_init(&s->lock, NULL);
    s->thread = pthread_self();
    s->notify.fd = -1;
    ignore_broken_pipes();
    const struct cl_loop_hooks hooks = {.ctx = s, .batch = batch};
    cl_loop_set_hooks(loop, &hooks);
    start_timers(s);
    *out = s;
    return CELLO_OK;
}

/* The last request was dropped, or none was held. */
static void finalize(struct cl_server *s) {
    cl_file_cache_del(s->worker.files);
    cl_worker_free(&s->worker);
    cl_loop_del(s->worker.loop);
    cl_ip_table_free(&s->per_ip);
    cl_free(s->proxies);
    if (s->http2.context)
        s->http2.del(s->http2.context);
    pthread_mutex_destroy(&s->lock);
    cello_app_del(s->app);
    cl_free(s->upload_directory);
    cl_free(s);
}

/* Everything was closed: let the kernel give it back. io_uring does so in turns, and only for the
 * thread of the turns before; elsewhere the ring is given up whole, and its sockets go a little
 * later. */
static void take_back(struct cl_server *s) {
    struct cl_loop *loop = s->worker.loop;
    bool here = pthread_equal(atomic_load(&s->thread), pthread_self());
    for (int i = 0; here && cl_loop_open_count(loop) && i < CLOSE_TURNS; i++) {
        if (i == GOODBYE_TURNS)
            cl_loop_close_all(loop);
        (void)cl_loop_turn(loop, CLOSE_TURN_NS);
    }
    cl_loop_stop(loop);
}

void cello_server_del(struct cl_server *s) {
    if (!s)
        return;
    struct cl_loop *loop = s->worker.loop;
    cello_cluster_leave(s->cluster, s);
    const struct cl_loop_hooks none = {0};
    cl_loop_set_hooks(loop, &none);
    s->draining = s->worker.draining = true;
    cl_server_close_listeners(s);
    kill_connections(s);
    struct cl_request *r;
    while ((r = cl_app_queue_pop(&s->queue)))
        cl_request_unref(r);
    cl_timer_stop(cl_loop_timers(loop), &s->drain_timer);
    cl_timer_stop(cl_loop_timers(loop), &s->log_timer);
    cl_timer_stop(cl_loop_timers(loop), &s->trim_timer);
    if (s->tls)
        s->tls->del(s->tls);
    s->tls = NULL;
    cl_timer_stop(cl_loop_timers(loop), &s->accept_timer);
    cl_timer_stop(cl_loop_timers(loop), &s->watchdog_timer);
    cl_notify_close(&s->notify);
    take_back(s);
    cl_access_log_del(s->log);
    s->log = NULL;
    pthread_mutex_lock(&s->lock);
    s->zombie = true;
    (void)cl_loop_turn(loop, 0); /* requests that were dropped by post before */
    bool held = cl_worker_live_requests(&s->worker) != 0;
    pthread_mutex_unlock(&s->lock);
    if (!held)
        finalize(s);
}

static void drop_here(struct cl_post *p) {
    struct cl_request *r = CL_CONTAINER_OF(p, struct cl_request, drop);
    struct cl_server *s = CL_CONTAINER_OF(r->worker, struct cl_server, worker);
    bool locked = !s->zombie; /* else by cello_server_del, whose last turn this is */
    if (locked)
        pthread_mutex_lock(&s->lock);
    uint32_t drops = r->drops;
    r->drops = 0;
    if (locked)
        pthread_mutex_unlock(&s->lock);
    while (drops--)
        cl_request_unref(r);
}

/* The server is deleted: the lock is what keeps threads apart now. */
static void drop_from_zombie(struct cl_server *s, struct cl_request *r) {
    cl_request_unref(r);
    bool last = cl_worker_live_requests(&s->worker) == 0;
    pthread_mutex_unlock(&s->lock);
    if (last)
        finalize(s);
}

void cello_request_drop(struct cl_request *r) {
    struct cl_server *s = CL_CONTAINER_OF(r->worker, struct cl_server, worker);
    pthread_mutex_lock(&s->lock);
    if (s->zombie) {
        drop_from_zombie(s, r);
        return;
    }
    bool here = pthread_equal(s->thread, pthread_self());
    r->drop.run = drop_here;
    if (!here && r->drops++ == 0)
        cl_loop_post(s->worker.loop, &r->drop);
    pthread_mutex_unlock(&s->lock);
    if (here)
        cl_request_unref(r);
}

void cl_server_unref(struct cl_request *r) {
    struct cl_server *s = CL_CONTAINER_OF(r->worker, struct cl_server, worker);
    if (CL_LIKELY(!s->zombie)) { /* set by this thread */
        cl_request_unref(r);
        return;
    }
    pthread_mutex_lock(&s->lock);
    drop_from_zombie(s, r);
}

/* ---- turning ---- */

int cello_server_turn(struct cl_server *s, uint64_t timeout_ns) {
    atomic_store_explicit(&s->thread, pthread_self(), memory_order_relaxed);
    s->turns++;
    check_stop(s);
    if (cello_server_done(s))
        timeout_ns = 0;
    int err = cl_loop_turn(s->worker.loop, timeout_ns);
    if (s->hold_begun) {
        int saved = errno;
        cl_loop_submit(s->worker.loop);
        errno = saved;
        s->hold_begun = false;
    }
    if (s->cluster)
        cl_server_publish(s);
    check_stop(s);
    if (s->log && cello_server_done(s))
        (void)cl_access_log_flush(s->log); /* no turn may come in which the timer would */
    return err;
}

int cello_server_run(struct cl_server *s) {
    while (!cello_server_done(s)) {
        int err = cello_server_turn(s, UINT64_MAX);
        if (err && !(err == CELLO_ESYS && errno == EINTR))
            return err;
    }
    return CELLO_OK;
}

void cello_server_wake(struct cl_server *s) {
    cl_loop_wake(s->worker.loop);
}

void cello_server_need_batch(struct cl_server *s) {
    s->batch_asked = true;
    cl_loop_need_batch(s->worker.loop);
}

void cello_server_post(struct cl_server *s, struct cl_post *p) {
    cl_loop_post(s->worker.loop, p);
}

int cello_server_poll_fd(const struct cl_server *s) {
    return cl_loop_poll_fd(s->worker.loop);
}

uint64_t cello_server_next_ns(const struct cl_server *s) {
    return cl_loop_next_ns(s->worker.loop);
}

struct cl_request *cello_server_next(struct cl_server *s) {
    return cl_app_queue_pop(&s->queue);
}

void *cello_request_application(const struct cl_request *r) {
    const struct cl_server *s = CL_CONTAINER_OF(r->worker, struct cl_server, worker);
    return s->zombie ? NULL : s->application.ctx;
}

const char *cello_server_backend(const struct cl_server *s) {
    return cl_loop_backend(s->worker.loop) == CL_BACKEND_URING ? "io_uring" : "epoll";
}

/* One thread writes them, any may look: whole words, each as old as it happens to be. Atomic adds
 * would cost instructions in every request; ThreadSanitizer is told that this is meant. */
#define PEEK(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

CL_NO_TSAN void cello_server_stats(const struct cl_server *s, struct cello_stats *out) {
    *out = (struct cello_stats){
        .requests = PEEK(s->requests),
        .application_calls = PEEK(s->queue.pushed),
        .batches = PEEK(s->batches),
        .turns = PEEK(s->turns),
        .connections = PEEK(s->worker.conn_count),
        .inflight = PEEK(s->worker.inflight),
        .buffered_bytes = PEEK(cl_loop_pool(s->worker.loop)->used),
    };
}
