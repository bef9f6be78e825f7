/* Bodies of requests: collected for the handler, fed to a sink as they come, or read by the handler
 * when it likes. The window of a stream opens again with what was collected, fed or read: what a
 * handler leaves unread is at most initial_window_size. */
#include "http2/conn_internal.h"

/* ---- windows ---- */

static void give_back(struct cl_h2_stream *st, size_t n) {
    struct cl_h2 *c = st->conn;
    if (!n || st->closed)
        return;
    if (nghttp2_is_fatal(nghttp2_session_consume(c->session, st->id, n)))
        c->doom = NGHTTP2_INTERNAL_ERROR;
    if (!c->inside)
        cl_h2_flush_later(c);
}

static void drop_unread(struct cl_h2_stream *st) {
    size_t n = cl_h2_body_waiting(st);
    cl_block_drop(&st->in);
    give_back(st, n);
}

/* ---- time ---- */

/* The client cannot send: handlers that do not read hold all of the connection's window. */
static bool is_held_up(const struct cl_h2_stream *st) {
    return nghttp2_session_get_local_window_size(st->conn->session) <= 0;
}

/* What has come of it, or could have: the bodies of a connection share the client's link, which may
 * send them in any order, also one behind the other. Each has its part in what has come of all. */
static uint64_t received_or_shared(const struct cl_h2_stream *st) {
    const struct cl_h2 *c = st->conn;
    uint64_t part = (c->received - st->received_before) / CL_MAX(c->bodies_pending, 1u);
    return CL_MAX(st->received, part);
}

/* Some body of this client's has come within the time that one may be silent. */
static bool is_link_busy(const struct cl_h2_stream *st) {
    const struct cl_h2 *c = st->conn;
    uint64_t read_body_ns = c->super.worker->timeouts.read_body_ns;
    return !read_body_ns || cl_h2_now(c) < c->received_ns + read_body_ns;
}

/* More of the body is waited for. */
static int progress(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    const struct cl_timeouts *t = &c->super.worker->timeouts;
    uint64_t now = cl_h2_now(c), received = received_or_shared(st);
    uint64_t deadline = cl_body_watch_deadline(&st->body_watch, t, now, received);
    if (deadline < now && !is_held_up(st))
        return CELLO_ETIMEOUT;
    cl_timer_set(cl_h2_timers(c), &st->timer, CL_MAX(deadline, now));
    return CELLO_OK;
}

static void stop_clock(struct cl_h2_stream *st) {
    cl_timer_stop(cl_h2_timers(st->conn), &st->timer);
}

void cl_h2_body_timeout(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    if (st->over) {
        cl_h2_reset(st, NGHTTP2_NO_ERROR);
        return;
    }
    if (st->tunnel) {
        cl_h2_tunnel_timeout(st);
        return;
    }
    bool waits = st->body_pending && !st->discard && (st->reading || !st->delivered);
    if (!waits) {
        cl_h2_stalled(st);
        return;
    }
    if (is_held_up(st))
        cl_body_watch_begin(&st->body_watch, cl_h2_now(c));
    if ((is_held_up(st) || is_link_busy(st)) && progress(st) == CELLO_OK)
        return;
    if (st->reading) {
        st->req->body_end = CELLO_ETIMEOUT;
        cl_h2_make_ready(st);
        cl_h2_run_ready(c);
    } else {
        cl_h2_fail(st, 408, CL_DETAIL_SLOW_BODY);
    }
}

/* ---- readers ---- */

void cl_h2_make_ready(struct cl_h2_stream *st) {
    if (st->ready)
        return;
    st->ready = true;
    st->ready_next = st->conn->ready;
    st->conn->ready = st;
}

static void stop_waiting(struct cl_h2_stream *st) {
    if (!st->reading)
        return;
    st->reading = false;
    cl_body_watch_rest(&st->body_watch, cl_h2_now(st->conn));
    if (!st->tunnel) /* whose clock is that of what it says */
        stop_clock(st);
    if (st->submitted) /* the answer has the clock from now on */
        cl_h2_flush_later(st->conn);
}

void cl_h2_run_ready(struct cl_h2 *c) {
    while (c->ready && c->state == CL_H2_OPEN) {
        struct cl_h2_stream *st = c->ready;
        c->ready = st->ready_next;
        st->ready = false;
        if (!st->asked && !st->lent)
            cl_h2_resume(st);
        if (!st->reading)
            continue;
        stop_waiting(st);
        cl_request_tell_reader(st->req);
    }
}

/* What there is to read has run out. */
static int wait_for_more(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    struct cl_h2 *c = st->conn;
    if (st->continue_owed && !st->submitted && cl_h2_send_continue(st) != CELLO_OK)
        return r->body_end = CELLO_ENOMEM;
    st->continue_owed = false;
    if (!r->reader)
        return CELLO_EAGAIN;
    cl_body_watch_wait(&st->body_watch, cl_h2_now(c));
    st->reading = true;
    cl_loop_need_turn(c->super.worker->loop);
    if (st->tunnel || progress(st) == CELLO_OK)
        return CELLO_EAGAIN;
    stop_waiting(st);
    return r->body_end = CELLO_ETIMEOUT;
}

/* All that is here, in the block it lies in; the request has that from now on, and alone when it is
 * full. */
static struct cl_str take_piece(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    struct cl_block *b = st->in;
    struct cl_str piece = {cl_block_rd(b), cl_block_len(b)};
    b->rd = b->wr;
    r->body_block = b;
    if (cl_block_room(b) < CL_BLOCK_ROOM_MIN || !st->body_pending)
        st->in = NULL;
    else
        cl_block_ref(b);
    give_back(st, piece.len);
    return piece;
}

int cl_h2_read(struct cl_request *r, struct cl_str *bytes) {
    struct cl_h2_stream *st = r->exchange;
    stop_waiting(st);
    cl_block_drop(&r->body_block);
    if (cl_h2_body_waiting(st)) {
        *bytes = take_piece(st);
        return CELLO_OK;
    }
    *bytes = cl_str(NULL, 0);
    if (r->body_end)
        return r->body_end;
    if (!st->body_pending)
        return r->body_end = CELLO_EOF;
    return wait_for_more(st);
}

void cl_h2_unread(struct cl_request *r) {
    stop_waiting(r->exchange);
}

/* ---- as it comes ---- */

void cl_h2_deliver(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    struct cl_worker *w = r->worker;
    st->delivered = true;
    stop_clock(st);
    w->service->on_request(w, r);
}

/* Behind what is there already. */
static int append(struct cl_h2 *c, struct cl_block **b, struct cl_str bytes, size_t room) {
    if (!*b)
        *b = cl_block_new(cl_h2_pool(c), CL_MAX(bytes.len, room));
    if (!*b)
        return CELLO_ENOMEM;
    if (cl_block_room(*b) < bytes.len) {
        size_t more = CL_MAX(bytes.len, cl_block_len(*b));
        int err = cl_block_reserve(b, more, SIZE_MAX / 2);
        if (err)
            return err;
    }
    memcpy(cl_block_wr(*b), bytes.ptr, bytes.len);
    (*b)->wr += bytes.len;
    return CELLO_OK;
}

/* One that came in one piece stays where it was received, unless that is much larger. */
static int collect(struct cl_h2_stream *st, struct cl_str bytes, bool whole) {
    struct cl_request *r = st->req;
    struct cl_block *in = st->conn->super.stream->in;
    if (whole && !r->body_block && in->cap <= CL_MAX(bytes.len * 4, (size_t)CL_BLOCK_SIZE)) {
        r->body_block = in;
        cl_block_ref(in);
        r->body = bytes;
        return CELLO_OK;
    }
    size_t room = (size_t)CL_MIN(st->content_length, (uint64_t)CL_BODY_FIRST_ROOM);
    return append(st->conn, &r->body_block, bytes, room);
}

static int take(struct cl_h2_stream *st, struct cl_str bytes, bool whole) {
    struct cl_request *r = st->req;
    if (st->received > r->max_body && !st->tunnel)
        return CELLO_EBODY_TOO_LARGE;
    if (r->body_mode == CELLO_BODY_STREAM) {
        int err = append(st->conn, &st->in, bytes, 0);
        if (!err && st->reading)
            cl_h2_make_ready(st);
        return err;
    }
    int err = r->body_sink ? r->body_sink->write(r->body_sink, bytes) : collect(st, bytes, whole);
    if (!err)
        give_back(st, bytes.len);
    return err ? err : progress(st);
}

/* What cannot be taken is dropped: the handler is told in its place, or the client is. */
static void refuse(struct cl_h2_stream *st, int err, size_t n) {
    struct cl_request *r = st->req;
    give_back(st, n);
    if (r->body_mode == CELLO_BODY_STREAM && st->delivered) {
        r->body_end = err;
        st->discard = true;
        if (st->reading)
            cl_h2_make_ready(st);
    } else if (err == CELLO_ETIMEOUT) {
        cl_h2_fail(st, 408, CL_DETAIL_SLOW_BODY);
    } else {
        cl_h2_fail_err(st, err);
    }
}

void cl_h2_body_data(struct cl_h2_stream *st, struct cl_str bytes, bool whole) {
    struct cl_h2 *c = st->conn;
    st->received += bytes.len;
    c->received += bytes.len;
    c->received_ns = cl_h2_now(c);
    if (CL_LIKELY(!st->discard)) {
        if (!bytes.len)
            return;
        int err = take(st, bytes, whole);
        if (CL_UNLIKELY(err))
            refuse(st, err, err == CELLO_ETIMEOUT ? 0 : bytes.len);
        return;
    }
    give_back(st, bytes.len);
    if (!st->over)
        return;
    st->lingered += bytes.len;
    if (st->lingered > CL_LINGER_BYTES)
        cl_h2_reset(st, NGHTTP2_NO_ERROR);
}

static void forget_pending(struct cl_h2_stream *st) {
    st->conn->bodies_pending -= st->shares;
    st->body_pending = st->shares = false;
}

void cl_h2_body_complete(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    int err = st->in_trailers ? st->head_err : CELLO_OK;
    forget_pending(st);
    if (st->over || st->discard)
        return;
    if (r->body_mode == CELLO_BODY_STREAM) {
        if (err)
            r->body_end = err;
        if (st->reading)
            cl_h2_make_ready(st);
        return;
    }
    stop_clock(st);
    if (!err && r->body_sink)
        err = r->body_sink->end(r->body_sink);
    if (err) {
        cl_h2_fail_err(st, err);
        return;
    }
    if (r->body_block && !r->body.ptr)
        r->body = cl_str(cl_block_rd(r->body_block), cl_block_len(r->body_block));
    cl_h2_deliver(st);
}

/* ---- before and behind it ---- */

void cl_h2_body_ended_early(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    bool pending = st->body_pending;
    forget_pending(st);
    if (pending && !r->body_end)
        r->body_end = CELLO_ECANCELED;
    if (!st->delivered && pending && !st->discard)
        cl_h2_reset(st, NGHTTP2_CANCEL); /* it will never be complete */
    else if (st->reading)
        cl_h2_make_ready(st); /* who reads is told by that */
    else if (!r->answered)
        cl_request_left(r);
}

void cl_h2_body_begin(struct cl_h2_stream *st) {
    struct cl_request *r = st->req;
    if (CL_UNLIKELY(st->tunnel)) /* there is nothing that could be complete */
        r->body_mode = CELLO_BODY_STREAM;
    bool streamed = r->body_mode == CELLO_BODY_STREAM;
    if (st->content_length > r->max_body) {
        cl_h2_fail_err(st, CELLO_EBODY_TOO_LARGE);
        return;
    }
    cl_body_watch_begin(&st->body_watch, cl_h2_now(st->conn));
    st->continue_owed = st->expect_continue && streamed;
    if (st->expect_continue && !streamed && cl_h2_send_continue(st) != CELLO_OK) {
        cl_h2_fail_err(st, CELLO_ENOMEM);
        return;
    }
    if (streamed)
        cl_h2_deliver(st);
    else
        (void)!progress(st);
}

void cl_h2_body_discard(struct cl_h2_stream *st) {
    if (st->discard)
        return;
    st->discard = true;
    stop_clock(st);
    if (st->body_pending || cl_h2_body_waiting(st)) {
        if (!st->req->body_end || st->req->body_end == CELLO_EOF)
            st->req->body_end = CELLO_ECANCELED;
        drop_unread(st);
    }
    if (CL_UNLIKELY(st->reading)) /* who waits for more learns that none comes */
        cl_h2_make_ready(st);
}

void cl_h2_body_linger(struct cl_h2_stream *st) {
    cl_h2_body_discard(st);
    if (st->continue_owed) /* it waits for a word before it sends, and has got another one */
        cl_h2_reset(st, NGHTTP2_NO_ERROR);
    else
        cl_timer_set(cl_h2_timers(st->conn), &st->timer, cl_h2_now(st->conn) + CL_LINGER_NS);
}
