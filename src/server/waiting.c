#include "server/waiting.h"

#include "base/alloc.h"

static struct cl_waiting *of_conn(struct cl_conn *c) {
    return CL_CONTAINER_OF(c, struct cl_waiting, super);
}

static struct cl_timer_wheel *timers_of(const struct cl_waiting *w) {
    return cl_loop_timers(w->super.worker->loop);
}

static struct cl_stream *leave(struct cl_waiting *w) {
    struct cl_stream *s = w->super.stream;
    cl_timer_stop(timers_of(w), &w->timer);
    cl_conn_unlink(&w->super);
    s->protocol = NULL;
    cl_free(w);
    return s;
}

struct cl_stream *cl_waiting_end(struct cl_waiting *w) {
    return leave(w);
}

void cl_waiting_close(struct cl_waiting *w) {
    struct cl_worker *worker = w->super.worker;
    if (w->counted)
        cl_server_leave(cl_waiting_server(w), w->super.stream);
    struct cl_stream *s = leave(w);
    s->handler = &cl_server_no_protocol;
    cl_stream_close(s);
    cl_server_review_accepting(worker);
}

static void close_conn(struct cl_conn *c) {
    cl_waiting_close(of_conn(c));
}

/* A successor serves while this worker retires: nothing presses. */
static void drain(struct cl_conn *c) {
    struct cl_waiting *w = of_conn(c);
    uint64_t at = cl_loop_now_ns(c->worker->loop) + CL_DRAIN_GRACE_NS;
    if (!c->worker->retiring && at < w->timer.deadline_ns)
        cl_timer_set(timers_of(w), &w->timer, at);
}

static void on_timer(struct cl_timer *t) {
    cl_waiting_close(CL_CONTAINER_OF(t, struct cl_waiting, timer));
}

/* It has no requests, so nothing else is asked of it. */
static const struct cl_conn_ops conn_ops = {
    .protocol = "none yet",
    .drain = drain,
    .close = close_conn,
};

int cl_waiting_begin(struct cl_server *s, struct cl_stream *stream,
                     const struct cl_stream_handler *handler, uint64_t limit_ns,
                     struct cl_waiting **out) {
    struct cl_worker *worker = &s->worker;
    struct cl_waiting *w = cl_calloc(1, sizeof *w);
    if (!w)
        return CELLO_ENOMEM;
    cl_conn_init(&w->super, &conn_ops, worker, stream);
    cl_timer_init(&w->timer, on_timer);
    stream->protocol = w;
    stream->handler = handler;
    if (worker->draining && !worker->retiring)
        limit_ns = CL_DRAIN_GRACE_NS;
    if (limit_ns)
        cl_timer_set(timers_of(w), &w->timer, cl_loop_now_ns(worker->loop) + limit_ns);
    cl_conn_set_idle(&w->super, true);
    *out = w;
    return CELLO_OK;
}
