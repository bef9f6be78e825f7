/* Answers to the session: their heads, and where the bytes of their bodies lie. */
#include "http2/conn_internal.h"

/* Fields of an answer that are put together on the stack. */
enum { FEW_FIELDS = 24 };

static struct cl_h2_stream *stream_of(const struct cl_request *r) {
    return r->exchange;
}

/* ---- heads ---- */

/* What belongs to a connection of HTTP/1: RFC 9113, 8.2.2. */
static bool is_of_connection(const struct cl_header *h) {
    switch (h->id) {
    case CL_HEADER_CONNECTION:
    case CL_HEADER_TRANSFER_ENCODING:
    case CL_HEADER_KEEP_ALIVE:
    case CL_HEADER_PROXY_CONNECTION:
    case CL_HEADER_HTTP2_SETTINGS:
    case CL_HEADER_UPGRADE:
    case CL_HEADER_TE: return true;
    default: return false;
    }
}

static nghttp2_nv field(struct cl_str name, struct cl_str value) {
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
    };
}

/* In lower case. ptr is NULL: out of memory. */
static struct cl_str lower_name(struct cl_request *r, const struct cl_header *h) {
    if (h->id != CL_HEADER_OTHER)
        return cl_header_name((enum cl_header_id)h->id);
    char *name = cl_arena_alloc(&r->arena, h->name.len);
    for (size_t i = 0; name && i < h->name.len; i++)
        name[i] = (char)cl_lower((unsigned char)h->name.ptr[i]);
    return cl_str(name, h->name.len);
}

/* Fields for the session, which refers to them until they are sent. Returns how many; -1: out of
 * memory. */
static int put_fields(struct cl_request *r, nghttp2_nv *to, const struct cl_header *from,
                      size_t count) {
    int n = 0;
    for (size_t i = 0; i < count; i++) {
        if (CL_UNLIKELY(is_of_connection(&from[i])))
            continue;
        struct cl_str name = lower_name(r, &from[i]);
        if (!name.ptr)
            return -1;
        to[n++] = field(name, from[i].value);
    }
    return n;
}

static void write_status(struct cl_h2_stream *st, int status) {
    st->status[0] = (char)('0' + status / 100);
    st->status[1] = (char)('0' + status / 10 % 10);
    st->status[2] = (char)('0' + status % 10);
}

static struct cl_str write_length(struct cl_h2_stream *st, uint64_t length) {
    char *p = st->length + sizeof st->length;
    do
        *--p = (char)('0' + length % 10);
    while (length /= 10);
    return cl_str(p, (size_t)(st->length + sizeof st->length - p));
}

/* Errors: CELLO_ENOMEM. */
static int submit(struct cl_h2_stream *st, bool has_length, uint64_t length, bool has_body) {
    struct cl_request *r = st->req;
    struct cl_response *s = &r->response;
    nghttp2_nv few[FEW_FIELDS], *nv = few;
    size_t max = 4 + (size_t)s->header_count, n = 0;
    if (CL_UNLIKELY(max > FEW_FIELDS) && !(nv = cl_arena_alloc(&r->arena, max * sizeof *nv)))
        return CELLO_ENOMEM;
    write_status(st, s->status);
    nv[n++] = field(CL_STR(":status"), cl_str(st->status, sizeof st->status));
    if (s->content_type.len)
        nv[n++] = field(cl_header_name(CL_HEADER_CONTENT_TYPE), s->content_type);
    if (has_length)
        nv[n++] = field(cl_header_name(CL_HEADER_CONTENT_LENGTH), write_length(st, length));
    const char *date = cl_worker_date_line(r->worker) + 6;
    nv[n++] = field(cl_header_name(CL_HEADER_DATE), cl_str(date, CL_DATE_LINE_LEN - 8));
    int more = put_fields(r, nv + n, s->headers, s->header_count);
    if (more < 0)
        return CELLO_ENOMEM;
    nghttp2_data_provider body = {.source = {.ptr = st}, .read_callback = cl_h2_pull};
    if (nghttp2_submit_response(st->conn->session, st->id, nv, n + (size_t)more,
                                has_body ? &body : NULL))
        return CELLO_ENOMEM;
    st->submitted = true;
    st->conn->unfinished++;
    return CELLO_OK;
}

static int submit_interim(struct cl_h2_stream *st, nghttp2_nv *nv, size_t count) {
    struct cl_h2 *c = st->conn;
    for (size_t i = 0; i < count; i++)
        nv[i].flags = NGHTTP2_NV_FLAG_NONE; /* they may be gone before they are sent */
    int err = nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, st->id, NULL, nv, count, NULL);
    cl_h2_flush_later(c);
    return err ? CELLO_ENOMEM : CELLO_OK;
}

int cl_h2_send_continue(struct cl_h2_stream *st) {
    nghttp2_nv nv = field(CL_STR(":status"), CL_STR("100"));
    return submit_interim(st, &nv, 1);
}

/* 103 goes out at once: a handler that works for a while has asked for it before. */
static int hints(struct cl_request *r, const struct cl_header *headers, size_t count) {
    struct cl_h2_stream *st = stream_of(r);
    struct cl_h2 *c = st->conn;
    if (c->sending)
        return CELLO_OK; /* the client reads none */
    nghttp2_nv *nv = cl_arena_alloc(&r->arena, (count + 1) * sizeof *nv);
    if (!nv)
        return CELLO_ENOMEM;
    nv[0] = field(CL_STR(":status"), CL_STR("103"));
    int n = put_fields(r, nv + 1, headers, count);
    if (n < 0 || submit_interim(st, nv, (size_t)n + 1))
        return CELLO_ENOMEM;
    if (c->sink.base)
        return CELLO_OK; /* another request's answer is being written where a flush would drop it */
    cl_h2_flush(&c->flush);
    cl_loop_submit(c->super.worker->loop);
    return CELLO_OK;
}

int cl_h2_send_trailers(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    const struct cl_response *s = &r->response;
    nghttp2_nv *nv = cl_arena_alloc(&r->arena, s->trailer_count * sizeof *nv);
    int n = nv ? put_fields(r, nv, s->trailers, s->trailer_count) : -1;
    if (n < 0 || nghttp2_submit_trailer(st->conn->session, st->id, nv, (size_t)n))
        return CELLO_ENOMEM;
    return CELLO_OK;
}

/* ---- where bodies lie ---- */

/* Room for `n` bytes in c->bodies. */
static int make_room(struct cl_h2 *c, size_t n) {
    if (c->bodies && cl_block_room(c->bodies) >= n)
        return CELLO_OK;
    struct cl_block *b = cl_block_new(cl_h2_pool(c), n);
    if (!b)
        return CELLO_ENOMEM;
    if (c->bodies)
        cl_block_unref(c->bodies);
    c->bodies = b;
    return CELLO_OK;
}

/* The next `n` bytes of b, to which the stream gets a reference, are the body. */
static void lie_in_block(struct cl_h2_stream *st, struct cl_block *b, size_t n) {
    st->out = cl_str(cl_block_wr(b), n);
    b->wr += n;
    cl_block_ref(b);
    st->out_block = b;
}

/* While another answer is being written in c->bodies. */
static int take_bytes_apart(struct cl_h2_stream *st, struct cl_str body) {
    struct cl_block *b = cl_block_new(cl_h2_pool(st->conn), body.len);
    if (!b)
        return CELLO_ENOMEM;
    memcpy(cl_block_wr(b), body.ptr, body.len);
    lie_in_block(st, b, body.len);
    cl_block_unref(b);
    return CELLO_OK;
}

static int take_bytes(struct cl_h2_stream *st) {
    const struct cl_response *s = &st->req->response;
    st->last = true;
    st->out = s->body;
    if (s->release_ctx || !s->body.len)
        return CELLO_OK; /* it stays where it is */
    struct cl_h2 *c = st->conn;
    if (CL_UNLIKELY(c->sink.base != NULL))
        return take_bytes_apart(st, s->body);
    int err = make_room(c, s->body.len);
    if (err)
        return err;
    memcpy(cl_block_wr(c->bodies), s->body.ptr, s->body.len);
    lie_in_block(st, c->bodies, s->body.len);
    return CELLO_OK;
}

static void take_sink(struct cl_h2_stream *st, bool wanted) {
    struct cl_sink *sink = &st->conn->sink;
    if (CL_LIKELY(wanted)) {
        st->last = true;
        lie_in_block(st, st->conn->bodies, cl_sink_len(sink));
    }
    sink->base = NULL;
}

/* ---- answers ---- */

/* The plainest answer there is, for want of memory. */
static void answer_without_memory(struct cl_h2_stream *st) {
    struct cl_response *s = &st->req->response;
    s->status = 503;
    s->content_type = cl_str(NULL, 0);
    s->header_count = 0;
    st->out = cl_str(NULL, 0);
    st->tunnel = false;
    if (submit(st, true, 0, false))
        cl_h2_reset(st, NGHTTP2_INTERNAL_ERROR);
}

static uint64_t length_of(const struct cl_h2_stream *st) {
    const struct cl_response *s = &st->req->response;
    switch (s->kind) {
    case CL_BODY_NONE: return 0;
    case CL_BODY_BYTES: return s->body.len;
    case CL_BODY_SINK: return cl_sink_len(&st->conn->sink);
    default: return s->length;
    }
}

static void respond(struct cl_request *r) {
    struct cl_h2_stream *st = stream_of(r);
    struct cl_response *s = &r->response;
    if (s->kind != CL_BODY_STREAM && (st->body_pending || st->in))
        cl_h2_body_discard(st);
    if (CL_UNLIKELY(s->close))
        cl_h2_go_gracefully(st->conn);
    bool none = !cl_status_has_body(s->status);
    bool has_length = !none && (s->kind != CL_BODY_STREAM || s->has_length);
    uint64_t length = length_of(st);
    bool bare =
        none || r->method == CL_METHOD_HEAD || (has_length && !length && s->kind != CL_BODY_STREAM);
    int err = CELLO_OK;
    if (CL_UNLIKELY(st->tunnel) && cl_h2_tunnel_answered(st))
        has_length = false;
    if (!bare && s->kind == CL_BODY_BYTES)
        err = take_bytes(st);
    else if (s->kind == CL_BODY_SINK)
        take_sink(st, !bare);
    if (!err)
        err = submit(st, has_length, length, !bare);
    if (CL_UNLIKELY(err))
        answer_without_memory(st);
    if (!st->conn->inside)
        cl_h2_flush_later(st->conn);
}

/* ---- the sink ---- */

static int sink_grow(struct cl_sink *s, size_t need) {
    struct cl_h2 *c = CL_CONTAINER_OF(s, struct cl_h2, sink);
    size_t used = cl_sink_len(s);
    if (need > SIZE_MAX / 4 || used > SIZE_MAX / 4)
        return CELLO_ELIMIT;
    struct cl_block *b = cl_block_new(cl_h2_pool(c), CL_MAX(used * 2, used + need));
    if (!b)
        return CELLO_ENOMEM;
    memcpy(b->data, s->base, used);
    *s = (struct cl_sink){b->data + used, b->data + b->cap, b->data, sink_grow};
    cl_block_unref(c->bodies);
    c->bodies = b;
    return CELLO_OK;
}

static struct cl_sink *sink(struct cl_request *r, size_t hint) {
    struct cl_h2 *c = stream_of(r)->conn;
    if (make_room(c, CL_MAX(hint, (size_t)1024)))
        return NULL;
    struct cl_block *b = c->bodies;
    c->sink = (struct cl_sink){cl_block_wr(b), b->data + b->cap, cl_block_wr(b), sink_grow};
    cl_h2_flush_later(c); /* gives the block back */
    return &c->sink;
}

static void sink_drop(struct cl_request *r) {
    stream_of(r)->conn->sink.base = NULL; /* nothing was committed */
}

const struct cl_conn_ops cl_h2_conn_ops = {
    .protocol = "HTTP/2",
    .read = cl_h2_read,
    .unread = cl_h2_unread,
    .sink = sink,
    .sink_drop = sink_drop,
    .respond = respond,
    .hints = hints,
    .chunk = cl_h2_chunk,
    .abort = cl_h2_abort,
    .drain = cl_h2_drain,
    .close = cl_h2_close_conn,
};
