/* nghttp2: how a session is set up, and what it calls. */
#include "http2/conn_internal.h"

#include "base/alloc.h"

/* The most CONTINUATION frames behind a HEADERS frame, beyond those that a head of the largest size
 * takes: with them it may have as many bytes on the wire as several times the limits allow decoded,
 * and be answered. */
enum { CONTINUATIONS = 6, FRAME_USUAL = 16384 };

/* A stream that was there for this long was one of the few that a client may have at once, and held
 * the place as long as many that are answered: who cancels such ones asks no more of the server
 * than who waits. */
#define STREAM_HELD_NS (10 * CL_NS_PER_MS)

/* The window of a connection is this many times that of a stream: handlers that do not read their
 * bodies hold up theirs, and not the others', unless more than half of it is held like that (the
 * session gives it back by halves). */
enum { WINDOW_STREAMS = 4 };
#define WINDOW_MAX ((uint64_t)INT32_MAX)

static unsigned continuations_max(const struct cello_http2_config *cfg) {
    return CONTINUATIONS + cfg->max_header_list_size / FRAME_USUAL;
}

static struct cl_h2 *of_user(void *user) {
    return user;
}

static struct cl_h2_stream *stream_of(struct cl_h2 *c, int32_t id) {
    return nghttp2_session_get_stream_user_data(c->session, id);
}

/* What every callback returns: the session stops when the connection has gone meanwhile. */
static int go_on(const struct cl_h2 *c) {
    return CL_LIKELY(c->state == CL_H2_OPEN && !c->doom && !c->pieces.failed)
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int count(struct cl_h2 *c, enum cl_h2_act act) {
    if (CL_UNLIKELY(!cl_h2_abuse_count(&c->abuse, act, &c->work, cl_h2_now(c))))
        c->doom = NGHTTP2_ENHANCE_YOUR_CALM;
    return go_on(c);
}

/* ---- streams that have gone ---- */

/* Trailers may be on their way that the client sent before it knew. */
static void remember_reset(struct cl_h2 *c, int32_t id) {
    int32_t *slot = &c->reset_ids[c->reset_count++ % CL_H2_RESETS];
    c->forgotten_id = CL_MAX(c->forgotten_id, *slot);
    *slot = id;
}

/* A stream that the client has ended, or passed over: nothing may come for it any more (RFC 9113,
 * 5.1.1 and 6.1). */
static bool is_closed(const struct cl_h2 *c, int32_t id) {
    if (id > c->last_id || id <= c->forgotten_id)
        return false; /* new, or not known any more */
    for (size_t i = 0; i < CL_H2_RESETS; i++)
        if (c->reset_ids[i] == id)
            return false;
    return true;
}

/* ---- frames ---- */

static int begin_data(struct cl_h2 *c, const nghttp2_frame_hd *hd) {
    c->data = stream_of(c, hd->stream_id);
    c->data_length = hd->length;
    if (CL_UNLIKELY(hd->length == 0) && !(hd->flags & NGHTTP2_FLAG_END_STREAM))
        return count(c, CL_H2_ACT_EMPTY);
    return 0;
}

static int begin_headers(struct cl_h2 *c, const nghttp2_frame_hd *hd) {
    c->continuations = 0;
    if (CL_LIKELY(hd->stream_id > c->last_id) || stream_of(c, hd->stream_id))
        return 0;
    if (is_closed(c, hd->stream_id))
        c->doom = NGHTTP2_PROTOCOL_ERROR;
    return count(c, CL_H2_ACT_REFUSED);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user) {
    (void)session;
    struct cl_h2 *c = of_user(user);
    switch (hd->type) {
    case NGHTTP2_DATA: return begin_data(c, hd);
    case NGHTTP2_HEADERS: return begin_headers(c, hd);
    case NGHTTP2_CONTINUATION:
        if (++c->continuations > continuations_max(&c->context->cfg))
            c->doom = NGHTTP2_ENHANCE_YOUR_CALM;
        return hd->length ? go_on(c) : count(c, CL_H2_ACT_EMPTY);
    case NGHTTP2_PRIORITY:
        if (hd->stream_id == 0) /* the session does not look at them: RFC 9113, 6.3 */
            c->doom = NGHTTP2_PROTOCOL_ERROR;
        return count(c, CL_H2_ACT_PRIORITY);
    case NGHTTP2_PRIORITY_UPDATE: return count(c, CL_H2_ACT_PRIORITY);
    case NGHTTP2_RST_STREAM: /* what ends a stream is counted then */
        return stream_of(c, hd->stream_id) ? 0 : count(c, CL_H2_ACT_RESET);
    case NGHTTP2_SETTINGS: return hd->flags & NGHTTP2_FLAG_ACK ? 0 : count(c, CL_H2_ACT_SETTINGS);
    case NGHTTP2_PING: return count(c, CL_H2_ACT_PING);
    case NGHTTP2_WINDOW_UPDATE: return count(c, CL_H2_ACT_WINDOW);
    default: return 0;
    }
}

/* Its section is complete, or will not be looked at any more. */
static void end_head(struct cl_h2 *c) {
    c->head = NULL;
    cl_h2_clear_due(c, CL_H2_DUE_HEAD);
}

static void on_headers(struct cl_h2 *c, const nghttp2_frame *frame) {
    struct cl_h2_stream *st = c->head;
    end_head(c);
    if (!st)
        return;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!st->in_trailers)
        cl_h2_head_complete(st, !end);
    else if (CL_UNLIKELY(st->tunnel))
        cl_h2_tunnel_trailers(st);
    else if (end)
        cl_h2_body_complete(st);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct cl_h2 *c = of_user(user);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: on_headers(c, frame); break;
    case NGHTTP2_DATA:
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
            struct cl_h2_stream *st = stream_of(c, frame->hd.stream_id);
            if (st)
                cl_h2_body_complete(st);
        } else if (CL_LIKELY(frame->hd.length > frame->data.padlen)) {
            c->work.frames++;
        } else if (frame->hd.length) {
            return count(c, CL_H2_ACT_EMPTY);
        }
        break;
    case NGHTTP2_SETTINGS:
        if (!c->greeted) {
            c->greeted = true;
            cl_h2_clear_due(c, CL_H2_DUE_READ); /* which is that of the next request from now on */
        }
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            cl_h2_on_ping_ack(c);
        break;
    default: break;
    }
    return go_on(c);
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int err,
                            void *user) {
    (void)session;
    struct cl_h2 *c = of_user(user);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        end_head(c);
        if (!stream_of(c, frame->hd.stream_id))
            remember_reset(c, frame->hd.stream_id);
    }
    return count(c, err == NGHTTP2_ERR_REFUSED_STREAM ? CL_H2_ACT_EAGER : CL_H2_ACT_REFUSED);
}

/* ---- heads ---- */

static int begin_request(struct cl_h2 *c, int32_t id) {
    c->last_id = id;
    c->head = cl_h2_stream_new(c, id);
    if (CL_LIKELY(c->head != NULL))
        return nghttp2_session_set_stream_user_data(c->session, id, c->head);
    remember_reset(c, id);
    return nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct cl_h2 *c = of_user(user);
    int32_t id = frame->hd.stream_id;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return begin_request(c, id) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    c->head = stream_of(c, id);
    if (c->head) {
        c->head->in_trailers = true;
        c->head->head_err = CELLO_OK;
        c->head->fields = 0;
        c->head->list_size = c->head->section_size = 0;
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user) {
    (void)session;
    (void)frame;
    (void)flags;
    struct cl_h2 *c = of_user(user);
    if (CL_UNLIKELY(!c->head))
        return 0;
    if (CL_UNLIKELY(!cl_h2_field(c->head, name, value)))
        c->doom = NGHTTP2_ENHANCE_YOUR_CALM;
    return go_on(c);
}

/* A field whose name or value no field can have makes the request malformed: RFC 9113, 8.2.1. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *user) {
    (void)session;
    (void)frame;
    (void)name;
    (void)value;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ---- bodies ---- */

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *user) {
    struct cl_h2 *c = of_user(user);
    struct cl_h2_stream *st = c->data;
    bool whole = flags & NGHTTP2_FLAG_END_STREAM && n == c->data_length;
    if (CL_LIKELY(st != NULL))
        cl_h2_body_data(st, cl_str((const char *)data, n), whole);
    else if (nghttp2_session_consume(session, id, n))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return go_on(c);
}

/* ---- what was sent, and ends ---- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct cl_h2 *c = of_user(user);
    if (CL_UNLIKELY(frame->hd.type == NGHTTP2_RST_STREAM))
        remember_reset(c, frame->hd.stream_id);
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        struct cl_h2_stream *st = stream_of(c, frame->hd.stream_id);
        c->work.answers++;
        if (st && CL_UNLIKELY(st->tunnel))
            cl_h2_tunnel_said(st);
        else if (st)
            cl_h2_end_request(st);
    }
    return go_on(c);
}

/* A head that the session cannot send, for its size or for want of memory. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int err,
                             void *user) {
    (void)session;
    (void)err;
    struct cl_h2 *c = of_user(user);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct cl_h2_stream *st = stream_of(c, frame->hd.stream_id);
        if (st)
            cl_h2_reset(st, NGHTTP2_INTERNAL_ERROR);
    }
    return go_on(c);
}

/* It has ended as it should, or cost the server no more than if it had. */
static bool is_free_reset(const struct cl_h2_stream *st) {
    return st->over || st->blameless || st->cut || st->req->response.bytes_sent ||
           cl_h2_now(st->conn) - st->req->start_ns >= STREAM_HELD_NS;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user) {
    (void)session;
    (void)code;
    struct cl_h2 *c = of_user(user);
    struct cl_h2_stream *st = stream_of(c, id);
    if (!st)
        return 0;
    if (c->head == st)
        end_head(c);
    if (c->data == st)
        c->data = NULL;
    if (CL_UNLIKELY(st->half && !st->body_pending))
        cl_h2_tunnel_complete(st);
    bool free = is_free_reset(st);
    cl_h2_stream_closed(st);
    return free ? go_on(c) : count(c, CL_H2_ACT_RESET);
}

/* ---- set up ---- */

static void set_callbacks(nghttp2_session_callbacks *k) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(k, on_begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(k, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(k, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(k, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(k, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(k, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(k, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(k, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(k, on_frame_not_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(k, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(k, cl_h2_put_data);
}

/* Some versions of the session have limits of their own, for every reset and every frame that is
 * unusual. Those in abuse.c are in their place: they know what was paid for. */
static void lift_limits(struct cl_h2_context *x) {
    (void)x;
#ifdef CELLO_HAVE_NGHTTP2_STREAM_RESET_RATE_LIMIT
    nghttp2_option_set_stream_reset_rate_limit(x->option, INT32_MAX, INT32_MAX);
#endif
#ifdef CELLO_HAVE_NGHTTP2_GLITCH_RATE_LIMIT
    nghttp2_option_set_glitch_rate_limit(x->option, INT32_MAX, INT32_MAX);
#endif
#ifdef CELLO_HAVE_NGHTTP2_MAX_CONTINUATIONS
    nghttp2_option_set_max_continuations(x->option, continuations_max(&x->cfg) + 1);
#endif
}

struct cl_h2_context *cl_h2_context_new(const struct cello_http2_config *cfg) {
    struct cl_h2_context *x = cl_calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->cfg = *cfg;
    cl_h2_memory_init(&x->memory);
    if (nghttp2_session_callbacks_new(&x->callbacks) || nghttp2_option_new(&x->option)) {
        cl_h2_context_del(x);
        return NULL;
    }
    set_callbacks(x->callbacks);
    nghttp2_option_set_no_auto_window_update(x->option, 1);
    nghttp2_option_set_no_closed_streams(x->option, 1);
    nghttp2_option_set_builtin_recv_extension_type(x->option, NGHTTP2_PRIORITY_UPDATE);
    nghttp2_option_set_max_send_header_block_length(x->option, CL_H2_SEND_HEAD_MAX);
    lift_limits(x);
    return x;
}

void cl_h2_context_del(struct cl_h2_context *x) {
    if (!x)
        return;
    nghttp2_session_callbacks_del(x->callbacks);
    nghttp2_option_del(x->option);
    cl_h2_memory_free(&x->memory);
    cl_free(x);
}

void cl_h2_context_offer_connect(struct cl_h2_context *x, struct cl_str protocol) {
    x->connect = protocol;
}

static int submit_settings(struct cl_h2 *c) {
    const struct cello_http2_config *cfg = &c->context->cfg;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, cfg->max_concurrent_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, cfg->initial_window_size},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, cfg->max_frame_size},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, cfg->max_header_list_size},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    size_t count = CL_ARRAY_LEN(settings) - (c->context->connect.len == 0);
    uint64_t window = (uint64_t)cfg->initial_window_size * WINDOW_STREAMS;
    window = CL_MIN(CL_MAX(window, (uint64_t)NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE), WINDOW_MAX);
    int err = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, count);
    return err ? err
               : nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                       (int32_t)window);
}

int cl_h2_session_new(struct cl_h2 *c) {
    /* What connections share is the context's owner's to change. */
    struct cl_h2_context *x = (struct cl_h2_context *)(uintptr_t)c->context;
    cl_h2_pieces_init(&c->pieces, &x->memory);
    nghttp2_mem memory = cl_h2_pieces_calls(&c->pieces);
    if (nghttp2_session_server_new3(&c->session, c->context->callbacks, c, c->context->option,
                                    &memory) == 0 &&
        submit_settings(c) == 0)
        return CELLO_OK;
    cl_h2_pieces_free(&c->pieces);
    return CELLO_ENOMEM;
}

void cl_h2_session_free(struct cl_h2 *c) {
    if (!c->pieces.failed)
        nghttp2_session_del(c->session);
    cl_h2_pieces_free(&c->pieces);
}

/* ---- input ---- */

/* With the session's end comes the connection's. */
static void fail(struct cl_h2 *c, ssize_t err) {
    if (c->doom) {
        cl_h2_die(c, c->doom);
        return;
    }
    switch (err) {
    case NGHTTP2_ERR_CALLBACK_FAILURE: /* only memory can fail there, or it is closed already */
    case NGHTTP2_ERR_NOMEM: cl_h2_close(c); break;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC: cl_h2_die(c, NGHTTP2_PROTOCOL_ERROR); break;
    default: cl_h2_die(c, NGHTTP2_ENHANCE_YOUR_CALM); break; /* one of its own floods */
    }
}

/* False: the connection has gone, or is about to. */
static bool feed(struct cl_h2 *c, const uint8_t *bytes, size_t n) {
    if (!n)
        return true;
    c->inside++;
    ssize_t used = nghttp2_session_mem_recv(c->session, bytes, n);
    c->inside--;
    if (CL_LIKELY(used >= 0))
        return true;
    fail(c, used);
    return false;
}

/* Data for a stream that has gone: the session skips them without a word. */
static bool is_late(struct cl_h2 *c, int32_t id) {
    return !stream_of(c, id) && id & 1 && is_closed(c, id);
}

/* The head of the next frame, as far as it is here. NULL: not all of it. Returns its end. */
static const uint8_t *next_frame(struct cl_h2_frames *f, const uint8_t *p, const uint8_t *end) {
    size_t skip = CL_MIN((size_t)(end - p), f->left);
    f->left -= skip;
    p += skip;
    size_t n = CL_MIN((size_t)(end - p), sizeof f->head - f->have);
    memcpy(f->head + f->have, p, n);
    f->have += n;
    if (f->have < sizeof f->head)
        return NULL;
    f->have = 0;
    f->left = (size_t)f->head[0] << 16 | (size_t)f->head[1] << 8 | f->head[2];
    return p + n;
}

static int32_t stream_id(const uint8_t head[static CL_H2_FRAME_HEAD]) {
    return (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
                     (uint32_t)head[7] << 8 | head[8]);
}

/* Whether the stream of a DATA frame is still there is known when all before it was read. */
static bool feed_frames(struct cl_h2 *c, const uint8_t *bytes, const uint8_t *end) {
    const uint8_t *p = bytes;
    while ((p = next_frame(&c->frames, p, end)) != NULL) {
        const uint8_t *head = p - bytes > CL_H2_FRAME_HEAD ? p - CL_H2_FRAME_HEAD : bytes;
        if (CL_LIKELY(c->frames.head[3] != NGHTTP2_DATA))
            continue;
        if (!feed(c, bytes, (size_t)(head - bytes)))
            return false;
        bytes = head;
        if (CL_UNLIKELY(is_late(c, stream_id(c->frames.head)))) {
            cl_h2_die(c, NGHTTP2_STREAM_CLOSED);
            return false;
        }
    }
    return feed(c, bytes, (size_t)(end - bytes));
}

void cl_h2_receive(struct cl_h2 *c) {
    struct cl_block *in = c->super.stream->in;
    const uint8_t *bytes = (const uint8_t *)cl_block_rd(in);
    size_t n = cl_block_len(in);
    cl_block_ref(in);
    (void)feed_frames(c, bytes, bytes + n);
    in->rd += n;
    cl_block_unref(in);
}
