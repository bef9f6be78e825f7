/* Frames to bytes: what the session has to say goes into the output until that is full, then to the
 * transport; bodies are asked for what comes next when a frame of theirs is about to be made, which
 * is when both windows and the output have room. */
#include "http2/conn_internal.h"

enum {
    COPY_MAX = 2048,        /* payload up to this is copied behind the head of its frame */
    OUT_MAX = 131072,       /* bytes of one send */
    FILE_ROOM = 65536 - 64, /* a block for the frames of a file, which stand together in it */
    FRAME_MIN = 1024,       /* bytes of a frame that is work, though a window has cut it */
};

/* ---- bytes of bodies ---- */

static bool may_ask(const struct cl_h2_stream *st) {
    return !st->asked && !st->lent && st->conn->spent <= CL_TURN_BUDGET;
}

/* Ask the generator. False: it has nothing now, or the connection went with it. */
static bool ask(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    struct cl_generator *g = st->req->response.generator;
    if (!may_ask(st))
        return false;
    c->spent += CL_PULL_COST;
    st->asked = st->pulling = true;
    g->proceed(g, st->req);
    if (c->state != CL_H2_OPEN)
        return false;
    st->pulling = false;
    return !st->asked;
}

/* The next segment; a file's part stays at the front of the queue until it was read. */
static void next_segment(struct cl_h2_stream *st) {
    struct cl_segments *q = st->req->response.segments;
    if (q->at < q->count && q->items[q->at].fd < 0) {
        st->out = q->items[q->at].bytes;
        q->at++;
    }
    st->last = q->at == q->count;
}

static bool is_of_file(const struct cl_h2_stream *st) {
    return !st->out.len && !st->last && st->req->response.kind == CL_BODY_SEGMENTS;
}

/* Small chunks are joined in one frame. Returns how many bytes. */
static size_t join_chunks(struct cl_h2_stream *st, uint8_t *buf, size_t room) {
    size_t n = 0;
    while (st->out.len <= COPY_MAX && st->out.len <= room - n) {
        if (st->out.len)
            memcpy(buf + n, st->out.ptr, st->out.len);
        n += st->out.len;
        st->req->response.bytes_sent += st->out.len;
        st->out.len = 0;
        struct cl_h2 *c = st->conn;
        if (st->last || st->cut || n == room || !ask(st) || c->state != CL_H2_OPEN)
            break;
    }
    return n;
}

/* The frame has the last bytes of the body. */
static int finish(struct cl_h2_stream *st, uint32_t *flags) {
    const struct cl_response *s = &st->req->response;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!s->trailer_count || s->kind != CL_BODY_STREAM || s->has_length || st->tunnel)
        return CELLO_OK;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return cl_h2_send_trailers(st);
}

/* The session does not ask again before it is told. */
static ssize_t defer(struct cl_h2_stream *st) {
    st->deferred = true;
    if (!st->asked && !st->lent) { /* this turn's budget is used up */
        cl_h2_make_ready(st);
        cl_h2_flush_later(st->conn);
    }
    return NGHTTP2_ERR_DEFERRED;
}

void cl_h2_resume(struct cl_h2_stream *st) {
    if (!st->deferred)
        return;
    st->deferred = false;
    if (nghttp2_is_fatal(nghttp2_session_resume_data(st->conn->session, st->id)))
        st->conn->doom = NGHTTP2_INTERNAL_ERROR;
    cl_h2_flush_later(st->conn);
}

/* How much of what lies elsewhere goes into the next frame; *end: and nothing comes behind it. */
static size_t measure(struct cl_h2_stream *st, size_t room, bool *end) {
    if (!st->out.len && !st->last)
        next_segment(st);
    if (!is_of_file(st)) {
        *end = st->out.len <= room && st->last;
        return CL_MIN(st->out.len, room);
    }
    const struct cl_segments *q = st->req->response.segments;
    uint64_t left = q->items[q->at].length;
    *end = left <= room && q->at + 1 == q->count;
    return (size_t)CL_MIN(left, (uint64_t)room);
}

ssize_t cl_h2_pull(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
                   nghttp2_data_source *source, void *user) {
    (void)session;
    (void)id;
    struct cl_h2 *c = user;
    struct cl_h2_stream *st = source->ptr;
    bool streamed = st->req->response.kind == CL_BODY_STREAM, end = false;
    size_t n = 0;
    if (CL_UNLIKELY(streamed)) {
        n = join_chunks(st, buf, room);
        if (c->state != CL_H2_OPEN)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        end = st->last && !st->out.len;
    }
    if (CL_UNLIKELY(st->cut) && !n)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!n && streamed && !end && !st->out.len)
        return defer(st);
    if (CL_LIKELY(!n)) {
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
        n = measure(st, room, &end);
    }
    if (end && finish(st, flags))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    st->sent_ns = c->sent_ns = cl_h2_now(c);
    c->work.bytes += n;
    c->work.frames += n < room || n >= FRAME_MIN;
    return (ssize_t)n;
}

/* ---- frames of bodies ---- */

/* For a frame in two pieces, and one more: behind payload that lies elsewhere the session may go on
 * with a frame of its own before it asks again. */
static bool has_room(const struct cl_out *o) {
    return o->iov_count + 3 <= CL_OUT_IOV && o->bytes < OUT_MAX;
}

static void lend(struct cl_h2_stream *st) {
    if (st->lent)
        return;
    st->lent = true;
    st->lent_next = st->conn->lent;
    st->conn->lent = st;
}

static int put_file(struct cl_h2_stream *st, char *to, size_t n) {
    struct cl_segments *q = st->req->response.segments;
    struct cello_segment *g = &q->items[q->at];
    struct cl_file_part part = {g->fd, g->offset, g->length};
    int err = cl_file_part_read(&part, to, n);
    g->offset = part.offset;
    g->length = part.left;
    if (!part.left)
        q->at++;
    st->last = q->at == q->count;
    return err;
}

/* Room for the next frame of a file, and for those behind it. */
static struct cl_block *file_room(struct cl_h2_stream *st, size_t size) {
    struct cl_out *o = st->conn->out;
    const struct cl_segments *q = st->req->response.segments;
    uint64_t left = q->items[q->at].length;
    if (cl_block_room(o->blocks) >= size)
        return o->blocks;
    return cl_out_grow(o, CL_MAX(size, (size_t)CL_MIN(left, (uint64_t)FILE_ROOM)));
}

/* The head of a frame and its payload, which is copied when it is small. */
static int put_frame(struct cl_h2_stream *st, const uint8_t *head, size_t n) {
    struct cl_out *o = st->conn->out;
    bool file = is_of_file(st), copied = file || n <= COPY_MAX;
    size_t size = CL_H2_FRAME_HEAD + (copied ? n : 0);
    struct cl_block *b = file ? file_room(st, size) : cl_out_room(o, size);
    if (!b)
        return CELLO_EAGAIN;
    char *to = cl_block_wr(b);
    memcpy(to, head, CL_H2_FRAME_HEAD);
    if (file) {
        int err = put_file(st, to + CL_H2_FRAME_HEAD, n);
        if (err)
            return err;
    } else if (copied && n) {
        memcpy(to + CL_H2_FRAME_HEAD, st->out.ptr, n);
    }
    b->wr += size;
    bool fits = cl_out_segment(o, to, size);
    if (!copied) {
        fits = fits && cl_out_segment(o, st->out.ptr, n);
        lend(st);
    }
    assert(fits);
    (void)fits;
    if (!file && n)
        st->out = cl_str(st->out.ptr + n, st->out.len - n);
    return CELLO_OK;
}

int cl_h2_put_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                   nghttp2_data_source *source, void *user) {
    (void)session;
    (void)frame;
    struct cl_h2 *c = user;
    struct cl_h2_stream *st = source->ptr;
    int err = has_room(c->out) ? put_frame(st, head, n) : CELLO_EAGAIN;
    if (err == CELLO_EAGAIN) {
        c->full = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    if (err) {
        st->cut = true; /* a file has become shorter */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    st->req->response.bytes_sent += n;
    return 0;
}

/* ---- generators ---- */

/* The body cannot be completed. Behind what there is of it the client learns that from cl_h2_pull,
 * which is not called while its windows are shut. */
static void cut_body(struct cl_h2_stream *st) {
    st->cut = true;
    if (st->out.len)
        cl_h2_resume(st);
    else if (!st->pulling)
        cl_h2_reset(st, NGHTTP2_INTERNAL_ERROR);
}

void cl_h2_chunk(struct cl_request *r, struct cl_str bytes, bool last) {
    struct cl_h2_stream *st = r->exchange;
    assert(st->asked);
    st->asked = false;
    if (!cl_response_keeps_length(&r->response, bytes.len, last)) {
        cut_body(st);
        return;
    }
    st->out = bytes;
    st->last = last;
    if (!st->pulling)
        cl_h2_resume(st);
}

void cl_h2_abort(struct cl_request *r) {
    struct cl_h2_stream *st = r->exchange;
    if (!st->submitted || st->tunnel) {
        /* Nothing was answered, and nothing will be: the client has left. Or both sides of a tunnel
         * end at once, which is said like this: RFC 8441, 5. */
        cl_h2_reset(st, NGHTTP2_CANCEL);
        st->blameless = st->submitted;
        return;
    }
    st->asked = false;
    cut_body(st);
}

/* Its own window is open: it waits for that of the connection, which others' answers use first. */
static bool is_behind_others(const struct cl_h2_stream *st) {
    return nghttp2_session_get_stream_remote_window_size(st->conn->session, st->id) > 0;
}

void cl_h2_stalled(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    uint64_t now = cl_h2_now(c), write_ns = c->super.worker->timeouts.write_ns;
    if (!st->submitted || !write_ns)
        return;
    bool waits_for_us = st->asked || c->sending; /* which has a time limit of its own */
    uint64_t from = waits_for_us ? now : st->sent_ns;
    if (is_behind_others(st))
        from = CL_MAX(from, c->sent_ns);
    if (now < from + write_ns)
        cl_timer_set(cl_h2_timers(c), &st->timer, from + write_ns);
    else
        cl_h2_reset(st, NGHTTP2_CANCEL);
}

/* Answers that are not with the output as a whole may be waiting for a window. */
static void watch_windows(struct cl_h2 *c) {
    uint64_t write_ns = c->super.worker->timeouts.write_ns, now = cl_h2_now(c);
    if (!write_ns)
        return;
    for (struct cl_h2_stream *st = c->streams; st; st = st->next) {
        if (!st->submitted || st->over || st->timer.next)
            continue;
        st->sent_ns = now;
        cl_timer_set(cl_h2_timers(c), &st->timer, now + write_ns);
    }
}

/* ---- sending ---- */

void cl_h2_out_done(struct cl_h2 *c) {
    struct cl_out *o = c->out;
    c->out = NULL;
    c->sending = false;
    while (c->lent) {
        struct cl_h2_stream *st = c->lent;
        c->lent = st->lent_next;
        cl_h2_stream_returned(st);
    }
    if (o)
        cl_out_del(o);
}

static bool put_frames_of_session(struct cl_h2 *c, const uint8_t *bytes, size_t n) {
    struct cl_block *b = cl_out_room(c->out, n);
    return b && cl_out_copy(c->out, b, (const char *)bytes, n);
}

/* What the session has to say, as far as there is room. False: it has nothing, or no memory. */
static bool fill(struct cl_h2 *c) {
    if (!c->out && !(c->out = cl_out_new(cl_h2_pool(c)))) {
        cl_h2_set_due(c, CL_H2_DUE_MEMORY, CL_H2_MEMORY_NS);
        return false;
    }
    c->full = false;
    ssize_t n = 1;
    while (!c->full && n > 0 && has_room(c->out)) {
        const uint8_t *bytes = NULL;
        c->inside++;
        n = nghttp2_session_mem_send(c->session, &bytes);
        c->inside--;
        if (n > 0 && !put_frames_of_session(c, bytes, (size_t)n))
            n = NGHTTP2_ERR_NOMEM;
    }
    if (c->state != CL_H2_OPEN) {
        cl_h2_out_done(c);
        return false;
    }
    if (c->doom)
        cl_h2_die(c, c->doom);
    else if (n < 0 || c->pieces.failed)
        cl_h2_close(c);
    if (c->state != CL_H2_OPEN)
        return false;
    if (c->out->iov_count)
        return true;
    if (c->full)
        cl_h2_set_due(c, CL_H2_DUE_MEMORY, CL_H2_MEMORY_NS);
    cl_h2_out_done(c);
    return false;
}

/* False: it is on its way, or the connection is closed. */
static bool send_out(struct cl_h2 *c) {
    struct cl_out *o = c->out;
    c->spent += o->bytes;
    c->sending = c->spoke = true;
    int err = cl_stream_send(c->super.stream, o->iov, o->iov_count);
    if (err == CELLO_EAGAIN)
        cl_h2_watch_write(c);
    else if (err)
        cl_h2_close(c);
    else
        cl_h2_out_done(c);
    return !err;
}

void cl_h2_flush(struct cl_flush *f) {
    struct cl_h2 *c = CL_CONTAINER_OF(f, struct cl_h2, flush);
    if (c->inside || c->flushing) {
        cl_h2_flush_later(c);
        return;
    }
    c->flushing = true;
    c->spent = 0;
    cl_h2_run_ready(c);
    while (c->state == CL_H2_OPEN && !c->sending && fill(c) && send_out(c)) {
        if (c->spent > CL_TURN_BUDGET) {
            cl_h2_flush_later(c);
            break;
        }
    }
    c->flushing = false;
    cl_block_drop(&c->bodies);
    if (c->state != CL_H2_OPEN)
        return;
    if (c->unfinished)
        watch_windows(c);
    cl_h2_settle(c);
}
