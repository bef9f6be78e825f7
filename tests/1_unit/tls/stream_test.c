/* A TLS stream and OpenSSL as its client, on the memory transport. */
#include "tls/fixture.h"

#define TLS_TEST(name) cmocka_unit_test(name)

static struct site site;

static int setup(void **state) {
    (void)state;
    site_init(&site);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    site_free(&site);
    return 0;
}

static void test_bytes_go_both_ways(void **state) {
    (void)state;
    struct pair p;
    char got[100];
    pair_init(&p, &site, 0);
    assert_int_equal(pair_shake(&p), 1);
    assert_int_equal(p.ready, 1);
    assert_int_equal(p.ready_err, CELLO_OK);
    assert_ptr_equal(p.stream->tls, p.stream);
    assert_string_equal(cl_tls_version(p.stream->tls), "TLSv1.3");
    pair_write(&p, "ping", 4);
    assert_int_equal(p.taken_len, 4);
    assert_memory_equal(p.taken, "ping", 4);
    assert_int_equal(pair_send(&p, "pong!"), CELLO_OK);
    assert_int_equal(pair_read(&p, got, sizeof got), 5);
    assert_memory_equal(got, "pong!", 5);
    pair_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TLS_TEST(test_bytes_go_both_ways),
    };
    return cmocka_run_group_tests_name("tls stream", tests, setup, teardown);
}
