#include "http1/conn.h"

#include "base/alloc.h"
#include "http1/conn_internal.h"

static struct cl_h1 *of_stream(struct cl_stream *s) {
    return s->protocol;
}

static size_t head_max(const struct cl_worker *w) {
    return w->limits.max_uri + CL_REQUEST_LINE_SLACK + w->limits.max_header_size;
}

void cl_h1_arm(struct cl_h1 *c) {
    const struct cl_timeouts *t = &c->super.worker->timeouts;
    if (c->fly) {
        cl_h1_deadline(c, t->write_ns);
        return;
    }
    switch (c->state) {
    case CL_H1_IDLE: cl_h1_deadline(c, c->first ? t->read_header_ns : t->idle_ns); break;
    case CL_H1_HEAD: break; /* set once, by the first byte */
    case CL_H1_BODY: break; /* set by every byte */
    case CL_H1_LINGER: cl_h1_deadline(c, CL_LINGER_NS); break;
    default: cl_h1_deadline(c, 0); break;
    }
}

static size_t unsent(const struct cl_h1 *c) {
    size_t n = 0;
    if (c->fly)
        for (int i = 0; i < c->fly->iov_count; i++)
            n += c->fly->iov[i].iov_len;
    return n;
}

/* A deadline passed. */
static void on_timer(struct cl_timer *t) {
    struct cl_h1 *c = CL_CONTAINER_OF(t, struct cl_h1, timer);
    if (c->fly) {
        size_t left = unsent(c);
        if (left < c->fly_left) { /* slow, but reading */
            c->fly_left = left;
            cl_h1_arm(c);
            return;
        }
        cl_h1_close(c);
        return;
    }
    switch (c->state) {
    case CL_H1_HEAD: cl_h1_fail(c, 408, "The request head took too long."); break;
    case CL_H1_BODY: cl_h1_fail(c, 408, "The request body came too slowly."); break;
    default: cl_h1_close(c); break;
    }
}

void cl_h1_linger(struct cl_h1 *c) {
    if (c->peer_eof) {
        cl_h1_close(c);
        return;
    }
    c->state = CL_H1_LINGER;
    if (c->super.stream->in) {
        cl_block_unref(c->super.stream->in);
        c->super.stream->in = NULL;
    }
    cl_stream_shutdown(c->super.stream);
    if (c->paused) {
        c->paused = false;
        cl_stream_resume(c->super.stream);
    }
    if (c->state == CL_H1_LINGER)
        cl_h1_arm(c);
}

static void drop_input(struct cl_h1 *c) {
    struct cl_block *in = c->super.stream->in;
    if (!in)
        return;
    c->lingered += cl_block_len(in);
    in->rd = in->wr;
    if (c->lingered > CL_LINGER_BYTES)
        cl_h1_close(c);
}

static void on_recv(struct cl_stream *s, int result) {
    struct cl_h1 *c = of_stream(s);
    if (c->state == CL_H1_CLOSED)
        return;
    if (CL_UNLIKELY(result <= 0)) {
        switch (result) {
        case CELLO_ELIMIT:
        case CELLO_ENOMEM: c->paused = true; break;
        case CELLO_EOF: c->peer_eof = true; break;
        default: cl_h1_close(c); return;
        }
        if (result == CELLO_ENOMEM) {
            cl_h1_last_words(c);
            return;
        }
        if (c->state == CL_H1_LINGER && c->peer_eof) {
            cl_h1_close(c);
            return;
        }
    }
    if (c->state == CL_H1_LINGER)
        drop_input(c);
    else
        cl_h1_run(c);
}

static void on_sent(struct cl_stream *s, int err) {
    struct cl_h1 *c = of_stream(s);
    struct cl_h1_out *o = c->fly;
    c->fly = NULL;
    if (o)
        cl_h1_out_del(o);
    if (c->state == CL_H1_CLOSED)
        return;
    if (err) {
        cl_h1_close(c);
        return;
    }
    cl_h1_flush(&c->flush);
}

static void on_closed(struct cl_stream *s) {
    struct cl_h1 *c = of_stream(s);
    if (c->fly)
        cl_h1_out_del(c->fly);
    cl_free(c);
}

void cl_h1_close(struct cl_h1 *c) {
    if (c->state == CL_H1_CLOSED)
        return;
    struct cl_worker *w = c->super.worker;
    bool streaming = c->state == CL_H1_STREAM;
    c->state = CL_H1_CLOSED;
    struct cl_request *r = c->req;
    if (r) {
        c->req = NULL;
        r->conn = NULL;
        r->peer = NULL;
        if (streaming && !c->stream_done)
            r->response.generator->stop(r->response.generator, r);
        w->service->on_done(w, r);
        cl_request_unref(r);
    }
    cl_timer_stop(cl_loop_timers(w->loop), &c->timer);
    if (c->fill) {
        cl_h1_out_del(c->fill);
        c->fill = NULL;
    }
    if (c->super.stream->in) {
        cl_block_unref(c->super.stream->in);
        c->super.stream->in = NULL;
    }
    cl_conn_unlink(&c->super);
    w->service->on_conn_closed(w, &c->super);
    cl_stream_close(c->super.stream);
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
    s->in_max = head_max(w);
    cl_conn_set_idle(&c->super, true);
    cl_h1_arm(c);
    return CELLO_OK;
}
