#include "http/request.h"

#include "base/alloc.h"
#include "http/pair.h"
#include "http/uri.h"
#include "http/worker.h"

/* Requests kept on the free list, each with a chunk of its arena: more than this in flight at once
 * is a burst. */
enum { FREE_MAX = 512 };

struct cl_request *cl_request_new(struct cl_worker *w) {
    struct cl_request *r = w->free_requests;
    if (CL_LIKELY(r)) {
        w->free_requests = r->next;
        w->free_count--;
    } else {
        r = cl_malloc(sizeof *r);
        if (!r)
            return NULL;
        cl_arena_init(&r->arena, w->limits.max_request_arena);
        w->request_count++;
    }
    /* The arena keeps its first chunk; params and headers are written before they are counted. */
    memset(r, 0, offsetof(struct cl_request, arena));
    r->param_count = r->header_count = 0;
    r->headers = r->few_headers;
    r->worker = w;
    r->refs = 1;
    return r;
}

void cl_request_release(struct cl_request *r) {
    struct cl_worker *w = r->worker;
    if (r->head_block)
        cl_block_unref(r->head_block);
    if (r->body_block) {
        cl_block_unref(r->body_block);
        if (CL_UNLIKELY(r->has_rest))
            cl_block_unref(r->body_rest);
    }
    if (CL_UNLIKELY(r->body_sink != NULL))
        r->body_sink->del(r->body_sink);
#if !defined(CL_POISON)
    if (CL_LIKELY(w->free_count < FREE_MAX)) {
        cl_arena_reset(&r->arena);
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

/* ---- for long ---- */

/* Bytes that moved from [from, from + len) to `to`. */
struct move {
    const char *from, *to;
    size_t len;
};

static void follow(const struct move *m, struct cl_str *s) {
    if (s->ptr && s->ptr >= m->from && s->ptr <= m->from + m->len)
        s->ptr = m->to + (s->ptr - m->from);
}

static void follow_headers(const struct move *m, struct cl_header *h, size_t count) {
    for (size_t i = 0; i < count; i++) {
        follow(m, &h[i].name);
        follow(m, &h[i].value);
    }
}

/* They lie in the arena, which the request owns. */
static void follow_pairs(const struct move *m, const struct cl_pair *pairs, size_t count) {
    struct cl_pair *own = (struct cl_pair *)(uintptr_t)pairs;
    for (size_t i = 0; i < count; i++) {
        follow(m, &own[i].name);
        follow(m, &own[i].value);
    }
}

void cl_request_compact(struct cl_request *r) {
    struct cl_block *b = r->head_block;
    const char *start = r->method_name.ptr;
    if (!b || !start || (r->body.len && !r->body_block))
        return;
    const char *end = r->target.ptr + r->target.len;
    if (r->header_count) {
        struct cl_str last = r->headers[r->header_count - 1].value;
        end = last.ptr + last.len;
    }
    struct move m = {.from = start, .len = (size_t)(end - start)};
    struct cl_str copy = cl_arena_dup(&r->arena, cl_str(start, m.len));
    if (!copy.ptr)
        return;
    m.to = copy.ptr;
    struct cl_str *const spans[] = {
        &r->method_name,          &r->target, &r->path, &r->query, &r->host, &r->request_id,
        &r->response.content_type};
    for (size_t i = 0; i < CL_ARRAY_LEN(spans); i++)
        follow(&m, spans[i]);
    follow_headers(&m, r->headers, r->header_count);
    follow_headers(&m, r->response.headers, r->response.header_count);
    for (uint32_t i = 0; i < r->param_count; i++)
        follow(&m, &r->params[i].raw);
    follow_pairs(&m, r->query_pairs, r->query_count);
    follow_pairs(&m, r->cookie_pairs, r->cookie_count);
    r->head_block = NULL;
    cl_block_unref(b);
    if (r->conn)
        cl_block_drop_empty(&r->conn->stream->in);
}

/* ---- watched ---- */

static void on_deadline(struct cl_timer *t) {
    struct cl_request *r = CL_CONTAINER_OF(t, struct cl_request, watch.deadline);
    struct cello_observer *o = r->watch.observer;
    t->deadline_ns = UINT64_MAX;
    r->watch.timeout_ns = 0;
    o->on_event(o, r, CELLO_EVENT_OVERDUE);
}

void cl_request_observe(struct cl_request *r, struct cello_observer *o) {
    if (!r->watched && (!o || !r->conn))
        return; /* nothing will happen any more */
    if (!r->watched) {
        cl_timer_init(&r->watch.deadline, on_deadline);
        r->watch.timeout_ns = 0;
    } else if (!o) {
        cl_timer_stop(cl_loop_timers(r->worker->loop), &r->watch.deadline);
    }
    r->watched = o != NULL;
    r->watch.observer = o;
}

/* From now on; while a reader waits time is the client's, who has limits of its own. */
static void run_deadline(struct cl_request *r) {
    if (!r->watched || !r->conn)
        return;
    struct cl_timer_wheel *timers = cl_loop_timers(r->worker->loop);
    uint64_t now_ns = cl_loop_now_ns(r->worker->loop);
    if (r->watch.timeout_ns && !r->reader)
        cl_timer_set(timers, &r->watch.deadline, now_ns + r->watch.timeout_ns);
    else
        cl_timer_stop(timers, &r->watch.deadline);
}

void cl_request_set_deadline(struct cl_request *r, uint64_t timeout_ns) {
    if (r->watched)
        r->watch.timeout_ns = timeout_ns;
    run_deadline(r);
}

void cl_request_left(struct cl_request *r) {
    if (r->left)
        return;
    __atomic_store_n(&r->left, true, __ATOMIC_RELAXED);
    if (r->watched)
        r->watch.observer->on_event(r->watch.observer, r, CELLO_EVENT_LEFT);
}

void cl_request_draining(struct cl_request *r) {
    if (r->watched)
        r->watch.observer->on_event(r->watch.observer, r, CELLO_EVENT_DRAINING);
}

/* ---- read ---- */

void cl_request_leave_rest(struct cl_request *r, struct cl_block *b) {
    r->body = cl_str(cl_block_rd(b), cl_block_len(b));
    r->has_rest = r->body_block != NULL; /* somebody may be looking at the piece in that */
    if (r->has_rest)
        r->body_rest = b;
    else
        r->body_block = b;
}

/* The connection has done with it, and has said what was lost. */
static int read_rest(struct cl_request *r, struct cl_str *bytes) {
    *bytes = r->body;
    r->body = cl_str(NULL, 0);
    if (bytes->len)
        return CELLO_OK;
    return r->body_end ? r->body_end : CELLO_EOF;
}

int cl_request_read(struct cl_request *r, struct cello_reader *reader, struct cl_str *bytes) {
    if (r->body_mode != CELLO_BODY_STREAM)
        return CELLO_ESTATE;
    if (!r->conn)
        return read_rest(r, bytes);
    r->reader = reader;
    int err = r->conn->ops->read(r, bytes);
    if (err != CELLO_EAGAIN)
        r->reader = NULL;
    run_deadline(r);
    return err;
}

void cl_request_unread(struct cl_request *r) {
    if (!r->reader)
        return;
    r->reader = NULL;
    if (r->conn)
        r->conn->ops->unread(r);
    run_deadline(r);
}

void cl_request_tell_reader(struct cl_request *r) {
    struct cello_reader *reader = r->reader;
    r->reader = NULL;
    run_deadline(r);
    reader->on_ready(reader, r);
}

void cl_request_given_up(struct cl_request *r) {
    if (r->reader)
        cl_request_tell_reader(r);
    else
        cl_request_left(r);
    cl_request_observe(r, NULL); /* the loop, and its timers, may go before the request */
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
