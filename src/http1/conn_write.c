/* Responses to bytes. */
#include "http1/conn_internal.h"

#include "base/alloc.h"

enum {
    COPY_MAX = 4096,  /* bodies up to this are copied behind their head: one segment */
    JOIN_MAX = 16384, /* small chunks are gathered up to this into one write */
    HEAD_SCRATCH = 2048,
};

static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";
static const char EARLY_HINTS[] = "HTTP/1.1 103 Early Hints\r\n";
static const char LAST_WORDS[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Retry-After: 1\r\n"
                                 "Content-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";

/* ---- answers that are always the same ---- */

int cl_h1_write_continue(struct cl_h1 *c) {
    struct cl_out *o = cl_h1_out_get(c);
    size_t len = sizeof CONTINUE - 1;
    struct cl_block *b = o ? cl_out_room(o, len) : NULL;
    if (!b)
        return CELLO_ENOMEM;
    memcpy(cl_block_wr(b), CONTINUE, len);
    if (!cl_out_segment(o, cl_block_wr(b), len))
        return CELLO_ELIMIT;
    b->wr += len;
    return CELLO_OK;
}

void cl_h1_last_words(struct cl_h1 *c) {
    c->close_after = true;
    if (c->req) {
        c->req->answered = true;
        c->req->response.status = 503;
        cl_h1_end_request(c);
    }
    if (c->fly || (c->fill && c->fill->iov_count)) { /* behind half an answer it would be noise */
        cl_h1_close(c);
        return;
    }
    c->last_words = (struct iovec){(void *)(uintptr_t)LAST_WORDS, sizeof LAST_WORDS - 1};
    int err = cl_stream_send(c->super.stream, &c->last_words, 1);
    c->speaking = err == CELLO_EAGAIN;
    if (err && !c->speaking)
        cl_h1_close(c);
    else
        cl_h1_linger(c);
}

/* ---- the head ---- */

#define PUT(p, literal) cl_h1_put((p), (literal), sizeof(literal) - 1)

static char *put_u64(char *p, uint64_t v) {
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *p++ = digits[--n];
    return p;
}

static char *put_status_line(char *p, int status) {
    if (CL_LIKELY(status == 200))
        return PUT(p, "HTTP/1.1 200 OK\r\n");
    struct cl_str reason = cl_status_reason(status);
    p = PUT(p, "HTTP/1.1 ");
    p = put_u64(p, (uint64_t)status);
    *p++ = ' ';
    p = cl_h1_put(p, reason.ptr, reason.len);
    return PUT(p, "\r\n");
}

static size_t head_bound(const struct cl_response *s) {
    size_t n = 256 + s->content_type.len;
    for (uint16_t i = 0; i < s->header_count; i++)
        n += s->headers[i].name.len + s->headers[i].value.len + 4;
    return n;
}

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

/* Write the head to p, which has head_bound() bytes; returns its end. */
static char *put_head(char *p, struct cl_h1 *c, const struct cl_request *r, enum framing framing,
                      uint64_t length) {
    const struct cl_response *s = &r->response;
    p = put_status_line(p, s->status);
    if (s->content_type.len) {
        p = PUT(p, "Content-Type: ");
        p = cl_h1_put(p, s->content_type.ptr, s->content_type.len);
        p = PUT(p, "\r\n");
    }
    if (framing == FRAMING_LENGTH) {
        p = PUT(p, "Content-Length: ");
        p = put_u64(p, length);
        p = PUT(p, "\r\n");
    } else if (framing == FRAMING_CHUNKED) {
        p = PUT(p, "Transfer-Encoding: chunked\r\n");
    }
    p = cl_h1_put(p, cl_worker_date_line(c->super.worker), CL_DATE_LINE_LEN);
    for (uint16_t i = 0; i < s->header_count; i++)
        p = cl_h1_put_field(p, &s->headers[i]);
    if (CL_UNLIKELY(!c->keep_alive))
        p = PUT(p, "Connection: close\r\n");
    else if (CL_UNLIKELY(r->version == CELLO_HTTP_1_0))
        p = PUT(p, "Connection: keep-alive\r\n");
    return PUT(p, "\r\n");
}

/* 103 goes out at once: a handler that works for a while has asked for it before. */
static int hints(struct cl_request *r, const struct cl_header *headers, size_t count) {
    struct cl_h1 *c = cl_h1_of(r->conn);
    size_t bound = sizeof EARLY_HINTS + 2;
    for (size_t i = 0; i < count; i++)
        bound += headers[i].name.len + headers[i].value.len + 4;
    struct cl_out *o = cl_h1_out_get(c);
    if (o && o->iov_count > CL_OUT_IOV - 4)
        return CELLO_OK; /* the client reads none */
    struct cl_block *b = o ? cl_out_room(o, bound) : NULL;
    if (!b)
        return CELLO_ENOMEM;
    char *start = cl_block_wr(b), *p = PUT(start, EARLY_HINTS);
    for (size_t i = 0; i < count; i++)
        p = cl_h1_put_field(p, &headers[i]);
    p = PUT(p, "\r\n");
    b->wr = (size_t)(p - b->data);
    if (!cl_out_segment(o, start, (size_t)(p - start)))
        return CELLO_ELIMIT;
    cl_h1_flush(&c->flush);
    cl_loop_submit(c->super.worker->loop);
    return CELLO_OK;
}

/* ---- whole answers ---- */

/* What was not read of the request's body: skip it when it lies here, else the connection cannot
 * be used again. */
static void settle_body(struct cl_h1 *c) {
    if (CL_UNLIKELY(c->body_pending) && !cl_h1_skip_body(c))
        c->keep_alive = false;
}

void cl_h1_finish(struct cl_h1 *c) {
    c->state = CL_H1_IDLE;
    cl_h1_end_request(c);
    c->super.stream->in_max = cl_h1_head_max(c->super.worker);
    if (CL_UNLIKELY(c->super.stream->in_room))
        cl_h1_end_large_body(c);
    c->read_by_ns = UINT64_MAX; /* idleness begins when all is sent */
    if (!c->keep_alive)
        c->close_after = true;
    if (!c->running)
        cl_h1_run(c);
}

void cl_h1_finish_stream(struct cl_h1 *c) {
    settle_body(c);
    cl_h1_finish(c);
}

/* head and body into the output: body copied, pinned, or standing where the sink wrote it. */
static bool write_bytes(struct cl_h1 *c, struct cl_request *r, enum framing framing, bool bare) {
    struct cl_response *s = &r->response;
    struct cl_out *o = cl_h1_out_get(c);
    if (!o)
        return false;
    bool in_place = !bare && s->body.len > COPY_MAX && s->release_ctx;
    size_t copied = bare || in_place ? 0 : s->body.len;
    struct cl_block *b = cl_out_room(o, head_bound(s) + copied);
    if (!b)
        return false;
    char *start = cl_block_wr(b);
    char *p = put_head(start, c, r, framing, s->body.len);
    c->super.worker->head_hint = (uint32_t)(p - start);
    if (copied)
        p = cl_h1_put(p, s->body.ptr, copied);
    b->wr = (size_t)(p - b->data);
    if (!cl_out_segment(o, start, (size_t)(p - start)))
        return false;
    if (in_place && !cl_out_segment(o, s->body.ptr, s->body.len))
        return false;
    if (in_place && s->release) {
        o->pins[o->pin_count++] = (struct cl_out_pin){s->release, s->release_ctx};
        s->release = NULL;
    }
    return true;
}

/* A long head goes into a block of its own, in front of the body where that stands. */
static bool write_sink_apart(struct cl_h1 *c, struct cl_request *r, enum framing framing, bool bare,
                             size_t bound) {
    struct cl_out *o = c->fill;
    struct cl_block *b = o->blocks;
    struct cl_block *head = cl_block_new(cl_loop_pool(c->super.worker->loop), bound);
    if (!head)
        return false;
    head->next = b->next;
    b->next = head;
    size_t length = cl_sink_len(&c->sink);
    head->wr = (size_t)(put_head(head->data, c, r, framing, length) - head->data);
    if (bare)
        length = 0;
    b->wr = (size_t)(c->sink.base - b->data) + length;
    r->response.bytes_sent = length;
    return cl_out_segment(o, head->data, head->wr) &&
           (!length || cl_out_segment(o, c->sink.base, length));
}

static bool write_sink(struct cl_h1 *c, struct cl_request *r, enum framing framing, bool bare) {
    struct cl_out *o = c->fill;
    struct cl_block *b = o->blocks;
    char *body = c->sink.base;
    size_t length = cl_sink_len(&c->sink);
    char head[HEAD_SCRATCH];
    size_t bound = head_bound(&r->response);
    if (CL_UNLIKELY(bound > sizeof head))
        return write_sink_apart(c, r, framing, bare, bound);
    size_t n = (size_t)(put_head(head, c, r, framing, length) - head);
    c->super.worker->head_hint = (uint32_t)n;
    size_t gap = (size_t)(body - cl_block_wr(b));
    if (bare)
        length = 0;
    if (n > gap || (o->iov_count && n < gap && length <= COPY_MAX)) {
        /* Rare: the head is longer than the room that was left for it, or leaves a hole behind the
         * answer before it. */
        struct cl_block *to = cl_out_room(o, n + length);
        if (!to)
            return false;
        memmove(cl_block_wr(to) + n, body, length);
        body = cl_block_wr(to) + n;
        b = to;
    }
    memcpy(body - n, head, n);
    b->wr = (size_t)(body - b->data) + length;
    r->response.bytes_sent = length;
    return cl_out_segment(o, body - n, n + length);
}

static enum framing framing_of(const struct cl_request *r) {
    const struct cl_response *s = &r->response;
    if (!cl_status_has_body(s->status))
        return FRAMING_NONE;
    if (s->kind != CL_BODY_STREAM || s->has_length)
        return FRAMING_LENGTH;
    return r->version == CELLO_HTTP_1_0 ? FRAMING_CLOSE : FRAMING_CHUNKED;
}

/* The head of a body that follows, in a block with room for the first `room` bytes of it. False:
 * the connection has given up. */
static bool begin_body(struct cl_h1 *c, struct cl_request *r, enum framing framing, size_t room) {
    struct cl_response *s = &r->response;
    struct cl_out *o = cl_h1_out_get(c);
    struct cl_block *b = o ? cl_out_room(o, head_bound(s) + room) : NULL;
    if (!b) {
        cl_h1_last_words(c);
        return false;
    }
    char *start = cl_block_wr(b);
    size_t n = (size_t)(put_head(start, c, r, framing, s->length) - start);
    if (!cl_out_segment(o, start, n)) {
        cl_h1_close(c);
        return false;
    }
    b->wr += n;
    o->answers++;
    s->head_sent = true;
    c->stream_chunked = framing == FRAMING_CHUNKED;
    c->stream_asked = c->stream_done = c->stream_cut = c->stream_in_place = false;
    c->state = CL_H1_STREAM;
    cl_h1_flush_later(c);
    return true;
}

static void respond_stream(struct cl_h1 *c, struct cl_request *r, enum framing framing, bool bare) {
    if (framing == FRAMING_CLOSE)
        c->keep_alive = false;
    if (begin_body(c, r, framing, 0) && bare)
        cl_h1_finish_stream(c);
}

/* False: the connection was closed. */
static bool put_segments(struct cl_h1 *c, struct cl_request *r) {
    struct cl_segments *q = r->response.segments;
    struct cl_out *o = cl_h1_out_get(c);
    size_t before = o ? o->bytes : 0;
    if (!o || cl_h1_put_segments(o, q, &c->stream_in_place) != CELLO_OK) {
        cl_h1_close(c);
        return false;
    }
    r->response.bytes_sent += o->bytes - before;
    c->stream_done = q->at == q->count;
    return true;
}

static void respond_segments(struct cl_h1 *c, struct cl_request *r, enum framing framing,
                             bool bare) {
    size_t room = bare ? 0 : cl_h1_segments_room(r->response.segments);
    if (!begin_body(c, r, framing, room) || (!bare && !put_segments(c, r)))
        return;
    /* All copied: nothing of the body has to wait for the client. */
    if (bare || (c->stream_done && !c->stream_in_place))
        cl_h1_finish_stream(c);
}

static void respond(struct cl_request *r) {
    struct cl_h1 *c = cl_h1_of(r->conn);
    struct cl_response *s = &r->response;
    if (s->kind != CL_BODY_STREAM)
        settle_body(c);
    if (s->close || c->super.worker->draining)
        c->keep_alive = false;
    enum framing framing = framing_of(r);
    bool bare = r->method == CL_METHOD_HEAD || framing == FRAMING_NONE;
    bool ok = true;
    if (s->kind >= CL_BODY_STREAM) {
        (s->kind == CL_BODY_STREAM ? respond_stream : respond_segments)(c, r, framing, bare);
        return;
    }
    if (s->kind == CL_BODY_SINK) {
        ok = write_sink(c, r, framing, bare);
    } else {
        if (s->kind == CL_BODY_NONE)
            s->body = cl_str(NULL, 0);
        ok = write_bytes(c, r, framing, bare);
        s->bytes_sent = bare ? 0 : s->body.len;
    }
    if (s->release) {
        s->release(s->release_ctx);
        s->release = NULL;
    }
    if (CL_UNLIKELY(!ok)) {
        cl_h1_last_words(c);
        return;
    }
    c->fill->answers++;
    cl_h1_flush_later(c);
    cl_h1_finish(c);
}

/* ---- the sink ---- */

static int sink_grow(struct cl_sink *s, size_t need) {
    struct cl_h1 *c = CL_CONTAINER_OF(s, struct cl_h1, sink);
    struct cl_out *o = c->fill;
    size_t used = cl_sink_len(s);
    if (need > SIZE_MAX / 4 || used > SIZE_MAX / 4)
        return CELLO_ELIMIT;
    size_t cap = CL_H1_HEAD_ROOM + CL_MAX(used * 2, used + need);
    struct cl_block *b = cl_block_new(cl_loop_pool(c->super.worker->loop), cap);
    if (!b)
        return CELLO_ENOMEM;
    struct cl_block *old = o->blocks;
    char *base = b->data + CL_H1_HEAD_ROOM;
    memcpy(base, s->base, used);
    *s = (struct cl_sink){base + used, b->data + b->cap, base, sink_grow};
    if (old->wr == 0) { /* it held nothing but this body */
        b->next = old->next;
        old->next = NULL;
        cl_block_unref(old);
    } else {
        b->next = old;
    }
    o->blocks = b;
    return CELLO_OK;
}

static struct cl_sink *sink(struct cl_request *r, size_t hint) {
    struct cl_h1 *c = cl_h1_of(r->conn);
    struct cl_out *o = cl_h1_out_get(c);
    if (!o)
        return NULL;
    /* Behind another answer the body goes where the head will likely end; else the head has room
     * to end where the body begins. */
    size_t room = o->iov_count ? c->super.worker->head_hint : CL_H1_HEAD_ROOM;
    size_t want = CL_MAX(hint, (size_t)1024);
    struct cl_block *b = o->blocks;
    if (cl_block_room(b) < room + want) {
        room = CL_H1_HEAD_ROOM;
        b = cl_out_room(o, room + want);
        if (!b)
            return NULL;
    }
    char *base = cl_block_wr(b) + room;
    c->sink = (struct cl_sink){base, b->data + b->cap, base, sink_grow};
    return &c->sink;
}

static void sink_drop(struct cl_request *r) {
    (void)r; /* nothing was committed: the block's wr still stands before the body */
}

/* ---- sending ---- */

/* Everything is with the kernel: close, serve what was pipelined, or wait. */
static void all_sent(struct cl_h1 *c) {
    if (c->state == CL_H1_IDLE && c->close_after) {
        cl_h1_linger(c);
        return;
    }
    if (c->state == CL_H1_IDLE || c->state == CL_H1_HEAD)
        cl_h1_run(c);
    if (c->state == CL_H1_IDLE && !c->fill)
        cl_h1_idle(c);
}

/* Hand what was filled to the transport. False: it is on its way, or the connection is closed. */
static bool send_fill(struct cl_h1 *c) {
    struct cl_out *o = c->fill;
    int err = CELLO_OK;
    c->fill = NULL;
    c->stream_in_place = false;
    if (o->iov_count || o->file.left) { /* none: a sink was dropped, or a chunk was empty */
        c->fly = o;
        err = o->file.left ? cl_stream_sendfile(c->super.stream, o->iov, o->iov_count, &o->file)
                           : cl_stream_send(c->super.stream, o->iov, o->iov_count);
        if (err == CELLO_EAGAIN)
            cl_h1_watch_write(c);
        else if (err)
            cl_h1_close(c);
        if (err)
            return false;
        c->fly = NULL;
    }
    cl_out_del(o);
    return true;
}

/* The generator may be asked: what it gives joins the head, or small chunks before it, in one
 * write. It may not while the output refers to its bytes, which the next call would take away. */
static bool may_pull(const struct cl_h1 *c) {
    const struct cl_out *o = c->fill;
    if (c->stream_asked || c->stream_cut)
        return false;
    return !o || (!c->stream_done && !c->stream_in_place && o->bytes < JOIN_MAX &&
                  o->iov_count <= CL_OUT_IOV - 4);
}

static void pull(struct cl_h1 *c) {
    if (c->req->response.kind == CL_BODY_SEGMENTS && !c->stream_done)
        put_segments(c, c->req);
    else
        cl_h1_pull(c);
}

void cl_h1_flush(struct cl_flush *f) {
    struct cl_h1 *c = CL_CONTAINER_OF(f, struct cl_h1, flush);
    size_t spent = 0;
    while (c->state != CL_H1_CLOSED && !c->fly) {
        bool asks = CL_UNLIKELY(c->state == CL_H1_STREAM) && may_pull(c);
        if (asks && spent <= CL_TURN_BUDGET) {
            spent += CL_PULL_COST;
            pull(c);
        } else if (c->fill) {
            spent += c->fill->bytes;
            if (!send_fill(c))
                return;
        } else if (asks) {
            cl_h1_flush_later(c);
            return;
        } else if (c->stream_cut) {
            cl_h1_close(c);
        } else {
            all_sent(c);
            return;
        }
    }
}

static void refuse_more(struct cl_h1 *c) {
    c->keep_alive = false;
    if (c->first && c->state == CL_H1_IDLE)
        cl_h1_idle(c);
    else if ((c->state == CL_H1_IDLE || c->state == CL_H1_HEAD) && !c->fill && !c->fly)
        cl_h1_close(c);
    else if (c->state == CL_H1_IDLE)
        c->close_after = true;
}

/* While the worker retires, the answer to the next request is what says close, as all do from here
 * on. */
static void drain(struct cl_conn *super) {
    struct cl_h1 *c = cl_h1_of(super);
    if (!super->worker->retiring)
        refuse_more(c);
    if (c->req && !super->worker->drain_told)
        cl_request_draining(c->req);
    if (c->fill && !c->fly && c->state != CL_H1_CLOSED)
        cl_h1_flush(&c->flush); /* what it said then leaves before a stop without time closes all */
}

static void close_conn(struct cl_conn *super) {
    cl_h1_close(cl_h1_of(super));
}

const struct cl_conn_ops cl_h1_conn_ops = {
    .protocol = "HTTP/1.1",
    .read = cl_h1_read,
    .unread = cl_h1_unread,
    .sink = sink,
    .sink_drop = sink_drop,
    .respond = respond,
    .hints = hints,
    .chunk = cl_h1_chunk,
    .abort = cl_h1_abort,
    .drain = drain,
    .close = close_conn,
};
