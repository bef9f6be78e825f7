/* Bodies that are pulled: when their bytes leave, trailers, early hints, clients that end their
 * side. */
#include "support/fixture.h"

/* ---- when bytes leave ---- */

static void test_what_is_there_at_once_leaves_in_one_write(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/3"));
    assert_int_equal(p.c.sends, 1);
    client_expect(&p.c, 200, "a\r\n0123456789\r\na\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n");
    h1_pair_end(&p);
}

static void test_the_head_waits_for_nothing(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/1?wait=1"));
    assert_int_equal(p.c.sends, 1);
    assert_non_null(strstr(client_text(&p.c), "\r\n\r\n"));
    assert_int_equal(fixture_used(&p.f), CL_BLOCK_SIZE); /* the request's head, and no output */
    fixture_give(&p.f, CL_STR("ab"), false);
    assert_int_equal(p.c.sends, 2);
    assert_non_null(strstr(client_text(&p.c), "2\r\nab\r\n"));
    fixture_give(&p.f, CL_STR("cd"), true);
    client_expect(&p.c, 200, "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n");
    h1_pair_end(&p);
}

/* Small chunks are gathered, not without end. */
static void test_small_chunks_are_gathered(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/20000"));
    assert_in_range(p.c.sends, 2, 30);
    struct response r = client_expect(&p.c, 200, NULL);
    assert_int_equal(r.body_len, 20000 * 15 + 5);
    h1_pair_end(&p);
}

/* Large ones are sent from where they lie, before the generator is asked again. */
static void test_large_chunks_are_not_copied(void **state) {
    (void)state;
    static char large[100000];
    memset(large, 'x', sizeof large);
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/1?wait=1"));
    cl_mem_hold_sends(p.c.stream, true);
    fixture_give(&p.f, cl_str(large, sizeof large), false);
    assert_int_equal(p.f.held_count, 0);
    assert_true(fixture_used(&p.f) <= 2 * CL_BLOCK_SIZE);
    assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
    fixture_turn(&p.f);
    assert_int_equal(p.f.held_count, 1);
    cl_mem_hold_sends(p.c.stream, false);
    fixture_give(&p.f, cl_str(NULL, 0), true);
    struct response r = client_expect(&p.c, 200, NULL);
    assert_int_equal(r.body_len, sizeof large + sizeof "186a0\r\n\r\n0\r\n\r\n" - 1);
    h1_pair_end(&p);
}

/* ---- trailers ---- */

static void test_trailers(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/1?wait=1") GET("/"));
    struct cl_request *r = p.f.held[0];
    assert_int_equal(cello_response_trailer(r, CL_STR("Digest"), CL_STR("abc")), CELLO_OK);
    assert_int_equal(cello_response_trailer(r, CL_STR("X-Rows"), CL_STR("")), CELLO_OK);
    fixture_give(&p.f, CL_STR("ab"), true);
    client_expect(&p.c, 200, "2\r\nab\r\n0\r\nDigest: abc\r\nX-Rows: \r\n\r\n");
    client_expect(&p.c, 200, "hello");
    h1_pair_end(&p);
}

static void test_trailers_that_must_stand_before_the_body(void **state) {
    (void)state;
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "Host", "Trailer",
        "Set-Cookie",     "Content-Type",      "Vary", "a b",
        "Authorization",  "Content-Range",     "",     "Connection"};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/1?wait=1"));
    struct cl_request *r = p.f.held[0];
    for (size_t i = 0; i < CL_ARRAY_LEN(names); i++) {
        struct cl_str name = {names[i], strlen(names[i])};
        assert_int_equal(cello_response_trailer(r, name, CL_STR("x")), CELLO_EINVAL);
    }
    assert_int_equal(cello_response_trailer(r, CL_STR("A"), CL_STR("x\r\ny: z")), CELLO_EINVAL);
    for (uint32_t i = 0; i < p.f.cfg.limits.max_headers; i++)
        assert_int_equal(cello_response_trailer(r, CL_STR("A"), CL_STR("x")), CELLO_OK);
    assert_int_equal(cello_response_trailer(r, CL_STR("A"), CL_STR("x")), CELLO_ENOMEM);
    fixture_give(&p.f, cl_str(NULL, 0), true);
    client_expect(&p.c, 200, NULL);
    h1_pair_end(&p);
}

/* A body with a length, or one that ends with the connection, has no place for them. */
static void test_trailers_without_chunks_are_left_out(void **state) {
    (void)state;
    static const char *const requests[] = {"GET /stream/1?wait=1 HTTP/1.0\r\n\r\n",
                                           GET("/stream/1?wait=1&length=2")};
    for (size_t i = 0; i < CL_ARRAY_LEN(requests); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, requests[i]);
        assert_int_equal(cello_response_trailer(p.f.held[0], CL_STR("Digest"), CL_STR("abc")),
                         CELLO_OK);
        fixture_give(&p.f, CL_STR("ab"), true);
        client_expect(&p.c, 200, "ab");
        client_expect_nothing(&p.c);
        h1_pair_end(&p);
    }
}

/* ---- early hints ---- */

static const struct cello_field LINK[] = {
    {{"Link", 4}, {"</a.css>; rel=preload; as=style", 31}},
};

static void test_early_hints(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    struct cl_request *r = fixture_take(&p.f);
    assert_int_equal(cello_response_early_hints(r, LINK, 1), CELLO_OK);
    assert_string_equal(client_text(&p.c), /* before any turn */
                        "HTTP/1.1 103 Early Hints\r\n"
                        "Link: </a.css>; rel=preload; as=style\r\n\r\n");
    assert_int_equal(cello_response_early_hints(r, NULL, 0), CELLO_OK);
    size_t hints = client_received(&p.c);
    cello_respond_bytes(r, CL_STR("done"));
    assert_int_equal(cello_response_early_hints(r, LINK, 1), CELLO_ESTATE);
    fixture_turn(&p.f);
    p.c.at = hints;
    client_expect(&p.c, 200, "done");
    cello_request_unref(r);
    h1_pair_end(&p);
}

static void test_early_hints_that_are_not_sent(void **state) {
    (void)state;
    static const struct cello_field bad[] = {
        {{"Link", 4}, {"a\r\nb", 4}}, {{"Content-Length", 14}, {"1", 1}}, {{"", 0}, {"x", 1}}};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "GET /hold HTTP/1.0\r\n\r\n");
    struct cl_request *r = fixture_take(&p.f);
    assert_int_equal(cello_response_early_hints(r, LINK, 1), CELLO_OK); /* HTTP/1.0 has none */
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_int_equal(cello_response_early_hints(r, &bad[i], 1), CELLO_EINVAL);
    assert_int_equal(cello_response_early_hints(r, LINK, 100000), CELLO_ELIMIT);
    assert_int_equal(client_received(&p.c), 0);
    cello_respond_bytes(r, CL_STR("x"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "x");
    h1_pair_end(&p);
}

static void test_early_hints_to_nobody(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    cl_mem_reset(p.c.stream);
    fixture_turn(&p.f);
    struct cl_request *r = fixture_take(&p.f);
    assert_int_equal(cello_response_early_hints(r, LINK, 1), CELLO_OK);
    cello_respond_bytes(r, CL_STR("x"));
    cello_request_unref(r);
    h1_pair_end(&p);
}

/* A client that reads none does not make the server gather them for ever. */
static void test_early_hints_to_a_client_that_does_not_read(void **state) {
    (void)state;
    static char value[3000];
    memset(value, 'v', sizeof value);
    const struct cello_field field = {{"Link", 4}, {value, sizeof value}};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    cl_mem_hold_sends(p.c.stream, true);
    struct cl_request *r = fixture_take(&p.f);
    for (int i = 0; i < 20; i++) /* what the request's own memory may hold */
        assert_int_equal(cello_response_early_hints(r, &field, 1), CELLO_OK);
    for (int i = 0; i < 10000; i++)
        (void)cello_response_early_hints(r, &field, 1);
    assert_true(fixture_used(&p.f) < (size_t)400 * 1024);
    cello_response_close(r);
    cello_respond_empty(r);
    cello_request_unref(r);
    h1_pair_end(&p);
}

/* ---- a client that ends its side ---- */

/* It may read what is there, but nobody works for it while it has to wait. */
static void test_half_closed_client_that_has_to_wait(void **state) {
    (void)state;
    for (int before = 0; before < 2; before++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        if (before) { /* the end comes with the request */
            client_push(&p.c, GET("/stream/1?wait=1"), sizeof GET("/stream/1?wait=1") - 1);
            client_eof(&p.c);
        } else {
            client_send(&p.c, GET("/stream/1?wait=1"));
            client_eof(&p.c);
        }
        fixture_turn(&p.f);
        for (int i = 0; i < 5; i++) { /* one that goes on is not cut */
            fixture_pass(&p.f, 100 * CL_NS_PER_MS);
            fixture_give(&p.f, CL_STR("ab"), false);
        }
        assert_int_equal(p.f.stopped, 0);
        fixture_pass(&p.f, CL_NS_PER_S);
        fixture_turn(&p.f);
        assert_int_equal(p.f.stopped, 1);
        assert_null(p.c.stream);
        h1_pair_end(&p);
    }
}

static void test_half_closed_client_gets_what_is_there(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_push(&p.c, GET("/stream/3"), sizeof GET("/stream/3") - 1);
    client_eof(&p.c);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "a\r\n0123456789\r\na\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n");
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_at_once_leaves_in_one_write),
        cmocka_unit_test(test_the_head_waits_for_nothing),
        cmocka_unit_test(test_small_chunks_are_gathered),
        cmocka_unit_test(test_large_chunks_are_not_copied),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_trailers_that_must_stand_before_the_body),
        cmocka_unit_test(test_trailers_without_chunks_are_left_out),
        cmocka_unit_test(test_early_hints),
        cmocka_unit_test(test_early_hints_that_are_not_sent),
        cmocka_unit_test(test_early_hints_to_nobody),
        cmocka_unit_test(test_early_hints_to_a_client_that_does_not_read),
        cmocka_unit_test(test_half_closed_client_that_has_to_wait),
        cmocka_unit_test(test_half_closed_client_gets_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
