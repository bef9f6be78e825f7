#include "http/request.h"

#include "base/alloc.h"
#include "http/uri.h"
#include "http/worker.h"

/* Requests kept on the free list: more than this in flight at once is a burst. Each keeps the first
 * chunk of its arena, unless that grew large: clients must not decide how much idle memory is kept.
 */
enum { FREE_MAX = 512, ARENA_KEPT_MAX = 8192 };

struct cl_request *cl_request_new(struct cl_worker *w) {
    struct cl_request *r = w->free_requests;
    if (CL_LIKELY(r)) {
        w->free_requests = r->next;
        w->free_count--;
    } else {
        r = cl_malloc(sizeof *r + w->limits.max_headers * sizeof r->headers[0]);
        if (!r)
            return NULL;
        cl_arena_init(&r->arena, w->limits.max_request_arena);
        w->request_count++;
    }
    /* The arena keeps its first chunk; params and headers are written before they are counted. */
    memset(r, 0, offsetof(struct cl_request, arena));
    r->param_count = r->header_count = 0;
    r->worker = w;
    r->refs = 1;
    return r;
}

void cl_request_release(struct cl_request *r) {
    struct cl_worker *w = r->worker;
    if (r->head_block)
        cl_block_unref(r->head_block);
    if (r->body_block)
        cl_block_unref(r->body_block);
    if (CL_UNLIKELY(r->body_sink != NULL))
        r->body_sink->del(r->body_sink);
#if !defined(CL_POISON)
    if (CL_LIKELY(w->free_count < FREE_MAX)) {
        cl_arena_reset(&r->arena);
        if (CL_UNLIKELY(r->arena.total > ARENA_KEPT_MAX))
            cl_arena_free(&r->arena);
        r->next = w->free_requests;
        w->free_requests = r;
        w->free_count++;
        return;
    }
#endif
    cl_arena_free(&r->arena);
    cl_free(r);
    w->request_count--;
}

/* ---- watched ---- */

static void on_deadline(struct cl_timer *t) {
    struct cl_request *r = CL_CONTAINER_OF(t, struct cl_request, watch.deadline);
    struct cello_observer *o = r->watch.observer;
    t->deadline_ns = UINT64_MAX;
    o->on_event(o, r, CELLO_EVENT_OVERDUE);
}

void cl_request_observe(struct cl_request *r, struct cello_observer *o) {
    if (!r->watched && (!o || !r->conn))
        return; /* nothing will happen any more */
    if (!r->watched)
        cl_timer_init(&r->watch.deadline, on_deadline);
    else if (!o)
        cl_timer_stop(cl_loop_timers(r->worker->loop), &r->watch.deadline);
    r->watched = o != NULL;
    r->watch.observer = o;
}

void cl_request_set_deadline(struct cl_request *r, uint64_t timeout_ns) {
    if (!r->watched || !r->conn)
        return;
    struct cl_timer_wheel *timers = cl_loop_timers(r->worker->loop);
    if (timeout_ns)
        cl_timer_set(timers, &r->watch.deadline, cl_loop_now_ns(r->worker->loop) + timeout_ns);
    else
        cl_timer_stop(timers, &r->watch.deadline);
}

void cl_request_left(struct cl_request *r) {
    if (!r->watched || r->left)
        return;
    struct cello_observer *o = r->watch.observer;
    r->left = true;
    o->on_event(o, r, CELLO_EVENT_LEFT);
}

/* ---- header fields and parameters ---- */

const struct cl_header *cl_request_header(const struct cl_request *r, enum cl_header_id id) {
    for (uint32_t i = 0; i < r->header_count; i++)
        if (r->headers[i].id == id)
            return &r->headers[i];
    return NULL;
}

const struct cl_header *cl_request_header_named(const struct cl_request *r, struct cl_str name) {
    enum cl_header_id id = cl_header_id_from(name);
    if (id != CL_HEADER_OTHER)
        return cl_request_header(r, id);
    for (uint32_t i = 0; i < r->header_count; i++)
        if (r->headers[i].id == CL_HEADER_OTHER && cl_str_ieq(r->headers[i].name, name))
            return &r->headers[i];
    return NULL;
}

static int decode(struct cl_arena *a, struct cl_str raw, struct cl_str *out) {
    if (CL_LIKELY(!raw.len || !memchr(raw.ptr, '%', raw.len))) {
        *out = raw;
        return CELLO_OK;
    }
    char *mem = cl_arena_alloc(a, raw.len);
    if (!mem)
        return CELLO_ENOMEM;
    out->ptr = mem;
    return cl_percent_decode(raw, mem, &out->len, false);
}

int cl_request_param(struct cl_request *r, struct cl_str name, struct cl_str *out) {
    for (uint32_t i = 0; i < r->param_count; i++) {
        struct cl_param *p = &r->params[i];
        if (cl_str_eq(p->name, name))
            return decode(&r->arena, p->raw, out);
    }
    return CELLO_ENOENT;
}
