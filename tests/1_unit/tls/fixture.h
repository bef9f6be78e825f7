/* For tests of TLS: a server end, and a client made of OpenSSL at the other end of
 * the memory transport. */
#ifndef CL_TEST_TLS_FIXTURE_H
#define CL_TEST_TLS_FIXTURE_H

#include "tls/site.h"

enum { TAKEN_MAX = 4 << 20 };

/* One connection: the server's stream and what it reported, and OpenSSL as its client. */
struct pair {
    struct site *site;
    struct cl_stream *lower, *stream;
    int ready, ready_err; /* calls, and the last error */
    bool keep;            /* what comes is left in the stream */
    bool give_back;       /* a text, when it comes, back to the stream below */
    int recvs, ends, last_recv, sents, last_sent, closed;
    char *taken; /* by the server */
    size_t taken_len;
    void (*on_recv)(struct pair *p, int result);
    SSL_CTX *client_ctx;
    SSL *client;
    BIO *to_client, *from_client; /* the client's */
    size_t cut;                   /* most bytes pushed at once; 0: all */
    bool sealed;                  /* nothing more reaches the server */
};

CL_UNUSED static void pair_take(struct pair *p) {
    struct cl_block *in = p->stream->in;
    if (!in)
        return;
    size_t n = cl_block_len(in);
    assert_true(p->taken_len + n <= TAKEN_MAX);
    memcpy(p->taken + p->taken_len, cl_block_rd(in), n);
    p->taken_len += n;
    in->rd = in->wr;
}

CL_UNUSED static void pair_on_recv(struct cl_stream *s, int result) {
    struct pair *p = s->protocol;
    assert_false(p->closed);
    p->recvs++;
    p->last_recv = result;
    p->ends += result == CELLO_EOF || result == CELLO_ESYS;
    if (p->on_recv)
        p->on_recv(p, result);
    else if (result > 0 && !p->keep)
        pair_take(p);
}

CL_UNUSED static void pair_on_sent(struct cl_stream *s, int err) {
    struct pair *p = s->protocol;
    assert_false(p->closed);
    p->sents++;
    p->last_sent = err;
}

CL_UNUSED static void pair_on_closed(struct cl_stream *s) {
    struct pair *p = s->protocol;
    assert_false(p->closed);
    p->closed = 1;
}

static const struct cl_stream_handler pair_handler = {pair_on_recv, pair_on_sent, pair_on_closed};

CL_UNUSED static void pair_on_ready(struct cl_stream *s, int err) {
    struct pair *p = s->protocol;
    p->ready++;
    p->ready_err = err;
    s->handler = &pair_handler;
    if (err == CELLO_ENOTSUP && p->give_back) {
        struct cl_stream *lower = cl_tls_give_back(s);
        assert_ptr_equal(lower, p->lower);
        lower->handler = &pair_handler;
        lower->protocol = p;
        p->stream = lower;
    }
}

/* A client that knows the CA of the site, before it has said anything. */
CL_UNUSED static void pair_init(struct pair *p, struct site *s, uint64_t timeout_ns) {
    *p = (struct pair){.site = s, .taken = malloc(TAKEN_MAX)};
    assert_non_null(p->taken);
    assert_int_equal(cl_mem_stream_new(s->loop, NULL, NULL, &p->lower), CELLO_OK);
    assert_int_equal(cl_tls_accept(s->context, p->lower, timeout_ns, pair_on_ready, p, &p->stream),
                     CELLO_OK);
    p->client_ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(p->client_ctx);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(p->client_ctx), s->ca.x509);
    SSL_CTX_set_verify(p->client_ctx, SSL_VERIFY_PEER, NULL);
    p->client = SSL_new(p->client_ctx);
    p->to_client = BIO_new(BIO_s_mem());
    p->from_client = BIO_new(BIO_s_mem());
    assert_true(p->client && p->to_client && p->from_client);
    BIO_set_mem_eof_return(p->to_client, -1);
    SSL_set_bio(p->client, p->to_client, p->from_client);
    SSL_set_connect_state(p->client);
}

CL_UNUSED static void pair_free(struct pair *p) {
    if (!p->closed)
        cl_stream_close(p->stream);
    for (int i = 0; i < 10 && !p->closed; i++) {
        if (p->ready)
            (void)cl_mem_finish_send(p->lower, CELLO_ESYS);
        assert_int_equal(cl_loop_turn(p->site->loop, 0), CELLO_OK);
    }
    assert_true(p->closed || p->ready == 0);
    SSL_free(p->client);
    SSL_CTX_free(p->client_ctx);
    free(p->taken);
    ERR_clear_error();
}

/* What the client wrote goes to the server. False: there was nothing. */
CL_UNUSED static bool pair_up(struct pair *p) {
    char *bytes;
    long n = BIO_get_mem_data(p->from_client, &bytes);
    if (n <= 0 || p->closed || p->sealed)
        return false;
    for (size_t at = 0; at < (size_t)n;) {
        size_t part = p->cut ? CL_MIN(p->cut, (size_t)n - at) : (size_t)n - at;
        assert_int_equal(cl_mem_push(p->lower, bytes + at, part), CELLO_OK);
        at += part;
    }
    (void)BIO_reset(p->from_client);
    return true;
}

/* What the server sent goes to the client. */
CL_UNUSED static bool pair_down(struct pair *p) {
    if (p->closed)
        return false;
    struct cl_str out = cl_mem_output(p->lower);
    if (!out.len)
        return false;
    assert_int_equal(BIO_write(p->to_client, out.ptr, (int)out.len), (int)out.len);
    cl_mem_output_clear(p->lower);
    return true;
}

/* Both ways and turns of the loop, until nothing moves; the client is not asked to do anything. */
CL_UNUSED static bool pair_move(struct pair *p) {
    bool moved = false, now = true;
    while (now) {
        now = pair_up(p);
        for (int i = 0; i < 3 && !p->closed; i++)
            assert_int_equal(cl_loop_turn(p->site->loop, 0), CELLO_OK);
        now |= pair_down(p);
        moved |= now;
    }
    return moved;
}

/* The result of the client's handshake: 1, or what SSL_get_error says, negative. */
CL_UNUSED static int pair_shake(struct pair *p) {
    for (;;) {
        ERR_clear_error();
        int done = SSL_do_handshake(p->client);
        int why = done == 1 ? 0 : SSL_get_error(p->client, done);
        bool moved = pair_move(p);
        if (done == 1)
            return 1;
        if (why != SSL_ERROR_WANT_READ || !moved)
            return -why;
    }
}

CL_UNUSED static void pair_write(struct pair *p, const void *bytes, size_t n) {
    size_t written;
    ERR_clear_error();
    assert_int_equal(SSL_write_ex(p->client, bytes, n, &written), 1);
    assert_int_equal(written, n);
    pair_move(p);
}

/* A record that is changed on its way. */
CL_UNUSED static void pair_write_damaged(struct pair *p) {
    char *bytes;
    assert_int_equal(SSL_write(p->client, "ping", 4), 4);
    long n = BIO_get_mem_data(p->from_client, &bytes);
    bytes[n - 1] ^= 1;
    pair_move(p);
}

/* For p->on_recv: takes what has come, and wants no more until cl_stream_resume. */
CL_UNUSED static void pair_pause(struct pair *p, int result) {
    if (result > 0)
        pair_take(p);
    cl_stream_pause(p->stream);
}

/* The client's KeyUpdate, of one of OpenSSL's kinds; pair_up takes it along. */
CL_UNUSED static void pair_update_keys(struct pair *p, int kind) {
    assert_int_equal(SSL_key_update(p->client, kind), 1);
    assert_int_equal(SSL_do_handshake(p->client), 1);
}

/* What the client can read now, at most n bytes. */
CL_UNUSED static size_t pair_read(struct pair *p, char *to, size_t n) {
    size_t got = 0, part;
    pair_move(p);
    ERR_clear_error();
    while (got < n && SSL_read_ex(p->client, to + got, n - got, &part) == 1)
        got += part;
    return got;
}

CL_UNUSED static int pair_send(struct pair *p, const char *text) {
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    return cl_stream_send(p->stream, &iov, 1);
}

/* What was sent before pair_move sees that it is closed reaches the client. */
CL_UNUSED static void pair_last_words(struct pair *p) {
    struct cl_str out = cl_mem_output(p->lower);
    assert_int_equal(BIO_write(p->to_client, out.ptr, (int)out.len), (int)out.len);
    cl_mem_output_clear(p->lower);
}

CL_UNUSED static bool pair_got_close_notify(struct pair *p) {
    char got[10];
    (void)pair_read(p, got, sizeof got);
    return SSL_get_shutdown(p->client) & SSL_RECEIVED_SHUTDOWN;
}

/* The alert that the client was sent; -1: none. */
CL_UNUSED static int alert_of_last_error(void) {
    unsigned long e = ERR_peek_last_error();
    int reason = ERR_GET_REASON(e);
    return reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : -1;
}

#endif
