/* Records that the kernel makes: the memory transport plays it, and a client of OpenSSL reads them.
 * What the kernel itself does is tested where one has TLS (tests/4_http/test_kernel_tls.py). */
#include <linux/tls.h>
#include <openssl/evp.h>
#include <sys/mman.h>

#include "tls/fixture.h"
#include "tls/tls_internal.h"

static struct site site;

static int setup(void **state) {
    (void)state;
    site_init(&site);
    cl_tls_context_use_kernel(site.context, true);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    site_free(&site);
    return 0;
}

/* ---- a kernel -------------------------------------------------------------------------------- */

enum { MADE_MAX = 4 << 20, SECRET_LEN = 6 };
static const char secret[] = "SECRET"; /* in all data, and in nothing that leaves */

static struct kernel {
    const struct cl_stream_ops *real;
    struct cl_stream_ops ops, sealed_ops;
    bool refuses;
    size_t takes; /* of what was sealed before; then it is full */
    int offers;
    const EVP_CIPHER *cipher;
    unsigned char key[32], iv[12];
    uint64_t records;
    int of_type[256];
    char *made;
    struct iovec iov;
} kernel;

static size_t seal_record(char *to, int type, const void *from, size_t n) {
    unsigned char *out = (unsigned char *)to, nonce[12];
    size_t length = n + 1 + 16;
    const unsigned char head[5] = {23, 3, 3, (unsigned char)(length >> 8), (unsigned char)length};
    const unsigned char inner = (unsigned char)type;
    int part, at = 5;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    memcpy(nonce, kernel.iv, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[11 - i] ^= (unsigned char)(kernel.records >> (8 * i));
    memcpy(out, head, sizeof head);
    assert_int_equal(EVP_EncryptInit_ex(c, kernel.cipher, NULL, kernel.key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &part, head, sizeof head), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out + at, &part, from, (int)n), 1);
    at += part;
    assert_int_equal(EVP_EncryptUpdate(c, out + at, &part, &inner, 1), 1);
    at += part;
    assert_int_equal(EVP_EncryptFinal_ex(c, out + at, &part), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + at), 1);
    EVP_CIPHER_CTX_free(c);
    kernel.records++;
    kernel.of_type[type]++;
    return length + 5;
}

static int send_sealed(struct cl_stream *s, int type, const char *from, size_t n) {
    size_t at = 0;
    while (n) {
        size_t part = CL_MIN(n, (size_t)16384);
        assert_true(at + part + 22 <= MADE_MAX);
        at += seal_record(kernel.made + at, type, from, part);
        from += part;
        n -= part;
    }
    kernel.iov = (struct iovec){kernel.made, at};
    return kernel.real->send(s, &kernel.iov, 1);
}

static int gather_and_send(struct cl_stream *s, int type, struct iovec *iov, int count,
                           struct cl_file_part *file) {
    static char bytes[MADE_MAX];
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        memcpy(bytes + n, iov[i].iov_base, iov[i].iov_len);
        n += iov[i].iov_len;
    }
    if (file) {
        size_t left = (size_t)file->left;
        int err = cl_file_part_read(file, bytes + n, left);
        if (err)
            return err;
        n += left;
    }
    return send_sealed(s, type, bytes, n);
}

static int sealed_send(struct cl_stream *s, struct iovec *iov, int count) {
    return gather_and_send(s, 23, iov, count, NULL);
}

static int sealed_sendfile(struct cl_stream *s, struct iovec *iov, int count,
                           struct cl_file_part *file) {
    return gather_and_send(s, 23, iov, count, file);
}

static int sealed_record(struct cl_stream *s, unsigned char type, struct iovec *iov, int count) {
    return gather_and_send(s, type, iov, count, NULL);
}

static void take_key(const void *info) {
    struct tls_crypto_info head;
    memcpy(&head, info, sizeof head);
    assert_int_equal(head.version, TLS_1_3_VERSION);
    if (head.cipher_type == TLS_CIPHER_AES_GCM_128) {
        const struct tls12_crypto_info_aes_gcm_128 *k = info;
        kernel.cipher = EVP_aes_128_gcm();
        memcpy(kernel.key, k->key, sizeof k->key);
        memcpy(kernel.iv, k->salt, 4);
        memcpy(kernel.iv + 4, k->iv, 8);
    } else {
        const struct tls12_crypto_info_aes_gcm_256 *k = info;
        assert_int_equal(head.cipher_type, TLS_CIPHER_AES_GCM_256);
        kernel.cipher = EVP_aes_256_gcm();
        memcpy(kernel.key, k->key, sizeof k->key);
        memcpy(kernel.iv, k->salt, 4);
        memcpy(kernel.iv + 4, k->iv, 8);
    }
}

static int seal(struct cl_stream *s, struct iovec *first, const void *key, size_t n) {
    kernel.offers++;
    assert_in_range(n, 40, 56);
    size_t part = CL_MIN(first->iov_len, kernel.takes);
    if (part) {
        struct iovec iov = {first->iov_base, part};
        assert_int_equal(kernel.real->send(s, &iov, 1), CELLO_OK);
        first->iov_base = (char *)first->iov_base + part;
        first->iov_len -= part;
    }
    if (first->iov_len || kernel.refuses)
        return CELLO_ENOTSUP;
    take_key(key);
    s->ops = &kernel.sealed_ops;
    return CELLO_OK;
}

/* A connection whose transport has this kernel below. */
static void begin(struct pair *p) {
    char *made = kernel.made ? kernel.made : malloc(MADE_MAX);
    bool refuses = kernel.refuses;
    size_t takes = kernel.takes;
    pair_init(p, &site, 0);
    kernel = (struct kernel){.real = p->lower->ops, .ops = *p->lower->ops, .made = made};
    kernel.refuses = refuses;
    kernel.takes = takes;
    kernel.ops.seal = seal;
    kernel.sealed_ops = kernel.ops;
    kernel.sealed_ops.seal = NULL;
    kernel.sealed_ops.send = sealed_send;
    kernel.sealed_ops.sendfile = sealed_sendfile;
    kernel.sealed_ops.send_record = sealed_record;
    p->lower->ops = &kernel.ops;
}

static int begin_test(void **state) {
    (void)state;
    kernel.refuses = false;
    kernel.takes = SIZE_MAX;
    return 0;
}

static bool by_kernel(const struct pair *p) {
    return p->lower->ops == &kernel.sealed_ops;
}

static void expect_no_clear(const struct pair *p) {
    struct cl_str out = cl_mem_output(p->lower);
    assert_null(memmem(out.ptr, out.len, secret, SECRET_LEN));
}

static void open_pair(struct pair *p) {
    begin(p);
    assert_int_equal(pair_shake(p), 1);
    assert_int_equal(p->ready_err, CELLO_OK);
}

static void expect_read(struct pair *p, const char *bytes, size_t n) {
    char *got = malloc(n + 1);
    assert_non_null(got);
    expect_no_clear(p);
    assert_int_equal(pair_read(p, got, n + 1), n);
    assert_memory_equal(got, bytes, n);
    free(got);
}

static char *make_bytes(size_t n) {
    char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = secret[i % SECRET_LEN];
    return bytes;
}

/* ---- it seals -------------------------------------------------------------------------------- */

static void exchange(struct pair *p) {
    char *bytes = make_bytes(100000);
    pair_write(p, "ping", 4);
    assert_int_equal(pair_send(p, "SECRET pong"), CELLO_OK);
    expect_read(p, "SECRET pong", 11);
    struct iovec iov[3] = {{bytes, 10}, {bytes + 10, 0}, {bytes + 10, 99990}};
    assert_int_equal(cl_stream_send(p->stream, iov, 3), CELLO_OK);
    expect_read(p, bytes, 100000);
    free(bytes);
}

static void test_both_keys(void **state) {
    (void)state;
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"};
    for (size_t i = 0; i < CL_ARRAY_LEN(suites); i++) {
        struct pair p;
        begin(&p);
        SSL_set_ciphersuites(p.client, suites[i]);
        assert_int_equal(pair_shake(&p), 1);
        assert_true(by_kernel(&p));
        exchange(&p);
        assert_string_equal(cl_tls_cipher(p.stream->tls), suites[i]);
        assert_int_equal(p.taken_len, 4);
        assert_int_equal(kernel.of_type[22], 1); /* the ticket */
        assert_int_equal(kernel.of_type[23], 8);
        assert_int_equal(cl_loop_pool(site.loop)->used, 0);
        pair_free(&p);
    }
}

/* The ticket is a good one. */
static void test_resumption(void **state) {
    (void)state;
    struct pair first, second;
    open_pair(&first);
    exchange(&first);
    SSL_SESSION *session = SSL_get1_session(first.client);
    SSL_set_shutdown(first.client, SSL_SENT_SHUTDOWN); /* or OpenSSL would not use it again */
    pair_free(&first);
    begin(&second);
    SSL_set_session(second.client, session);
    assert_int_equal(pair_shake(&second), 1);
    assert_true(SSL_session_reused(second.client) && by_kernel(&second));
    exchange(&second);
    pair_free(&second);
    SSL_SESSION_free(session);
}

/* Bytes that wait for the transport stay the protocol's, and come once. */
static void test_sends_that_wait(void **state) {
    (void)state;
    struct pair p;
    char *bytes = make_bytes(300000);
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    struct iovec iov = {bytes, 300000};
    uint64_t progress = cl_stream_progress(p.stream);
    assert_int_equal(cl_stream_send(p.stream, &iov, 1), CELLO_EAGAIN);
    assert_true(cl_stream_progress(p.stream) != progress);
    while (!p.sents)
        assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    assert_int_equal(p.last_sent, CELLO_OK);
    assert_false(cl_mem_finish_send(p.lower, CELLO_OK));
    expect_read(&p, bytes, 300000);
    assert_int_equal(p.sents, 1);
    pair_free(&p);
    free(bytes);
}

/* The ticket waits, the answer behind it, and the end behind both. */
static void test_order(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    SSL_do_handshake(p.client);
    pair_move(&p);
    assert_true(by_kernel(&p));
    assert_int_equal(SSL_do_handshake(p.client), 1);
    cl_mem_hold_sends(p.lower, true);
    pair_move(&p);
    assert_int_equal(p.ready, 1);
    struct iovec iov = {(void *)(uintptr_t)secret, SECRET_LEN};
    assert_int_equal(cl_stream_send(p.stream, &iov, 1), CELLO_EAGAIN);
    cl_stream_shutdown(p.stream);
    static const int types[] = {22, 23, 21};
    for (size_t i = 0; i < CL_ARRAY_LEN(types); i++) {
        assert_false(cl_mem_was_shutdown(p.lower));
        assert_int_equal(kernel.of_type[types[i]], 1);
        assert_int_equal(kernel.records, i + 1);
        assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
    }
    assert_true(cl_mem_was_shutdown(p.lower));
    assert_int_equal(p.sents, 1);
    expect_read(&p, "SECRET", 6);
    assert_true(pair_got_close_notify(&p));
    pair_free(&p);
}

static void test_failed_sends(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_mem_hold_sends(p.lower, true);
    assert_int_equal(pair_send(&p, "lost"), CELLO_EAGAIN);
    assert_true(cl_mem_finish_send(p.lower, CELLO_ESYS));
    assert_int_equal(p.last_sent, CELLO_ESYS);
    assert_int_equal(pair_send(&p, "more"), CELLO_ESYS);
    pair_free(&p);
}

/* The transport has the file, and nobody reads it. */
static void test_files(void **state) {
    (void)state;
    struct pair p;
    char *bytes = make_bytes(300000);
    int fd = memfd_create("tls", MFD_CLOEXEC);
    assert_int_equal(write(fd, bytes, 300000), 300000);
    open_pair(&p);
    struct iovec head = {bytes, 6};
    struct cl_file_part part = {fd, 6, 299994};
    assert_int_equal(cl_stream_sendfile(p.stream, &head, 1, &part), CELLO_OK);
    expect_read(&p, bytes, 300000);
    /* It became shorter: what came must not look whole. */
    part = (struct cl_file_part){fd, 299990, 100};
    head = (struct iovec){bytes, 6};
    assert_int_equal(cl_stream_sendfile(p.stream, &head, 1, &part), CELLO_EOF);
    cl_stream_close(p.stream);
    pair_last_words(&p);
    assert_false(pair_got_close_notify(&p));
    close(fd);
    pair_free(&p);
    free(bytes);
}

static void test_close_says_so(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_stream_close(p.stream);
    pair_last_words(&p);
    assert_true(pair_got_close_notify(&p));
    assert_int_equal(kernel.of_type[21], 1);
    pair_free(&p);
}

/* Behind a record that is on its way, but not behind bytes of the protocol's: these are cut, and
 * must not look whole. */
static void test_close_in_a_send(void **state) {
    (void)state;
    for (int data = 0; data < 2; data++) {
        struct pair p;
        begin(&p);
        SSL_do_handshake(p.client);
        pair_move(&p);
        assert_int_equal(SSL_do_handshake(p.client), 1);
        cl_mem_hold_sends(p.lower, true);
        pair_move(&p); /* the ticket is on its way */
        if (data) {
            assert_true(cl_mem_finish_send(p.lower, CELLO_OK));
            assert_int_equal(pair_send(&p, "SECRET"), CELLO_EAGAIN);
        }
        cl_stream_close(p.stream);
        assert_int_equal(cl_mem_finish_send(p.lower, CELLO_OK), !data);
        assert_int_equal(cl_mem_finish_send(p.lower, CELLO_OK), !data);
        pair_last_words(&p);
        assert_int_equal(pair_got_close_notify(&p), !data);
        pair_free(&p);
    }
}

static void test_close_like_a_failure(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    cl_stream_reset_on_close(p.stream);
    cl_stream_close(p.stream);
    pair_last_words(&p);
    assert_false(pair_got_close_notify(&p));
    assert_int_equal(kernel.of_type[21], 0);
    pair_free(&p);
}

/* Alerts are sealed as well. */
static void test_damaged_record(void **state) {
    (void)state;
    struct pair p;
    char got[10];
    open_pair(&p);
    pair_write_damaged(&p);
    assert_int_equal(p.last_recv, CELLO_ESYS);
    assert_int_equal(pair_read(&p, got, sizeof got), 0);
    assert_int_equal(alert_of_last_error(), SSL_AD_BAD_RECORD_MAC);
    assert_int_equal(kernel.of_type[21], 1);
    assert_int_equal(pair_send(&p, "no"), CELLO_ESYS);
    pair_free(&p);
}

/* ---- what it cannot do ----------------------------------------------------------------------- */

/* A client may change its own keys, which are read here; ours stay, so that one that asks for new
 * ones gets an alert, and no record of another key. */
static void test_key_updates(void **state) {
    (void)state;
    struct pair p;
    char got[10];
    open_pair(&p);
    assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    pair_write(&p, "ping", 4);
    assert_int_equal(p.taken_len, 4);
    exchange(&p);
    uint64_t before = kernel.records;
    assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED), 1);
    pair_write(&p, "more", 4);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.last_recv, CELLO_ESYS);
    assert_int_equal(pair_read(&p, got, sizeof got), 0);
    assert_int_equal(alert_of_last_error(), SSL_AD_INTERNAL_ERROR);
    assert_int_equal(kernel.records, before + 1);
    assert_int_equal(pair_send(&p, "SECRET"), CELLO_ESYS);
    expect_no_clear(&p);
    pair_free(&p);
}

/* The transport reads the protocol's bytes until it says that it has done with them. */
static void test_key_update_in_a_send(void **state) {
    (void)state;
    struct pair p;
    open_pair(&p);
    exchange(&p);
    cl_mem_hold_sends(p.lower, true);
    assert_int_equal(pair_send(&p, "SECRET"), CELLO_EAGAIN);
    p.on_recv = pair_pause;
    assert_int_equal(SSL_write(p.client, "data", 4), 4);
    pair_update_keys(&p, SSL_KEY_UPDATE_REQUESTED);
    (void)pair_up(&p);
    cl_stream_resume(p.stream);
    for (int i = 0; i < 3; i++)
        (void)cl_loop_turn(site.loop, 0);
    struct cl_tls *t = p.stream->tls;
    assert_true(!t->lent || !p.sents);
    (void)cl_mem_finish_send(p.lower, CELLO_OK);
    (void)cl_loop_turn(site.loop, 0);
    assert_int_equal(p.sents, 1);
    pair_free(&p);
}

/* Nothing of what OpenSSL might write as data, or a record of no type that we know, gets out. */
static void test_no_data_of_openssl(void **state) {
    (void)state;
    static const unsigned char types[] = {0, 20, 23, 24};
    for (size_t i = 0; i <= CL_ARRAY_LEN(types); i++) {
        struct pair p;
        open_pair(&p);
        cl_mem_output_clear(p.lower);
        uint64_t before = kernel.records;
        struct cl_tls *t = p.stream->tls;
        if (i < CL_ARRAY_LEN(types)) {
            t->record = types[i];
            assert_int_not_equal(BIO_write(SSL_get_wbio(t->ssl), secret, SECRET_LEN), SECRET_LEN);
        } else {
            assert_int_not_equal(SSL_write(t->ssl, secret, SECRET_LEN), SECRET_LEN);
        }
        assert_true(t->broken);
        assert_int_equal(pair_send(&p, secret), CELLO_ESYS);
        cl_stream_close(p.stream);
        assert_int_equal(cl_mem_output(p.lower).len, 0);
        assert_int_equal(kernel.records, before);
        pair_free(&p);
    }
}

/* A second key is no more than the first taken for OpenSSL's own. */
static void test_second_key(void **state) {
    (void)state;
    const struct tls12_crypto_info_aes_gcm_128 key = {
        .info = {.version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128}};
    struct pair p;
    open_pair(&p);
    assert_false(cl_tls_kernel_take_key(p.stream->tls, &key));
    assert_int_equal(kernel.offers, 1);
    assert_int_equal(pair_send(&p, secret), CELLO_ESYS);
    pair_free(&p);
}

/* ---- it does not seal ------------------------------------------------------------------------ */

static void expect_declined(struct pair *p, int offers) {
    assert_int_equal(kernel.offers, offers);
    assert_false(by_kernel(p));
    exchange(p);
    assert_int_equal(kernel.records, 0);
    cl_stream_close(p->stream);
    pair_last_words(p);
    assert_true(pair_got_close_notify(p));
    pair_free(p);
}

/* Refused at once, or full after some bytes of what was sealed before: OpenSSL goes on. */
static void test_refusals(void **state) {
    (void)state;
    static const size_t takes[] = {0, 1, 5, 100, 500, SIZE_MAX};
    for (size_t i = 0; i < CL_ARRAY_LEN(takes); i++) {
        struct pair p;
        kernel.refuses = true;
        kernel.takes = takes[i];
        open_pair(&p);
        expect_declined(&p, 1);
    }
}

/* A send that is on its way when the key comes: here, of a HelloRetryRequest. */
static void test_busy_transport(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    SSL_set1_groups_list(p.client, "X448:P-256");
    SSL_do_handshake(p.client);
    cl_mem_hold_sends(p.lower, true);
    pair_up(&p);
    struct cl_tls *t = p.stream->tls;
    assert_non_null(t->fly);
    /* The client has read it, and the transport has not said so yet. */
    assert_true(pair_down(&p) ||
                BIO_write(p.to_client, t->fly_iov.iov_base, (int)t->fly_iov.iov_len) > 0);
    SSL_do_handshake(p.client);
    pair_up(&p);
    assert_int_equal(kernel.offers, 0);
    cl_mem_hold_sends(p.lower, false);
    while (cl_mem_finish_send(p.lower, CELLO_OK))
        ;
    struct cl_str out = cl_mem_output(p.lower);
    size_t skip = (size_t)(unsigned char)out.ptr[3] << 8 | (unsigned char)out.ptr[4];
    skip += 5 + 6; /* and the ChangeCipherSpec behind it */
    assert_true(BIO_write(p.to_client, out.ptr + skip, (int)(out.len - skip)) > 0);
    cl_mem_output_clear(p.lower);
    assert_int_equal(pair_shake(&p), 1);
    expect_declined(&p, 0);
}

static void test_other_ciphers(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    SSL_set_ciphersuites(p.client, "TLS_CHACHA20_POLY1305_SHA256");
    assert_int_equal(pair_shake(&p), 1);
    expect_declined(&p, 0);
    begin(&p);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_int_equal(pair_shake(&p), 1);
    expect_declined(&p, 0);
}

static void test_transport_that_cannot(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    kernel.ops.seal = NULL;
    assert_int_equal(pair_shake(&p), 1);
    expect_declined(&p, 0);
}

static void test_switched_off(void **state) {
    (void)state;
    struct pair p;
    cl_tls_context_use_kernel(site.context, false);
    open_pair(&p);
    cl_tls_context_use_kernel(site.context, true);
    expect_declined(&p, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup(f, begin_test)
    const struct CMUnitTest tests[] = {
        TEST(test_both_keys),
        TEST(test_resumption),
        TEST(test_sends_that_wait),
        TEST(test_order),
        TEST(test_failed_sends),
        TEST(test_files),
        TEST(test_close_says_so),
        TEST(test_close_in_a_send),
        TEST(test_close_like_a_failure),
        TEST(test_damaged_record),
        TEST(test_key_updates),
        TEST(test_key_update_in_a_send),
        TEST(test_no_data_of_openssl),
        TEST(test_second_key),
        TEST(test_refusals),
        TEST(test_busy_transport),
        TEST(test_other_ciphers),
        TEST(test_transport_that_cannot),
        TEST(test_switched_off),
    };
    int failed = cmocka_run_group_tests_name("tls by the kernel", tests, setup, teardown);
    free(kernel.made);
    return failed;
}
