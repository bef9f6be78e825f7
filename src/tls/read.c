/* From the transport to the protocol: what OpenSSL reads goes straight to where the protocol reads.
 */
#include <errno.h>

#include "base/clock.h"
#include "tls/tls_internal.h"

bool cl_tls_has_input(const struct cl_tls *t) {
    const struct cl_block *in = t->lower->in;
    return (in && cl_block_len(in)) || SSL_pending(t->ssl) > 0;
}

void cl_tls_end_with(struct cl_tls *t, int end, int why) {
    if (t->end)
        return;
    t->end = end;
    t->end_errno = why;
}

/* One read may go through any number of KeyUpdates: the BIO gives nothing more to it. */
void cl_tls_on_message(int written, int version, int type, const void *bytes, size_t n, SSL *ssl,
                       void *arg) {
    (void)version;
    (void)arg;
    if (written || type != SSL3_RT_HANDSHAKE || !n ||
        *(const unsigned char *)bytes != SSL3_MT_KEY_UPDATE)
        return;
    struct cl_tls *t = SSL_get_app_data(ssl);
    uint64_t now = cl_loop_now_ns(t->super.loop);
    t->updated_ns = CL_MAX(t->updated_ns, now) + CL_NS_PER_S;
    if (t->updated_ns <= now + CL_TLS_KEY_UPDATES * CL_NS_PER_S)
        return;
    t->broken = true;
    cl_tls_end_with(t, CELLO_ESYS, EPROTO);
}

/* What SSL_read did not read. An alert that it wrote leaves at the end of cl_tls_receive. */
static void take_end(struct cl_tls *t) {
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: break;
    case SSL_ERROR_ZERO_RETURN: cl_tls_end_with(t, CELLO_EOF, 0); break;
    default:
        t->broken = true;
        cl_tls_end_with(t, CELLO_ESYS, t->fill ? EPROTO : ENOMEM);
        break;
    }
    ERR_clear_error();
}

/* At most n bytes; 0: nothing has come, or t->end says why nothing will. */
static size_t read_some(struct cl_tls *t, char *to, size_t n) {
    size_t got = 0;
    while (got < n && !t->end && cl_tls_has_input(t)) {
        size_t part;
        cl_tls_forget_errors();
        if (SSL_read_ex(t->ssl, to + got, n - got, &part) != 1) {
            take_end(t);
            break;
        }
        got += part;
    }
    if (CL_UNLIKELY(t->kernel && SSL_get_key_update_type(t->ssl) != SSL_KEY_UPDATE_NONE))
        cl_tls_kernel_refuse_update(t);
    return got;
}

/* Room behind the unread bytes, as the event loop makes it. */
static int make_room(struct cl_stream *s, size_t *room) {
    size_t wanted = cl_block_wanted(s->in_room);
    return cl_block_receive_room(cl_loop_pool(s->loop), &s->in, wanted, s->in_max, room);
}

/* The number of bytes that were appended to s->in; 0: none have come; CELLO_ELIMIT, CELLO_ENOMEM,
 * CELLO_EAGAIN: as they are reported. */
static int fill_in(struct cl_tls *t) {
    struct cl_stream *s = &t->super;
    size_t room;
    if (!cl_tls_has_input(t) || t->end)
        return 0;
    if (t->by_hand)
        return CELLO_EAGAIN;
    int err = make_room(s, &room);
    if (err)
        return err;
    size_t n = read_some(t, cl_block_wr(s->in), room);
    s->in->wr += n;
    return (int)n;
}

static void pause(struct cl_tls *t) {
    t->paused = true;
    cl_stream_pause(t->lower);
}

static void report(struct cl_tls *t, int result) {
    struct cl_stream *s = &t->super;
    s->handler->on_recv(s, result);
    if (t->state != CL_TLS_CLOSED)
        cl_block_drop_empty(&s->in);
}

/* What is behind the end is nobody's. */
static void drop_rest(struct cl_tls *t) {
    struct cl_block *in = t->lower->in;
    if (in)
        in->rd = in->wr;
}

static void report_end(struct cl_tls *t) {
    drop_rest(t);
    if (t->end_told)
        return;
    t->end_told = true;
    if (t->fill && !t->fly)
        (void)cl_tls_push(t); /* the alert, before the protocol closes */
    errno = t->end_errno;
    report(t, t->end);
}

void cl_tls_receive(struct cl_tls *t) {
    if (t->receiving)
        return; /* the loop below goes on when the protocol returns */
    t->receiving = true;
    t->lower->in_room = t->super.in_room;
    while (!t->paused && t->state == CL_TLS_OPEN) {
        int n = fill_in(t);
        if (n < 0)
            pause(t);
        if (n)
            report(t, n);
        else
            break;
    }
    if (t->state == CL_TLS_OPEN && !t->paused && t->end)
        report_end(t);
    if (t->state == CL_TLS_OPEN) {
        cl_block_drop_empty(&t->super.in);
        if (t->fill && !t->held && !t->fly)
            (void)cl_tls_push(t);
    }
    t->receiving = false;
}

int cl_tls_recv_now(struct cl_stream *s, char *to, size_t n) {
    struct cl_tls *t = CL_CONTAINER_OF(s, struct cl_tls, super);
    if (t->state != CL_TLS_OPEN)
        return CELLO_EAGAIN;
    size_t got = read_some(t, to, n);
    if (!t->receiving)
        cl_block_drop_empty(&t->lower->in);
    if (got)
        return (int)got;
    errno = t->end_errno;
    return t->end ? t->end : CELLO_EAGAIN;
}
