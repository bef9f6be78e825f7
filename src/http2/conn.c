#include "http2/conn.h"

#include "base/alloc.h"
#include "http2/conn_internal.h"

/* Until then at the latest the second GOAWAY follows the first: the client has had time to read. */
#define NOTICE_NS CL_NS_PER_S

enum {
    READ_MIN = CL_BLOCK_SIZE,
    READ_MAX = 262144, /* of large bodies this much is received with one call, if it is there */
};

static struct cl_h2 *of_stream(struct cl_stream *s) {
    return s->protocol;
}

/* ---- time ---- */

static void set_timer(struct cl_h2 *c) {
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < CL_H2_DUES; i++)
        first = CL_MIN(first, c->due_ns[i]);
    cl_timer_set(cl_h2_timers(c), &c->timer, first);
}

static void set_due_at(struct cl_h2 *c, enum cl_h2_due due, uint64_t at_ns) {
    c->due_ns[due] = at_ns;
    if (at_ns < c->timer.deadline_ns)
        cl_timer_set(cl_h2_timers(c), &c->timer, at_ns);
}

void cl_h2_set_due(struct cl_h2 *c, enum cl_h2_due due, uint64_t timeout_ns) {
    set_due_at(c, due, timeout_ns ? cl_h2_now(c) + timeout_ns : UINT64_MAX);
}

/* The timer may fire for nothing, and is set anew then. */
void cl_h2_clear_due(struct cl_h2 *c, enum cl_h2_due due) {
    c->due_ns[due] = UINT64_MAX;
}

void cl_h2_watch_write(struct cl_h2 *c) {
    uint64_t write_ns = c->super.worker->timeouts.write_ns;
    set_due_at(c, CL_H2_DUE_WRITE, cl_write_watch_begin(&c->write_watch, cl_h2_now(c), write_ns));
}

/* False: the peer has read nothing for the whole of the write timeout. */
static bool check_write(struct cl_h2 *c, uint64_t now) {
    uint64_t write_ns = c->super.worker->timeouts.write_ns;
    uint64_t next_ns = cl_write_watch_next(&c->write_watch, c->super.stream, now, write_ns);
    if (next_ns)
        c->due_ns[CL_H2_DUE_WRITE] = next_ns;
    return next_ns != 0;
}

/* Its answer to the ping stands behind what it still has to read. */
static bool is_reading(struct cl_h2 *c) {
    uint64_t before = c->ping_progress;
    c->ping_progress = cl_stream_progress(c->super.stream);
    return c->sending || (c->unfinished && c->ping_progress != before);
}

/* False: it has said nothing for twice as long, although it was asked. */
static bool check_alive(struct cl_h2 *c, uint64_t now) {
    uint64_t keepalive_ns = c->context->cfg.keepalive_ns, from = c->heard_ns;
    if (now >= from + keepalive_ns) {
        if (!is_reading(c) && c->pinged)
            return false;
        if (!c->pinged && nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL))
            return false;
        c->pinged = true;
        cl_h2_flush_later(c);
        from = now;
    }
    c->due_ns[CL_H2_DUE_PING] = from + keepalive_ns;
    return true;
}

/* After the end of the client's side: whoever still works for it goes on, nobody waits for it. */
static bool is_at_work(const struct cl_h2 *c) {
    for (const struct cl_h2_stream *st = c->streams; st; st = st->next)
        if (st->delivered && !st->submitted && !st->over)
            return true;
    return c->sending;
}

static void read_due(struct cl_h2 *c) {
    if (c->state == CL_H2_LINGER)
        cl_h2_close(c);
    else if (c->peer_eof && is_at_work(c))
        cl_h2_set_due(c, CL_H2_DUE_READ, CL_EOF_GRACE_NS);
    else if (c->peer_eof)
        cl_h2_close(c);
    else if (!c->greeted)
        cl_h2_die(c, NGHTTP2_SETTINGS_TIMEOUT);
    else
        cl_h2_go(c);
}

/* One that was opened by a worker that retires has had time to ask. */
static void drain_due(struct cl_h2 *c) {
    if (c->super.worker->retiring && !c->noticed)
        cl_h2_go_gracefully(c);
    else
        cl_h2_go(c);
}

static void memory_due(struct cl_h2 *c) {
    if (c->paused) {
        c->paused = false;
        cl_stream_resume(c->super.stream);
    }
    cl_h2_flush_later(c);
}

static bool is_due(struct cl_h2 *c, enum cl_h2_due due, uint64_t now) {
    if (c->due_ns[due] > now)
        return false;
    c->due_ns[due] = UINT64_MAX;
    return true;
}

static void on_timer(struct cl_timer *t) {
    struct cl_h2 *c = CL_CONTAINER_OF(t, struct cl_h2, timer);
    uint64_t now = cl_h2_now(c);
    if ((is_due(c, CL_H2_DUE_WRITE, now) && !check_write(c, now)) ||
        (is_due(c, CL_H2_DUE_PING, now) && c->state == CL_H2_OPEN && !check_alive(c, now))) {
        /* An ordinary close would leave the kernel with what nobody reads. */
        cl_stream_reset_on_close(c->super.stream);
        cl_h2_close(c);
        return;
    }
    if (is_due(c, CL_H2_DUE_HEAD, now))
        cl_h2_die(c, NGHTTP2_ENHANCE_YOUR_CALM);
    if (is_due(c, CL_H2_DUE_DRAIN, now))
        drain_due(c);
    if (is_due(c, CL_H2_DUE_MEMORY, now))
        memory_due(c);
    if (is_due(c, CL_H2_DUE_READ, now))
        read_due(c);
    if (c->state != CL_H2_CLOSED)
        set_timer(c);
}

/* ---- the end ---- */

static void reap(struct cl_h2 *c) {
    struct cl_h2_stream *next;
    for (struct cl_h2_stream *st = c->streams; st; st = next) {
        next = st->next;
        if (st->closed && !st->lent)
            cl_h2_stream_free(st);
    }
}

/* The session is not asked any more. */
static void give_up_all(struct cl_h2 *c) {
    c->head = c->data = c->ready = NULL;
    for (struct cl_h2_stream *st = c->streams; st; st = st->next) {
        st->closed = true;
        st->ready = false;
        cl_h2_end_request(st);
    }
    if (!c->inside)
        reap(c);
}

void cl_h2_close(struct cl_h2 *c) {
    struct cl_worker *w = c->super.worker;
    if (c->state == CL_H2_CLOSED)
        return;
    c->state = CL_H2_CLOSED;
    give_up_all(c);
    cl_timer_stop(cl_h2_timers(c), &c->timer);
    if (c->out && !c->sending && !c->inside)
        cl_h2_out_done(c);
    cl_block_drop(&c->super.stream->in);
    cl_conn_unlink(&c->super);
    w->service->on_conn_closed(w, &c->super);
    cl_stream_close(c->super.stream);
}

/* Nothing more will be written: let the peer read what was, then close. */
static void linger(struct cl_h2 *c) {
    c->state = CL_H2_LINGER;
    give_up_all(c);
    if (c->peer_eof) {
        cl_h2_close(c);
        return;
    }
    cl_block_drop(&c->super.stream->in);
    cl_stream_shutdown(c->super.stream);
    for (int i = 0; i < CL_H2_DUES; i++)
        cl_h2_clear_due(c, (enum cl_h2_due)i);
    cl_h2_set_due(c, CL_H2_DUE_READ, CL_LINGER_NS);
}

static void say_last_words(struct cl_h2 *c) {
    /* The first frame of a server is SETTINGS. */
    size_t skip = c->spoke ? CL_H2_FRAME_HEAD : 0;
    c->dying = false;
    c->last_iov = (struct iovec){c->last_words + skip, sizeof c->last_words - skip};
    int err = cl_stream_send(c->super.stream, &c->last_iov, 1);
    c->sending = err == CELLO_EAGAIN;
    if (c->sending)
        cl_h2_watch_write(c);
    else if (err)
        cl_h2_close(c);
    else
        linger(c);
}

#define BYTES(n) (uint8_t)((n) >> 24), (uint8_t)((n) >> 16), (uint8_t)((n) >> 8), (uint8_t)(n)

void cl_h2_die(struct cl_h2 *c, uint32_t code) {
    if (c->state != CL_H2_OPEN)
        return;
    uint32_t last = (uint32_t)nghttp2_session_get_last_proc_stream_id(c->session);
    const uint8_t words[] = {/* SETTINGS, none of them */
                             0, 0, 0, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0,
                             /* GOAWAY */
                             0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0,
                             /* the last stream, the error */
                             BYTES(last), BYTES(code)};
    _Static_assert(sizeof words == sizeof c->last_words, "two frames");
    memcpy(c->last_words, words, sizeof words);
    c->state = CL_H2_LINGER;
    give_up_all(c);
    if (c->out && !c->sending)
        cl_h2_out_done(c);
    c->dying = c->sending; /* behind whole frames */
    if (!c->dying)
        say_last_words(c);
}

void cl_h2_go(struct cl_h2 *c) {
    if (c->going || c->state != CL_H2_OPEN)
        return;
    c->going = true;
    int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
    if (nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0))
        c->doom = NGHTTP2_INTERNAL_ERROR;
    cl_h2_flush_later(c);
}

void cl_h2_go_gracefully(struct cl_h2 *c) {
    if (c->noticed || c->going || c->state != CL_H2_OPEN)
        return;
    c->noticed = true;
    if (nghttp2_submit_shutdown_notice(c->session) ||
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL))
        c->doom = NGHTTP2_INTERNAL_ERROR;
    cl_h2_set_due(c, CL_H2_DUE_DRAIN, NOTICE_NS);
    cl_h2_flush_later(c);
}

void cl_h2_on_ping_ack(struct cl_h2 *c) {
    if (c->noticed)
        cl_h2_go(c);
}

static void tell_draining(struct cl_h2 *c) {
    struct cl_h2_stream *st = c->streams;
    while (st && c->state == CL_H2_OPEN) {
        bool tell = st->delivered && !st->over && !st->told;
        if (tell) {
            st->told = true;
            cl_request_draining(st->req);
        }
        st = tell ? c->streams : st->next; /* what it did may have ended others */
    }
}

void cl_h2_drain(struct cl_conn *super) {
    struct cl_h2 *c = cl_h2_of(super);
    if (!super->worker->drain_told)
        tell_draining(c);
    if (c->state != CL_H2_OPEN)
        return;
    if (super->worker->retiring)
        cl_h2_go_gracefully(c);
    else if (c->first)
        cl_h2_set_due(c, CL_H2_DUE_DRAIN, CL_DRAIN_GRACE_NS);
    else
        cl_h2_go(c);
    cl_h2_flush(&c->flush); /* what it said leaves before a stop without time closes all */
}

void cl_h2_close_conn(struct cl_conn *super) {
    struct cl_h2 *c = cl_h2_of(super);
    if (!c->stream_count && c->state == CL_H2_OPEN) {
        cl_h2_go(c);
        cl_h2_flush(&c->flush);
    }
    cl_h2_close(c);
}

/* ---- rest ---- */

/* Until the client's SETTINGS, or its next request. */
static void rest(struct cl_h2 *c) {
    const struct cl_worker *w = c->super.worker;
    if (c->due_ns[CL_H2_DUE_READ] != UINT64_MAX && c->super.idle_next)
        return;
    uint64_t timeout_ns = c->greeted ? w->timeouts.idle_ns : w->timeouts.read_header_ns;
    cl_h2_set_due(c, CL_H2_DUE_READ, timeout_ns);
    cl_conn_set_idle(&c->super, true);
}

void cl_h2_settle(struct cl_h2 *c) {
    if (c->state != CL_H2_OPEN || c->sending || c->inside)
        return;
    if (CL_UNLIKELY(c->peer_eof && !c->stream_count)) {
        cl_h2_close(c);
        return;
    }
    bool writes = nghttp2_session_want_write(c->session);
    if (CL_UNLIKELY(!writes && !nghttp2_session_want_read(c->session)))
        linger(c);
    else if (!c->stream_count && !writes)
        rest(c);
}

/* ---- from the transport ---- */

/* The client will send nothing more: requests that are not complete never will be. */
static void end_input(struct cl_h2 *c) {
    c->peer_eof = true;
    if (c->state == CL_H2_LINGER) {
        if (!c->sending)
            cl_h2_close(c);
        return;
    }
    struct cl_h2_stream *st = c->streams;
    while (st && c->state == CL_H2_OPEN) {
        bool tell = !st->over && !st->left;
        if (tell) {
            st->left = true;
            cl_h2_body_ended_early(st);
        }
        st = tell ? c->streams : st->next;
    }
    cl_h2_set_due(c, CL_H2_DUE_READ, CL_EOF_GRACE_NS);
    cl_h2_run_ready(c);
    cl_h2_settle(c);
}

static void pause_for_memory(struct cl_h2 *c) {
    c->paused = true;
    cl_h2_set_due(c, CL_H2_DUE_MEMORY, CL_H2_MEMORY_NS);
}

/* Large bodies are received in large pieces. */
static void size_reads(struct cl_stream *s, size_t received) {
    size_t room = CL_MAX(s->in_room, (size_t)READ_MIN);
    if (CL_UNLIKELY(received >= room - room / 4))
        s->in_room = CL_MIN(room * 4, (size_t)READ_MAX);
    else if (CL_UNLIKELY(s->in_room) && received < room / 8)
        s->in_room = room / 4 > READ_MIN ? room / 4 : 0;
}

static void read_on(struct cl_h2 *c) {
    struct cl_stream *s = c->super.stream;
    if (!s->in || !cl_block_len(s->in))
        return;
    size_reads(s, cl_block_len(s->in));
    cl_h2_receive(c);
    if (c->state == CL_H2_OPEN && c->ready)
        cl_h2_run_ready(c);
    if (CL_UNLIKELY(c->pieces.failed))
        cl_h2_close(c);
    if (c->state != CL_H2_OPEN)
        return;
    cl_block_drop_empty(&s->in);
    if (CL_UNLIKELY(c->head != NULL) && c->due_ns[CL_H2_DUE_HEAD] == UINT64_MAX)
        cl_h2_set_due(c, CL_H2_DUE_HEAD, c->super.worker->timeouts.read_header_ns);
    if (c->bodies || nghttp2_session_want_write(c->session))
        cl_h2_flush_later(c);
    else
        cl_h2_settle(c);
}

static void on_recv(struct cl_stream *s, int result) {
    struct cl_h2 *c = of_stream(s);
    if (c->state == CL_H2_CLOSED)
        return;
    c->heard_ns = cl_h2_now(c);
    c->pinged = false;
    if (CL_LIKELY(result > 0)) {
        if (CL_LIKELY(c->state == CL_H2_OPEN))
            read_on(c);
        else if (!cl_conn_drop_input(&c->super))
            cl_h2_close(c);
        return;
    }
    switch (result) {
    case CELLO_EOF: end_input(c); break;
    case CELLO_ENOMEM:
    case CELLO_ELIMIT: pause_for_memory(c); break;
    case CELLO_EAGAIN: break;
    default: cl_h2_close(c); break;
    }
}

static void on_sent(struct cl_stream *s, int err) {
    struct cl_h2 *c = of_stream(s);
    if (err) {
        cl_h2_close(c); /* the output goes with the connection */
        return;
    }
    cl_h2_out_done(c);
    cl_h2_clear_due(c, CL_H2_DUE_WRITE);
    if (c->state == CL_H2_OPEN)
        cl_h2_flush(&c->flush);
    else if (c->state == CL_H2_LINGER && c->dying)
        say_last_words(c);
    else if (c->state == CL_H2_LINGER)
        linger(c);
}

static void on_closed(struct cl_stream *s) {
    struct cl_h2 *c = of_stream(s);
    if (!c)
        return; /* turned away before it became a connection */
    cl_loop_flush_cancel(s->loop, &c->flush);
    cl_h2_out_done(c);
    reap(c);
    cl_block_drop(&c->bodies);
    cl_h2_session_free(c);
    cl_free(c);
}

const struct cl_stream_handler cl_h2_stream_handler = {
    .on_recv = on_recv,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

int cl_h2_open(const struct cl_h2_context *x, struct cl_worker *w, struct cl_stream *s) {
    struct cl_h2 *c = cl_calloc(1, sizeof *c);
    if (!c)
        return CELLO_ENOMEM;
    c->context = x;
    if (cl_h2_session_new(c)) {
        cl_free(c);
        return CELLO_ENOMEM;
    }
    cl_conn_init(&c->super, &cl_h2_conn_ops, w, s);
    c->first = true;
    c->frames.left = CL_H2_PREFACE_LEN;
    c->flush.run = cl_h2_flush;
    cl_timer_init(&c->timer, on_timer);
    for (int i = 0; i < CL_H2_DUES; i++)
        cl_h2_clear_due(c, (enum cl_h2_due)i);
    s->protocol = c;
    s->in_max = CL_BODY_WINDOW;
    c->heard_ns = cl_h2_now(c);
    cl_h2_set_due(c, CL_H2_DUE_PING, x->cfg.keepalive_ns);
    if (CL_UNLIKELY(w->draining)) /* it was accepted before that */
        cl_h2_set_due(c, CL_H2_DUE_DRAIN, w->retiring ? NOTICE_NS : CL_DRAIN_GRACE_NS);
    rest(c);
    cl_h2_flush_later(c);
    return CELLO_OK;
}
