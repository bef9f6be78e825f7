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
