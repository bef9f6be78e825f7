/* A connection's handshake, its ends, and what the transport reports. */
#include "tls/stream.h"

#include <errno.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

/* Unread bytes of the transport: two records. */
enum { LOWER_IN_MAX = 2 * (CL_TLS_RECORD + CL_TLS_RECORD_MORE) };

/* A record's head, and the head of the ClientHello in it. */
enum { HELLO_HEAD = 9 };

static struct cl_tls *of_stream(struct cl_stream *s) {
    return CL_CONTAINER_OF(s, struct cl_tls, super);
}

/* ---- the handshake -------------------------------------------------------------------------- */

static void be_ready(struct cl_tls *t, int err) {
    cl_timer_stop(cl_loop_timers(t->super.loop), &t->timer);
    cl_tls_ready_fn on_ready = t->on_ready;
    t->on_ready = NULL;
    if (on_ready)
        on_ready(&t->super, err);
}

/* The client gets the alert, and time to read it: what it sent meanwhile and nobody read would
 * make the close look like a failure. */
static void fail(struct cl_tls *t, int err) {
    struct cl_loop *l = t->super.loop;
    t->state = CL_TLS_FAILED;
    t->broken = true; /* OpenSSL has said what it had to say, if it was asked at all */
    t->failed_with = err;
    t->shut = true;
    cl_tls_half_close(t);
    uint64_t until = cl_loop_now_ns(l) + CL_TLS_ALERT_NS;
    cl_timer_set(cl_loop_timers(l), &t->timer, CL_MIN(until, t->timer.deadline_ns));
}

/* An alert in clear, before OpenSSL has said anything. */
static void refuse(struct cl_tls *t, unsigned char alert, const char *why) {
    const char record[] = {SSL3_RT_ALERT, 3, 1, 0, 2, SSL3_AL_FATAL, (char)alert};
    t->failure = why;
    t->fill = cl_block_new(cl_loop_pool(t->super.loop), sizeof record);
    if (t->fill) {
        memcpy(t->fill->data, record, sizeof record);
        t->fill->wr = sizeof record;
    }
    fail(t, CELLO_EINVAL);
}

static void be_open(struct cl_tls *t) {
    t->state = CL_TLS_OPEN;
    t->held = t->fill != NULL;
    if (t->held)
        cl_loop_flush_later(t->super.loop, &t->later);
    t->lower->in_room = 0;
    be_ready(t, CELLO_OK);
    cl_tls_receive(t);
}

static void shake_hands(struct cl_tls *t) {
    cl_tls_forget_errors();
    int done = SSL_do_handshake(t->ssl);
    if (done == 1) {
        be_open(t);
        return;
    }
    int why = SSL_get_error(t->ssl, done);
    if (why != SSL_ERROR_WANT_READ) {
        const char *text = ERR_reason_error_string(ERR_peek_last_error());
        t->failure = text ? text : "out of memory";
        ERR_clear_error();
        fail(t, CELLO_EINVAL);
    } else if (t->taken > CL_TLS_HANDSHAKE_MAX) {
        t->failure = "the handshake is too long";
        fail(t, CELLO_EINVAL);
    } else {
        (void)cl_tls_push(t);
    }
}

/* Who has said nothing yet costs no memory of OpenSSL. */
static int make_ssl(struct cl_tls *t) {
    t->ssl = SSL_new(t->setup->main);
    BIO *bio = t->ssl ? cl_tls_bio_new(t) : NULL;
    if (!bio || SSL_set_app_data(t->ssl, t) != 1) {
        BIO_free(bio);
        SSL_free(t->ssl);
        t->ssl = NULL;
        ERR_clear_error();
        return CELLO_ENOMEM;
    }
    SSL_set_bio(t->ssl, bio, bio);
    if (t->setup->kernel)
        SSL_set_options(t->ssl, SSL_OP_ENABLE_KTLS);
    SSL_set_accept_state(t->ssl);
    return CELLO_OK;
}

static void begin_handshake(struct cl_tls *t) {
    if (make_ssl(t) != CELLO_OK) {
        be_ready(t, CELLO_ENOMEM);
        return;
    }
    t->state = CL_TLS_HANDSHAKE;
    shake_hands(t);
}

/* The length in the ClientHello's head decides before OpenSSL takes memory for it. What is no
 * handshake at all, and no text either, gets OpenSSL's alert. */
static void look_at_hello(struct cl_tls *t) {
    const struct cl_block *in = t->lower->in;
    size_t n = cl_block_len(in);
    const unsigned char *p = (const unsigned char *)in->data + in->rd;
    if (*p >= ' ' || *p == '\r' || *p == '\n') {
        if (*p < 0x7f) {
            be_ready(t, CELLO_ENOTSUP);
            return;
        }
    } else if (*p == SSL3_RT_HANDSHAKE) {
        if (n < HELLO_HEAD)
            return;
        size_t length = (size_t)p[6] << 16 | (size_t)p[7] << 8 | p[8];
        if (p[5] == SSL3_MT_CLIENT_HELLO && length > CL_TLS_HELLO_MAX) {
            refuse(t, SSL3_AD_ILLEGAL_PARAMETER, "the ClientHello is too long");
            return;
        }
    }
    begin_handshake(t);
}

static void on_timer(struct cl_timer *timer) {
    struct cl_tls *t = CL_CONTAINER_OF(timer, struct cl_tls, timer);
    if (t->state == CL_TLS_CLOSED)
        cl_tls_leave(t);
    else
        be_ready(t, t->state == CL_TLS_FAILED ? t->failed_with : CELLO_ETIMEOUT);
}

/* ---- from the transport --------------------------------------------------------------------- */

/* What comes instead of bytes. */
static void lower_ended(struct cl_tls *t, int result) {
    if (t->state == CL_TLS_CLOSED) {
        if (result == CELLO_ESYS)
            cl_tls_leave(t);
    } else if (t->state == CL_TLS_FAILED) {
        be_ready(t, t->failed_with);
    } else if (t->state != CL_TLS_OPEN) {
        be_ready(t, result == CELLO_ELIMIT ? CELLO_EINVAL : result);
    } else if (result == CELLO_ENOMEM) {
        t->paused = true;
        t->super.handler->on_recv(&t->super, result);
    } else if (result == CELLO_EOF || result == CELLO_ESYS) {
        t->truncated = !t->end;
        if (!t->end) {
            t->end = result;
            t->end_errno = errno;
        }
        cl_tls_receive(t);
    }
}

static void on_recv(struct cl_stream *lower, int result) {
    struct cl_tls *t = lower->protocol;
    if (CL_UNLIKELY(result < 0)) {
        lower_ended(t, result);
        return;
    }
    switch (t->state) {
    case CL_TLS_OPEN: cl_tls_receive(t); break;
    case CL_TLS_HELLO: look_at_hello(t); break;
    case CL_TLS_HANDSHAKE: shake_hands(t); break;
    case CL_TLS_FAILED:
    case CL_TLS_CLOSED: lower->in->rd = lower->in->wr; break;
    }
}

static void del(struct cl_tls *t) {
    cl_timer_stop(cl_loop_timers(t->super.loop), &t->timer);
    cl_loop_flush_cancel(t->super.loop, &t->later);
    cl_block_drop(&t->fly);
    cl_block_drop(&t->fill);
    SSL_free(t->ssl);
    cl_tls_identity_del(t->identity);
    cl_tls_setup_unref(t->setup);
    cl_block_drop(&t->super.in);
    cl_free(t);
}

static void on_closed(struct cl_stream *lower) {
    struct cl_tls *t = lower->protocol;
    t->super.handler->on_closed(&t->super);
    del(t);
}

static const struct cl_stream_handler lower_handler = {
    .on_recv = on_recv,
    .on_sent = cl_tls_on_sent,
    .on_closed = on_closed,
};

/* ---- the stream's own operations ------------------------------------------------------------ */

static void tls_pause(struct cl_stream *s) {
    of_stream(s)->paused = true;
    cl_stream_pause(of_stream(s)->lower);
}

static void tls_resume(struct cl_stream *s) {
    struct cl_tls *t = of_stream(s);
    if (!t->paused)
        return;
    t->paused = false;
    if (!t->receiving && (cl_tls_has_input(t) || t->end))
        cl_loop_flush_later(s->loop, &t->later);
    cl_stream_resume(t->lower);
}

/* A record that OpenSSL has a part of is not waited for again. */
static void tls_gather(struct cl_stream *s, size_t least) {
    cl_stream_gather(of_stream(s)->lower, least > 2 * CL_TLS_RECORD ? least - CL_TLS_RECORD : 1);
}

static void tls_by_hand(struct cl_stream *s, bool on) {
    of_stream(s)->by_hand = on;
}

/* It also changes with what is sealed, as the transport's may stand for what is left of a send. */
static uint64_t tls_progress(const struct cl_stream *s) {
    const struct cl_tls *t = CL_CONTAINER_OF(s, const struct cl_tls, super);
    return cl_stream_progress(t->lower) ^ t->batches << 40;
}

static void tls_reset_on_close(struct cl_stream *s) {
    of_stream(s)->quiet = true;
    cl_stream_reset_on_close(of_stream(s)->lower);
}

void cl_tls_leave(struct cl_tls *t) {
    cl_timer_stop(cl_loop_timers(t->super.loop), &t->timer);
    cl_stream_close(t->lower);
}

/* Who is cut off in a handshake has been given time enough. */
static void tls_close(struct cl_stream *s) {
    struct cl_tls *t = of_stream(s);
    if (t->state == CL_TLS_CLOSED)
        return;
    bool waits = cl_tls_say_goodbye(t) == CELLO_EAGAIN && t->state == CL_TLS_OPEN;
    t->state = CL_TLS_CLOSED;
    t->on_ready = NULL;
    t->sending = false;
    cl_loop_flush_cancel(s->loop, &t->later);
    if (!waits) {
        cl_tls_leave(t);
        return;
    }
    cl_timer_set(cl_loop_timers(s->loop), &t->timer, cl_loop_now_ns(s->loop) + CL_TLS_GOODBYE_NS);
    if (t->lower->in)
        t->lower->in->rd = t->lower->in->wr;
    if (!t->receiving)
        cl_block_drop_empty(&t->lower->in);
    cl_loop_need_turn(s->loop);
}

static const struct cl_stream_ops stream_ops = {
    .send = cl_tls_send,
    .sendfile = cl_tls_sendfile,
    .pause = tls_pause,
    .resume = tls_resume,
    .gather = tls_gather,
    .by_hand = tls_by_hand,
    .recv_now = cl_tls_recv_now,
    .shutdown = cl_tls_shutdown,
    .progress = tls_progress,
    .reset_on_close = tls_reset_on_close,
    .close = tls_close,
};

/* ---- nobody's yet --------------------------------------------------------------------------- */

static void nobody_recv(struct cl_stream *s, int result) {
    (void)s;
    (void)result;
}

static void nobody_closed(struct cl_stream *s) {
    (void)s;
}

static const struct cl_stream_handler nobody = {
    .on_recv = nobody_recv,
    .on_sent = nobody_recv,
    .on_closed = nobody_closed,
};

/* What had come before cl_tls_accept. The stream may be gone afterwards. */
static void begin(struct cl_stream *lower) {
    if (lower->in && cl_block_len(lower->in))
        on_recv(lower, (int)cl_block_len(lower->in));
    cl_block_drop_empty(&lower->in);
}

/* At the end of a turn. Tickets wait for the end of the next one, since the answer to what came
 * with the client's last message takes them along. */
static void run_later(struct cl_flush *f) {
    struct cl_tls *t = CL_CONTAINER_OF(f, struct cl_tls, later);
    if (t->held && !t->waited) {
        t->waited = true;
        cl_loop_flush_later(t->super.loop, &t->later);
        return;
    }
    t->held = false;
    if (t->state == CL_TLS_HELLO) {
        begin(t->lower);
        return;
    }
    if (t->state != CL_TLS_OPEN)
        return;
    if (!t->fly && !t->lent)
        cl_tls_go_on_sending(t);
    if (t->state == CL_TLS_OPEN) {
        cl_tls_receive(t);
        cl_block_drop_empty(&t->lower->in);
    }
}

int cl_tls_accept(struct cl_tls_context *c, struct cl_stream *lower, uint64_t timeout_ns,
                  cl_tls_ready_fn on_ready, void *protocol, struct cl_stream **out) {
    struct cl_tls *t = cl_calloc(1, sizeof *t);
    if (!t)
        return CELLO_ENOMEM;
    t->setup = cl_tls_context_setup(c);
    t->setup->refs++;
    t->super = (struct cl_stream){
        .ops = &stream_ops,
        .handler = &nobody,
        .loop = lower->loop,
        .protocol = protocol,
        .tls = t,
        .in_max = CL_BLOCK_SIZE,
        .peer = lower->peer,
        .credentials = lower->credentials,
    };
    t->lower = lower;
    t->on_ready = on_ready;
    t->later.run = run_later;
    cl_timer_init(&t->timer, on_timer);
    if (timeout_ns)
        cl_timer_set(cl_loop_timers(lower->loop), &t->timer,
                     cl_loop_now_ns(lower->loop) + timeout_ns);
    lower->handler = &lower_handler;
    lower->protocol = t;
    lower->in_max = LOWER_IN_MAX;
    if (lower->in && cl_block_len(lower->in))
        cl_loop_flush_later(lower->loop, &t->later);
    *out = &t->super;
    return CELLO_OK;
}

struct cl_stream *cl_tls_give_back(struct cl_stream *s) {
    struct cl_stream *lower = of_stream(s)->lower;
    lower->protocol = NULL;
    lower->handler = NULL;
    del(of_stream(s));
    return lower;
}

/* ---- what is known of it -------------------------------------------------------------------- */

struct cl_str cl_tls_alpn(const struct cl_tls *t) {
    const unsigned char *name = NULL;
    unsigned length = 0;
    SSL_get0_alpn_selected(t->ssl, &name, &length);
    return cl_str((const char *)name, length);
}

const char *cl_tls_version(const struct cl_tls *t) {
    return SSL_get_version(t->ssl);
}

const char *cl_tls_cipher(const struct cl_tls *t) {
    return SSL_CIPHER_standard_name(SSL_get_current_cipher(t->ssl));
}

struct cl_str cl_tls_server_name(const struct cl_tls *t) {
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    return cl_str(name, name ? strlen(name) : 0);
}

bool cl_tls_resumed(const struct cl_tls *t) {
    return SSL_session_reused(t->ssl);
}

bool cl_tls_truncated(const struct cl_tls *t) {
    return t->truncated;
}

const char *cl_tls_failure(const struct cl_tls *t) {
    return t->failure ? t->failure : "the handshake did not begin";
}
