#include "http/response.h"

#include "http/status.h"
#include "http/worker.h"

/* Fields that frame the message: the protocol writes them, a handler must not. */
static bool is_framing(enum cl_header_id id) {
    switch (id) {
    case CL_HEADER_CONTENT_LENGTH:
    case CL_HEADER_TRANSFER_ENCODING:
    case CL_HEADER_CONNECTION:
    case CL_HEADER_KEEP_ALIVE:
    case CL_HEADER_DATE: return true;
    default: return false;
    }
}

/* Room for one more in an array of the arena's; NULL: none. */
static struct cl_header *add_to(struct cl_request *r, struct cl_header **all, uint16_t *count,
                                uint16_t *cap) {
    if (*count == *cap) {
        size_t max = CL_MIN(r->worker->limits.max_headers, (uint32_t)UINT16_MAX);
        size_t more = CL_MIN(*cap ? (size_t)*cap * 2 : 8, max);
        if (more == *cap)
            return NULL;
        struct cl_header *h = cl_arena_alloc(&r->arena, more * sizeof *h);
        if (!h)
            return NULL;
        if (*count)
            memcpy(h, *all, *count * sizeof *h);
        *all = h;
        *cap = (uint16_t)more;
    }
    return &(*all)[(*count)++];
}

static struct cl_header *add_header(struct cl_request *r) {
    struct cl_response *s = &r->response;
    return add_to(r, &s->headers, &s->header_count, &s->header_cap);
}

int cl_response_header_check(struct cl_header *h, struct cl_str name, struct cl_str value) {
    enum cl_header_id id = cl_header_id_from(name);
    if (is_framing(id) || !cl_header_name_valid(name) || !cl_header_value_valid(value))
        return CELLO_EINVAL;
    *h = (struct cl_header){.name = name, .value = value, .id = (uint16_t)id};
    return CELLO_OK;
}

int cl_response_add(struct cl_request *r, const struct cl_header *checked) {
    if (checked->id == CL_HEADER_CONTENT_TYPE) {
        r->response.content_type = checked->value;
        return CELLO_OK;
    }
    struct cl_header *h = add_header(r);
    if (!h)
        return CELLO_ENOMEM;
    *h = *checked;
    return CELLO_OK;
}

int cl_response_header(struct cl_request *r, struct cl_str name, struct cl_str value) {
    struct cl_header h;
    int err = cl_response_header_check(&h, name, value);
    return err ? err : cl_response_add(r, &h);
}

int cl_response_header_copy(struct cl_request *r, struct cl_str name, struct cl_str value) {
    struct cl_str n = cl_arena_dup(&r->arena, name);
    struct cl_str v = cl_arena_dup(&r->arena, value);
    if (!n.ptr || !v.ptr)
        return CELLO_ENOMEM;
    return cl_response_header(r, n, v);
}

static bool same_name(const struct cl_header *a, const struct cl_header *b) {
    return a->id == b->id && (a->id != CL_HEADER_OTHER || cl_str_ieq(a->name, b->name));
}

int cl_response_put(struct cl_request *r, const struct cl_header *checked) {
    struct cl_response *s = &r->response;
    uint16_t kept = 0;
    for (uint16_t i = 0; i < s->header_count; i++)
        if (!same_name(&s->headers[i], checked))
            s->headers[kept++] = s->headers[i];
    s->header_count = kept;
    return cl_response_add(r, checked);
}

bool cl_response_has(const struct cl_request *r, const struct cl_header *like) {
    for (uint16_t i = 0; i < r->response.header_count; i++)
        if (same_name(&r->response.headers[i], like))
            return true;
    return false;
}

/* What a recipient needs before the body, or must not take from behind it. */
static bool may_trail(enum cl_header_id id) {
    switch (id) {
    case CL_HEADER_HOST:
    case CL_HEADER_TE:
    case CL_HEADER_TRAILER:
    case CL_HEADER_UPGRADE:
    case CL_HEADER_EXPECT:
    case CL_HEADER_AGE:
    case CL_HEADER_AUTHORIZATION:
    case CL_HEADER_CACHE_CONTROL:
    case CL_HEADER_CONTENT_ENCODING:
    case CL_HEADER_CONTENT_RANGE:
    case CL_HEADER_CONTENT_TYPE:
    case CL_HEADER_COOKIE:
    case CL_HEADER_EXPIRES:
    case CL_HEADER_LOCATION:
    case CL_HEADER_MAX_FORWARDS:
    case CL_HEADER_PRAGMA:
    case CL_HEADER_PROXY_AUTHENTICATE:
    case CL_HEADER_PROXY_AUTHORIZATION:
    case CL_HEADER_PROXY_CONNECTION:
    case CL_HEADER_RANGE:
    case CL_HEADER_RETRY_AFTER:
    case CL_HEADER_SET_COOKIE:
    case CL_HEADER_VARY:
    case CL_HEADER_WWW_AUTHENTICATE: return false;
    default: return true;
    }
}

int cl_response_trailer(struct cl_request *r, struct cl_str name, struct cl_str value) {
    struct cl_response *s = &r->response;
    struct cl_header h;
    int err = cl_response_header_check(&h, name, value);
    if (err || !may_trail(h.id))
        return CELLO_EINVAL;
    struct cl_str *const parts[] = {&h.name, &h.value};
    for (int i = 0; i < 2; i++) {
        *parts[i] = cl_arena_dup(&r->arena, *parts[i]);
        if (!parts[i]->ptr)
            return CELLO_ENOMEM;
    }
    struct cl_header *to = add_to(r, &s->trailers, &s->trailer_count, &s->trailer_cap);
    if (!to)
        return CELLO_ENOMEM;
    *to = h;
    return CELLO_OK;
}

int cl_response_hints(struct cl_request *r, const struct cello_field *fields, size_t count) {
    if (r->answered || r->response.sink)
        return CELLO_ESTATE;
    if (count > r->worker->limits.max_headers)
        return CELLO_ELIMIT;
    struct cl_header *checked = count ? cl_arena_alloc(&r->arena, count * sizeof *checked) : NULL;
    if (count && !checked)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int err = cl_response_header_check(&checked[i], fields[i].name, fields[i].value);
        if (err)
            return err;
    }
    return r->conn && r->version != CELLO_HTTP_1_0 ? r->conn->ops->hints(r, checked, count)
                                                   : CELLO_OK;
}

static void run_after_steps(struct cl_request *r) {
    if (!r->chain || r->chain_ran)
        return;
    r->chain_ran = true;
    for (size_t i = r->chain->count; i-- > 0;) {
        const struct cl_step *step = r->chain->steps[i];
        /* Only memory can fail here; the answer then goes without this step's header. */
        if (step->after && step->after(step, r) != CELLO_OK)
            break;
    }
}

bool cl_response_keeps_length(const struct cl_response *s, size_t len, bool last) {
    uint64_t left = s->length - s->bytes_sent;
    return !s->has_length || (len <= left && (!last || len == left));
}

void cl_response_end_body(struct cl_request *r) {
    struct cl_response *s = &r->response;
    struct cl_generator *g = s->generator;
    s->generator = NULL;
    if (g)
        g->stop(g, r);
    if (s->release)
        s->release(s->release_ctx);
    s->release = NULL;
}

/* Whatever kind of body was given is let go. */
static void drop_body(struct cl_request *r) {
    struct cl_response *s = &r->response;
    if (s->kind == CL_BODY_SINK)
        cl_response_sink_drop(r);
    s->kind = CL_BODY_NONE;
    cl_response_end_body(r);
}

/* Hand the filled response to the protocol; r may be gone afterwards. */
static void respond(struct cl_request *r, enum cl_body_kind kind) {
    assert(!r->answered);
    r->answered = true;
    if (CL_UNLIKELY(r->watched))
        cl_request_observe(r, NULL);
    r->response.kind = kind;
    if (CL_UNLIKELY(r->response.status < 200 || r->response.status > 599))
        r->response.status = r->response.status ? 500 : 200; /* 1xx would not end the answer */
    if (CL_UNLIKELY(!r->conn)) {
        drop_body(r);
        return;
    }
    /* Its clients read Content-Length, which must say 0: RFC 9110 section 15.3.6. */
    if (CL_UNLIKELY(r->response.status == 205))
        drop_body(r);
    run_after_steps(r);
    r->conn->ops->respond(r);
}

void cl_respond_bytes(struct cl_request *r, struct cl_str body) {
    r->response.body = body;
    respond(r, CL_BODY_BYTES);
}

void cl_respond_pinned(struct cl_request *r, struct cl_str body, void (*release)(void *),
                       void *ctx) {
    r->response.body = body;
    r->response.release = release;
    r->response.release_ctx = ctx;
    respond(r, CL_BODY_BYTES);
}

void cl_respond_static(struct cl_request *r, struct cl_str body) {
    static char forever;
    r->response.body = body;
    r->response.release_ctx = &forever;
    respond(r, CL_BODY_BYTES);
}

/* Copies what is not empty and adds up the length. NULL: out of memory. */
static struct cl_segments *copy_segments(struct cl_request *r, const struct cello_segment *from,
                                         size_t count) {
    struct cl_segments *q = NULL;
    if (count < (SIZE_MAX - sizeof *q) / sizeof *from)
        q = cl_arena_alloc(&r->arena, sizeof *q + count * sizeof *from);
    if (!q)
        return NULL;
    q->count = q->at = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t length = from[i].fd >= 0 ? from[i].length : from[i].bytes.len;
        assert(length <= (uint64_t)INT64_MAX - r->response.length);
        assert(from[i].fd < 0 || from[i].offset <= (uint64_t)INT64_MAX - length);
        r->response.length += length;
        if (length)
            q->items[q->count++] = from[i];
    }
    return q;
}

void cl_respond_segments(struct cl_request *r, const struct cello_segment *segments, size_t count,
                         void (*release)(void *), void *ctx) {
    struct cl_response *s = &r->response;
    s->length = 0;
    s->segments = copy_segments(r, segments, count);
    if (CL_UNLIKELY(!s->segments)) {
        if (release)
            release(ctx);
        s->header_count = 0;
        cl_respond_problem(r, 503, CL_STR(CL_DETAIL_NO_MEMORY));
        return;
    }
    s->release = release;
    s->release_ctx = ctx;
    s->has_length = true;
    respond(r, CL_BODY_SEGMENTS);
}

void cl_respond_empty(struct cl_request *r) {
    respond(r, CL_BODY_NONE);
}

struct cl_sink *cl_response_sink(struct cl_request *r, size_t hint) {
    if (CL_UNLIKELY(!r->conn))
        return NULL;
    r->response.sink = r->conn->ops->sink(r, hint);
    return r->response.sink;
}

void cl_respond_sink(struct cl_request *r) {
    respond(r, CL_BODY_SINK);
}

void cl_response_sink_drop(struct cl_request *r) {
    if (r->response.sink && r->conn)
        r->conn->ops->sink_drop(r);
    r->response.sink = NULL;
}

void cl_respond_stream(struct cl_request *r, struct cl_generator *g, bool has_length,
                       uint64_t length) {
    r->response.generator = g;
    r->response.has_length = has_length;
    r->response.length = length;
    respond(r, CL_BODY_STREAM);
}

void cl_response_chunk(struct cl_request *r, struct cl_str bytes, bool last) {
    if (r->conn)
        r->conn->ops->chunk(r, bytes, last);
}

void cl_response_abort(struct cl_request *r) {
    if (r->conn)
        r->conn->ops->abort(r);
}
