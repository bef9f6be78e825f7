/* Requests and answers of HTTP/1 connections, over the memory transport. */
#include <stdio.h>

#include "http/response.h"
#include "support/fixture.h"

/* ---- answers ---- */

static void test_keep_alive(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    for (int i = 0; i < 3; i++) {
        client_send(&p.c, GET("/"));
        struct response r = client_expect(&p.c, 200, "hello");
        assert_true(response_field_is(&r, "Content-Type", "text/plain"));
        assert_false(r.close);
        client_expect_nothing(&p.c);
        assert_int_equal(fixture_used(&p.f), 0); /* an idle connection holds no memory */
    }
    client_send(&p.c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/"));
    struct response r = client_expect(&p.c, 200, "hello");
    assert_true(r.close);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_http_1_0(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct response r = client_expect(&p.c, 200, "hello");
    assert_true(response_field_is(&r, "Connection", "keep-alive"));
    client_send(&p.c, "GET / HTTP/1.0\r\n\r\n");
    r = client_expect(&p.c, 200, "hello");
    assert_true(r.close);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

/* Every byte of a request may come alone. */
static void test_any_split(void **state) {
    (void)state;
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n" GET("/item/7?q=%41");
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        if (cut == 0)
            cl_mem_set_chunk(p.c.stream, 1);
        client_push(&p.c, text, cut);
        client_push(&p.c, text + cut, sizeof text - 1 - cut);
        client_expect(&p.c, 200, "abcde");
        client_expect(&p.c, 200, "abcde");
        client_expect(&p.c, 200, "7,A");
        client_expect_nothing(&p.c);
        h1_pair_end(&p);
    }
}

static void test_pipelined_answers_leave_with_one_write(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    char text[4096] = "";
    for (int i = 0; i < 32; i++)
        strncat(text, GET("/"), sizeof text - strlen(text) - 1);
    client_send(&p.c, text);
    for (int i = 0; i < 32; i++)
        client_expect(&p.c, 200, "hello");
    client_expect_nothing(&p.c);
    assert_int_equal(p.c.sends, 1);
    h1_pair_end(&p);
}

static void test_pipelined_of_all_kinds(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    static const size_t sizes[] = {0, 1, 4096, 4097, 7000, 8200, 50000};
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
            char text[1000];
            snprintf(text, sizeof text,
                     GET("/sink/%zu") GET("/pinned/%zu") GET("/static/%zu") GET("/bytes/%zu")
                         GET("/sink/%zu") GET("/"),
                     sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
            client_send(&p.c, text);
            for (int k = 0; k < 5; k++) {
                struct response r = client_expect(&p.c, 200, NULL);
                assert_int_equal(r.body_len, sizes[i]);
                for (size_t at = 0; at < sizes[i]; at++)
                    assert_int_equal(r.body[at], 'x');
            }
            client_expect(&p.c, 200, "hello");
            client_expect_nothing(&p.c);
        }
    }
    assert_int_equal(p.f.pinned, p.f.released);
    h1_pair_end(&p);
}

static void test_head(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    static const char *const targets[] = {"/",       "/sink/9000",       "/pinned/9000",
                                          "/item/1", "/stream/3",        "/stream/3?length=30",
                                          "/none",   "/stream/3?wait=1", "/static/70000"};
    for (size_t i = 0; i < CL_ARRAY_LEN(targets); i++) {
        char text[200];
        snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), targets[i]);
        struct response r;
        client_send(&p.c, text);
        client_answer_to_head(&p.c, &r);
        client_expect(&p.c, 200, "hello");
        client_expect_nothing(&p.c);
    }
    assert_int_equal(p.f.streams, 3);
    assert_int_equal(p.f.stopped, 3);
    h1_pair_end(&p);
}

static void test_methods(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    struct response r = client_expect(&p.c, 204, NULL);
    assert_true(response_field_is(&r, "Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
    client_send(&p.c, "OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    r = client_expect(&p.c, 204, NULL);
    assert_true(response_field_is(&r, "Allow", "GET, HEAD, POST, PUT, OPTIONS"));
    client_send(&p.c, "DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    r = client_expect(&p.c, 405, NULL);
    assert_true(response_field_is(&r, "Allow", "GET, HEAD, POST, PUT, OPTIONS"));
    assert_true(response_field_is(&r, "Content-Type", "application/problem+json"));
    client_send(&p.c, "BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&p.c, 501, NULL);
    client_send(&p.c, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&p.c, 501, NULL);
    client_send(&p.c, GET("http://other.example/item/3?q=z"));
    client_expect(&p.c, 200, "3,z");
    client_send(&p.c, GET("/none"));
    client_expect(&p.c, 404,
                  "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":"
                  "\"No route matches this path.\",\"instance\":\"/none\"}");
    client_expect_nothing(&p.c);
    h1_pair_end(&p);
}

static void test_urls(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/a/../item/./5?q=%C3%A4+b"));
    client_expect(&p.c, 200, "5,\xc3\xa4 b");
    client_send(&p.c, GET("/%69tem/5"));
    client_expect(&p.c, 200, "5,");
    client_send(&p.c, GET("/../../.."));
    client_expect(&p.c, 200, "hello");
    static const char *const bad[] = {GET("/%"),     GET("/%4"),   GET("/%zz"),
                                      GET("/%00"),   GET("/%ff"),  GET("/?%"),
                                      GET("/?q=%x"), GET("/?%00"), GET("/?%c3")};
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        client_send(&p.c, bad[i]);
        client_expect(&p.c, 400, NULL);
    }
    client_send(&p.c, GET("/slash"));
    client_expect(&p.c, 404, NULL); /* strict unless asked for */
    client_expect_nothing(&p.c);
    h1_pair_end(&p);
}

static void test_slash_redirect(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    fixture_init(&f, NULL);
    cello_app_redirect_slashes(f.app, true);
    client_open(&f, &c);
    client_send(&c, GET("/slash?a=b"));
    struct response r = client_expect(&c, 307, "");
    assert_true(response_field_is(&r, "Location", "./slash/?a=b"));
    client_send(&c, GET("/item/1/"));
    r = client_expect(&c, 307, "");
    assert_true(response_field_is(&r, "Location", "../1"));
    client_send(&c, "POST /small/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    r = client_expect(&c, 308, "");
    assert_true(response_field_is(&r, "Location", "../small"));
    client_send(&c, GET("/"));
    client_expect(&c, 200, "hello");
    client_free(&c);
    fixture_free(&f);
}

static void noop(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    cello_respond_empty(r);
}

/* Browsers take "/\\host" as a Location for "//host": another host. */
static void test_slash_redirect_stays_here(void **state) {
    (void)state;
    static struct cello_handler handler = {.on_request = noop};
    char err[200];
    struct fixture f;
    struct client c;
    fixture_begin(&f, NULL);
    struct cello_route route = {.methods = CELLO_GET, .path = CL_STR("/{a}"), .handler = &handler};
    assert_int_equal(cello_app_route(f.app, &route, err, sizeof err), CELLO_OK);
    cello_app_redirect_slashes(f.app, true);
    fixture_serve(&f);
    client_open(&f, &c);
    client_send(&c, GET("/\\evil.example/"));
    struct response r = client_expect(&c, 307, "");
    assert_true(response_field_is(&r, "Location", "../\\evil.example"));
    client_send(&c, GET("/./\\evil.example"));
    client_expect(&c, 200, "");
    client_free(&c);
    fixture_free(&f);
}

/* ---- bodies ---- */

static void test_bodies(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    static char body[200001];
    memset(body, 'b', sizeof body - 1);
    static const size_t sizes[] = {1, 100, 4096, 8000, 8064, 8128, 8129, 20000, 25000, 200000};
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
        for (int apart = 0; apart < 3; apart++) {
            char head[200];
            snprintf(head, sizeof head,
                     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
            assert_int_equal(cl_mem_push(p.c.stream, head, strlen(head)), CELLO_OK);
            if (apart)
                fixture_turn(&p.f);
            cl_mem_set_chunk(p.c.stream, apart == 2 ? 1000 : 0);
            client_push(&p.c, body, sizes[i]);
            client_send(&p.c, GET("/"));
            struct response r = client_expect(&p.c, 200, NULL);
            assert_int_equal(r.body_len, sizes[i]);
            assert_memory_equal(r.body, body, sizes[i]);
            client_expect(&p.c, 200, "hello");
        }
    }
    assert_int_equal(fixture_used(&p.f), 0);
    h1_pair_end(&p);
}

static void test_chunked_body(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    static char text[70000] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    size_t total = 0, n = strlen(text);
    for (unsigned size = 1; n < sizeof text - 2000; size += 13) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%x\r\n%0*d\r\n", size % 1500 + 1,
                              (int)(size % 1500 + 1), 0);
        total += size % 1500 + 1;
    }
    snprintf(text + n, sizeof text - n, "0\r\nX: y\r\n\r\n" GET("/"));
    for (size_t chunk = 0; chunk < 3; chunk++) {
        cl_mem_set_chunk(p.c.stream, chunk * 1000);
        client_send(&p.c, text);
        struct response r = client_expect(&p.c, 200, NULL);
        assert_int_equal(r.body_len, total);
        client_expect(&p.c, 200, "hello");
        client_expect_nothing(&p.c);
    }
    h1_pair_end(&p);
}

#define POST_EXPECT(path, length)                                                                  \
    "POST " path " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " length         \
    "\r\n\r\n"

static void test_expect_continue(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST_EXPECT("/echo", "3"));
    client_expect(&p.c, 100, NULL);
    client_expect_nothing(&p.c);
    client_send(&p.c, "abc");
    client_expect(&p.c, 200, "abc");
    client_send(&p.c, POST_EXPECT("/echo", "3") "abc"); /* too late to ask for it */
    client_expect(&p.c, 200, "abc");
    client_send(&p.c, POST_EXPECT("/echo", "0"));
    client_expect(&p.c, 200, "");
    h1_pair_end(&p);
}

/* 100 is the answer to a request that will be read; others get their answer instead. */
static void test_expect_continue_refused(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, NULL);
#define REFUSED(text, status) expect_refused(&f, text, sizeof(text) - 1, status)
    REFUSED(POST_EXPECT("/none", "3"), 404);
    REFUSED(POST_EXPECT("/small", "11"), 413);
    REFUSED(POST_EXPECT("/echo", "99999999999"), 413);
    REFUSED(POST_EXPECT("/item/1", "3"), 405);
    REFUSED("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc", 417);
    assert_int_equal(f.handled, 0);
    fixture_free(&f);
}

static void test_early_answer_to_a_body(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    /* The body lies here: it is skipped, and the connection lives on. */
    client_send(&p.c, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET("/"));
    client_expect(&p.c, 404, NULL);
    client_expect(&p.c, 200, "hello");
    client_send(&p.c, "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n0\r\n\r\n" GET("/"));
    client_expect(&p.c, 404, NULL);
    client_expect(&p.c, 200, "hello");
    /* It does not, or its end is not known: nothing behind it can be trusted. */
    client_send(&p.c, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc");
    struct response r = client_expect(&p.c, 404, NULL);
    assert_true(r.close);
    client_send(&p.c, "d" GET("/"));
    client_expect_closed(&p.c);
    h1_pair_end(&p);
    struct fixture f;
    fixture_init(&f, NULL);
    REFUSED("POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" GET("/"),
            404);
    REFUSED("POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" GET("/"),
            404);
    fixture_free(&f);
}

/* ---- bad input ---- */

static void test_bad_input(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, NULL);
#define HEAD_WITH(fields) "GET / HTTP/1.1\r\n" fields "\r\n\r\n" GET("/")
    REFUSED("GET /\r\n\r\n" GET("/"), 400);
    REFUSED("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("G=T / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    REFUSED("GET / HTTP/1.1\nHost: a\n\n", 400);
    REFUSED("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED(HEAD_WITH("Host:a\r\nHost: a"), 400);
    REFUSED(HEAD_WITH("A: b"), 400);
    REFUSED(HEAD_WITH("Host: a b"), 400);
    REFUSED(HEAD_WITH("Host : a"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nX: y\r\n z"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nX: \001"), 400);
    REFUSED(HEAD_WITH("Host: a\r\n(: x"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nContent-Length: 1\r\nContent-Length: 2"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nContent-Length: +1"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nContent-Length: 1,1"), 400);
    REFUSED(HEAD_WITH("Host: a\r\nTransfer-Encoding: gzip, chunked"), 501);
    REFUSED(HEAD_WITH("Host: a\r\nTransfer-Encoding: chunked, gzip"), 400);
    REFUSED("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" GET("/"),
            400);
    REFUSED(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n" GET("/"),
        400);
    REFUSED("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    assert_int_equal(f.handled, 0);
    fixture_free(&f);
}

static void test_answers_before_bad_input_arrive(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/") GET("/item/2") "GET / HTTP/1.1\r\nbad\r\n\r\n" GET("/"));
    client_expect(&p.c, 200, "hello");
    client_expect(&p.c, 200, "2,");
    client_expect(&p.c, 400, NULL);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_content_coding(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
#define CODED(coding) "POST /echo HTTP/1.1\r\nHost: a\r\n" coding "Content-Length: 2\r\n\r\nab"
    client_send(&p.c, CODED("Content-Encoding: gzip\r\n"));
    client_expect(&p.c, 415, NULL);
    client_send(&p.c, CODED("Content-Encoding: identity\r\nContent-Encoding: br\r\n"));
    client_expect(&p.c, 415, NULL);
    client_send(&p.c, CODED("Content-Encoding: Identity\r\n"));
    client_expect(&p.c, 200, "ab");
    client_expect_nothing(&p.c);
    h1_pair_end(&p);
}

static void test_header_injection(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    static const char *const refused[] = {GET("/header?name=X&value=a%0D%0AEvil:%20b"),
                                          GET("/header?name=X&value=a%0Ab"),
                                          GET("/header?name=X%0D%0AY&value=a"),
                                          GET("/header?name=X:&value=a"),
                                          GET("/header?name=&value=a"),
                                          GET("/header?name=Content-Length&value=3"),
                                          GET("/header?name=transfer-encoding&value=chunked"),
                                          GET("/header?name=Date&value=now"),
                                          GET("/header?name=Connection&value=close"),
                                          GET("/header?name=X&value=%7F"),
                                          GET("/header?name=Content-Type&value=a%0D%0Ab")};
    for (size_t i = 0; i < CL_ARRAY_LEN(refused); i++) {
        client_send(&p.c, refused[i]);
        client_expect(&p.c, 500, NULL);
    }
    client_send(&p.c, GET("/header?name=X-A&value=b%20c"));
    struct response r = client_expect(&p.c, 200, "");
    assert_true(response_field_is(&r, "X-A", "b c"));
    h1_pair_end(&p);
}

/* A status that is none would break the framing of everything behind it. */
static void test_informational_status_is_no_answer(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    for (int status = 100; status < 800; status += 300) {
        client_send(&p.c, GET("/hold"));
        struct cl_request *r = fixture_take(&p.f);
        cello_response_status(r, status == 700 ? 1000 : status);
        cello_respond_bytes(r, CL_STR("x"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        client_expect(&p.c, status == 400 ? 400 : 500, "x");
    }
    h1_pair_end(&p);
}

/* ---- streams ---- */

static void test_streams(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/3") GET("/stream/0") GET("/stream/2?length=20")
                          GET("/stream/0?length=0") GET("/"));
    client_expect(&p.c, 200, "a\r\n0123456789\r\na\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n");
    client_expect(&p.c, 200, "0\r\n\r\n");
    client_expect(&p.c, 200, "01234567890123456789");
    client_expect(&p.c, 200, "");
    client_expect(&p.c, 200, "hello");
    client_expect_nothing(&p.c);
    assert_int_equal(p.f.stopped, 4);
    client_send(&p.c, "GET /stream/2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct response r = client_expect(&p.c, 200, "01234567890123456789");
    assert_true(r.close && !r.chunked && !r.has_length);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

/* The last chunk may be empty; a body that ends with the connection must end it then. */
static void test_stream_that_ends_empty(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "GET /stream/0 HTTP/1.0\r\n\r\n");
    client_expect(&p.c, 200, "");
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_stream_that_breaks_its_word(void **state) {
    (void)state;
    static const char *const targets[] = {GET("/stream/2?length=21"), GET("/stream/2?length=19"),
                                          GET("/stream/2?length=0")};
    for (size_t i = 0; i < CL_ARRAY_LEN(targets); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, targets[i]);
        client_send(&p.c, GET("/"));
        assert_null(p.c.stream); /* closed in the middle: nobody takes it for complete */
        assert_null(strstr(client_text(&p.c), "hello"));
        assert_int_equal(p.f.stopped, 1);
        h1_pair_end(&p);
    }
}

static void test_long_stream_to_slow_reader(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, GET("/stream/20000") GET("/"));
    unsigned writes = 0;
    for (; cl_mem_finish_send(p.c.stream, CELLO_OK); writes++)
        fixture_turn(&p.f);
    assert_true(writes >= 15); /* never more than 16 KB were asked for ahead */
    struct response r = client_expect(&p.c, 200, NULL);
    assert_int_equal(r.body_len, 20000 * 15 + 5);
    client_expect(&p.c, 200, "hello");
    h1_pair_end(&p);
}

/* More bytes than one connection may send in a turn. */
static void test_very_long_stream(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/60000"));
    fixture_turn(&p.f);
    struct response r = client_expect(&p.c, 200, NULL);
    assert_int_equal(r.body_len, 60000 * 15 + 5);
    h1_pair_end(&p);
}

static void test_stream_that_is_answered_later(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/stream/1?wait=1") GET("/"));
    for (int i = 0; i < 3; i++) {
        fixture_give(&p.f, i == 1 ? cl_str(NULL, 0) : CL_STR("ab"), i == 2);
    }
    client_expect(&p.c, 200, "2\r\nab\r\n2\r\nab\r\n0\r\n\r\n");
    client_expect(&p.c, 200, "hello");
    assert_int_equal(p.f.stopped, 1);
    h1_pair_end(&p);
}

/* A generator that has nothing to say again and again does not keep the others waiting. */
static unsigned empty_pulls;

static void empty_proceed(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    empty_pulls++;
    cello_response_chunk(r, cl_str(NULL, 0), empty_pulls == 100000);
}

static void empty_stop(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    (void)r;
}

static void test_stream_of_empty_chunks(void **state) {
    (void)state;
    static struct cl_generator empty = {empty_proceed, empty_stop};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    struct cl_request *r = fixture_take(&p.f);
    cello_respond_stream(r, &empty, false, 0);
    cello_request_unref(r);
    assert_int_equal(cello_server_turn(p.f.server, 0), CELLO_OK);
    assert_in_range(empty_pulls, 1, 50000);
    while (empty_pulls < 100000)
        fixture_turn(&p.f);
    client_expect(&p.c, 200, "0\r\n\r\n");
    h1_pair_end(&p);
}

/* ---- handlers that answer later ---- */

static void test_answers_keep_their_order(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/") GET("/hold") GET("/item/1") GET("/hold") GET("/"));
    client_expect(&p.c, 200, "hello");
    client_expect_nothing(&p.c);
    fixture_answer(&p.f, "first");
    client_expect(&p.c, 200, "first");
    client_expect(&p.c, 200, "1,");
    client_expect_nothing(&p.c);
    fixture_answer(&p.f, "second");
    client_expect(&p.c, 200, "second");
    client_expect(&p.c, 200, "hello");
    h1_pair_end(&p);
}

/* While a handler thinks, input is read up to its limit, and on again afterwards. */
static void test_input_waits_for_the_handler(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    static char text[sizeof GET("/item/1") * 3000];
    size_t n = 0;
    for (int i = 0; i < 3000; i++) {
        memcpy(text + n, GET("/item/1"), sizeof GET("/item/1") - 1);
        n += sizeof GET("/item/1") - 1;
    }
    client_push(&p.c, text, n);
    assert_in_range(fixture_used(&p.f), 1, 65536);
    fixture_answer(&p.f, "now");
    client_expect(&p.c, 200, "now");
    for (int i = 0; i < 3000; i++)
        client_expect(&p.c, 200, "1,");
    client_expect_nothing(&p.c);
    h1_pair_end(&p);
}

/* The same, where what waits is most of a body: it goes on beyond the limit of heads. */
static void test_body_waits_for_the_handler(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    static char body[30001];
    memset(body, 'b', sizeof body - 1);
    client_send(&p.c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
    client_send(&p.c, body);
    fixture_answer(&p.f, "now");
    client_expect(&p.c, 200, "now");
    client_expect(&p.c, 200, body);
    h1_pair_end(&p);
}

static void test_request_outlives_its_connection(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, "POST /hold?q=1 HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 3\r\n\r\nabc");
    cl_mem_reset(p.c.stream);
    fixture_turn(&p.f);
    struct cl_request *r = fixture_take(&p.f);
    struct cl_str v;
    assert_true(cello_request_is_disconnected(r));
    assert_true(cl_str_eq(cello_request_body(r), CL_STR("abc")));
    assert_true(cello_request_header(r, CL_STR("x"), &v) && cl_str_eq(v, CL_STR("y")));
    assert_true(cl_str_eq(cello_request_query(r), CL_STR("q=1")));
    assert_null(cello_response_sink(r, 10));
    cello_respond_bytes(r, CL_STR("too late"));
    cello_request_unref(r);
    assert_int_equal(cl_worker_live_requests(&p.f.server->worker), 0);
    h1_pair_end(&p);
}

/* A request that stays for long keeps no block of input, and says what it said before. */
static void test_compact(void **state) {
    (void)state;
    for (int with_body = 0; with_body < 2; with_body++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, with_body ? "POST /hold?q=%41&r=2 HTTP/1.1\r\nHost: a\r\nCookie: k=v\r\n"
                                      "Content-Length: 3\r\n\r\nabc"
                                    : "GET /hold?q=%41&r=2 HTTP/1.1\r\nHost: a\r\nCookie: k=v\r\n"
                                      "X-Last: end\r\n\r\n");
        struct cl_request *r = fixture_take(&p.f);
        const struct cl_pair *query, *cookies;
        size_t queries, count;
        assert_int_equal(cello_request_query_pairs(r, &query, &queries), CELLO_OK);
        assert_int_equal(cello_request_cookie_pairs(r, &cookies, &count), CELLO_OK);
        cello_request_compact(r);
        cello_request_compact(r); /* for nothing */
        if (with_body)
            assert_true(cl_str_eq(cello_request_body(r), CL_STR("abc")));
        else
            assert_int_equal(fixture_used(&p.f), 0);
        struct cl_str v;
        assert_true(cl_str_eq(cello_request_path(r), CL_STR("/hold")));
        assert_true(cl_str_eq(cello_request_query(r), CL_STR("q=%41&r=2")));
        assert_true(cl_str_eq(cello_request_host(r), CL_STR("a")));
        assert_true(cl_str_eq(cello_pair_value(query, 0), CL_STR("A")));
        assert_true(cl_str_eq(cello_pair_value(query, 1), CL_STR("2")));
        assert_true(cl_str_eq(cello_pair_name(cookies, 0), CL_STR("k")));
        assert_true(cello_request_header(r, CL_STR("cookie"), &v) && cl_str_eq(v, CL_STR("k=v")));
        if (!with_body)
            assert_true(cello_request_header(r, CL_STR("x-last"), &v) &&
                        cl_str_eq(v, CL_STR("end")));
        cello_respond_bytes(r, CL_STR("done"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        client_expect(&p.c, 200, "done");
        client_send(&p.c, GET("/"));
        client_expect(&p.c, 200, "hello");
        h1_pair_end(&p);
    }
}

/* More fields than a request has room for itself, whole and byte by byte. */
static void test_many_fields(void **state) {
    (void)state;
    enum { FIELDS = 90 };
    char text[4096] = "GET /hold HTTP/1.1\r\nHost: a\r\n";
    size_t n = strlen(text);
    for (int i = 0; i < FIELDS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "X-%d: v%d\r\n", i, i);
    n += (size_t)snprintf(text + n, sizeof text - n, "\r\n");
    for (int cut = 0; cut < 2; cut++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        for (size_t i = 0; i < n; i += cut ? 1 : n)
            client_push(&p.c, text + i, cut ? 1 : n);
        struct cl_request *r = fixture_take(&p.f);
        struct cl_str v;
        assert_int_equal(cello_request_header_count(r), FIELDS + 1);
        assert_true(cello_request_header(r, CL_STR("x-89"), &v) && cl_str_eq(v, CL_STR("v89")));
        cello_request_compact(r);
        assert_true(cello_request_header(r, CL_STR("x-0"), &v) && cl_str_eq(v, CL_STR("v0")));
        cello_respond_bytes(r, CL_STR("ok"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        client_expect(&p.c, 200, "ok");
        h1_pair_end(&p);
    }
}

/* ---- the end of a connection ---- */

static void test_half_close(void **state) {
    (void)state;
    static const char *const texts[] = {GET("/"), GET("/item/1") GET("/"),
                                        GET("/bytes/9000") GET("/"), GET("/stream/3") GET("/")};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        assert_int_equal(cl_mem_push(p.c.stream, texts[i], strlen(texts[i])), CELLO_OK);
        client_eof(&p.c);
        assert_null(p.c.stream);
        for (size_t k = 0; k < (i ? 2 : 1); k++)
            client_expect(&p.c, 200, NULL);
        client_expect_nothing(&p.c);
        h1_pair_end(&p);
    }
    struct h1_pair p; /* the answer comes later */
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    client_eof(&p.c);
    assert_non_null(p.c.stream);
    fixture_answer(&p.f, "late");
    client_expect(&p.c, 200, "late");
    client_expect_closed(&p.c);
    h1_pair_end(&p);
    h1_pair_begin(&p, NULL); /* in the middle of a stream */
    client_send(&p.c, GET("/stream/1?wait=1"));
    client_eof(&p.c);
    fixture_give(&p.f, CL_STR("ab"), true);
    client_expect(&p.c, 200, "2\r\nab\r\n0\r\n\r\n");
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_end_inside_a_request(void **state) {
    (void)state;
    static const char *const texts[] = {
        "GET", "GET / HTTP/1.1\r\nHost: a\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, texts[i]);
        client_eof(&p.c);
        client_expect(&p.c, 400, NULL);
        client_expect_closed(&p.c);
        h1_pair_end(&p);
    }
}

/* A client may vanish at every byte, with answers on their way or not. */
static void test_client_vanishes_anywhere(void **state) {
    (void)state;
    static const char text[] = GET("/pinned/5000") GET("/stream/2")
        GET("/hold") "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
                     "5\r\n\r\nabcde"
                     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for (size_t n = 0; n <= sizeof text - 1; n++) {
        for (int slow = 0; slow < 2; slow++) {
            struct h1_pair p;
            h1_pair_begin(&p, NULL);
            cl_mem_hold_sends(p.c.stream, slow);
            client_push(&p.c, text, n);
            if (n % 3 == 1 && slow)
                (void)cl_mem_finish_send(p.c.stream, CELLO_OK);
            if (n % 3 == 2 && slow)
                (void)cl_mem_finish_send(p.c.stream, CELLO_ESYS);
            h1_pair_end(&p);
        }
    }
}

/* Half a body must not look whole: it lacks its last chunk, or the connection is reset. */
static void test_stop_comes_once_in_every_ending(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {
        int ending = i % 6;
        bool chunked = i < 6;
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        cl_mem_hold_sends(p.c.stream, ending >= 3);
        client_send(&p.c,
                    chunked ? GET("/stream/1?wait=1") : "GET /stream/1?wait=1 HTTP/1.0\r\n\r\n");
        if (ending >= 3)
            cl_mem_finish_send(p.c.stream, CELLO_OK); /* the head */
        fixture_turn(&p.f);
        struct cl_request *r = fixture_take(&p.f);
        switch (ending) {
        case 0: cello_response_abort(r); break;
        case 1: cello_response_chunk(r, CL_STR("ab"), true); break;
        case 2: cl_mem_reset(p.c.stream); break;
        default: cello_response_chunk(r, CL_STR("ab"), ending != 3); break;
        }
        assert_int_equal(cello_server_turn(p.f.server, 0), CELLO_OK);
        if (ending == 3 || ending == 4)
            cl_mem_reset(p.c.stream); /* with a chunk in flight, the last one or not */
        if (ending == 5)
            cl_mem_finish_send(p.c.stream, CELLO_ESYS);
        cello_request_unref(r);
        fixture_turn(&p.f);
        if (ending != 1)
            assert_null(p.c.stream);
        assert_int_equal(p.c.was_reset, !chunked && ending != 1);
        assert_true(!chunked || !strstr(client_text(&p.c), "0\r\n\r\n") == (ending != 1));
        assert_int_equal(p.f.stopped, 1);
        h1_pair_end(&p);
    }
}

/* Behind an answer that is being sent, streams without a body end at once. */
static void test_stop_of_streams_that_send_nothing(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, GET("/pinned/100000"));
    for (int i = 0; i < 2; i++)
        client_send(&p.c, "HEAD /stream/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(p.f.streams, 2);
    assert_int_equal(p.f.stopped, 2);
    cl_mem_hold_sends(p.c.stream, false);
    assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
    fixture_turn(&p.f);
    assert_int_equal(client_expect(&p.c, 200, NULL).body_len, 100000);
    struct response r;
    for (int i = 0; i < 2; i++)
        client_answer_to_head(&p.c, &r);
    h1_pair_end(&p);
}

static bool send_is_over, stopped_in_time;

static void late_proceed(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    cello_response_chunk(r, CL_STR("bytes"), false);
}

static void late_stop(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    (void)r;
    stopped_in_time = send_is_over;
}

/* What is being sent belongs to the kernel until the connection is closed: only then may the
 * generator free it. */
static void test_stop_waits_for_bytes_in_flight(void **state) {
    (void)state;
    static struct cl_generator g = {late_proceed, late_stop};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, GET("/hold"));
    cl_mem_hold_sends(p.c.stream, true);
    struct cl_request *r = fixture_take(&p.f);
    cello_respond_stream(r, &g, false, 0);
    cello_request_unref(r);
    fixture_turn(&p.f);
    assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
    cl_mem_reset(p.c.stream); /* closes; the transport reports that with the next turn */
    send_is_over = true;
    fixture_turn(&p.f);
    assert_true(stopped_in_time);
    h1_pair_end(&p);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(keep_alive),
        T(http_1_0),
        T(any_split),
        T(pipelined_answers_leave_with_one_write),
        T(pipelined_of_all_kinds),
        T(head),
        T(methods),
        T(urls),
        T(slash_redirect),
        T(slash_redirect_stays_here),
        T(bodies),
        T(chunked_body),
        T(expect_continue),
        T(expect_continue_refused),
        T(early_answer_to_a_body),
        T(bad_input),
        T(answers_before_bad_input_arrive),
        T(content_coding),
        T(header_injection),
        T(informational_status_is_no_answer),
        T(streams),
        T(stream_that_ends_empty),
        T(stream_that_breaks_its_word),
        T(long_stream_to_slow_reader),
        T(very_long_stream),
        T(stream_that_is_answered_later),
        T(stream_of_empty_chunks),
        T(answers_keep_their_order),
        T(input_waits_for_the_handler),
        T(body_waits_for_the_handler),
        T(request_outlives_its_connection),
        T(compact),
        T(many_fields),
        T(half_close),
        T(end_inside_a_request),
        T(client_vanishes_anywhere),
        T(stop_comes_once_in_every_ending),
        T(stop_of_streams_that_send_nothing),
        T(stop_waits_for_bytes_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
