/* Requests and responses as handlers see them, through whole requests. */
#include "http/response.h"

#include <stdio.h>

#include "http/pair.h"
#include "support/fixture.h"

/* A request that waits for the test's answer. */
struct held {
    struct fixture f;
    struct client c;
    struct cl_request *r;
};

static void begin_with(struct held *h, const struct cello_server_config *cfg, const char *text) {
    fixture_init(&h->f, cfg);
    client_open(&h->f, &h->c);
    client_send(&h->c, text);
    h->r = fixture_take(&h->f);
}

static void begin(struct held *h, const char *text) {
    begin_with(h, NULL, text);
}

static struct response answer(struct held *h) {
    struct response r;
    fixture_turn(&h->f);
    client_answer(&h->c, &r);
    return r;
}

static void end(struct held *h) {
    cello_request_unref(h->r);
    client_free(&h->c);
    fixture_free(&h->f);
}

#define HOLD "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"

static void test_headers(void **state) {
    (void)state;
    struct held h;
    begin(&h, HOLD);
    assert_int_equal(cl_response_header(h.r, CL_STR("A"), CL_STR("1")), CELLO_OK);
    assert_int_equal(cl_response_header(h.r, CL_STR("B"), CL_STR("2")), CELLO_OK);
    assert_int_equal(cl_response_header(h.r, CL_STR("a"), CL_STR("3")), CELLO_OK);
    struct cl_header a, c;
    assert_int_equal(cl_response_header_check(&a, CL_STR("a"), CL_STR("4")), CELLO_OK);
    assert_int_equal(cl_response_header_check(&c, CL_STR("C"), CL_STR("")), CELLO_OK);
    assert_true(cl_response_has(h.r, &a));
    assert_int_equal(cl_response_put(h.r, &a), CELLO_OK);
    assert_false(cl_response_has(h.r, &c));
    assert_int_equal(cl_response_header(h.r, CL_STR("content-type"), CL_STR("x/y")), CELLO_OK);
    cello_respond_bytes(h.r, CL_STR(""));
    struct response r = answer(&h);
    assert_true(response_field_is(&r, "A", "4") && response_field_is(&r, "B", "2"));
    assert_true(response_field_is(&r, "Content-Type", "x/y"));
    end(&h);
}

/* As many as a request may have; one more is refused, and the answer is whole. */
static void test_many_headers(void **state) {
    (void)state;
    struct held h;
    begin(&h, HOLD);
    char name[20], value[200];
    memset(value, 'v', sizeof value);
    int added = 0;
    for (int i = 0; i < 300; i++) {
        int n = snprintf(name, sizeof name, "X-%d", i);
        added += cello_response_header(h.r, cl_str(name, (size_t)n), cl_str(value, sizeof value)) ==
                 CELLO_OK;
    }
    assert_int_equal(added, 100);
    struct cl_sink *s = cello_response_sink(h.r, 10); /* the head is longer than the usual room */
    assert_non_null(s);
    assert_int_equal(cl_sink_write(s, "body", 4), CELLO_OK);
    cello_respond_sink(h.r);
    struct response r = answer(&h);
    assert_int_equal(r.body_len, 4);
    assert_memory_equal(r.body, "body", 4);
    assert_true(r.head_len > 20000);
    end(&h);
}

static void test_no_more_arena(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_request_arena = 8192;
    struct held h;
    begin_with(&h, &cfg, HOLD);
    char value[3000];
    memset(value, 'v', sizeof value);
    int err = CELLO_OK;
    for (int i = 0; i < 5 && !err; i++)
        err = cello_response_header(h.r, CL_STR("X"), cl_str(value, sizeof value));
    assert_int_equal(err, CELLO_ENOMEM);
    cello_respond_problem(h.r, 500, CL_STR("too much"));
    assert_int_equal(answer(&h).status, 500);
    end(&h);
}

static void test_problem(void **state) {
    (void)state;
    struct held h;
    begin(&h, "GET /x/../hold HTTP/1.1\r\nHost: a\r\n\r\n");
    cello_respond_problem(h.r, 599, CL_STR("a \"b\" \\ \n \xc3\xa4 \xff"));
    static const char want[] =
        "{\"type\":\"about:blank\",\"title\":\"Error\",\"status\":599,\"detail\":"
        "\"a \\\"b\\\" \\\\ \\n \xc3\xa4 \xef\xbf\xbd\",\"instance\":\"/hold\"}";
    struct response r = answer(&h);
    assert_int_equal(r.status, 599);
    assert_int_equal(r.body_len, sizeof want - 1);
    assert_memory_equal(r.body, want, r.body_len);
    end(&h);
}

static void test_close(void **state) {
    (void)state;
    struct held h;
    begin(&h, HOLD HOLD);
    cello_response_close(h.r);
    cello_respond_empty(h.r);
    assert_true(answer(&h).close);
    client_expect_closed(&h.c);
    assert_int_equal(h.f.held_count, 0);
    end(&h);
}

/* A sink that was opened and dropped leaves nothing behind. */
static void test_dropped_sink(void **state) {
    (void)state;
    struct held h;
    begin(&h, HOLD);
    struct cl_sink *s = cello_response_sink(h.r, 10);
    assert_non_null(s);
    assert_int_equal(cl_sink_write(s, "half a bo", 9), CELLO_OK);
    cello_response_sink_drop(h.r);
    fixture_turn(&h.f); /* and a flush comes before the answer */
    client_expect_nothing(&h.c);
    cello_respond_bytes(h.r, CL_STR("whole"));
    struct response r = answer(&h);
    assert_int_equal(r.body_len, 5);
    assert_memory_equal(r.body, "whole", 5);
    end(&h);
}

/* ---- requests ---- */

static void test_request(void **state) {
    (void)state;
    struct held h;
    begin(&h, "POST /hold?a=1&b=%20&a=2 HTTP/1.0\r\nCookie: x=y; z=\"w\"\r\nX-A: b\r\n"
              "Content-Length: 2\r\n\r\nhi");
    struct cl_str v;
    const struct cl_pair *pairs;
    size_t count;
    uint16_t port;
    assert_true(cl_str_eq(cello_request_method(h.r), CL_STR("POST")));
    assert_true(cl_str_eq(cello_request_target(h.r), CL_STR("/hold?a=1&b=%20&a=2")));
    assert_true(cl_str_eq(cello_request_path(h.r), CL_STR("/hold")));
    assert_true(cl_str_eq(cello_request_route(h.r), CL_STR("/hold")));
    assert_true(cl_str_eq(cello_request_body(h.r), CL_STR("hi")));
    assert_int_equal(cello_request_version(h.r), CELLO_HTTP_1_0);
    assert_int_equal(cello_request_host(h.r).len, 0);
    assert_int_equal(cello_request_peer(h.r, &port).len, 0);
    assert_int_equal(cello_request_header_count(h.r), 3);
    assert_true(cello_request_header(h.r, CL_STR("x-a"), &v) && cl_str_eq(v, CL_STR("b")));
    assert_false(cello_request_header(h.r, CL_STR("x-b"), &v));
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(cello_request_query_pairs(h.r, &pairs, &count), CELLO_OK);
        assert_int_equal(count, 3);
        assert_true(cl_str_eq(cello_pair_value(pairs, 1), CL_STR(" ")));
        assert_int_equal(cello_request_cookie_pairs(h.r, &pairs, &count), CELLO_OK);
        assert_int_equal(count, 2);
        assert_true(cl_str_eq(cello_pair_name(pairs, 1), CL_STR("z")));
    }
    assert_int_equal(cello_request_query_find(h.r, CL_STR("a"), &v), CELLO_OK);
    assert_true(cl_str_eq(v, CL_STR("2")));
    assert_int_equal(cello_request_param(h.r, CL_STR("a"), &v), CELLO_ENOENT);
    cello_respond_empty(h.r);
    end(&h);
}

static void test_too_many_pairs(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_query_params = cfg.limits.max_cookies = 2;
    struct held h;
    begin_with(&h, &cfg,
               "GET /hold?a&b&c HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nCookie: c=3\r\n\r\n");
    const struct cl_pair *pairs;
    size_t count;
    assert_int_equal(cello_request_query_pairs(h.r, &pairs, &count), CELLO_ELIMIT);
    assert_int_equal(cello_request_cookie_pairs(h.r, &pairs, &count), CELLO_ELIMIT);
    cello_respond_empty(h.r);
    end(&h);
}

/* One large request must not make the server keep its memory for good. */
static void test_large_arenas_are_not_kept(void **state) {
    (void)state;
    struct held h;
    begin(&h, HOLD);
    assert_non_null(cl_arena_alloc(&h.r->arena, 500000));
    cello_respond_empty(h.r);
    fixture_turn(&h.f);
    cello_request_unref(h.r);
    struct cl_request *kept = h.f.server->worker.free_requests;
    for (; kept; kept = kept->next)
        assert_in_range(kept->arena.total, 0, 8192);
    client_send(&h.c, HOLD);
    h.r = fixture_take(&h.f);
    cello_respond_empty(h.r);
    end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_many_headers),
        cmocka_unit_test(test_no_more_arena),
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_dropped_sink),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_too_many_pairs),
        cmocka_unit_test(test_large_arenas_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
