/* Bodies of requests: collected for the handler, fed to a sink as they come, or read by the handler
 * when it likes. */
#include "http1/conn_internal.h"

enum {
    /* Chunks with less are joined, so that a body in many tiny chunks is not as many pieces. */
    PIECE_MIN = 4096,
    /* Of large bodies this much is received with one call at first, up to CL_BODY_WINDOW when the
     * client fills it. */
    READ_FIRST = 16384,
    /* Less than this is not worth memory of its own. */
    HAND_MIN = 65536,
};

static struct cl_str unread(const struct cl_h1 *c) {
    struct cl_block *in = c->super.stream->in;
    return in ? cl_str(cl_block_rd(in), cl_block_len(in)) : cl_str(NULL, 0);
}

void cl_h1_init_body(struct cl_h1 *c) {
    const struct cl_limits *l = &c->super.worker->limits;
    c->body_taken = 0;
    c->body_heard_ns = cl_h1_now(c);
    cl_body_watch_begin(&c->body_watch, c->body_heard_ns);
    c->fast = c->by_hand = c->arrived = false;
    c->piece = cl_str(NULL, 0);
    c->continue_owed = false;
    if (c->chunked)
        cl_chunked_init(&c->decoder, l->max_header_size, NULL, l->max_headers);
}

/* What waits for a handler is the window's; what is written to a file or to memory of the reader's
 * at once is not. The request may have gone for want of memory. */
static size_t most_at_once(const struct cl_h1 *c) {
    return c->by_hand || (c->req && c->req->body_sink) ? CL_BODY_PIECE : CL_BODY_WINDOW;
}

static void size_reads(struct cl_h1 *c, size_t received, bool filled) {
    struct cl_stream *s = c->super.stream;
    uint64_t now = cl_h1_now(c);
    c->fast = (uint64_t)received * CL_BODY_GATHER_NS >= (now - c->body_heard_ns) * CL_BODY_GATHER;
    c->body_heard_ns = now;
    if (!s->in_room)
        return;
    if (received >= s->in_room / 4 && filled)
        s->in_room = CL_MIN(s->in_room * 4, most_at_once(c));
    else if (received < s->in_room / 8 && s->in_room > READ_FIRST)
        s->in_room /= 4;
}

void cl_h1_size_reads(struct cl_h1 *c, size_t received) {
    const struct cl_block *in = c->super.stream->in;
    size_reads(c, received, in && cl_block_room(in) < CL_BLOCK_ROOM_MIN);
}

/* ---- into memory of the reader's ---- */

static size_t hand_room(const struct cl_h1 *c) {
    return (size_t)CL_MIN(c->content_length - c->body_taken, (uint64_t)c->super.stream->in_room);
}

/* A large body comes quickly, and who waits for it has a place for it: what is copied there by the
 * kernel need not be copied again. */
static void begin_by_hand(struct cl_h1 *c) {
    struct cl_stream *s = c->super.stream;
    if (c->by_hand || !c->fast || c->chunked || s->in_room < HAND_MIN ||
        c->content_length - c->body_taken < HAND_MIN)
        return;
    c->by_hand = true;
    cl_stream_by_hand(s, true);
}

/* The reader has its piece; it will want another one. */
static void expect_reader(struct cl_h1 *c, struct cello_reader *reader) {
    if (!reader || !reader->has_memory)
        return;
    begin_by_hand(c);
    if (!c->by_hand)
        return;
    reader->waiting = hand_room(c);
    cl_h1_read_by(c, cl_h1_now(c) + CL_BODY_GATHER_NS);
}

static void stop_by_hand(struct cl_h1 *c) {
    struct cl_stream *s = c->super.stream;
    c->by_hand = c->arrived = false;
    s->in_room = CL_MIN(s->in_room, CL_BODY_WINDOW);
    cl_stream_by_hand(s, false);
    if (!c->reading) /* what was waited for is the reader, not the client */
        cl_h1_read_by(c, UINT64_MAX);
}

void cl_h1_end_by_hand(struct cl_h1 *c) {
    stop_by_hand(c);
    cl_h1_settle_input(c);
}

/* What there is to receive now. The end and errors are met again where the input is received. */
static int receive(struct cl_h1 *c, struct cl_str *piece) {
    const struct cello_reader *reader = c->req->reader;
    int n = CELLO_EOF;
    c->arrived = false;
    if (reader && reader->memory) {
        size_t room = (size_t)CL_MIN(c->content_length - c->body_taken, (uint64_t)reader->room);
        n = cl_stream_recv_now(c->super.stream, reader->memory, room);
        if (n > 0) {
            c->body_taken += (uint64_t)n;
            size_reads(c, (size_t)n, (size_t)n == room);
            *piece = cl_str(reader->memory, (size_t)n);
            return CELLO_OK;
        }
    }
    if (n != CELLO_EAGAIN) {
        stop_by_hand(c);
        c->fast = false;
    }
    return CELLO_EAGAIN;
}

/* ---- fewer wake-ups ---- */

void cl_h1_stop_gathering(struct cl_h1 *c) {
    if (c->gathering)
        cl_stream_gather(c->super.stream, 1);
    c->gathering = false;
}

void cl_h1_end_large_body(struct cl_h1 *c) {
    cl_h1_stop_gathering(c);
    if (c->by_hand)
        stop_by_hand(c);
    c->super.stream->in_room = 0;
}

/* More is to come of the body, of which `received` bytes are here, until `deadline`. A fast sender
 * would wake the server for every few packets; once it has been seen to be fast, and as long as it
 * is, a wake-up is for CL_BODY_GATHER bytes, or for less after CL_BODY_GATHER_NS. Never for more
 * than what is left, and never so that a deadline is missed by bytes that have come. Returns until
 * when to wait. */
static CL_NOINLINE uint64_t gather(struct cl_h1 *c, uint64_t received, uint64_t deadline) {
    uint64_t now = cl_h1_now(c);
    if (!c->fast || c->chunked || c->content_length - received < CL_BODY_GATHER ||
        deadline - now < 4 * CL_BODY_GATHER_NS) {
        cl_h1_stop_gathering(c);
        return deadline;
    }
    if (!c->gathering)
        cl_stream_gather(c->super.stream, CL_BODY_GATHER);
    c->gathering = true;
    c->body_by_ns = deadline;
    return now + CL_BODY_GATHER_NS;
}

/* ---- collected ---- */

int cl_h1_begin_body(struct cl_h1 *c) {
    struct cl_stream *s = c->super.stream;
    size_t here = unread(c).len; /* and maybe of what is pipelined behind it */
    if (c->chunked || c->content_length > here + READ_FIRST)
        s->in_room = READ_FIRST;
    if (c->req->body_sink || c->req->body_mode == CELLO_BODY_STREAM) {
        s->in_max = CL_MAX(s->in_max, most_at_once(c));
        return CELLO_OK;
    }
    if (c->chunked)
        return CELLO_OK;
    size_t length = (size_t)c->content_length;
    /* More than the body, so that a full body never looks like a full input. */
    if (length >= s->in_max)
        s->in_max = length + CL_BLOCK_SIZE;
    if (length <= here + cl_block_room(s->in))
        return CELLO_OK;
    if (!here)
        return CELLO_OK; /* the transport takes back an empty block and makes its own room */
    size_t room = CL_MIN(length - here, CL_BODY_FIRST_ROOM);
    return cl_block_reserve(&s->in, room, s->in_max);
}

/* `received` bytes of the body are here, and more are waited for. */
static CL_NOINLINE int progress(struct cl_h1 *c, uint64_t received) {
    const struct cl_timeouts *t = &c->super.worker->timeouts;
    uint64_t now = cl_h1_now(c);
    uint64_t deadline = cl_body_watch_deadline(&c->body_watch, t, now, received);
    if (deadline < now)
        return CELLO_ETIMEOUT;
    cl_h1_read_by(c, gather(c, received, deadline));
    return CELLO_OK;
}

static int collect_chunks(struct cl_h1 *c) {
    struct cl_request *r = c->req;
    for (;;) {
        struct cl_str data;
        size_t used;
        struct cl_str in = unread(c);
        if (!in.len)
            return CELLO_EAGAIN;
        int err = cl_chunked_decode(&c->decoder, in.ptr, in.len, &used, &data);
        c->super.stream->in->rd += used;
        if (err < 0)
            return err;
        if (err == CL_CHUNKED_DONE) {
            if (r->body_block)
                r->body = cl_str(cl_block_rd(r->body_block), cl_block_len(r->body_block));
            return CELLO_OK;
        }
        if (!r->body_block) {
            r->body_block = cl_block_new(cl_loop_pool(c->super.worker->loop), CL_BLOCK_SIZE);
            if (!r->body_block)
                return CELLO_ENOMEM;
        }
        if (data.len > r->max_body - cl_block_len(r->body_block))
            return CELLO_EBODY_TOO_LARGE;
        if (cl_block_reserve(&r->body_block, data.len, SIZE_MAX / 2) != CELLO_OK)
            return CELLO_ENOMEM;
        memcpy(cl_block_wr(r->body_block), data.ptr, data.len);
        r->body_block->wr += data.len;
    }
}

static int collect(struct cl_h1 *c) {
    struct cl_request *r = c->req;
    struct cl_stream *s = c->super.stream;
    uint64_t received;
    int err;
    if (c->chunked) {
        err = collect_chunks(c);
        received = r->body_block ? cl_block_len(r->body_block) : 0;
    } else if ((received = unread(c).len) >= c->content_length) {
        size_t length = (size_t)c->content_length;
        r->body = cl_str(cl_block_rd(s->in), length);
        if (s->in != r->head_block) {
            r->body_block = s->in;
            cl_block_ref(s->in);
        }
        s->in->rd += length;
        err = CELLO_OK;
    } else {
        err = CELLO_EAGAIN;
    }
    return err == CELLO_EAGAIN && progress(c, received) != CELLO_OK ? CELLO_ETIMEOUT : err;
}

/* ---- in pieces ---- */

/* One event of the decoder; what it gives counts as taken. */
static int decode(struct cl_h1 *c, struct cl_str *data) {
    struct cl_str in = unread(c);
    size_t used;
    if (!in.len)
        return CELLO_EAGAIN;
    int err = cl_chunked_decode(&c->decoder, in.ptr, in.len, &used, data);
    c->super.stream->in->rd += used;
    if (err == CL_CHUNKED_DATA) {
        if (data->len > c->req->max_body - c->body_taken)
            return CELLO_EBODY_TOO_LARGE;
        c->body_taken += data->len;
    }
    return err;
}

/* Small chunks are moved together over what framed them, which nobody else looks at. What ends the
 * piece stays in body_end for the next call. */
static int chunked_piece(struct cl_h1 *c, struct cl_str *piece) {
    int err = decode(c, piece);
    if (err != CL_CHUNKED_DATA)
        return err == CL_CHUNKED_DONE ? CELLO_EOF : err;
    while (piece->len < PIECE_MIN) {
        struct cl_str more;
        err = decode(c, &more);
        if (err == CELLO_EAGAIN)
            break;
        if (err != CL_CHUNKED_DATA) {
            c->req->body_end = err == CL_CHUNKED_DONE ? CELLO_EOF : err;
            break;
        }
        memmove((char *)(uintptr_t)piece->ptr + piece->len, more.ptr, more.len);
        piece->len += more.len;
    }
    return CELLO_OK;
}

/* What has come of the body, where it lies. CELLO_EAGAIN; CELLO_EOF: there is no more; or an error,
 * which stays. */
static int next_piece(struct cl_h1 *c, struct cl_str *piece) {
    int err = c->req->body_end;
    if (!err && c->chunked) {
        err = chunked_piece(c, piece);
    } else if (!err) {
        *piece = unread(c);
        piece->len = (size_t)CL_MIN((uint64_t)piece->len, c->content_length - c->body_taken);
        c->body_taken += piece->len;
        if (piece->len)
            c->super.stream->in->rd += piece->len;
        else
            err = c->body_taken == c->content_length ? CELLO_EOF : CELLO_EAGAIN;
    }
    if (err && err != CELLO_EAGAIN)
        c->req->body_end = err;
    return err;
}

static int feed(struct cl_h1 *c) {
    struct cl_body_sink *sink = c->req->body_sink;
    struct cl_str piece;
    int err;
    while ((err = next_piece(c, &piece)) == CELLO_OK)
        if ((err = sink->write(sink, piece)) != CELLO_OK)
            return err;
    if (err == CELLO_EAGAIN)
        return progress(c, c->body_taken) != CELLO_OK ? CELLO_ETIMEOUT : err;
    return err == CELLO_EOF ? sink->end(sink) : err;
}

int cl_h1_collect_body(struct cl_h1 *c) {
    return c->req->body_sink ? feed(c) : collect(c);
}

/* ---- read by the handler ---- */

/* The block in which the piece lies is the request's, too; it alone keeps one that has little room
 * left, so that the next piece is as large as this one. */
static void keep_block(struct cl_h1 *c) {
    struct cl_stream *s = c->super.stream;
    c->req->body_block = s->in;
    if (!cl_block_len(s->in) && cl_block_room(s->in) < s->in_room - s->in_room / 4)
        s->in = NULL;
    else
        cl_block_ref(s->in);
}

/* Fill c->piece; the request gets a reference to the block it lies in, and lets go of the one it
 * has. */
static int take_piece(struct cl_h1 *c) {
    struct cl_request *r = c->req;
    cl_block_drop(&r->body_block);
    int err = next_piece(c, &c->piece);
    if (err == CELLO_EAGAIN && c->peer_eof)
        err = r->body_end = CELLO_ECANCELED;
    if (err == CELLO_OK) {
        keep_block(c);
    } else {
        c->piece = cl_str(NULL, 0); /* what is too much may lie there */
    }
    return err;
}

/* There is nothing more to come for the reader. */
static void end_reading(struct cl_h1 *c, int err) {
    c->body_pending = false;
    cl_h1_end_large_body(c);
    c->super.stream->in_max = cl_h1_head_max(c->super.worker);
    if (err != CELLO_EOF)
        c->keep_alive = false; /* where the next request would begin is not known */
}

static void stop_waiting(struct cl_h1 *c) {
    if (!c->reading)
        return;
    c->reading = false;
    cl_body_watch_rest(&c->body_watch, cl_h1_now(c));
    cl_h1_read_by(c, c->by_hand ? cl_h1_now(c) + CL_BODY_GATHER_NS : UINT64_MAX);
}

/* What there is to read has run out. */
static int wait_for_more(struct cl_h1 *c) {
    if (c->continue_owed && c->state == CL_H1_HANDLER) {
        if (cl_h1_write_continue(c) != CELLO_OK)
            return c->req->body_end = CELLO_ENOMEM;
        cl_h1_flush_later(c);
    }
    c->continue_owed = false;
    if (!c->req->reader)
        return CELLO_EAGAIN;
    cl_body_watch_wait(&c->body_watch, cl_h1_now(c));
    c->reading = true;
    if (c->req->reader->has_memory)
        begin_by_hand(c);
    cl_loop_need_turn(c->super.worker->loop);
    if (progress(c, c->body_taken) == CELLO_OK)
        return CELLO_EAGAIN;
    stop_waiting(c);
    return c->req->body_end = CELLO_ETIMEOUT;
}

void cl_h1_throttle(struct cl_h1 *c) {
    struct cl_stream *s = c->super.stream;
    size_t len = unread(c).len;
    bool read_here = c->body_pending && c->req && c->req->body_mode == CELLO_BODY_STREAM;
    bool full = len && !c->reading && cl_block_room(s->in) < CL_BLOCK_ROOM_MIN;
    bool left_there = c->by_hand && !c->reading; /* what there is to receive */
    if (CL_UNLIKELY(c->paused) && (read_here ? !full && !left_there : len < s->in_max)) {
        c->paused = false;
        cl_stream_resume(s);
    } else if (read_here && full && !c->paused) {
        c->paused = true;
        cl_stream_pause(s);
    }
}

int cl_h1_read(struct cl_request *r, struct cl_str *bytes) {
    struct cl_h1 *c = cl_h1_of(r->conn);
    stop_waiting(c);
    if (!c->body_pending)
        return r->body_end ? r->body_end : CELLO_EOF;
    int err = c->piece.len ? CELLO_OK : take_piece(c);
    if (err == CELLO_EAGAIN && c->arrived)
        err = receive(c, &c->piece);
    if (err == CELLO_EAGAIN)
        err = wait_for_more(c);
    *bytes = c->piece;
    c->piece = cl_str(NULL, 0);
    if (err == CELLO_OK)
        expect_reader(c, r->reader);
    if (err && err != CELLO_EAGAIN)
        end_reading(c, err);
    cl_h1_settle_input(c);
    return err;
}

void cl_h1_unread(struct cl_request *r) {
    stop_waiting(cl_h1_of(r->conn));
}

bool cl_h1_step_reader(struct cl_h1 *c) {
    if (!c->reading)
        return false;
    int err = c->arrived ? CELLO_OK : take_piece(c);
    if (err == CELLO_EAGAIN && progress(c, c->body_taken) != CELLO_OK)
        err = c->req->body_end = CELLO_ETIMEOUT;
    if (err == CELLO_EAGAIN)
        return false;
    stop_waiting(c);
    if (c->arrived)
        c->req->reader->waiting = hand_room(c);
    cl_h1_stream_eof(c);
    cl_request_tell_reader(c->req);
    return true;
}

bool cl_h1_skip_body(struct cl_h1 *c) {
    struct cl_str ignored;
    bool lost = c->piece.len > 0;
    int err;
    c->body_pending = false;
    while ((err = next_piece(c, &ignored)) == CELLO_OK)
        lost = true;
    if (lost || err == CELLO_EAGAIN) /* who reads on must not take what it has for all of it */
        c->req->body_end = CELLO_ECANCELED;
    return err == CELLO_EOF;
}
