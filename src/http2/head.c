/* Streams, and header sections to requests: RFC 9113, 8.2 and 8.3. What makes a request malformed
 * whoever reads it (names, pseudo-header fields, lengths) the session has refused before. */
#include "http2/conn_internal.h"

#include "http/uri.h"

enum {
    /* A head this many times over a limit is not read to its end in order to be answered: it may be
     * small on the wire, and every field costs time. */
    BOMB = 4,
    FIELD_OVERHEAD = 32, /* RFC 9113, 6.5.2 */
    LINE_OVERHEAD = 4,   /* what stands around name and value in HTTP/1 */
};

/* ---- the life of a stream ---- */

static void on_timer(struct cl_timer *t) {
    struct cl_h2_stream *st = CL_CONTAINER_OF(t, struct cl_h2_stream, timer);
    cl_h2_body_timeout(st);
}

static void link_stream(struct cl_h2 *c, struct cl_h2_stream *st) {
    st->next = c->streams;
    if (st->next)
        st->next->prev = st;
    c->streams = st;
    if (c->stream_count++ == 0) {
        cl_conn_set_idle(&c->super, false);
        cl_h2_clear_due(c, CL_H2_DUE_READ);
    }
}

static void unlink_stream(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    if (st->next)
        st->next->prev = st->prev;
    if (st->prev)
        st->prev->next = st->next;
    else
        c->streams = st->next;
    c->stream_count--;
}

struct cl_h2_stream *cl_h2_stream_new(struct cl_h2 *c, int32_t id) {
    struct cl_request *r = cl_request_new(c->super.worker);
    struct cl_h2_stream *st = r ? cl_arena_alloc(&r->arena, sizeof *st) : NULL;
    if (!st) {
        if (r)
            cl_request_unref(r);
        return NULL;
    }
    memset(st, 0, sizeof *st);
    st->conn = c;
    st->req = r;
    st->id = id;
    cl_timer_init(&st->timer, on_timer);
    cl_conn_take_request(&c->super, r);
    r->version = CELLO_HTTP_2;
    r->method = CL_METHOD_OTHER;
    r->exchange = st;
    c->first = false;
    c->work.requests++;
    link_stream(c, st);
    return st;
}

void cl_h2_end_request(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    struct cl_worker *w = r->worker;
    if (st->over)
        return;
    st->over = true;
    if (st->submitted)
        st->conn->unfinished--;
    st->reading = false;
    cl_timer_stop(cl_h2_timers(st->conn), &st->timer);
    cl_conn_leave_request(r);
    if (!r->body_end && (st->body_pending || cl_h2_body_waiting(st)))
        r->body_end = CELLO_ECANCELED;
    if (!st->lent)
        cl_response_end_body(r);
    cl_conn_end_request(w, r);
    if (st->body_pending && !st->closed)
        cl_h2_body_linger(st);
}

void cl_h2_stream_free(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    struct cl_request *r = st->req;
    cl_timer_stop(cl_h2_timers(c), &st->timer);
    cl_response_end_body(r);
    cl_block_drop(&st->in);
    cl_block_drop(&st->out_block);
    unlink_stream(st);
    cl_request_unref(r);
}

static void forget_ready(struct cl_h2_stream *st) {
    struct cl_h2_stream **p = &st->conn->ready;
    while (*p != st)
        p = &(*p)->ready_next;
    *p = st->ready_next;
    st->ready = false;
}

void cl_h2_stream_closed(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    st->closed = true;
    size_t waiting = cl_h2_body_waiting(st);
    if (waiting && c->state == CL_H2_OPEN &&
        nghttp2_session_consume_connection(c->session, waiting))
        c->doom = NGHTTP2_INTERNAL_ERROR;
    if (st->ready)
        forget_ready(st);
    cl_h2_end_request(st);
    c->bodies_pending -= st->shares;
    if (!st->lent)
        cl_h2_stream_free(st);
}

void cl_h2_stream_returned(struct cl_h2_stream *st) {
    st->lent = false;
    if (st->closed)
        cl_h2_stream_free(st);
    else if (st->over || st->half)
        cl_response_end_body(st->req);
    else if (!st->asked)
        cl_h2_resume(st);
}

void cl_h2_reset(struct cl_h2_stream *st, uint32_t code) {
    struct cl_h2 *c = st->conn;
    st->blameless = code != NGHTTP2_CANCEL;
    if (nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, st->id, code))
        c->doom = NGHTTP2_INTERNAL_ERROR;
    cl_h2_flush_later(c);
}

/* ---- fields ---- */

static struct cl_str text_of(nghttp2_rcbuf *buf) {
    nghttp2_vec v = nghttp2_rcbuf_get_buf(buf);
    return cl_str((const char *)v.base, v.len);
}

/* As long as the request lives. ptr is NULL: out of memory. */
static struct cl_str keep(struct cl_request *r, nghttp2_rcbuf *buf) {
    struct cl_str s = text_of(buf);
    if (!s.len)
        return CL_STR("");
    return nghttp2_rcbuf_is_static(buf) ? s : cl_arena_dup(&r->arena, s);
}

/* Most requests have few fields. NULL: out of memory. */
static struct cl_header *add_header(struct cl_request *r) {
    if (CL_UNLIKELY(r->header_count == CL_REQUEST_HEADERS && r->headers == r->few_headers)) {
        /* and those that are made of :authority and :protocol */
        size_t max = CL_MAX(r->worker->limits.max_headers, (uint32_t)CL_REQUEST_HEADERS) + 2;
        struct cl_header *all = cl_arena_alloc(&r->arena, max * sizeof *all);
        if (!all)
            return NULL;
        memcpy(all, r->headers, r->header_count * sizeof *all);
        r->headers = all;
    }
    return &r->headers[r->header_count++];
}

static int add_field(struct cl_request *r, enum cl_header_id id, struct cl_str name,
                     struct cl_str value) {
    struct cl_header *h = name.ptr && value.ptr ? add_header(r) : NULL;
    if (!h)
        return CELLO_ENOMEM;
    *h = (struct cl_header){.name = name, .value = value, .id = (uint16_t)id};
    return CELLO_OK;
}

/* The crumbs of a cookie become one field again: RFC 9113, 8.2.3. */
static int join_cookie(struct cl_h2_stream *st, struct cl_str crumb) {
    struct cl_str *all = &st->req->headers[st->cookie - 1].value;
    size_t len = all->len + 2 + crumb.len;
    if (len > st->cookie_cap) {
        char *mem = cl_arena_alloc(&st->req->arena, len * 2);
        if (!mem)
            return CELLO_ENOMEM;
        memcpy(mem, all->ptr, all->len);
        all->ptr = mem;
        st->cookie_cap = len * 2;
    }
    char *end = (char *)(uintptr_t)all->ptr + all->len;
    memcpy(end, "; ", 2);
    if (crumb.len)
        memcpy(end + 2, crumb.ptr, crumb.len);
    all->len = len;
    return CELLO_OK;
}

/* The session has seen that these are digits. */
static void read_length(struct cl_h2_stream *st, struct cl_str digits) {
    for (size_t i = 0; i < digits.len; i++)
        st->content_length = st->content_length * 10 + (uint64_t)(digits.ptr[i] - '0');
}

/* Who asks for Upgrade finds it, as a request of HTTP/1.1 says the same. No other field can be
 * mistaken for it: RFC 9113, 8.2.2. Without it nobody takes the request. */
static int protocol(struct cl_h2_stream *st, struct cl_str name) {
    struct cl_str offered = st->conn->context->connect;
    st->tunnel = true;
    if (!cl_str_ieq(name, offered))
        return CELLO_OK;
    return add_field(st->req, CL_HEADER_UPGRADE, cl_header_name(CL_HEADER_UPGRADE), offered);
}

static int pseudo(struct cl_h2_stream *st, struct cl_str name, nghttp2_rcbuf *value) {
    struct cl_request *r = st->req;
    struct cl_str text = text_of(value);
    if (cl_str_eq(name, CL_STR(":method"))) {
        r->method = cl_method_from(text);
        r->method_name = r->method == CL_METHOD_OTHER ? keep(r, value) : cl_method_name(r->method);
        return r->method_name.ptr ? CELLO_OK : CELLO_ENOMEM;
    }
    if (cl_str_eq(name, CL_STR(":path"))) {
        if (text.len > r->worker->limits.max_uri)
            return CELLO_EURI_TOO_LONG;
        r->target = keep(r, value);
        return r->target.ptr ? CELLO_OK : CELLO_ENOMEM;
    }
    if (!cl_str_eq(name, CL_STR(":authority")))
        return CL_UNLIKELY(cl_str_eq(name, CL_STR(":protocol"))) ? protocol(st, text) : CELLO_OK;
    /* Who asks for Host finds it, whatever carried the request. */
    st->has_authority = true;
    r->host = keep(r, value);
    return add_field(r, CL_HEADER_HOST, cl_header_name(CL_HEADER_HOST), r->host);
}

static int regular(struct cl_h2_stream *st, nghttp2_rcbuf *name, nghttp2_rcbuf *value) {
    struct cl_request *r = st->req;
    struct cl_str name_text = text_of(name), text = text_of(value);
    enum cl_header_id id = cl_header_id_from(name_text);
    switch (id) {
    case CL_HEADER_HOST:
        if (st->has_authority) /* RFC 9113, 8.3.1 */
            return cl_str_ieq(text, r->host) ? CELLO_OK : CELLO_EHOST;
        r->host = keep(r, value);
        return add_field(r, id, cl_header_name(id), r->host);
    case CL_HEADER_COOKIE:
        if (st->cookie)
            return join_cookie(st, text);
        break;
    case CL_HEADER_CONTENT_LENGTH: read_length(st, text); break;
    case CL_HEADER_EXPECT:
        st->expect_continue = cl_str_ieq(text, CL_STR("100-continue"));
        if (!st->expect_continue)
            return CELLO_EEXPECT;
        break;
    default: break;
    }
    struct cl_str kept = id == CL_HEADER_OTHER ? keep(r, name) : cl_header_name(id);
    int err = add_field(r, id, kept, keep(r, value));
    if (id == CL_HEADER_COOKIE && !err)
        st->cookie = r->header_count;
    return err;
}

/* One more field of a section. False: so many that they are not counted any more. */
static bool is_within(struct cl_h2_stream *st, struct cl_str name, struct cl_str value, int *err) {
    const struct cl_limits *l = &st->req->worker->limits;
    size_t list_max = st->conn->context->cfg.max_header_list_size;
    st->list_size += name.len + value.len + FIELD_OVERHEAD;
    if (name.len && name.ptr[0] != ':') {
        st->section_size += name.len + value.len + LINE_OVERHEAD;
        if (!st->cookie || !cl_str_eq(name, CL_STR("cookie"))) /* crumbs are one field */
            st->fields++;
    }
    if (st->list_size > list_max || st->section_size > l->max_header_size ||
        st->fields > l->max_headers)
        *err = CELLO_EHEAD_TOO_LARGE;
    return st->list_size / BOMB <= CL_MAX(list_max, l->max_header_size + l->max_uri);
}

bool cl_h2_field(struct cl_h2_stream *st, nghttp2_rcbuf *name, nghttp2_rcbuf *value) {
    struct cl_str name_text = text_of(name), text = text_of(value);
    int err = CELLO_OK;
    if (CL_UNLIKELY(!is_within(st, name_text, text, &err)))
        return false;
    if (CL_UNLIKELY(st->head_err || st->over))
        return true; /* the first fault is the one that is told */
    if (CL_UNLIKELY(err) && cl_str_eq(name_text, CL_STR(":path")) &&
        text.len > st->req->worker->limits.max_uri)
        err = CELLO_EURI_TOO_LONG;
    if (!err && !st->in_trailers)
        err = name_text.ptr[0] == ':' ? pseudo(st, name_text, value) : regular(st, name, value);
    st->head_err = err;
    return true;
}

/* ---- complete ---- */

void cl_h2_fail(struct cl_h2_stream *st, int status, const char *detail) {
    if (st->over || st->req->answered)
        return;
    cl_h2_body_discard(st);
    cl_respond_problem(st->req, status, cl_str(detail, strlen(detail)));
}

void cl_h2_fail_err(struct cl_h2_stream *st, int err) {
    if (err == CELLO_ENOMEM || err == CELLO_ELIMIT) {
        (void)!cl_response_header(st->req, CL_STR("Retry-After"), CL_STR("1"));
        cl_h2_fail(st, 503, CL_DETAIL_NO_MEMORY);
    } else {
        cl_h2_fail(st, cl_error_status(err), cl_error_detail(err));
    }
}

static bool is_visible(struct cl_str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)(s.ptr[i] - 0x21) > 0x7e - 0x21)
            return false;
    return true;
}

/* What is asked for, and of whom. */
static int read_target(const struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    enum cl_method method = r->method;
    struct cl_uri uri;
    if (CL_UNLIKELY(method == CL_METHOD_CONNECT)) {
        if (!st->tunnel)
            r->target = r->host;
        else if (cl_request_header(r, CL_HEADER_CONTENT_LENGTH))
            return CELLO_EFRAMING; /* what follows is no content */
        else
            method = CL_METHOD_GET; /* the target is that of any request: RFC 8441, 4 */
    }
    if (!cl_uri_authority_valid(r->host))
        return CELLO_EHOST;
    if (!r->target.len || !is_visible(r->target))
        return CELLO_ETARGET;
    int err = cl_uri_parse(r->target, method, &uri);
    if (err)
        return err;
    if (uri.form == CL_URI_ABSOLUTE)
        return CELLO_ETARGET;
    r->path = uri.path;
    r->path_plain = uri.plain;
    r->query = uri.query;
    return CELLO_OK;
}

void cl_h2_head_complete(struct cl_h2_stream *st, bool has_body) {
    struct cl_h2 *c = st->conn;
    struct cl_request *r = st->req;
    struct cl_worker *w = r->worker;
    uint64_t max = w->limits.max_requests_per_connection;
    if (CL_UNLIKELY(max && c->work.requests >= max))
        cl_h2_go_gracefully(c);
    st->body_pending = has_body;
    st->received_before = c->received;
    st->shares = has_body && !st->tunnel;
    c->bodies_pending += st->shares;
    int err = st->head_err ? st->head_err : read_target(st);
    if (CL_UNLIKELY(err)) {
        cl_h2_fail_err(st, err);
        return;
    }
    r->left = c->peer_eof;
    if (w->service->on_head(w, r) != CELLO_OK) {
        cl_h2_body_discard(st);
        return;
    }
    if (CL_LIKELY(!has_body))
        cl_h2_deliver(st);
    else
        cl_h2_body_begin(st);
}
