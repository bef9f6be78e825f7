#include "http/worker.h"

#include "base/alloc.h"
#include "http/date.h"

static void ring_init(struct cl_conn *head) {
    head->next = head->prev = head;
    head->idle_next = head->idle_prev = head;
}

void cl_worker_init(struct cl_worker *w, struct cl_loop *loop, const struct cl_limits *limits,
                    const struct cl_timeouts *timeouts) {
    *w = (struct cl_worker){.loop = loop, .limits = *limits, .timeouts = *timeouts};
    ring_init(&w->conns);
    ring_init(&w->idle);
}

void cl_worker_free(struct cl_worker *w) {
    while (w->free_requests) {
        struct cl_request *next = w->free_requests->next;
        cl_arena_free(&w->free_requests->arena);
        cl_free(w->free_requests);
        w->free_requests = next;
        w->free_count--;
        w->request_count--;
    }
}

uint32_t cl_worker_live_requests(const struct cl_worker *w) {
    return w->request_count - w->free_count;
}

void cl_conn_init(struct cl_conn *c, const struct cl_conn_ops *ops, struct cl_worker *w,
                  struct cl_stream *s) {
    *c = (struct cl_conn){.ops = ops, .worker = w, .stream = s};
    c->next = &w->conns;
    c->prev = w->conns.prev;
    c->prev->next = c->next->prev = c;
    w->conn_count++;
}

static void leave_idle(struct cl_conn *c) {
    if (!c->idle_next)
        return;
    c->idle_prev->idle_next = c->idle_next;
    c->idle_next->idle_prev = c->idle_prev;
    c->idle_next = c->idle_prev = NULL;
}

static void join_idle(struct cl_conn *c) {
    struct cl_conn *head = &c->worker->idle;
    c->idle_since_ns = cl_loop_now_ns(c->worker->loop);
    c->idle_next = head;
    c->idle_prev = head->idle_prev;
    c->idle_prev->idle_next = head->idle_prev = c;
}

void cl_conn_unlink(struct cl_conn *c) {
    leave_idle(c);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    c->next = c->prev = NULL;
    c->worker->conn_count--;
}

void cl_conn_set_idle(struct cl_conn *c, bool idle) {
    if (idle == (c->idle_next != NULL))
        return;
    if (idle)
        join_idle(c);
    else
        leave_idle(c);
    if (CL_UNLIKELY(cl_worker_is_full(c->worker)))
        c->worker->service->on_crowded(c->worker);
}

bool cl_conn_drop_input(struct cl_conn *c) {
    struct cl_block *in = c->stream->in;
    if (!in)
        return true;
    c->lingered += cl_block_len(in);
    in->rd = in->wr;
    return c->lingered <= CL_LINGER_BYTES;
}

void cl_worker_update_date(struct cl_worker *w, uint64_t wall_s) {
    char date[30];
    cl_http_date_format((time_t)wall_s, date);
    memcpy(w->date_line, "Date: ", 6);
    memcpy(w->date_line + 6, date, 29);
    memcpy(w->date_line + 35, "\r\n", 3);
    w->date_s = wall_s;
}
