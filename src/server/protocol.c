/* Which protocol a connection speaks, once its stream carries what its client sends.
 *
 * Over TLS the handshake has said so. In clear it is HTTP/1, and with h2c also HTTP/2, whose
 * clients begin with a preface that is no request of HTTP/1. Until its bytes tell, the connection
 * waits. What comes instead of bytes (the end, no memory) is for HTTP/1, which knows the answer to
 * it. */
#include "http1/conn.h"
#include "http2/conn.h"
#include "server/waiting.h"

void cl_server_hand_over(struct cl_stream *stream, const struct cl_stream_handler *handler) {
    stream->handler = handler;
    size_t waiting = stream->in ? cl_block_len(stream->in) : 0;
    if (waiting)
        handler->on_recv(stream, (int)waiting);
}

static int open_http1(struct cl_server *s, struct cl_stream *stream) {
    int err = cl_h1_open(&s->worker, stream);
    if (err == CELLO_OK)
        cl_server_hand_over(stream, &cl_h1_stream_handler);
    return err;
}

/* ---- h2c ---- */

/* How many bytes of the preface the input begins with; -1: it begins with something else. */
static int preface_of(const struct cl_stream *stream) {
    size_t n = stream->in ? CL_MIN(cl_block_len(stream->in), (size_t)CL_H2_PREFACE_LEN) : 0;
    return n == 0 || memcmp(cl_block_rd(stream->in), CL_H2_PREFACE, n) == 0 ? (int)n : -1;
}

static bool is_open_question(int preface) {
    return preface >= 0 && preface < CL_H2_PREFACE_LEN;
}

static void on_recv(struct cl_stream *stream, int result) {
    int preface = preface_of(stream);
    if (result > 0 && is_open_question(preface))
        return;
    struct cl_waiting *w = cl_waiting_of(stream);
    struct cl_server *s = cl_waiting_server(w);
    stream = cl_waiting_end(w);
    bool is_http2 = preface == CL_H2_PREFACE_LEN;
    if ((is_http2 ? s->http2.open(s, stream) : open_http1(s, stream)) != CELLO_OK) {
        cl_server_leave(s, stream);
        stream->handler = &cl_server_no_protocol;
        cl_stream_close(stream);
        cl_server_review_accepting(&s->worker);
    } else if (result <= 0) {
        stream->handler->on_recv(stream, result);
    }
}

/* Nothing is sent, and a closed one has another handler. */
static const struct cl_stream_handler waits_for_preface = {.on_recv = on_recv};

static int open_by_preface(struct cl_server *s, struct cl_stream *stream) {
    int preface = preface_of(stream);
    if (!is_open_question(preface))
        return preface < 0 ? open_http1(s, stream) : s->http2.open(s, stream);
    const struct cl_timeouts *t = &s->worker.timeouts;
    struct cl_waiting *w;
    int err = cl_waiting_begin(s, stream, &waits_for_preface,
                               t->read_header_ns ? t->read_header_ns : t->idle_ns, &w);
    if (err == CELLO_OK)
        w->counted = true;
    return err;
}

int cl_server_open_protocol(struct cl_server *s, struct cl_stream *stream) {
    if (s->tls)
        return stream->redirected ? open_http1(s, stream) : s->tls->begin(s, stream);
    return s->http2.h2c ? open_by_preface(s, stream) : open_http1(s, stream);
}

int cl_server_open_plain(struct cl_server *s, struct cl_stream *stream) {
    return open_http1(s, stream);
}

int cl_server_open_secured(struct cl_server *s, struct cl_stream *stream, struct cl_str alpn) {
    bool is_http2 = cl_str_eq(alpn, CL_STR("h2"));
    return is_http2 ? s->http2.open(s, stream) : open_http1(s, stream);
}
