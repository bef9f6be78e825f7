/* Memory that runs out: for every allocation of a connection's life, of ours and of OpenSSL's, that
 * it fails. A connection may end by it; nothing leaks, and the next connection is served. */
#include <malloc.h>

#include "tls/fixture.h"

#include "base/alloc.h"

/* Which allocation fails, counted while the server is at work: the client's do not count. */
static struct {
    bool openssl;  /* one of OpenSSL's; else one of ours */
    bool counting; /* of OpenSSL's */
    uint64_t left; /* allocations until it; 0: it was, or never is */
    uint64_t start;
} fault;

static void fault_begin(bool openssl, uint64_t nth) {
    fault.openssl = openssl;
    fault.left = nth;
}

static void fault_count(bool on) {
    if (fault.openssl) {
        fault.counting = on;
    } else if (on) {
        fault.start = cl_alloc_count();
        cl_alloc_fail_nth(fault.left);
    } else {
        uint64_t made = cl_alloc_count() - fault.start;
        fault.left -= CL_MIN(made, fault.left);
        cl_alloc_fail_nth(0);
    }
}

/* OpenSSL's allocations go through these from the first on. */
static bool fails(void) {
    return fault.counting && fault.left && --fault.left == 0;
}

/* Bytes that OpenSSL has now. */
static size_t openssl_bytes;

static void *openssl_malloc(size_t n, const char *file, int line) {
    (void)file;
    (void)line;
    void *p = fails() ? NULL : malloc(n);
    openssl_bytes += malloc_usable_size(p);
    return p;
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line) {
    (void)file;
    (void)line;
    if (fails())
        return NULL;
    openssl_bytes -= malloc_usable_size(p);
    p = realloc(p, n);
    openssl_bytes += malloc_usable_size(p);
    return p;
}

static void openssl_free(void *p, const char *file, int line) {
    (void)file;
    (void)line;
    openssl_bytes -= malloc_usable_size(p);
    free(p);
}

/* Of OpenSSL for a connection that waits: without the buffers of records, 17 KB each. */
enum { MOST_IDLE = 16000 };

/* ---- a server's side that may fail anywhere ------------------------------------------------- */

struct life {
    struct cl_stream *lower, *stream; /* NULL: closed */
    bool ready;
    struct iovec iov;
    char out[20000];
};

static void on_recv(struct cl_stream *s, int result) {
    struct life *l = s->protocol;
    if (result < 0 && result != CELLO_EOF) {
        cl_stream_close(s);
        return;
    }
    if (s->in)
        s->in->rd = s->in->wr;
    l->iov = (struct iovec){l->out, sizeof l->out};
    if (cl_stream_send(s, &l->iov, 1) != CELLO_OK)
        cl_stream_close(s);
}

static void on_sent(struct cl_stream *s, int err) {
    (void)err;
    cl_stream_close(s);
}

static void on_closed(struct cl_stream *s) {
    struct life *l = s->protocol;
    l->stream = NULL;
}

static const struct cl_stream_handler handler = {on_recv, on_sent, on_closed};

static void on_ready(struct cl_stream *s, int err) {
    struct life *l = s->protocol;
    l->ready = true;
    s->handler = &handler;
    if (err)
        cl_stream_close(s);
}

static void move(struct life *l, BIO *from, BIO *to) {
    char *bytes;
    long n = BIO_get_mem_data(from, &bytes);
    fault_count(true);
    if (n > 0 && l->stream && cl_mem_push(l->lower, bytes, (size_t)n) != CELLO_OK)
        cl_mem_reset(l->lower);
    for (int i = 0; i < 2; i++)
        assert_int_equal(cl_loop_turn(site.loop, 0), CELLO_OK);
    fault_count(false);
    (void)BIO_reset(from);
    struct cl_str out = l->stream ? cl_mem_output(l->lower) : cl_str(NULL, 0);
    if (out.len) {
        assert_int_equal(BIO_write(to, out.ptr, (int)out.len), (int)out.len);
        cl_mem_output_clear(l->lower);
    }
}

static void nobody_closed(struct cl_stream *s) {
    (void)s;
}

static const struct cl_stream_handler nobody = {NULL, NULL, nobody_closed};

static void begin(struct life *l) {
    memset(l, 0, sizeof *l);
    if (cl_mem_stream_new(site.loop, &nobody, NULL, &l->lower) != CELLO_OK)
        return;
    if (cl_tls_accept(site.context, l->lower, 0, on_ready, l, &l->stream) != CELLO_OK)
        cl_stream_close(l->lower);
}

/* What the client does, and what it has read by now. */
static size_t client_step(SSL *client) {
    static char got[30000];
    size_t part, read = 0;
    bool asked = SSL_is_init_finished(client);
    if (SSL_do_handshake(client) == 1 && !asked)
        (void)SSL_write(client, "hello", 5);
    while (SSL_read_ex(client, got, sizeof got, &part) == 1)
        read += part;
    ERR_clear_error();
    return read;
}

/* One connection. True: the client got its answer. */
static bool live(bool openssl, uint64_t nth) {
    static struct life l;
    size_t read = 0;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx);
    BIO *to = BIO_new(BIO_s_mem()), *from = BIO_new(BIO_s_mem());
    assert_true(client && to && from);
    BIO_set_mem_eof_return(to, -1);
    SSL_set_bio(client, to, from);
    SSL_set_connect_state(client);
    fault_begin(openssl, nth);
    fault_count(true);
    begin(&l);
    fault_count(false);
    for (int i = 0; i < 5; i++) {
        read += client_step(client);
        move(&l, from, to);
    }
    if (l.stream)
        cl_stream_close(l.stream);
    for (int i = 0; i < 2; i++)
        assert_int_equal(cl_loop_turn(site.loop, 0), CELLO_OK);
    assert_true(!l.stream || !l.ready);
    assert_int_equal(cl_loop_pool(site.loop)->used, 0);
    SSL_free(client);
    SSL_CTX_free(ctx);
    return read == sizeof l.out;
}

/* OpenSSL's are very many, and most are alike: of those a part is enough. */
static uint64_t next(bool openssl, uint64_t n) {
    return openssl && n > 200 ? n + n / 100 : n + 1;
}

/* Until the n-th is none of the connection's any more. */
static void fail_each(bool openssl) {
    uint64_t n = 1;
    for (bool there_was_one = true; there_was_one; n = next(openssl, n)) {
        (void)live(openssl, n);
        there_was_one = fault.left == 0;
        assert_true(live(openssl, 0));
    }
    assert_true(n > (openssl ? 100 : 3));
}

static void test_our_memory(void **state) {
    (void)state;
    fail_each(false);
}

static void test_memory_of_openssl(void **state) {
    (void)state;
    fail_each(true);
}

/* ---- what an idle connection keeps ----------------------------------------------------------- */

static void test_idle_connections_are_small(void **state) {
    (void)state;
    enum { CONNECTIONS = 20 };
    static struct pair pairs[CONNECTIONS];
    size_t before = openssl_bytes;
    for (int i = 0; i < CONNECTIONS; i++) {
        struct pair *p = &pairs[i];
        pair_init(p, &site, 0);
        assert_int_equal(pair_shake(p), 1);
        pair_write(p, "ping", 4);
        assert_int_equal(pair_send(p, "pong"), CELLO_OK);
        pair_move(p);
        SSL_free(p->client);
        SSL_CTX_free(p->client_ctx);
        p->client = NULL;
        p->client_ctx = NULL;
    }
    assert_in_range((openssl_bytes - before) / CONNECTIONS, 2000, MOST_IDLE);
    for (int i = 0; i < CONNECTIONS; i++)
        pair_free(&pairs[i]);
}

/* ---- configurations ------------------------------------------------------------------------- */

static void load_with_faults(bool openssl) {
    uint64_t n = 1;
    int err = CELLO_ENOMEM;
    for (bool there_was_one = true; there_was_one; n = next(openssl, n)) {
        struct cl_tls_context *context = NULL;
        fault_begin(openssl, n);
        fault_count(true);
        err = cl_tls_context_new(&context, &site.cfg, NULL, site.why);
        fault_count(false);
        assert_true(err ? *site.why != '\0' : context != NULL);
        assert_int_equal(ERR_peek_error(), 0);
        cl_tls_context_del(context);
        there_was_one = fault.left == 0;
    }
    assert_int_equal(err, CELLO_OK);
    assert_true(n > 5);
}

static void test_our_memory_for_a_context(void **state) {
    (void)state;
    site.cfg.ca_path = site.ca_path;
    load_with_faults(false);
}

static void test_memory_of_openssl_for_a_context(void **state) {
    (void)state;
    site.cfg.ca_path = site.ca_path;
    load_with_faults(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_memory),
        cmocka_unit_test(test_memory_of_openssl),
        cmocka_unit_test(test_idle_connections_are_small),
        cmocka_unit_test(test_our_memory_for_a_context),
        cmocka_unit_test(test_memory_of_openssl_for_a_context),
    };
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return 1;
    return cmocka_run_group_tests_name("tls faults", tests, site_setup, site_teardown);
}
