/* Bytes to requests. */
#include "http1/conn_internal.h"

void cl_h1_fail(struct cl_h1 *c, int status, const char *detail) {
    struct cl_worker *w = c->super.worker;
    c->keep_alive = false;
    c->close_after = true;
    struct cl_request *r = c->req;
    if (!r) {
        r = cl_request_new(w);
        if (!r) {
            cl_h1_last_words(c);
            return;
        }
        cl_conn_take_request(&c->super, r);
        r->version = CELLO_HTTP_1_1;
        r->method = CL_METHOD_OTHER;
        c->req = r;
        cl_conn_set_idle(&c->super, false);
    }
    c->body_pending = false;
    c->state = CL_H1_HANDLER;
    cl_respond_problem(r, status, cl_str(detail, strlen(detail)));
}

static void fail_err(struct cl_h1 *c, int err) {
    cl_h1_fail(c, cl_error_status(err), cl_error_detail(err));
}

static void fill_request(struct cl_h1 *c, struct cl_request *r, const struct cl_h1_head *h) {
    cl_conn_take_request(&c->super, r);
    r->method = h->method_id;
    r->method_name = h->method;
    r->version = (uint8_t)h->version_minor; /* 0 and 1 are CELLO_HTTP_1_0 and _1_1 */
    r->target = h->target;
    r->path = h->uri.path;
    r->path_plain = h->uri.plain;
    r->query = h->uri.query;
    r->host = h->host;
    r->header_count = h->header_count;
    c->req = r;
    c->content_length = h->content_length;
    c->chunked = h->chunked;
    c->body_pending = h->chunked || h->content_length > 0;
    if (CL_UNLIKELY(c->body_pending))
        cl_h1_init_body(c);
    c->requests++;
    uint64_t max = c->super.worker->limits.max_requests_per_connection;
    c->keep_alive = h->keep_alive && !c->super.worker->draining && (max == 0 || c->requests < max);
}

/* The head that begins the input. Most have few fields, which a request has room for. */
static int parse_head(struct cl_h1 *c, struct cl_request *r, struct cl_h1_head *head,
                      size_t *used) {
    const struct cl_limits *l = &c->super.worker->limits;
    const struct cl_block *in = c->super.stream->in;
    const char *bytes = in->data + in->rd;
    struct cl_h1_limits limits = {
        .max_request_line = l->max_uri + CL_REQUEST_LINE_SLACK,
        .max_uri = l->max_uri,
        .max_header_size = l->max_header_size,
        .max_headers = CL_MIN(l->max_headers, (uint32_t)CL_REQUEST_HEADERS),
    };
    head->headers = r->headers;
    int err = cl_h1_parse_head(bytes, cl_block_len(in), &c->scanned, &limits, head, used);
    if (CL_LIKELY(err != CELLO_EHEAD_TOO_LARGE) || limits.max_headers == l->max_headers)
        return err;
    head->headers = cl_arena_alloc(&r->arena, l->max_headers * sizeof *head->headers);
    if (!head->headers)
        return CELLO_ENOMEM;
    size_t scanned = 0;
    limits.max_headers = l->max_headers;
    err = cl_h1_parse_head(bytes, cl_block_len(in), &scanned, &limits, head, used);
    r->headers = head->headers;
    return err;
}

/* The next request's head. CELLO_OK: c->req is set and the service was asked. CELLO_EAGAIN. Other:
 * answered with an error. */
static int read_head(struct cl_h1 *c) {
    struct cl_worker *w = c->super.worker;
    struct cl_block *in = c->super.stream->in;
    struct cl_request *r = cl_request_new(w);
    if (CL_UNLIKELY(!r)) {
        cl_h1_last_words(c);
        return CELLO_ENOMEM;
    }
    struct cl_h1_head head;
    size_t used = 0;
    int err = parse_head(c, r, &head, &used);
    if (CL_UNLIKELY(err)) {
        cl_request_unref(r);
        if (err == CELLO_EAGAIN) {
            if (c->state == CL_H1_IDLE) {
                c->state = CL_H1_HEAD;
                cl_conn_set_idle(&c->super, false);
                cl_h1_read_by(c, cl_h1_after(c, w->timeouts.read_header_ns));
            }
            return err;
        }
        fail_err(c, err);
        return err;
    }
    c->scanned = 0;
    c->first = false;
    in->rd += used;
    cl_block_ref(in);
    r->head_block = in;
    fill_request(c, r, &head);
    cl_conn_set_idle(&c->super, false);
    c->state = CL_H1_BODY;
    err = w->service->on_head(w, r);
    if (err)
        return CELLO_ECANCELED;
    if (c->content_length > r->max_body) {
        fail_err(c, CELLO_EBODY_TOO_LARGE);
        return CELLO_ECANCELED;
    }
    if (CL_UNLIKELY(head.expect_continue) && c->body_pending && cl_block_len(in) == 0) {
        c->continue_owed = r->body_mode == CELLO_BODY_STREAM;
        if (!c->continue_owed && cl_h1_write_continue(c) != CELLO_OK) {
            cl_h1_close(c);
            return CELLO_ENOMEM;
        }
    }
    return CELLO_OK;
}

/* To the handler: the body is complete, or it is the handler's to read. */
static void deliver(struct cl_h1 *c) {
    struct cl_worker *w = c->super.worker;
    c->state = CL_H1_HANDLER;
    c->req->left = c->peer_eof;
    cl_h1_read_by(c, UINT64_MAX);
    w->service->on_request(w, c->req);
}

static void no_memory(struct cl_h1 *c) {
    struct cl_request *r = c->req;
    if (cl_response_header(r, CL_STR("Retry-After"), CL_STR("1")) != CELLO_OK)
        cl_h1_last_words(c);
    else
        cl_h1_fail(c, 503, CL_DETAIL_NO_MEMORY);
}

/* A body step. Returns true when the request was handed on or answered. */
static bool step_body(struct cl_h1 *c, bool began) {
    int err = CELLO_OK;
    if (!began)
        err = cl_h1_begin_body(c);
    if (!err)
        err = cl_h1_collect_body(c);
    if (err == CELLO_EAGAIN && c->peer_eof)
        err = CELLO_EOF;
    if (err == CELLO_EAGAIN)
        return false;
    if (err == CELLO_OK) {
        c->body_pending = false;
        deliver(c);
    } else if (err == CELLO_ETIMEOUT)
        cl_h1_fail(c, 408, CL_DETAIL_SLOW_BODY);
    else if (err == CELLO_ENOMEM || err == CELLO_ELIMIT)
        no_memory(c);
    else
        fail_err(c, err);
    return true;
}

/* A head step. Returns true when there may be more to do. */
static bool step_head(struct cl_h1 *c) {
    struct cl_block *in = c->super.stream->in;
    if (c->close_after)
        return false;
    if (!in || cl_block_len(in) == 0) {
        if (c->peer_eof && !c->fill && !c->fly)
            cl_h1_close(c);
        else if (c->peer_eof)
            c->close_after = true;
        return false;
    }
    int err = read_head(c);
    if (err == CELLO_EAGAIN && c->peer_eof) {
        fail_err(c, CELLO_EOF);
        return false;
    }
    if (err)
        return c->state == CL_H1_IDLE;
    if (c->state != CL_H1_BODY)
        return true;
    if (CL_LIKELY(!c->body_pending)) {
        deliver(c);
        return true;
    }
    if (c->req->body_mode != CELLO_BODY_STREAM)
        return step_body(c, false);
    err = cl_h1_begin_body(c);
    if (err)
        no_memory(c);
    else
        deliver(c);
    return true;
}

/* Enough answers wait for the peer to read them. */
static bool stalled(const struct cl_h1 *c) {
    const struct cl_limits *l = &c->super.worker->limits;
    const struct cl_out *fill = c->fill, *fly = c->fly;
    size_t answers = fly ? fly->answers : 0, bytes = fly ? fly->bytes : 0;
    if (fill) {
        if (fill->iov_count > CL_OUT_IOV - 4 || fill->pin_count > CL_OUT_IOV - 2)
            return true;
        answers += fill->answers;
        bytes += fill->bytes;
    }
    return answers && (answers >= l->max_pipelined || bytes >= l->max_send_buffer);
}

void cl_h1_run(struct cl_h1 *c) {
    if (c->running)
        return;
    c->running = true;
    bool more = true;
    while (more) {
        switch (c->state) {
        case CL_H1_IDLE:
        case CL_H1_HEAD: more = !stalled(c) && step_head(c); break;
        case CL_H1_BODY: more = step_body(c, true); break;
        case CL_H1_HANDLER:
        case CL_H1_STREAM: more = cl_h1_step_reader(c); break;
        default: more = false;
        }
    }
    c->running = false;
    if (CL_UNLIKELY(c->state == CL_H1_CLOSED || c->state == CL_H1_LINGER))
        return;
    cl_h1_settle_input(c);
    if (c->fill)
        cl_h1_flush_later(c);
}
