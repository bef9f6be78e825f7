/* Requests and answers over HTTP/2: heads, meanings, bodies of every kind. */
#include <stdio.h>

#include "http/response.h"
#include "support/h2_client.h"

/* ---- answers ---- */

static void test_get(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const struct h2_message *m = h2_pair_get(&p, "/");
    h2_expect(m, 200, "hello");
    assert_string_equal(h2_field(m, "content-type"), "text/plain");
    assert_string_equal(h2_field(m, "content-length"), "5");
    assert_int_equal(strlen(h2_field(m, "date")), 29);
    assert_true(m->closed);
    assert_int_equal(m->error, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_settings_and_windows(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.max_concurrent_streams = 7;
    cfg.initial_window_size = 100000;
    cfg.max_frame_size = 20000;
    cfg.max_header_list_size = 5000;
    struct h2_pair p;
    h2_pair_begin_with(&p, NULL, &cfg);
    nghttp2_session *s = p.h.session;
    assert_int_equal(
        nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 7);
    assert_int_equal(nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
                     100000);
    assert_int_equal(nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_FRAME_SIZE),
                     20000);
    assert_int_equal(nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE),
                     5000);
    assert_int_equal(
        nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL), 0);
    /* Bounded, and larger than that of a stream. */
    assert_int_equal(nghttp2_session_get_remote_window_size(s), 400000);
    h2_pair_end(&p);
}

static void expect_xs(const struct h2_message *m, size_t n) {
    h2_expect(m, 200, NULL);
    assert_int_equal(m->len, n);
    for (size_t b = 0; b < n; b++)
        assert_int_equal(m->body[b], 'x');
}

static void test_every_kind_of_body(void **state) {
    (void)state;
    static const char *const kinds[] = {"pinned", "sink", "bytes", "static"};
    static const size_t sizes[] = {0, 1, 100, 2048, 2049, 5000, 16384, 16385, 60000, 500000};
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t k = 0; k < CL_ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
            char path[64];
            snprintf(path, sizeof path, "/%s/%zu", kinds[k], sizes[i]);
            expect_xs(h2_pair_get(&p, path), sizes[i]);
        }
    }
    assert_int_equal(fixture_used(&p.f), 0);
    h2_pair_end(&p);
}

/* All at once on one connection: each gets its own. */
static void test_many_at_once(void **state) {
    (void)state;
    static const char *const kinds[] = {"pinned", "sink", "bytes", "static"};
    enum { N = 100 };
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m[N];
    for (size_t i = 0; i < N; i++) {
        char path[64];
        snprintf(path, sizeof path, "/%s/%zu", kinds[i % 4], i * i);
        m[i] = h2_get(&p.h, path);
    }
    h2_turn(&p.h);
    for (size_t i = 0; i < N; i++)
        expect_xs(m[i], i * i);
    h2_pair_end(&p);
}

/* What is asked for in one read is answered with one send. */
static void test_one_send_per_turn(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m[50];
    for (size_t i = 0; i < CL_ARRAY_LEN(m); i++)
        m[i] = h2_get(&p.h, i % 2 ? "/" : "/sink/20");
    struct h2_bytes all = {0};
    h2_gather(&p.h, &all);
    unsigned sends = p.h.c.sends;
    client_push(&p.h.c, all.ptr, all.len);
    free(all.ptr);
    assert_int_equal(p.h.c.sends, sends + 1);
    h2_turn(&p.h);
    for (size_t i = 0; i < CL_ARRAY_LEN(m); i++)
        h2_expect(m[i], 200, i % 2 ? "hello" : "xxxxxxxxxxxxxxxxxxxx");
    h2_pair_end(&p);
}

/* An encoder is code of users: while it writes, other requests of the connection may be answered.
 */
static void test_an_answer_while_another_is_written(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *first = h2_get(&p.h, "/hold"), *second = h2_get(&p.h, "/hold");
    h2_turn(&p.h);
    struct cl_request *a = fixture_take(&p.f), *b = fixture_take(&p.f);
    struct cl_sink *sink = cello_response_sink(a, 100);
    assert_non_null(sink);
    assert_int_equal(cl_sink_write(sink, "one ", 4), CELLO_OK);
    cello_respond_bytes(b, CL_STR("another"));
    assert_int_equal(cl_sink_write(sink, "two", 3), CELLO_OK);
    cello_respond_sink(a);
    cello_request_unref(a);
    cello_request_unref(b);
    h2_turn(&p.h);
    h2_expect(first, 200, "one two");
    h2_expect(second, 200, "another");
    h2_pair_end(&p);
}

static void test_head_and_statuses_without_content(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const struct h2_message *m = h2_pair_request(&p, "HEAD", "/segments/1000", NULL);
    h2_expect(m, 200, "");
    assert_string_equal(h2_field(m, "content-length"), "1002");
    m = h2_pair_request(&p, "HEAD", "/", NULL);
    h2_expect(m, 200, "");
    assert_string_equal(h2_field(m, "content-length"), "5");
    m = h2_pair_get(&p, "/segments/10?status=204");
    h2_expect(m, 204, "");
    assert_null(h2_field(m, "content-length"));
    m = h2_pair_get(&p, "/segments/10?status=304");
    h2_expect(m, 304, "");
    h2_pair_end(&p);
}

static void test_segments(void **state) {
    (void)state;
    static const char *const paths[] = {
        "/segments/0",
        "/segments/100",
        "/segments/20000?parts=3",
        "/segments/500000?parts=2&bytes=70000",
        "/segments/40?parts=20",
        "/segments/16384",
    };
    static const struct {
        size_t n, parts, bytes;
    } shape[] = {{0, 1, 1},          {100, 1, 1}, {20000, 3, 1},
                 {500000, 2, 70000}, {40, 20, 1}, {16384, 1, 1}};
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++) {
        const struct h2_message *m = h2_pair_get(&p, paths[i]);
        h2_expect(m, 200, NULL);
        assert_int_equal(m->len, shape[i].n + shape[i].parts * (1 + shape[i].bytes));
        const char *b = m->body;
        for (size_t k = 0; k < shape[i].parts; k++) {
            size_t from = shape[i].n * k / shape[i].parts;
            size_t to = shape[i].n * (k + 1) / shape[i].parts;
            assert_int_equal(*b++, '[');
            for (; from < to; from++)
                assert_int_equal(*b++, fixture_file_byte(3 + from));
            for (size_t x = 0; x < shape[i].bytes; x++)
                assert_int_equal(*b++, 'x');
        }
    }
    h2_pair_end(&p);
}

/* A file that has become shorter never looks whole; other streams go on. */
static void test_a_shorter_file(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_get(&p.h, "/segments/50000?size=40000");
    struct h2_message *other = h2_get(&p.h, "/bytes/50000");
    h2_turn(&p.h);
    h2_expect_reset(m, NGHTTP2_INTERNAL_ERROR);
    assert_false(m->ended);
    expect_xs(other, 50000);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

static void test_fields_of_answers(void **state) {
    (void)state;
    static const char *const dropped[] = {"Upgrade", "Proxy-Connection", "TE", "HTTP2-Settings"};
    struct h2_pair p;
    h2_pair_begin(&p);
    const struct h2_message *m = h2_pair_get(&p, "/header?name=X-Mixed-Case&value=A%20b");
    h2_expect(m, 200, "");
    assert_string_equal(h2_field(m, "x-mixed-case"), "A b");
    m = h2_pair_get(&p, "/header?name=Link&value=c");
    assert_string_equal(h2_field(m, "link"), "c");
    for (size_t i = 0; i < CL_ARRAY_LEN(dropped); i++) {
        char path[100];
        snprintf(path, sizeof path, "/header?name=%s&value=x", dropped[i]);
        m = h2_pair_get(&p, path);
        h2_expect(m, 200, "");
        assert_int_equal(m->error, NGHTTP2_NO_ERROR);
        char *fields = strdup(m->fields);
        for (char *c = fields; *c; c++)
            *c = (char)cl_lower((unsigned char)*c);
        assert_null(strstr(fields, "te: x"));
        assert_null(strstr(fields, "upgrade"));
        free(fields);
    }
    h2_pair_end(&p);
}

/* More fields than are put together on the stack, and longer ones than a frame holds. */
static void test_large_heads_of_answers(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    struct cl_request *r = fixture_take(&p.f);
    static char value[3000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cello_response_header(r, CL_STR("X-Long"), cl_str(value, sizeof value)),
                         CELLO_OK);
    for (int i = 0; i < 60; i++)
        assert_int_equal(cello_response_header(r, CL_STR("X-Many"), CL_STR("1")), CELLO_OK);
    cello_respond_empty(r);
    cello_request_unref(r);
    h2_turn(&p.h);
    h2_expect(m, 200, "");
    assert_true(strlen(m->fields) > 15000 + 60 * 9);
    h2_pair_end(&p);
}

static void test_heads_of_answers_that_are_too_large(void **state) {
    (void)state;
    static char value[300000];
    memset(value, 'v', sizeof value);
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    struct cl_request *r = p.f.held[0];
    for (int i = 0; i < 4; i++)
        assert_int_equal(cl_response_header(r, CL_STR("X-Long"), cl_str(value, sizeof value)),
                         CELLO_OK);
    cello_respond_empty(r);
    cello_request_unref(fixture_take(&p.f));
    h2_turn(&p.h);
    assert_int_equal(m->status, 0);
    h2_expect_reset(m, NGHTTP2_INTERNAL_ERROR);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

/* ---- requests ---- */

static void expect_held_header(struct h2_pair *p, const char *name, const char *value) {
    assert_true(p->f.held_count > 0);
    const struct cl_request *r = p->f.held[p->f.held_count - 1];
    struct cl_str got = {0};
    assert_int_equal(cello_request_header(r, cl_str(name, strlen(name)), &got), value != NULL);
    if (value) {
        assert_int_equal(got.len, strlen(value));
        assert_memory_equal(got.ptr, value, got.len);
    }
}

static void expect_str(struct cl_str s, const char *want) {
    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.ptr, want, s.len);
}

static void test_what_a_request_says(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const char *fields[] = {"x-own", "1", "user-agent", "test", "x-empty", "", NULL};
    struct h2_message *m = h2_pair_request(&p, "GET", "/hold?a=b", fields);
    const struct cl_request *r = p.f.held[0];
    expect_str(cello_request_method(r), "GET");
    expect_str(cello_request_target(r), "/hold?a=b");
    expect_str(cello_request_path(r), "/hold");
    expect_str(cello_request_query(r), "a=b");
    expect_str(cello_request_host(r), "test:80");
    assert_int_equal(cello_request_version(r), CELLO_HTTP_2);
    expect_held_header(&p, "host", "test:80");
    expect_held_header(&p, "X-Own", "1");
    expect_held_header(&p, "User-Agent", "test");
    expect_held_header(&p, "x-empty", "");
    expect_held_header(&p, ":path", NULL);
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    h2_pair_end(&p);
}

static void test_crumbs_of_cookies_are_joined(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const char *fields[2 * 300 + 3] = {"x-first", "1"};
    size_t n = 2;
    static char expected[10000];
    for (int i = 0; i < 150; i++) {
        fields[n++] = "cookie";
        fields[n++] = i % 2 ? "a=1" : "bcd=efgh";
        strncat(expected, i ? "; " : "", 3);
        strncat(expected, fields[n - 1], 10);
    }
    struct h2_message *m = h2_pair_request(&p, "GET", "/hold", fields);
    expect_held_header(&p, "cookie", expected);
    assert_int_equal(cello_request_header_count(p.f.held[0]), 3); /* and host */
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    h2_pair_end(&p);
}

static void test_host_and_authority(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const char *same[] = {"host", "TEST:80", NULL}, *other[] = {"host", "b", NULL};
    struct h2_message *m = h2_pair_request(&p, "GET", "/hold", same);
    assert_int_equal(cello_request_header_count(p.f.held[0]), 1);
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    h2_expect(h2_pair_request(&p, "GET", "/hold", other), 400, NULL);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

static void test_host_alone(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const char *fields[] = {":method", "GET",  ":scheme", "http", ":path",
                            "/hold",   "host", "a.b",     NULL};
    struct h2_message *m = h2_pair_bare(&p, fields);
    expect_str(cello_request_host(p.f.held[0]), "a.b");
    expect_held_header(&p, "host", "a.b");
    h2_pair_answer(&p, "done");
    h2_expect(m, 200, "done");
    h2_pair_end(&p);
}

static void test_malformed_requests_are_reset(void **state) {
    (void)state;
    static const char *const bad[][20] = {
        {":method", "GET", ":scheme", "http", ":path", "/", NULL},      /* of nobody */
        {":method", "GET", ":scheme", "http", ":authority", "a", NULL}, /* no path */
        {":scheme", "http", ":authority", "a", ":path", "/", NULL},     /* no method */
        {":method", "GET", ":authority", "a", ":path", "/", NULL},      /* no scheme */
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", ":path", "/", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", ":status", "200",
         NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "x", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "x", "1", ":a", "b",
         NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "connection",
         "close", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "te", "gzip", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "transfer-encoding",
         "chunked", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "upgrade", "h2c",
         NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "a\nb", "c", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "a", "b\r\nc: d",
         NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "content-length",
         "1x", NULL},
        {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "content-length",
         "5", NULL}, /* and there is none */
        {":method", "CONNECT", ":scheme", "http", ":authority", "a:1", ":path", "/", NULL},
        {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
         ":path", "/", NULL}, /* not offered */
    };
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        unsigned handled = p.f.handled;
        h2_expect_reset(h2_pair_bare(&p, bad[i]), NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(p.f.handled, handled);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello"); /* nothing but streams went */
    h2_pair_end(&p);
}

static void test_requests_that_are_answered_with_an_error(void **state) {
    (void)state;
    static const struct {
        const char *fields[14];
        int status;
    } bad[] = {
        {{":method", "GET", ":scheme", "http", ":authority", "a b", ":path", "/", NULL}, 400},
        {{":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "/", NULL}, 400},
        {{":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "http://a/", NULL}, 400},
        {{":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "a", NULL}, 400},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/%zz", NULL}, 400},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/nothing", NULL}, 404},
        {{":method", "BREW", ":scheme", "http", ":authority", "a", ":path", "/", NULL}, 501},
        {{":method", "CONNECT", ":authority", "a:1", NULL}, 501},
        {{":method", "CONNECT", ":authority", "a", NULL}, 400},
        {{":method", "DELETE", ":scheme", "http", ":authority", "a", ":path", "/", NULL}, 405},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "expect", "1",
          NULL},
         417},
        {{":method", "OPTIONS", ":scheme", "http", ":authority", "a", ":path", "*", NULL}, 204},
    };
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        struct h2_message *m = h2_pair_bare(&p, bad[i].fields);
        if (!m->status && m->error == NGHTTP2_PROTOCOL_ERROR)
            continue; /* the session knows it, too */
        h2_expect(m, bad[i].status, NULL);
    }
    h2_pair_end(&p);
}

/* ---- limits of heads ---- */

static void test_long_targets(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    static char path[40000];
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    path[8192] = '\0';
    h2_expect(h2_pair_get(&p, path), 404, NULL);
    path[8192] = 'a';
    path[8193] = '\0';
    h2_expect(h2_pair_get(&p, path), 414, NULL);
    path[8193] = 'a';
    h2_expect(h2_pair_get(&p, path), 414, NULL);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

static void test_large_heads(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    static char value[16001];
    memset(value, 'v', sizeof value - 1);
    const char *just[] = {"x", value, NULL};
    h2_expect(h2_pair_request(&p, "GET", "/", just), 200, "hello");
    const char *over[] = {"x", value, "y", value, NULL};
    h2_expect(h2_pair_request(&p, "GET", "/", over), 431, NULL);
    /* A body behind it changes nothing. */
    struct h2_message *m = h2_pair_post(&p, "/echo", over, value, 16000, false);
    h2_expect(m, 431, NULL);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

static void test_many_fields(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const char *fields[2 * 110 + 1] = {0};
    for (int i = 0; i < 100; i++) {
        fields[2 * i] = "x";
        fields[2 * i + 1] = "";
    }
    h2_expect(h2_pair_request(&p, "GET", "/", fields), 200, "hello");
    fields[200] = fields[202] = "x";
    fields[201] = fields[203] = "";
    h2_expect(h2_pair_request(&p, "GET", "/", fields), 431, NULL);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_settings_and_windows),
        cmocka_unit_test(test_every_kind_of_body),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_one_send_per_turn),
        cmocka_unit_test(test_an_answer_while_another_is_written),
        cmocka_unit_test(test_head_and_statuses_without_content),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_a_shorter_file),
        cmocka_unit_test(test_fields_of_answers),
        cmocka_unit_test(test_large_heads_of_answers),
        cmocka_unit_test(test_heads_of_answers_that_are_too_large),
        cmocka_unit_test(test_what_a_request_says),
        cmocka_unit_test(test_crumbs_of_cookies_are_joined),
        cmocka_unit_test(test_host_and_authority),
        cmocka_unit_test(test_host_alone),
        cmocka_unit_test(test_malformed_requests_are_reset),
        cmocka_unit_test(test_requests_that_are_answered_with_an_error),
        cmocka_unit_test(test_long_targets),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_many_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
