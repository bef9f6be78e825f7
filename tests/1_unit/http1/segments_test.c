/* Answers made of bytes and parts of files, over the memory transport. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/response.h"
#include "support/fixture.h"

static void get(struct h1_pair *p, const char *query, size_t n) {
    char text[200];
    snprintf(text, sizeof text, "GET /segments/%zu%s HTTP/1.1\r\nHost: a\r\n\r\n", n, query);
    client_send(&p->c, text);
}

/* Read the body of n bytes in `parts`, with `bytes` behind each. */
static void expect_body(struct h1_pair *p, size_t n, size_t parts, size_t bytes) {
    struct response r = client_expect(&p->c, 200, NULL);
    assert_int_equal(r.body_len, n + parts * (1 + bytes));
    const char *at = r.body;
    for (size_t i = 0; i < parts; i++) {
        assert_int_equal(*at++, '[');
        for (size_t k = n * i / parts; k < n * (i + 1) / parts; k++)
            assert_int_equal(*at++, fixture_file_byte(3 + k));
        for (size_t k = 0; k < bytes; k++)
            assert_int_equal(*at++, 'x');
    }
}

static void test_sizes(void **state) {
    (void)state;
    static const size_t sizes[] = {0,     1,     100,   4096,   7168,   7169,   10240,
                                   32768, 40000, 65536, 100000, 262145, 1 << 20};
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        for (int round = 0; round < 2; round++) {
            get(&p, "", sizes[i]);
            expect_body(&p, sizes[i], 1, 1);
            client_expect_nothing(&p.c);
            assert_int_equal(p.f.released, round + 1);
            assert_int_equal(fixture_used(&p.f), 0);
        }
        h1_pair_end(&p);
    }
}

static void test_small_files_leave_with_one_write(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    get(&p, "", 7000);
    expect_body(&p, 7000, 1, 1);
    assert_int_equal(p.c.sends, 1);
    get(&p, "?parts=10", 1000);
    expect_body(&p, 1000, 10, 1);
    assert_int_equal(p.c.sends, 2);
    h1_pair_end(&p);
}

static void test_the_head_leaves_with_the_file(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    get(&p, "?bytes=0", 1 << 20);
    expect_body(&p, 1 << 20, 1, 0);
    assert_int_equal(p.c.sends, 1);
    h1_pair_end(&p);
}

static void test_many_parts(void **state) {
    (void)state;
    static const struct {
        size_t n, parts, bytes;
        const char *query;
    } cases[] = {
        {1000, 200, 3, "?parts=200&bytes=3"},
        {60000, 200, 3, "?parts=200&bytes=3"},
        {250000, 200, 3, "?parts=200&bytes=3"},
        {100000, 3, 5000, "?parts=3&bytes=5000"},
        {300000, 3, 1, "?parts=3"},
        {300000, 3, 5000, "?parts=3&bytes=5000"},
        {1, 2, 100000, "?parts=2&bytes=100000"},
        {0, 40, 5000, "?parts=40&bytes=5000"},
        {1000000, 256, 5000, "?parts=256&bytes=5000"},
        {9, 20, 4096, "?parts=20&bytes=4096"},
        {5000000, 100, 4097, "?parts=100&bytes=4097"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        get(&p, cases[i].query, cases[i].n);
        expect_body(&p, cases[i].n, cases[i].parts, cases[i].bytes);
        client_expect_nothing(&p.c);
        assert_int_equal(p.f.released, 1);
        assert_int_equal(fixture_used(&p.f), 0);
        h1_pair_end(&p);
    }
}

static void test_pipelined(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 5000, 30000, 50000, 300000};
    for (int late = 0; late < 2; late++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        cl_mem_hold_sends(p.c.stream, late);
        char text[4000] = "";
        for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
            size_t at = strlen(text);
            snprintf(text + at, sizeof text - at,
                     "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                     "GET /segments/%zu?bytes=10 HTTP/1.1\r\nHost: a\r\n\r\n"
                     "GET /sink/5000 HTTP/1.1\r\nHost: a\r\n\r\n",
                     sizes[i]);
        }
        client_send(&p.c, text);
        while (cl_mem_finish_send(p.c.stream, CELLO_OK))
            fixture_turn(&p.f);
        for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
            client_expect(&p.c, 200, "hello");
            expect_body(&p, sizes[i], 1, 10);
            assert_int_equal(client_expect(&p.c, 200, NULL).body_len, 5000);
        }
        client_expect_nothing(&p.c);
        h1_pair_end(&p);
    }
}

static void expect_head_only(const char *request, int status, const char *length) {
    struct h1_pair p;
    struct response r;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, request);
    client_answer_to_head(&p.c, &r);
    assert_int_equal(r.status, status);
    assert_true(!length || response_field_is(&r, "Content-Length", length));
    client_send(&p.c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&p.c, 200, "hello");
    client_expect_nothing(&p.c);
    assert_int_equal(p.f.pinned, 1);
    assert_int_equal(p.f.released, 1);
    h1_pair_end(&p);
}

static void test_answers_without_a_body(void **state) {
    (void)state;
    expect_head_only("HEAD /segments/100000 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "100002");
    expect_head_only("HEAD /segments/10 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "12");
    expect_head_only("GET /segments/100000?status=304 HTTP/1.1\r\nHost: a\r\n\r\n", 304, NULL);
    expect_head_only("GET /segments/100000?status=204 HTTP/1.1\r\nHost: a\r\n\r\n", 204, NULL);
    expect_head_only("GET /segments/100000?status=205 HTTP/1.1\r\nHost: a\r\n\r\n", 205, "0");
}

static void test_old_clients(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "GET /segments/50000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect_body(&p, 50000, 1, 1);
    client_send(&p.c, "GET /segments/50000 HTTP/1.0\r\n\r\n");
    expect_body(&p, 50000, 1, 1);
    client_expect_closed(&p.c);
    assert_false(p.c.was_reset);
    h1_pair_end(&p);
}

static void test_connection_close(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "GET /segments/500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_body(&p, 500, 1, 1);
    client_expect_closed(&p.c);
    client_free(&p.c);
    client_open(&p.f, &p.c);
    client_send(&p.c, "GET /segments/50000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_body(&p, 50000, 1, 1);
    client_expect_closed(&p.c);
    assert_false(p.c.was_reset);
    h1_pair_end(&p);
}

/* A client that has said all it had to say still gets everything. */
static void test_half_close(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        cl_mem_hold_sends(p.c.stream, true);
        get(&p, "?bytes=5000", 50000);
        if (late)
            assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
        client_eof(&p.c);
        while (p.c.stream && cl_mem_finish_send(p.c.stream, CELLO_OK))
            fixture_turn(&p.f);
        expect_body(&p, 50000, 1, 5000);
        client_expect_closed(&p.c);
        assert_false(p.c.was_reset);
        h1_pair_end(&p);
    }
}

/* ---- what goes wrong ---- */

static void expect_reset(const char *query, size_t n) {
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    get(&p, query, n);
    assert_null(p.c.stream);
    assert_true(p.c.was_reset);
    assert_true(p.c.out_len < n + 200); /* nothing stands in for what is missing */
    assert_int_equal(p.f.released, 1);
    h1_pair_end(&p);
}

static void test_a_file_that_became_shorter(void **state) {
    (void)state;
    expect_reset("?size=0", 1);
    expect_reset("?size=0", 100000);
    expect_reset("?size=5000", 5000);
    expect_reset("?size=50000", 100000);
    expect_reset("?size=100002", 100000); /* by one byte */
    expect_reset("?size=50000&parts=3", 300000);
    expect_reset("?size=150000&parts=3", 300000);
    expect_reset("?size=299999&parts=3", 300000);
    expect_reset("?size=1500&parts=20", 2000);
}

/* What was sent of an answer that a client did not wait for. */
static void expect_logged(struct h1_pair *p, uint64_t bytes) {
    struct cl_request *r = fixture_take(&p->f);
    assert_int_equal(r->response.bytes_sent, bytes);
    cello_request_unref(r);
}

static void test_bytes_for_the_log(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    get(&p, "?keep=1", 5000);
    expect_logged(&p, 5002);
    get(&p, "?keep=1", 50000);
    expect_logged(&p, 50002);
    client_send(&p.c, "HEAD /segments/50000?keep=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_logged(&p, 0);
    get(&p, "?keep=1&size=10003", 50000);
    expect_logged(&p, 1 + 10000);
    h1_pair_end(&p);
}

static void test_a_client_that_leaves(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        cl_mem_hold_sends(p.c.stream, true);
        get(&p, "?keep=1&bytes=5000", 50000);
        assert_int_equal(p.f.released, 0);
        if (how == 0)
            cl_mem_reset(p.c.stream);
        else
            assert_true(cl_mem_finish_send(p.c.stream, how == 1 ? CELLO_ESYS : CELLO_OK));
        if (how == 2) { /* with the bytes behind the file */
            fixture_turn(&p.f);
            assert_int_equal(p.f.released, 0);
            assert_true(cl_mem_finish_send(p.c.stream, CELLO_ESYS));
        }
        assert_int_equal(p.f.released, 0); /* not before the transport is done with them */
        fixture_turn(&p.f);
        assert_int_equal(p.f.released, 1);
        expect_logged(&p, how == 2 ? 55001 : 1);
        h1_pair_end(&p);
    }
}

/* The answer waits behind an earlier one that the client does not read. */
static void test_a_client_that_leaves_before(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    get(&p, "?keep=1", 50000);
    assert_int_equal(p.f.held_count, 1);
    cl_mem_reset(p.c.stream);
    fixture_turn(&p.f);
    assert_int_equal(p.f.released, 1);
    expect_logged(&p, 1);
    h1_pair_end(&p);
}

static void count(void *ctx) {
    ++*(int *)ctx;
}

/* The handler answers when nobody is there any more. */
static void test_a_client_that_left(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    cl_mem_reset(p.c.stream);
    fixture_turn(&p.f);
    struct cl_request *r = fixture_take(&p.f);
    int released = 0;
    const struct cello_segment s = {.fd = 0, .length = 10};
    cello_respond_segments(r, &s, 1, count, &released);
    assert_int_equal(released, 1);
    cello_request_unref(r);
    h1_pair_end(&p);
}

static void test_a_client_that_reads_nothing(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    uint64_t write_ns = p.f.cfg.timeouts.write_ns;
    cl_mem_hold_sends(p.c.stream, true);
    get(&p, "", 50000);
    for (int i = 0; i < 4; i++) { /* slow, but reading */
        cl_mem_read_some(p.c.stream);
        fixture_pass(&p.f, write_ns - CL_NS_PER_S / 2);
        assert_non_null(p.c.stream);
    }
    fixture_pass(&p.f, write_ns);
    fixture_pass(&p.f, write_ns);
    assert_null(p.c.stream);
    assert_true(p.c.was_reset);
    assert_int_equal(p.f.released, 1);
    h1_pair_end(&p);
}

/* More segments than the request may have memory for. */
static void test_too_many_segments(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_request_arena = 16384;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    get(&p, "?parts=100", 300);
    expect_body(&p, 300, 100, 1);
    get(&p, "?parts=256", 300);
    client_expect(&p.c, 503, NULL);
    assert_int_equal(p.f.released, 2);
    get(&p, "", 300);
    expect_body(&p, 300, 1, 1);
    h1_pair_end(&p);
}

static void test_no_malloc(void **state) {
    (void)state;
#if defined(CL_POISON)
    skip();
#endif
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    uint64_t before = 0;
    for (int round = 0; round < 20; round++) {
        if (round == 10)
            before = cl_alloc_count();
        get(&p, "", 10240);
        get(&p, "?parts=2&bytes=5000", 100000);
        cl_mem_output_clear(p.c.stream);
    }
    assert_int_equal(cl_alloc_count(), before);
    h1_pair_end(&p);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(sizes),
        T(small_files_leave_with_one_write),
        T(the_head_leaves_with_the_file),
        T(many_parts),
        T(pipelined),
        T(answers_without_a_body),
        T(old_clients),
        T(connection_close),
        T(half_close),
        T(a_file_that_became_shorter),
        T(bytes_for_the_log),
        T(a_client_that_leaves),
        T(a_client_that_leaves_before),
        T(a_client_that_left),
        T(a_client_that_reads_nothing),
        T(too_many_segments),
        T(no_malloc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
