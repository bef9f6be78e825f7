#include "net/mem.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/sink.h"

/* Far beyond any test; a runaway producer ends in CELLO_ESYS, not in the machine's memory. */
enum { OUTPUT_MAX = 1 << 28, INPUT_MAX = 1 << 28 };
/* Read of a file at once. */
enum { FILE_PIECE = 1 << 18 };

struct mem_stream {
    struct cl_stream super;
    struct cl_flush later;
    struct cl_heap_sink input; /* pushed, not reported yet: from `reported` on */
    size_t reported;
    struct cl_heap_sink output;
    size_t taken; /* of the output, by the peer */
    bool sending;
    struct iovec *iov; /* the send in progress, and the file behind it */
    int iov_count;
    struct cl_file_part *file; /* NULL: none */
    struct cl_mem_peer *peer;  /* NULL: nobody but the functions that act at once */
    size_t capacity;           /* with a peer: bytes that wait each way */
    bool write_ended;          /* the peer's direction */
    bool refused;              /* the peer had more to write than there was room */
    bool hung_up;              /* the peer let go before the stream closed */
    bool gone;                 /* on_closed was reported: only the peer holds the memory */
    size_t chunk;
    size_t least; /* fewer bytes are not reported */
    bool by_hand; /* those that are there are told of */
    uint64_t progress;
    int end; /* CELLO_EOF or CELLO_ESYS behind the input */
    bool hold_sends;
    bool delivering; /* on_recv is on the stack */
    bool stopped;    /* not all was reported that might have been */
    bool paused, closed, was_shutdown, was_reset;
};

static struct mem_stream *of_stream(const struct cl_stream *s) {
    return CL_CONTAINER_OF(s, struct mem_stream, super);
}

static void tell_peer(struct mem_stream *m) {
    if (m->peer)
        m->peer->on_ready(m->peer);
}

/* Drop what is done with from the front of a buffer. */
static void compact(struct cl_heap_sink *buffer, size_t *done) {
    struct cl_sink *sink = &buffer->sink;
    size_t left = cl_sink_len(sink) - *done;
    if (*done && left)
        memmove(sink->base, sink->base + *done, left);
    sink->p = sink->base + left;
    *done = 0;
}

/* ---- input ---------------------------------------------------------------------------------- */

/* Append the next piece to stream->in, as a back end does. The bytes, or an error to report. */
static int fill_in(struct mem_stream *m) {
    struct cl_stream *s = &m->super;
    if (!s->in)
        s->in = cl_block_new(cl_loop_pool(s->loop), CL_BLOCK_SIZE);
    if (!s->in)
        return CELLO_ENOMEM;
    size_t unread = cl_block_len(s->in), waiting = cl_sink_len(&m->input.sink) - m->reported;
    if (unread >= s->in_max)
        return CELLO_ELIMIT;
    size_t n = CL_MIN(waiting, s->in_max - unread);
    if (m->chunk)
        n = CL_MIN(n, m->chunk);
    n = CL_MIN(n, (size_t)CL_BLOCK_SIZE);
    int err = cl_block_reserve(&s->in, n, s->in_max);
    if (err)
        return err;
    memcpy(cl_block_wr(s->in), m->input.sink.base + m->reported, n);
    s->in->wr += n;
    m->reported += n;
    if (m->reported == cl_sink_len(&m->input.sink)) {
        m->reported = 0;
        m->input.sink.p = m->input.sink.base;
    }
    return (int)n;
}

static int mem_recv_now(struct cl_stream *s, char *to, size_t n) {
    struct mem_stream *m = of_stream(s);
    size_t waiting = cl_sink_len(&m->input.sink) - m->reported;
    n = CL_MIN(n, waiting);
    if (n == 0)
        return m->end ? m->end : CELLO_EAGAIN;
    memcpy(to, m->input.sink.base + m->reported, n);
    m->reported += n;
    if (n == waiting)
        compact(&m->input, &m->reported);
    return (int)n;
}

static void report(struct mem_stream *m, int result) {
    m->super.handler->on_recv(&m->super, result);
    if (!m->closed)
        cl_block_drop_empty(&m->super.in);
}

static void deliver(struct mem_stream *m) {
    if (m->delivering)
        return; /* the loop below goes on when the protocol returns */
    size_t waiting = cl_sink_len(&m->input.sink) - m->reported;
    if (CL_UNLIKELY(waiting < m->least) && !m->stopped && !m->end && !m->peer)
        return;
    m->delivering = true;
    while (!m->paused && !m->closed && cl_sink_len(&m->input.sink) > m->reported) {
        int result = m->by_hand ? CELLO_EAGAIN : fill_in(m);
        if (result < 0)
            m->paused = true;
        report(m, result);
    }
    if (m->end && !m->paused && !m->closed) {
        int end = m->end;
        m->end = 0;
        if (end == CELLO_ESYS)
            errno = ECONNRESET;
        report(m, end);
    }
    m->delivering = false;
    if (CL_UNLIKELY(m->least))
        m->stopped = cl_sink_len(&m->input.sink) > m->reported;
    if (m->refused && cl_sink_len(&m->input.sink) - m->reported < waiting) {
        m->refused = false;
        tell_peer(m);
    }
}

int cl_mem_push(struct cl_stream *s, const void *bytes, size_t n) {
    struct mem_stream *m = of_stream(s);
    if (m->closed || m->write_ended)
        return CELLO_OK;
    int err = cl_sink_write(&m->input.sink, bytes, n);
    if (!err)
        deliver(m);
    return err;
}

void cl_mem_eof(struct cl_stream *s) {
    struct mem_stream *m = of_stream(s);
    if (m->write_ended)
        return;
    m->write_ended = true;
    m->end = CELLO_EOF;
    deliver(m);
}

void cl_mem_reset(struct cl_stream *s) {
    struct mem_stream *m = of_stream(s);
    m->reported = 0;
    m->input.sink.p = m->input.sink.base;
    m->write_ended = true;
    m->end = CELLO_ESYS;
    deliver(m);
}

void cl_mem_set_chunk(struct cl_stream *s, size_t chunk) {
    of_stream(s)->chunk = chunk;
}

size_t cl_mem_gathers(const struct cl_stream *s) {
    return of_stream(s)->least;
}

/* ---- output --------------------------------------------------------------------------------- */

CL_INLINE int take(struct mem_stream *m, const struct iovec *iov, int count) {
    for (int i = 0; i < count; i++) {
        if (cl_sink_write(&m->output.sink, iov[i].iov_base, iov[i].iov_len)) {
            errno = ENOBUFS;
            return CELLO_ESYS;
        }
    }
    return CELLO_OK;
}

static int take_file(struct mem_stream *m, size_t n) {
    struct cl_sink *sink = &m->output.sink;
    if (cl_sink_reserve(sink, n)) {
        errno = ENOBUFS;
        return CELLO_ESYS;
    }
    int err = cl_file_part_read(m->file, sink->p, n);
    if (!err)
        sink->p += n;
    return err;
}

static bool has_file(const struct mem_stream *m) {
    return m->file && m->file->left;
}

/* All of the send in progress, whatever waits. */
static int take_all(struct mem_stream *m) {
    int err = take(m, m->iov, m->iov_count);
    while (!err && has_file(m))
        err = take_file(m, (size_t)CL_MIN(m->file->left, (uint64_t)FILE_PIECE));
    m->sending = false;
    return err;
}

/* The send in progress, as far as the peer has room. CELLO_EAGAIN: not all of it. */
static int go_on_sending(struct mem_stream *m) {
    int err = m->hung_up ? CELLO_ESYS : CELLO_OK;
    errno = EPIPE;
    compact(&m->output, &m->taken);
    size_t before = cl_sink_len(&m->output.sink), room = m->capacity - before;
    while (!err && m->iov_count && room) {
        struct iovec *v = m->iov;
        size_t n = CL_MIN(v->iov_len, room);
        struct iovec part = {.iov_base = v->iov_base, .iov_len = n};
        err = take(m, &part, 1);
        v->iov_base = (char *)v->iov_base + n;
        v->iov_len -= n;
        room -= n;
        if (v->iov_len)
            break;
        m->iov++;
        m->iov_count--;
    }
    if (!err && !m->iov_count && has_file(m) && room)
        err = take_file(m, (size_t)CL_MIN(m->file->left, (uint64_t)room));
    if (cl_sink_len(&m->output.sink) != before)
        tell_peer(m);
    if (!err && (m->iov_count || has_file(m)))
        return CELLO_EAGAIN;
    m->sending = false;
    return err;
}

static int mem_sendfile(struct cl_stream *s, struct iovec *iov, int count,
                        struct cl_file_part *file) {
    struct mem_stream *m = of_stream(s);
    assert(!m->sending);
    if (m->closed) {
        errno = EPIPE;
        return CELLO_ESYS;
    }
    m->sending = true;
    m->iov = iov;
    m->iov_count = count;
    m->file = file;
    if (m->capacity)
        return go_on_sending(m);
    return m->hold_sends ? CELLO_EAGAIN : take_all(m);
}

static int mem_send(struct cl_stream *s, struct iovec *iov, int count) {
    struct mem_stream *m = of_stream(s);
    if (CL_LIKELY(!m->closed && !m->hold_sends && !m->capacity))
        return take(m, iov, count);
    return mem_sendfile(s, iov, count, NULL);
}

void cl_mem_hold_sends(struct cl_stream *s, bool hold) {
    of_stream(s)->hold_sends = hold;
}

bool cl_mem_finish_send(struct cl_stream *s, int err) {
    struct mem_stream *m = of_stream(s);
    if (!m->sending)
        return false;
    if (!err)
        err = take_all(m);
    m->sending = false;
    s->handler->on_sent(s, err);
    return true;
}

struct cl_str cl_mem_output(const struct cl_stream *s) {
    const struct cl_sink *out = &of_stream(s)->output.sink;
    return cl_str(out->base, cl_sink_len(out));
}

void cl_mem_output_clear(struct cl_stream *s) {
    struct cl_sink *out = &of_stream(s)->output.sink;
    out->p = out->base;
}

bool cl_mem_was_shutdown(const struct cl_stream *s) {
    return of_stream(s)->was_shutdown;
}

/* ---- the stream's own operations ------------------------------------------------------------ */

static void mem_pause(struct cl_stream *s) {
    of_stream(s)->paused = true;
}

static void mem_resume(struct cl_stream *s) {
    struct mem_stream *m = of_stream(s);
    m->paused = false;
    if (!m->delivering)
        cl_loop_flush_later(s->loop, &m->later);
}

static void mem_gather(struct cl_stream *s, size_t least) {
    struct mem_stream *m = of_stream(s);
    if (!m->least)
        m->stopped = cl_sink_len(&m->input.sink) > m->reported;
    m->least = least;
    if (!m->delivering && cl_sink_len(&m->input.sink) > m->reported)
        cl_loop_flush_later(s->loop, &m->later);
}

static void mem_by_hand(struct cl_stream *s, bool on) {
    of_stream(s)->by_hand = on;
}

static void mem_shutdown(struct cl_stream *s) {
    of_stream(s)->was_shutdown = true;
    tell_peer(of_stream(s));
}

static uint64_t mem_progress(const struct cl_stream *s) {
    return of_stream(s)->progress;
}

void cl_mem_read_some(struct cl_stream *s) {
    of_stream(s)->progress++;
}

static void mem_reset_on_close(struct cl_stream *s) {
    of_stream(s)->was_reset = true;
}

bool cl_mem_was_reset(const struct cl_stream *s) {
    return of_stream(s)->was_reset;
}

static void mem_close(struct cl_stream *s) {
    struct mem_stream *m = of_stream(s);
    if (m->closed)
        return;
    m->closed = true;
    m->sending = false;
    tell_peer(m);
    cl_loop_flush_later(s->loop, &m->later);
}

static const struct cl_stream_ops stream_ops = {
    .send = mem_send,
    .sendfile = mem_sendfile,
    .pause = mem_pause,
    .resume = mem_resume,
    .gather = mem_gather,
    .by_hand = mem_by_hand,
    .recv_now = mem_recv_now,
    .shutdown = mem_shutdown,
    .progress = mem_progress,
    .reset_on_close = mem_reset_on_close,
    .close = mem_close,
};

static void del(struct mem_stream *m) {
    cl_heap_sink_free(&m->input);
    cl_heap_sink_free(&m->output);
    cl_free(m);
}

static void report_closed(struct mem_stream *m) {
    m->super.handler->on_closed(&m->super);
    cl_block_drop(&m->super.in);
    m->gone = true;
    if (!m->peer)
        del(m);
}

static void run_later(struct cl_flush *f) {
    struct mem_stream *m = CL_CONTAINER_OF(f, struct mem_stream, later);
    if (m->closed) {
        report_closed(m);
        return;
    }
    int err = m->sending && m->capacity ? go_on_sending(m) : CELLO_EAGAIN;
    if (err != CELLO_EAGAIN)
        m->super.handler->on_sent(&m->super, err);
    if (!m->closed)
        deliver(m);
}

int cl_mem_stream_new(struct cl_loop *l, const struct cl_stream_handler *handler, void *protocol,
                      struct cl_stream **out) {
    struct mem_stream *m = cl_calloc(1, sizeof *m);
    if (!m)
        return CELLO_ENOMEM;
    m->super = (struct cl_stream){
        .ops = &stream_ops,
        .handler = handler,
        .loop = l,
        .protocol = protocol,
        .in_max = CL_BLOCK_SIZE,
    };
    m->later.run = run_later;
    cl_heap_sink_init(&m->input, INPUT_MAX);
    cl_heap_sink_init(&m->output, OUTPUT_MAX);
    *out = &m->super;
    return CELLO_OK;
}

/* ---- a client at the other end -------------------------------------------------------------- */

void cl_mem_attach(struct cl_stream *s, struct cl_mem_peer *peer, size_t capacity) {
    struct mem_stream *m = of_stream(s);
    m->peer = peer;
    m->capacity = capacity;
}

int cl_mem_write(struct cl_stream *s, const void *bytes, size_t n, size_t *written) {
    struct mem_stream *m = of_stream(s);
    *written = 0;
    if (m->closed || m->write_ended) {
        errno = EPIPE;
        return CELLO_ESYS;
    }
    compact(&m->input, &m->reported);
    size_t room = m->capacity - cl_sink_len(&m->input.sink);
    m->refused = n > room;
    n = CL_MIN(n, room);
    int err = cl_sink_write(&m->input.sink, bytes, n);
    if (err)
        return CELLO_ENOMEM;
    *written = n;
    if (n)
        cl_loop_flush_later(s->loop, &m->later);
    return CELLO_OK;
}

void cl_mem_write_end(struct cl_stream *s) {
    struct mem_stream *m = of_stream(s);
    if (m->closed || m->write_ended)
        return;
    m->write_ended = true;
    m->end = CELLO_EOF;
    cl_loop_flush_later(s->loop, &m->later);
}

int cl_mem_read(struct cl_stream *s, void *to, size_t n, size_t *got) {
    struct mem_stream *m = of_stream(s);
    const struct cl_sink *out = &m->output.sink;
    *got = CL_MIN(n, cl_sink_len(out) - m->taken);
    if (*got) {
        memcpy(to, out->base + m->taken, *got);
        m->taken += *got;
        m->progress++;
        if (m->sending)
            cl_loop_flush_later(s->loop, &m->later);
        return CELLO_OK;
    }
    if (n == 0)
        return CELLO_OK;
    if (m->was_reset && m->closed) {
        errno = ECONNRESET;
        return CELLO_ESYS;
    }
    return m->closed || m->was_shutdown ? CELLO_EOF : CELLO_EAGAIN;
}

bool cl_mem_is_readable(const struct cl_stream *s) {
    const struct mem_stream *m = of_stream(s);
    return m->closed || m->was_shutdown || cl_sink_len(&m->output.sink) > m->taken;
}

void cl_mem_release(struct cl_stream *s) {
    struct mem_stream *m = of_stream(s);
    m->peer = NULL;
    if (m->gone) {
        del(m);
        return;
    }
    m->hung_up = true;
    if (m->closed)
        return; /* run_later is due, and frees it */
    m->end = cl_sink_len(&m->output.sink) > m->taken ? CELLO_ESYS : CELLO_EOF;
    cl_loop_flush_later(s->loop, &m->later);
}
