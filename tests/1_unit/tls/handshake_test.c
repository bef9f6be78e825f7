/* Handshakes: what is chosen, what is refused and with which alert, and what they may cost. */
#include "tls/fixture.h"

/* From here on connections follow what the test wrote into site.cfg. */
static void use_config(void) {
    cl_tls_context_del(site.context);
    site.context = NULL;
    site_load(&site);
}

static void use_plain_config(void) {
    struct cello_tls_config cfg = CELLO_TLS_CONFIG_DEFAULT;
    cfg.cert_path = site.cert_path;
    cfg.key_path = site.key_path;
    site.cfg = cfg;
    use_config();
}

/* The alert that a handshake ends with; the server is told, too, and may close then. */
static void expect_alert(struct pair *p, int alert) {
    assert_int_not_equal(pair_shake(p), 1);
    assert_int_equal(alert_of_last_error(), alert);
    assert_true(cl_mem_was_shutdown(p->lower));
    assert_int_equal(p->ready, 0); /* the client may read that first */
    cl_mem_eof(p->lower);
    assert_int_equal(p->ready, 1);
    assert_int_equal(p->ready_err, CELLO_EINVAL);
    assert_non_null(cl_tls_failure(p->stream->tls));
    pair_free(p);
}

/* ---- what is chosen ------------------------------------------------------------------------- */

static const char *chosen(const char *offer, size_t len, bool h2) {
    static char got[20];
    struct pair p;
    cl_tls_context_offer_h2(site.context, h2);
    pair_init(&p, &site, 0);
    if (len)
        SSL_set_alpn_protos(p.client, (const unsigned char *)offer, (unsigned)len);
    if (pair_shake(&p) != 1) {
        assert_int_equal(alert_of_last_error(), SSL_AD_NO_APPLICATION_PROTOCOL);
        pair_free(&p);
        return NULL;
    }
    struct cl_str name = cl_tls_alpn(p.stream->tls);
    snprintf(got, sizeof got, "%.*s", (int)name.len, name.len ? name.ptr : "");
    pair_free(&p);
    return got;
}

static void test_alpn(void **state) {
    (void)state;
    use_plain_config();
    assert_string_equal(chosen("\x02h2\x08http/1.1", 12, true), "h2");
    assert_string_equal(chosen("\x08http/1.1\x02h2", 12, true), "h2");
    assert_string_equal(chosen("\x02h2\x08http/1.1", 12, false), "http/1.1");
    assert_string_equal(chosen("\x02h3\x02h2", 6, true), "h2");
    assert_string_equal(chosen(NULL, 0, true), "");
    assert_null(chosen("\x02h2", 3, false));
    assert_null(chosen("\x08http/1.0\x03"
                       "foo",
                       13, true));
}

/* RFC 9113, 9.2.2: the old suites are not for h2. */
static void test_alpn_with_old_ciphers(void **state) {
    (void)state;
    use_plain_config();
    site.cfg.ciphers = "ECDHE-ECDSA-AES128-SHA256";
    site.cfg.max_version = CELLO_TLS_1_2;
    use_config();
    assert_string_equal(chosen("\x02h2\x08http/1.1", 12, true), "http/1.1");
    assert_null(chosen("\x02h2", 3, true));
}

static void test_versions_and_ciphers(void **state) {
    (void)state;
    use_plain_config();
    struct pair p;
    pair_init(&p, &site, 0);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_int_equal(pair_shake(&p), 1);
    assert_string_equal(cl_tls_version(p.stream->tls), "TLSv1.2");
    assert_string_equal(cl_tls_cipher(p.stream->tls), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    pair_free(&p);

    pair_init(&p, &site, 0);
    SSL_set_min_proto_version(p.client, 0);
    SSL_set_max_proto_version(p.client, TLS1_1_VERSION);
    SSL_set_security_level(p.client, 0);
    expect_alert(&p, SSL_AD_PROTOCOL_VERSION);

    site.cfg.min_version = CELLO_TLS_1_3;
    site.cfg.ciphers = "TLS_CHACHA20_POLY1305_SHA256";
    use_config();
    pair_init(&p, &site, 0);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    expect_alert(&p, SSL_AD_PROTOCOL_VERSION);
    pair_init(&p, &site, 0);
    assert_int_equal(pair_shake(&p), 1);
    assert_string_equal(cl_tls_cipher(p.stream->tls), "TLS_CHACHA20_POLY1305_SHA256");
    pair_free(&p);
    pair_init(&p, &site, 0);
    SSL_set_ciphersuites(p.client, "TLS_AES_128_GCM_SHA256");
    expect_alert(&p, SSL_AD_HANDSHAKE_FAILURE);

    use_plain_config();
    pair_init(&p, &site, 0);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    SSL_set_cipher_list(p.client, "ECDHE-ECDSA-AES128-SHA");
    expect_alert(&p, SSL_AD_HANDSHAKE_FAILURE);
}

/* The subject of the certificate that a client of this name gets. */
static const char *common_name(const char *server_name) {
    static char got[100];
    struct pair p;
    pair_init(&p, &site, 0);
    if (server_name)
        SSL_set_tlsext_host_name(p.client, server_name);
    assert_int_equal(pair_shake(&p), 1);
    struct cl_str asked = cl_tls_server_name(p.stream->tls);
    assert_int_equal(asked.len, server_name ? strlen(server_name) : 0);
    X509 *x = SSL_get0_peer_certificate(p.client);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, got, sizeof got);
    pair_free(&p);
    return got;
}

static void test_names(void **state) {
    (void)state;
    use_plain_config();
    char cert_path[100], key_path[100];
    struct cert other = cert_make(&(struct cert_wish){
        .cn = "other", .san = "DNS:c.example,DNS:*.d.example,DNS:a.example", .issuer = &site.ca});
    write_certs(site_path(&site, cert_path, "other.pem"), &other, NULL);
    write_key(site_path(&site, key_path, "other.key"), &other, NULL);
    struct cello_tls_name names[] = {{"X.b.example", cert_path, key_path},
                                     {"*.e.example", cert_path, key_path}};
    site.cfg.names = names;
    site.cfg.name_count = 2;
    use_config();
    assert_string_equal(common_name(NULL), "a.example");
    assert_string_equal(common_name("a.example"), "a.example"); /* the main one's before others' */
    assert_string_equal(common_name("nobody.example"), "a.example");
    assert_string_equal(common_name("c.example"), "other");
    assert_string_equal(common_name("C.EXAMPLE"), "other");
    assert_string_equal(common_name("y.d.example"), "other");
    assert_string_equal(common_name("z.y.d.example"), "a.example"); /* one label only */
    assert_string_equal(common_name("d.example"), "a.example");
    assert_string_equal(common_name("x.b.example"), "other"); /* configured before found */
    assert_string_equal(common_name("y.b.example"), "a.example");
    assert_string_equal(common_name("1.e.example"), "other");
    assert_string_equal(common_name("*.e.example"), "other");
    cert_free(&other);
}

/* ---- clients' certificates ------------------------------------------------------------------ */

static void use_clients(bool required) {
    use_plain_config();
    site.cfg.ca_path = site.ca_path;
    site.cfg.require_client_cert = required;
    use_config();
}

static void be(struct pair *p, const struct cert *c) {
    assert_int_equal(SSL_use_certificate(p->client, c->x509), 1);
    assert_int_equal(SSL_use_PrivateKey(p->client, c->key), 1);
}

static void expect_str(struct cl_str s, const char *text) {
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void test_client_certificate(void **state) {
    (void)state;
    use_clients(true);
    struct cert alice = cert_make(&(struct cert_wish){
        .cn = "Älice, the first",
        .san = "DNS:alice.example,email:alice@a.example,URI:spiffe://a/alice,IP:192.0.2.7,IP:2001:"
               "db8::7,RID:1.2.3",
        .issuer = &site.ca});
    struct pair p;
    pair_init(&p, &site, 0);
    be(&p, &alice);
    assert_int_equal(pair_shake(&p), 1);
    const struct cello_client_cert *c = cl_tls_client_cert(p.stream->tls);
    assert_non_null(c);
    assert_ptr_equal(cl_tls_client_cert(p.stream->tls), c);
    expect_str(c->subject, "O=Cello,CN=Älice\\, the first");
    expect_str(c->issuer, "O=Cello,CN=Test CA");
    assert_int_equal(c->serial.len, 4);
    assert_int_equal(c->fingerprint.len, 64);
    assert_int_equal(c->not_after - c->not_before, 2 * 86400);
    const unsigned char *der = (const unsigned char *)c->der.ptr;
    X509 *again = d2i_X509(NULL, &der, (long)c->der.len);
    assert_int_equal(X509_cmp(again, alice.x509), 0);
    X509_free(again);
    static const char *const names[][2] = {{"DNS", "alice.example"},
                                           {"EMAIL", "alice@a.example"},
                                           {"URI", "spiffe://a/alice"},
                                           {"IP", "192.0.2.7"},
                                           {"IP", "2001:db8::7"}};
    assert_int_equal(c->name_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(c->names[i].kind, names[i][0]);
        expect_str(c->names[i].value, names[i][1]);
    }
    pair_free(&p);
    cert_free(&alice);
}

/* TLS 1.3 tells the client only after its own part: that it is refused comes with the next read. */
static void expect_no_client(struct pair *p, int alert) {
    char got[10];
    if (pair_shake(p) == 1)
        assert_int_equal(pair_read(p, got, sizeof got), 0);
    assert_int_equal(alert_of_last_error(), alert);
    cl_mem_eof(p->lower);
    assert_int_equal(p->ready, 1);
    assert_int_equal(p->ready_err, CELLO_EINVAL);
    pair_free(p);
}

static void refuse_client(const struct cert_wish *wish, bool old_tls, int alert) {
    struct pair p;
    struct cert c = cert_make(wish);
    pair_init(&p, &site, 0);
    if (old_tls)
        SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    be(&p, &c);
    expect_no_client(&p, alert);
    cert_free(&c);
}

static void test_bad_client_certificates(void **state) {
    (void)state;
    struct pair p;
    use_clients(true);
    pair_init(&p, &site, 0);
    expect_no_client(&p, SSL_AD_CERTIFICATE_REQUIRED);
    pair_init(&p, &site, 0);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    expect_no_client(&p, SSL_AD_HANDSHAKE_FAILURE);
    for (int old = 0; old < 2; old++) {
        refuse_client(&(struct cert_wish){.cn = "stranger"}, old, SSL_AD_UNKNOWN_CA);
        refuse_client(
            &(struct cert_wish){.cn = "old", .issuer = &site.ca, .from_s = -7200, .to_s = -3600},
            old, SSL_AD_CERTIFICATE_EXPIRED);
        refuse_client(
            &(struct cert_wish){.cn = "early", .issuer = &site.ca, .from_s = 3600, .to_s = 7200},
            old, SSL_AD_BAD_CERTIFICATE);
    }
    use_clients(false);
    refuse_client(&(struct cert_wish){.cn = "stranger"}, false, SSL_AD_UNKNOWN_CA);
    pair_init(&p, &site, 0);
    assert_int_equal(pair_shake(&p), 1);
    assert_null(cl_tls_client_cert(p.stream->tls));
    pair_free(&p);
}

/* Another name has another certificate, and the same rules for clients. */
static void test_clients_of_other_names(void **state) {
    (void)state;
    struct cello_tls_name name = {"c.example", site.cert_path, site.key_path};
    struct cert alice = cert_make(&(struct cert_wish){.cn = "alice", .issuer = &site.ca});
    struct cert stranger = cert_make(&(struct cert_wish){.cn = "stranger"});
    struct pair p;
    use_clients(true);
    site.cfg.names = &name;
    site.cfg.name_count = 1;
    use_config();
    pair_init(&p, &site, 0);
    SSL_set_tlsext_host_name(p.client, "c.example");
    be(&p, &alice);
    assert_int_equal(pair_shake(&p), 1);
    assert_non_null(cl_tls_client_cert(p.stream->tls));
    pair_free(&p);
    pair_init(&p, &site, 0);
    SSL_set_tlsext_host_name(p.client, "c.example");
    be(&p, &stranger);
    expect_no_client(&p, SSL_AD_UNKNOWN_CA);
    pair_init(&p, &site, 0);
    SSL_set_tlsext_host_name(p.client, "c.example");
    expect_no_client(&p, SSL_AD_CERTIFICATE_REQUIRED);
    cert_free(&alice);
    cert_free(&stranger);
}

/* The alert leaves behind what is still being sent, then the end. */
static void test_alert_behind_a_send(void **state) {
    (void)state;
    struct pair p;
    use_plain_config();
    pair_init(&p, &site, 0);
    (void)SSL_do_handshake(p.client);
    cl_mem_hold_sends(p.lower, true);
    pair_move(&p);
    assert_int_equal(cl_mem_push(p.lower, "\x17\x03\x03\x00\x01x", 6), CELLO_OK);
    assert_false(cl_mem_was_shutdown(p.lower));
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    assert_true(cl_mem_was_shutdown(p.lower));
    size_t flight = cl_mem_output(p.lower).len;
    assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    assert_true(cl_mem_output(p.lower).len > flight);
    assert_false(cl_mem_finish_send(p.lower, CELLO_OK));
    cl_mem_eof(p.lower);
    assert_int_equal(p.ready_err, CELLO_EINVAL);
    pair_free(&p);
}

/* A chain of more than CL_TLS_CLIENT_CHAIN_MAX bytes. */
static void test_long_client_chain(void **state) {
    (void)state;
    struct pair p;
    use_clients(true);
    struct cert alice = cert_make(&(struct cert_wish){.cn = "alice", .issuer = &site.ca});
    pair_init(&p, &site, 0);
    be(&p, &alice);
    for (size_t n = 0; n < CL_TLS_CLIENT_CHAIN_MAX; n += 300)
        assert_int_equal(SSL_add1_chain_cert(p.client, site.ca.x509), 1);
    expect_no_client(&p, SSL_AD_ILLEGAL_PARAMETER);
    cert_free(&alice);
}

/* ---- what is not TLS ------------------------------------------------------------------------ */

static void push(struct pair *p, const void *bytes, size_t n) {
    assert_int_equal(cl_mem_push(p->lower, bytes, n), CELLO_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cl_loop_turn(site.loop, 0), CELLO_OK);
}

static void test_text_is_given_back(void **state) {
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "\r\n",
                                        "x"};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct pair p;
        pair_init(&p, &site, 0);
        p.give_back = true;
        p.keep = true;
        push(&p, texts[i], strlen(texts[i]));
        assert_int_equal(p.ready_err, CELLO_ENOTSUP);
        assert_ptr_equal(p.stream, p.lower);
        assert_int_equal(cl_block_len(p.stream->in), strlen(texts[i]));
        assert_int_equal(pair_send(&p, "HTTP/1.1 400 "), CELLO_OK);
        pair_free(&p);
    }
}

/* The same where the bytes lie there already, as behind the head of a proxy. */
static void take_over(struct cl_stream *s, int result) {
    struct pair *p = s->protocol;
    assert_int_equal(result, 5);
    assert_int_equal(cl_tls_accept(site.context, s, 0, pair_on_ready, p, &p->stream), CELLO_OK);
    assert_int_equal(p->ready, 0);
}

static const struct cl_stream_handler proxy_handler = {take_over, pair_on_sent, pair_on_closed};

static void test_what_came_before(void **state) {
    (void)state;
    struct pair p = {.site = &site, .give_back = true, .keep = true};
    assert_int_equal(cl_mem_stream_new(site.loop, &proxy_handler, &p, &p.lower), CELLO_OK);
    push(&p, "GET /", 5);
    assert_int_equal(p.ready_err, CELLO_ENOTSUP);
    assert_ptr_equal(p.stream, p.lower);
    assert_int_equal(cl_block_len(p.stream->in), 5);
    pair_free(&p);
}

static void test_garbage(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } garbage[] = {
        {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},          /* an empty ClientHello */
        {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9},          /* a ServerHello */
        {"\x16\x09\x01\x00\x05\x01\x00\x00\x01\x00", 10},     /* version 9 */
        {"\x17\x03\x03\x00\x01x", 6},                         /* data */
        {"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 11}, /* SSL 2 */
        {"\x15\x03\x01\x00\x02\x02\x28", 7},                  /* an alert */
        {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
        {"\x16\x03\x01\xff\xff\x01\x00\x10\x00", 9}, /* a record of 65,535 bytes */
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(garbage); i++) {
        struct pair p;
        pair_init(&p, &site, 0);
        push(&p, garbage[i].bytes, garbage[i].len);
        cl_mem_eof(p.lower);
        assert_int_equal(p.ready, 1);
        assert_true(p.ready_err == CELLO_EINVAL || p.ready_err == CELLO_EOF);
        pair_free(&p);
    }
}

/* ---- limits --------------------------------------------------------------------------------- */

/* The length is believed, and refused, before there is memory for it. */
static void test_long_hello(void **state) {
    (void)state;
    static const char alert[] = {0x15, 3, 1, 0, 2, 2, SSL_AD_ILLEGAL_PARAMETER};
    char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x40\x01\x03\x03";
    struct pair p;
    pair_init(&p, &site, 0);
    push(&p, hello, 8);
    assert_int_equal(cl_mem_output(p.lower).len, 0);
    push(&p, hello + 8, 3);
    struct cl_str out = cl_mem_output(p.lower);
    assert_int_equal(out.len, sizeof alert);
    assert_memory_equal(out.ptr, alert, sizeof alert);
    cl_mem_eof(p.lower);
    assert_int_equal(p.ready_err, CELLO_EINVAL);
    assert_string_equal(cl_tls_failure(p.stream->tls), "the ClientHello is too long");
    pair_free(&p);
    hello[8] = 0; /* just short enough */
    pair_init(&p, &site, 0);
    push(&p, hello, 11);
    assert_int_equal(cl_mem_output(p.lower).len, 0);
    assert_int_equal(p.ready, 0);
    pair_free(&p);
}

/* The second ClientHello, which the server asked for, says that it has 120,000 bytes. */
static void test_long_handshake(void **state) {
    (void)state;
    struct pair p;
    size_t pushed = 0;
    char record[5 + 4000] = "\x16\x03\x03\x0f\xa0\x01\x01\xd4\xc0";
    use_plain_config();
    pair_init(&p, &site, 0);
    SSL_set1_groups_list(p.client, "P-521:X25519");
    (void)SSL_do_handshake(p.client);
    pair_move(&p);
    assert_int_equal(p.ready, 0);
    for (; pushed < 120000 && !cl_mem_was_shutdown(p.lower); pushed += sizeof record - 5) {
        push(&p, record, sizeof record);
        memset(record + 5, 0, sizeof record - 5);
    }
    assert_in_range(pushed, CL_TLS_HANDSHAKE_MAX - 8000, CL_TLS_HANDSHAKE_MAX + 8000);
    cl_mem_eof(p.lower);
    assert_int_equal(p.ready_err, CELLO_EINVAL);
    assert_string_equal(cl_tls_failure(p.stream->tls), "the handshake is too long");
    pair_free(&p);
}

static void wait_until_ready(const struct pair *p) {
    for (int turns = 0; !p->ready; turns++) {
        assert_true(turns < 1000);
        assert_int_equal(cl_loop_turn(site.loop, 50 * CL_NS_PER_MS), CELLO_OK);
    }
}

static void test_time_is_up(void **state) {
    (void)state;
    struct pair p;
    use_plain_config();
    pair_init(&p, &site, 30 * CL_NS_PER_MS);
    wait_until_ready(&p);
    assert_int_equal(p.ready_err, CELLO_ETIMEOUT);
    pair_free(&p);
    pair_init(&p, &site, 30 * CL_NS_PER_MS);
    (void)SSL_do_handshake(p.client);
    pair_move(&p);
    wait_until_ready(&p);
    assert_int_equal(p.ready_err, CELLO_ETIMEOUT);
    assert_int_equal(p.ready, 1);
    pair_free(&p);
}

/* The client was told, and neither reads nor goes: it has a second. */
static void test_alert_waits_for_a_while_only(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p, &site, 0);
    push(&p, "\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9);
    assert_int_equal(p.ready, 0);
    push(&p, "more of it", 10);
    assert_int_equal(p.ready, 0);
    wait_until_ready(&p);
    assert_int_equal(p.ready_err, CELLO_EINVAL);
    pair_free(&p);
}

static void test_close_in_every_state(void **state) {
    (void)state;
    struct pair p;
    pair_init(&p, &site, 1000 * CL_NS_PER_MS);
    pair_free(&p);
    assert_int_equal(p.ready, 0);
    char *bytes;
    pair_init(&p, &site, 0);
    (void)SSL_do_handshake(p.client);
    long n = BIO_get_mem_data(p.from_client, &bytes);
    pair_free(&p);
    for (long cut = 0; cut < n; cut++) { /* whatever of the ClientHello has come */
        pair_init(&p, &site, 0);
        (void)SSL_do_handshake(p.client);
        assert_int_equal(BIO_get_mem_data(p.from_client, &bytes), n);
        push(&p, bytes, (size_t)cut);
        assert_int_equal(p.ready, 0);
        if (cut & 1)
            cl_mem_eof(p.lower);
        pair_free(&p);
        assert_int_equal(p.ready, cut & 1);
        assert_int_equal(cl_loop_pool(site.loop)->used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_alpn_with_old_ciphers),
        cmocka_unit_test(test_versions_and_ciphers),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_bad_client_certificates),
        cmocka_unit_test(test_clients_of_other_names),
        cmocka_unit_test(test_alert_behind_a_send),
        cmocka_unit_test(test_long_client_chain),
        cmocka_unit_test(test_text_is_given_back),
        cmocka_unit_test(test_what_came_before),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_long_hello),
        cmocka_unit_test(test_long_handshake),
        cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_alert_waits_for_a_while_only),
        cmocka_unit_test(test_close_in_every_state),
    };
    return cmocka_run_group_tests_name("tls handshake", tests, site_setup, site_teardown);
}
