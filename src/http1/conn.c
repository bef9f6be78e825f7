#include "http1/conn.h"

#include "base/alloc.h"
#include "http1/conn_internal.h"

static struct cl_h1 *of_stream(struct cl_stream *s) {
    return s->protocol;
}

/* One byte more than the longest head: with it the parser sees that a limit is passed. */
size_t cl_h1_head_max(const struct cl_worker *w) {
    return w->limits.max_uri + CL_REQUEST_LINE_SLACK + w->limits.max_header_size + 1;
}

/* ---- time ---- */

static void read_timeout(struct cl_h1 *c) {
    if (c->reading) {
        c->req->body_end = CELLO_ETIMEOUT;
        cl_h1_run(c);
        return;
    }
    switch (c->state) {
    case CL_H1_HEAD: cl_h1_fail(c, 408, "The request head took too long."); break;
    case CL_H1_BODY: cl_h1_fail(c, 408, CL_DETAIL_SLOW_BODY); break;
    default: cl_h1_close(c); break;
    }
}

void cl_h1_watch_write(struct cl_h1 *c) {
    uint64_t write_ns = c->super.worker->timeouts.write_ns;
    cl_h1_write_by(c, cl_write_watch_begin(&c->write_watch, cl_h1_now(c), write_ns));
}

/* False: the peer has read nothing for the whole of the write timeout. */
static bool check_write(struct cl_h1 *c, uint64_t now) {
    uint64_t write_ns = c->super.worker->timeouts.write_ns;
    uint64_t next_ns = cl_write_watch_next(&c->write_watch, c->super.stream, now, write_ns);
    if (next_ns)
        cl_h1_write_by(c, next_ns);
    return next_ns != 0;
}

static void on_timer(struct cl_timer *t) {
    struct cl_h1 *c = CL_CONTAINER_OF(t, struct cl_h1, timer);
    uint64_t now = cl_h1_now(c);
    if (c->write_by_ns <= now) {
        if (!check_write(c, now)) {
            /* An ordinary close would leave the kernel with what nobody reads. */
            cl_stream_reset_on_close(c->super.stream);
            cl_h1_close(c);
            return;
        }
    }
    if (c->read_by_ns <= now && c->by_hand && !c->reading) {
        c->read_by_ns = UINT64_MAX;
        cl_h1_end_by_hand(c);
    } else if (c->read_by_ns <= now && c->gathering) {
        cl_h1_stop_gathering(c);
        c->read_by_ns = c->body_by_ns;
    } else if (c->read_by_ns <= now) {
        c->read_by_ns = UINT64_MAX;
        read_timeout(c);
    }
    if (c->state != CL_H1_CLOSED)
        cl_h1_read_by(c, c->read_by_ns); /* it fired: put it back for whichever comes next */
}

void cl_h1_idle(struct cl_h1 *c) {
    const struct cl_timeouts *t = &c->super.worker->timeouts;
    uint64_t timeout_ns = c->first && t->read_header_ns ? t->read_header_ns : t->idle_ns;
    if (c->super.worker->draining && !c->super.worker->retiring)
        timeout_ns = CL_DRAIN_GRACE_NS;
    cl_h1_read_by(c, cl_h1_after(c, timeout_ns));
    cl_conn_set_idle(&c->super, true);
}

/* ---- the end ---- */

void cl_h1_linger(struct cl_h1 *c) {
    if (c->peer_eof && !c->speaking) {
        cl_h1_close(c);
        return;
    }
    c->state = CL_H1_LINGER;
    cl_block_drop(&c->super.stream->in);
    cl_stream_shutdown(c->super.stream);
    cl_h1_read_by(c, cl_h1_after(c, CL_LINGER_NS));
    if (c->paused) {
        c->paused = false;
        cl_stream_resume(c->super.stream);
    }
}

void cl_h1_end_request(struct cl_h1 *c) {
    struct cl_worker *w = c->super.worker;
    struct cl_request *r = c->req;
    c->req = NULL;
    c->reading = false;
    cl_conn_leave_request(r);
    bool lent = r->response.kind >= CL_BODY_STREAM;
    if (lent && c->fly && c->state == CL_H1_CLOSED) {
        /* The kernel may still read the bytes: their source is told when that is over. In other
         * states what is being sent is an earlier answer, and nothing was asked of this one's. */
        cl_request_ref(r);
        c->unstopped = r;
    } else if (lent) {
        cl_response_end_body(r);
    }
    cl_conn_end_request(w, r);
    cl_request_unref(r);
}

static uint64_t file_left(const struct cl_out *o) {
    return o ? o->file.left : 0;
}

/* A body that ends with the connection must not look whole. What a generator gave before it failed
 * is still read where the framing says that there was to be more: a reset might take it away. */
static void cut_body(struct cl_h1 *c) {
    const struct cl_response *s = &c->req->response;
    if (s->kind != CL_BODY_STREAM || !(c->stream_chunked || s->has_length))
        cl_stream_reset_on_close(c->super.stream);
    c->req->response.bytes_sent -= file_left(c->fly) + file_left(c->fill);
}

void cl_h1_close(struct cl_h1 *c) {
    if (c->state == CL_H1_CLOSED)
        return;
    struct cl_worker *w = c->super.worker;
    if (c->state == CL_H1_STREAM)
        cut_body(c);
    c->state = CL_H1_CLOSED;
    if (c->req) {
        if (CL_UNLIKELY(c->body_pending))
            (void)cl_h1_skip_body(c);
        cl_h1_end_request(c);
    }
    cl_timer_stop(cl_loop_timers(w->loop), &c->timer);
    if (c->fill)
        cl_out_del(c->fill);
    c->fill = NULL;
    cl_block_drop(&c->super.stream->in);
    cl_conn_unlink(&c->super);
    w->service->on_conn_closed(w, &c->super);
    cl_stream_close(c->super.stream);
}

/* ---- from the transport ---- */

/* What comes instead of bytes. Returns false when there is nothing to do about it now. */
static bool take_end(struct cl_h1 *c, int result) {
    switch (result) {
    case CELLO_EOF:
        c->peer_eof = true;
        cl_h1_stop_gathering(c);
        if (c->state == CL_H1_HANDLER && !c->reading) /* a reader is told something better */
            cl_request_left(c->req);
        cl_h1_stream_eof(c);
        if (c->state != CL_H1_LINGER)
            return true;
        if (!c->speaking)
            cl_h1_close(c);
        return false;
    case CELLO_EAGAIN: c->arrived = c->paused = true; return true;
    case CELLO_ELIMIT: c->paused = true; return true;
    case CELLO_ENOMEM:
        /* Answers that are being made or sent come first; then the transport tries again. */
        c->paused = true;
        if (c->reading) {
            c->req->body_end = CELLO_ENOMEM;
            return true;
        }
        if (c->state == CL_H1_BODY || (c->state <= CL_H1_HEAD && !c->fill && !c->fly))
            cl_h1_last_words(c);
        return false;
    default: cl_h1_close(c); return false;
    }
}

static void on_recv(struct cl_stream *s, int result) {
    struct cl_h1 *c = of_stream(s);
    if (c->state == CL_H1_CLOSED || (CL_UNLIKELY(result < 0) && !take_end(c, result)))
        return;
    if (CL_UNLIKELY(c->body_pending) && result > 0)
        cl_h1_size_reads(c, (size_t)result);
    if (c->state != CL_H1_LINGER)
        cl_h1_run(c);
    else if (!cl_conn_drop_input(&c->super))
        cl_h1_close(c);
}

static void on_sent(struct cl_stream *s, int err) {
    struct cl_h1 *c = of_stream(s);
    struct cl_out *o = c->fly;
    c->speaking = false;
    if (err) {
        cl_h1_close(c); /* `fly` shows what is not sent, and goes with the connection */
        return;
    }
    c->fly = NULL;
    if (o)
        cl_out_del(o);
    if (c->state == CL_H1_CLOSED)
        return;
    if (c->state == CL_H1_LINGER && c->peer_eof) {
        cl_h1_close(c);
        return;
    }
    cl_h1_write_by(c, UINT64_MAX);
    cl_h1_flush(&c->flush);
}

static void on_closed(struct cl_stream *s) {
    struct cl_h1 *c = of_stream(s);
    if (!c)
        return; /* turned away before it became a connection */
    cl_loop_flush_cancel(s->loop, &c->flush);
    if (c->fly)
        cl_out_del(c->fly);
    if (c->unstopped) {
        cl_response_end_body(c->unstopped);
        cl_request_unref(c->unstopped);
    }
    cl_free(c);
}

const struct cl_stream_handler cl_h1_stream_handler = {
    .on_recv = on_recv,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

int cl_h1_open(struct cl_worker *w, struct cl_stream *s) {
    struct cl_h1 *c = cl_calloc(1, sizeof *c);
    if (!c)
        return CELLO_ENOMEM;
    cl_conn_init(&c->super, &cl_h1_conn_ops, w, s);
    c->first = true;
    c->flush.run = cl_h1_flush;
    cl_timer_init(&c->timer, on_timer);
    s->protocol = c;
    s->in_max = cl_h1_head_max(w);
    c->read_by_ns = c->write_by_ns = UINT64_MAX;
    cl_h1_idle(c);
    return CELLO_OK;
}
