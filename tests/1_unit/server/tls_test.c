/* A server with TLS: handshakes at its door, plain HTTP there, memory that ends. */
#include <cello/tls.h>

#include <openssl/ssl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "support/dial.h"
#include "support/folder.h"

enum { ROUNDS = 30, ALLOCATIONS_MAX = 200 };

struct site {
    struct fixture f;
    struct folder folder;
    char cert[200], key[200];
    SSL_CTX *clients;
};

static void begin(struct site *t) {
    char why[CELLO_TLS_WHY];
    bool made;
    folder_init(&t->folder);
    struct cl_str path = folder_path(&t->folder);
    snprintf(t->cert, sizeof t->cert, "%.*s/cert.pem", (int)path.len, path.ptr);
    snprintf(t->key, sizeof t->key, "%.*s/key.pem", (int)path.len, path.ptr);
    assert_int_equal(cello_tls_make_local(t->cert, t->key, &made, why), CELLO_OK);
    assert_true(made);
    fixture_init(&t->f, NULL);
    struct cello_tls_config cfg = CELLO_TLS_CONFIG_DEFAULT;
    cfg.cert_path = t->cert;
    cfg.key_path = t->key;
    assert_int_equal(cello_server_use_tls(t->f.server, NULL, &cfg, why), CELLO_OK);
    t->clients = SSL_CTX_new(TLS_client_method());
    assert_non_null(t->clients);
}

static void end(struct site *t) {
    SSL_CTX_free(t->clients);
    fixture_free(&t->f);
    folder_free(&t->folder);
}

/* Both directions, and a turn. False: there is nobody any more. */
static bool carry(struct site *t, struct cl_connection *c, SSL *ssl) {
    char bytes[20000];
    size_t n;
    int waiting = BIO_read(SSL_get_wbio(ssl), bytes, sizeof bytes);
    if (waiting > 0 && (cello_connection_send(c, cl_str(bytes, (size_t)waiting), &n) != CELLO_OK ||
                        n != (size_t)waiting))
        return false;
    (void)cello_server_turn(t->f.server, 0);
    int err = cello_connection_receive(c, bytes, sizeof bytes, &n);
    if (err == CELLO_OK)
        BIO_write(SSL_get_rbio(ssl), bytes, (int)n);
    return err == CELLO_OK || err == CELLO_EAGAIN;
}

/* Whether a request over a connection of its own is answered with 200. */
static bool ask(struct site *t) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char answer[16] = "";
    struct cl_connection *c;
    if (cello_server_connect(t->f.server, "10.0.0.1", 4000, &c) != CELLO_OK)
        return false;
    SSL *ssl = SSL_new(t->clients);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    bool there = true, asked = false;
    for (int i = 0; there && i < ROUNDS && !*answer; i++) {
        if (!asked && SSL_connect(ssl) == 1)
            asked = SSL_write(ssl, request, sizeof request - 1) > 0;
        there = carry(t, c, ssl);
        if (asked)
            (void)SSL_read(ssl, answer, sizeof answer - 1);
    }
    SSL_free(ssl);
    cello_connection_close(c);
    fixture_turn(&t->f);
    return strncmp(answer, "HTTP/1.1 200 OK", 15) == 0;
}

static void test_a_request(void **state) {
    (void)state;
    struct site t;
    begin(&t);
    assert_true(ask(&t));
    assert_true(cello_server_reload_tls(t.f.server));
    assert_true(ask(&t));
    assert_int_equal(unlink(t.key), 0);
    cl_log_set_sink(NULL, NULL);
    assert_false(cello_server_reload_tls(t.f.server));
    assert_true(ask(&t));
    assert_int_equal(t.f.server->worker.conn_count, 0);
    end(&t);
}

static void test_plain_http(void **state) {
    (void)state;
    struct site t;
    static struct end e;
    begin(&t);
    unsigned handled = t.f.handled;
    dial(&t.f, &e, "10.0.0.1");
    say(&t.f, &e, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&t.f, &e);
    assert_memory_equal(e.in, "HTTP/1.1 400 Bad Request\r\n", 26);
    assert_true(e.closed);
    hang_up(&t.f, &e);
    assert_int_equal(t.f.handled, handled);
    end(&t);
}

/* One that shakes hands is a connection like others: counted, and ended by a stop. */
static void test_a_handshake_is_counted(void **state) {
    (void)state;
    struct site t;
    static struct end e;
    begin(&t);
    dial(&t.f, &e, "10.0.0.1");
    say(&t.f, &e, "\x16\x03\x01");
    assert_int_equal(t.f.server->worker.conn_count, 1);
    cello_server_stop(t.f.server, 0);
    while (!cello_server_done(t.f.server))
        assert_int_equal(cello_server_turn(t.f.server, UINT64_MAX), CELLO_OK);
    assert_int_equal(t.f.server->worker.conn_count, 0);
    hear(&t.f, &e);
    assert_true(e.closed);
    hang_up(&t.f, &e);
    end(&t);
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    struct site t;
    begin(&t);
    cl_log_set_sink(fixture_no_log, NULL);
    assert_true(ask(&t)); /* what is kept for the next one is there now */
    uint64_t before = cl_alloc_count();
    assert_true(ask(&t));
    uint64_t needed = cl_alloc_count() - before;
    assert_in_range(needed, 3, ALLOCATIONS_MAX);
    unsigned answered = 0;
    for (uint64_t n = 1; n <= needed; n++) {
        cl_alloc_fail_nth(n);
        answered += ask(&t);
        cl_alloc_fail_nth(0);
        assert_true(ask(&t));
        assert_int_equal(t.f.server->worker.conn_count, 0);
    }
    assert_true(answered < needed);
    cl_log_set_sink(NULL, NULL);
    end(&t);
}

static void test_wrong_files(void **state) {
    (void)state;
    struct site t;
    char why[CELLO_TLS_WHY];
    begin(&t);
    struct cello_tls_config cfg = CELLO_TLS_CONFIG_DEFAULT;
    cfg.cert_path = t.cert;
    cfg.key_path = "/nowhere/key.pem";
    assert_int_equal(cello_tls_check(&cfg, why), CELLO_ESYS);
    assert_non_null(strstr(why, "'/nowhere/key.pem'"));
    assert_int_equal(cello_server_use_tls(t.f.server, NULL, &cfg, why), CELLO_ESYS);
    assert_true(ask(&t)); /* as it was */
    cfg.key_path = t.key;
    assert_int_equal(cello_tls_check(&cfg, why), CELLO_OK);
    end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_plain_http),
        cmocka_unit_test(test_a_handshake_is_counted),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_wrong_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
