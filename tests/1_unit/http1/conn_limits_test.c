/* Limits and timeouts of HTTP/1 connections: each has its answer, and nothing is kept afterwards.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "support/fixture.h"

/* ---- sizes ---- */

static void test_head_sizes(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_uri = 100;
    cfg.limits.max_header_size = 200;
    cfg.limits.max_headers = 5;
    struct fixture f;
    fixture_init(&f, &cfg);
    char text[600];
    for (int n = 90; n < 120; n++) {
        struct client c;
        snprintf(text, sizeof text, "GET /?%0*d HTTP/1.1\r\nHost: a\r\n\r\n", n - 2, 0);
        client_open(&f, &c);
        client_send(&c, text);
        client_expect(&c, n <= 100 ? 200 : 414, NULL);
        client_free(&c);
    }
    for (int n = 150; n < 300; n += 5) { /* "Host: a", the field and the empty line */
        struct client c;
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n", n - 16, 0);
        client_open(&f, &c);
        client_send(&c, text);
        client_expect(&c, n <= 200 ? 200 : 431, NULL);
        client_free(&c);
    }
    static const char six[] =
        "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\n\r\n";
    expect_refused(&f, six, sizeof six - 1, 431);
    /* Endless ones are refused as soon as the limit is passed. */
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    expect_refused(&f, text, sizeof text, 414);
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    expect_refused(&f, text, sizeof text, 431);
    /* Also when no piece of it ends a line, and the input is full before it is too long. */
    struct client c;
    client_open(&f, &c);
    for (size_t i = 0; i + 50 <= sizeof text; i += 50)
        client_push(&c, text + i, 50);
    client_expect(&c, 431, NULL);
    client_expect_closed(&c);
    client_free(&c);
    fixture_free(&f);
}

static void test_body_sizes(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_body_size = 20000;
    struct fixture f;
    fixture_init(&f, &cfg);
#define REFUSED(text, status) expect_refused(&f, text, sizeof(text) - 1, status)
    REFUSED(POST("/echo", "Content-Length: 20001\r\n"), 413); /* before a byte of it */
    REFUSED(POST("/small", "Content-Length: 11\r\n"), 413);
    REFUSED(POST("/small", "Transfer-Encoding: chunked\r\n") "6\r\nabcdef\r\n5\r\nabcde\r\n", 413);
    static char big[21000] = POST("/echo", "Transfer-Encoding: chunked\r\n") "5000\r\n";
    memset(big + strlen(big), 'x', 20100);
    expect_refused(&f, big, strlen(big), 413);
    struct client c;
    client_open(&f, &c);
    client_send(&c, POST("/small",
                         "Transfer-Encoding: chunked\r\n") "6\r\nabcdef\r\n4\r\nabcd\r\n0\r\n\r\n");
    client_expect(&c, 200, "abcdefabcd");
    client_send(&c, POST("/small", "Content-Length: 10\r\n") "0123456789");
    client_expect(&c, 200, "0123456789");
    client_free(&c);
    fixture_free(&f);
}

static void test_requests_per_connection(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_requests_per_connection = 3;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    client_send(&p.c, GET("/") GET("/") GET("/") GET("/"));
    for (int i = 0; i < 3; i++) {
        struct response r = client_expect(&p.c, 200, "hello");
        assert_int_equal(r.close, i == 2);
    }
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_inflight(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_inflight = 2;
    struct fixture f;
    struct client c[3];
    fixture_init(&f, &cfg);
    for (int i = 0; i < 3; i++)
        client_open(&f, &c[i]);
    client_send(&c[0], GET("/hold"));
    client_send(&c[1], GET("/hold"));
    client_send(&c[2], GET("/hold"));
    struct response r = client_expect(&c[2], 503, NULL);
    assert_true(response_field_is(&r, "Retry-After", "1"));
    assert_false(r.close);
    struct cl_request *held = fixture_take(&f);
    cello_respond_bytes(held, CL_STR("done"));
    cello_request_unref(held);
    client_send(&c[2], GET("/"));
    client_expect(&c[2], 200, "hello");
    client_expect(&c[0], 200, "done");
    for (int i = 0; i < 3; i++)
        client_free(&c[i]);
    fixture_free(&f);
}

/* ---- memory ---- */

static void test_no_memory_for_a_body(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_buffered_bytes = 50000;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    static char text[60000] = POST("/echo", "Content-Length: 55000\r\n");
    size_t head = strlen(text);
    memset(text + head, 'b', 55000);
    client_push(&p.c, text, head + 55000);
    struct response r = client_expect(&p.c, 503, NULL);
    assert_true(r.close);
    assert_true(response_field_is(&r, "Retry-After", "1"));
    client_expect_closed(&p.c);
    client_free(&p.c);
    client_open(&p.f, &p.c); /* others are served */
    client_send(&p.c, GET("/"));
    client_expect(&p.c, 200, "hello");
    h1_pair_end(&p);
}

static void test_no_memory_for_chunks(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_buffered_bytes = 30000;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    static char text[40000] = POST("/echo", "Transfer-Encoding: chunked\r\n") "8000\r\n";
    size_t head = strlen(text);
    memset(text + head, 'b', 0x8000);
    cl_mem_set_chunk(p.c.stream, 5000);
    client_push(&p.c, text, head + 0x8000);
    struct response r = client_expect(&p.c, 503, NULL);
    assert_true(r.close);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

/* Many clients with half a request each use up the blocks; whoever comes next is told so, also when
 * there is not one block left for the answer. */
static void test_no_memory_at_all(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    enum { CLIENTS = 4 };
    cfg.limits.max_buffered_bytes = (size_t)CLIENTS * CL_BLOCK_SIZE;
    struct fixture f;
    struct client c[CLIENTS + 1];
    for (int ahead = 0; ahead < 2; ahead++) { /* sends finish at once, or later as in io_uring */
        fixture_init(&f, &cfg);
        for (int i = 0; i <= CLIENTS; i++)
            client_open(&f, &c[i]);
        for (int i = 0; i < CLIENTS; i++)
            client_send(&c[i], "GET / HT");
        cl_mem_hold_sends(c[CLIENTS].stream, ahead);
        client_send(&c[CLIENTS], GET("/"));
        if (ahead)
            assert_true(cl_mem_finish_send(c[CLIENTS].stream, CELLO_OK));
        struct response r = client_expect(&c[CLIENTS], 503, "");
        assert_true(r.close);
        fixture_pass(&f, CL_LINGER_NS + 100 * MS); /* what it sends cannot be read, nor its end */
        assert_null(c[CLIENTS].stream);
        client_free(&c[CLIENTS]);
        for (int i = 0; i < CLIENTS; i++) { /* no block for their answers either */
            client_send(&c[i], "TP/1.1\r\nHost: a\r\n\r\n");
            client_expect(&c[i], i ? 200 : 503, i ? "hello" : ""); /* one has to go */
        }
        for (int i = 0; i < CLIENTS; i++)
            client_free(&c[i]);
        fixture_free(&f);
    }
}

/* ---- back-pressure ---- */

static void test_pipelined_answers_wait_for_the_reader(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_pipelined = 4;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    cl_mem_hold_sends(p.c.stream, true);
    char text[2000] = "";
    for (int i = 0; i < 20; i++)
        strncat(text, GET("/item/1"), sizeof text - strlen(text) - 1);
    client_send(&p.c, text);
    assert_in_range(p.f.handled, 4, 8);
    for (unsigned before = 0; before < 20; before = p.f.handled) {
        assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
        fixture_turn(&p.f);
        assert_in_range(p.f.handled, before + 1, before + 8);
    }
    while (cl_mem_finish_send(p.c.stream, CELLO_OK))
        fixture_turn(&p.f);
    for (int i = 0; i < 20; i++)
        client_expect(&p.c, 200, "1,");
    h1_pair_end(&p);
}

static void test_bytes_wait_for_the_reader(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_send_buffer = 10000;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    cl_mem_hold_sends(p.c.stream, true);
    char text[2000] = "";
    for (int i = 0; i < 20; i++)
        strncat(text, GET("/bytes/4000"), sizeof text - strlen(text) - 1);
    client_send(&p.c, text);
    assert_in_range(p.f.handled, 1, 4);
    assert_in_range(fixture_used(&p.f), 1, 5 * CL_BLOCK_SIZE);
    while (cl_mem_finish_send(p.c.stream, CELLO_OK))
        fixture_turn(&p.f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(client_expect(&p.c, 200, NULL).body_len, 4000);
    h1_pair_end(&p);
}

/* ---- time ---- */

static struct cello_server_config quick(void) {
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts = (struct cl_timeouts){
        .read_header_ns = 5000 * MS,
        .read_body_ns = 30000 * MS,
        .min_body_rate = 240,
        .write_ns = 20000 * MS,
        .idle_ns = 60000 * MS,
    };
    return cfg;
}

static void test_silent_client(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    fixture_pass(&p.f, 4900 * MS);
    assert_non_null(p.c.stream);
    fixture_pass(&p.f, 200 * MS);
    assert_null(p.c.stream);
    assert_int_equal(client_received(&p.c), 0);
    h1_pair_end(&p);
}

static void test_slow_head(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    client_send(&p.c, "GET / H");
    for (int i = 0; i < 4; i++) { /* a byte now and then does not help */
        fixture_pass(&p.f, 1200 * MS);
        client_send(&p.c, "T");
    }
    client_expect_nothing(&p.c);
    fixture_pass(&p.f, 400 * MS);
    client_expect(&p.c, 408, NULL);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

/* The head of the next request has its own time, whatever the answer before it does. */
static void test_slow_head_behind_an_answer(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    cfg.timeouts.write_ns = 0;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, GET("/") "GET / H");
    assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
    cl_mem_hold_sends(p.c.stream, false);
    client_expect(&p.c, 200, "hello");
    fixture_pass(&p.f, 5100 * MS);
    client_expect(&p.c, 408, NULL);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_silent_body(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    cfg.timeouts.min_body_rate = 0;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    client_send(&p.c, POST("/echo", "Expect: 100-continue\r\nContent-Length: 100000\r\n"));
    client_expect(&p.c, 100, NULL);
    for (int i = 0; i < 3; i++) {
        fixture_pass(&p.f, 29000 * MS);
        client_send(&p.c, "x");
        client_expect_nothing(&p.c);
    }
    fixture_pass(&p.f, 31000 * MS);
    client_expect(&p.c, 408, NULL);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_body_below_the_minimum_rate(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    for (int chunked = 0; chunked < 2; chunked++) {
        struct h1_pair p;
        h1_pair_begin(&p, &cfg);
        client_send(&p.c, chunked ? POST("/echo", "Transfer-Encoding: chunked\r\n") "8000\r\n"
                                  : POST("/echo", "Content-Length: 100000\r\n"));
        char second[301];
        memset(second, 'x', 300);
        second[300] = '\0';
        for (int i = 0; i < 10; i++) { /* 300 bytes a second are enough */
            client_send(&p.c, second);
            fixture_pass(&p.f, 1000 * MS);
        }
        client_expect_nothing(&p.c);
        for (int i = 0; i < 4; i++) { /* 3,000 bytes allow 12.5 seconds */
            client_send(&p.c, "y");
            fixture_pass(&p.f, 1000 * MS);
        }
        client_expect(&p.c, 408, NULL);
        client_expect_closed(&p.c);
        h1_pair_end(&p);
    }
}

static void test_slow_reader(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, GET("/pinned/100000"));
    cl_mem_read_some(p.c.stream); /* at once, unseen: the whole timeout follows all the same */
    fixture_pass(&p.f, 1100 * MS);
    fixture_pass(&p.f, 19500 * MS);
    assert_non_null(p.c.stream);
    fixture_pass(&p.f, 1000 * MS);
    assert_null(p.c.stream);
    assert_true(p.c.was_reset);
    h1_pair_end(&p);
}

/* Bytes that the peer took count, although the send as a whole is not finished. */
static void test_slow_reader_is_kept(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, GET("/pinned/100000"));
    for (int i = 0; i < 5; i++) {
        fixture_pass(&p.f, 15000 * MS);
        assert_non_null(p.c.stream);
        cl_mem_read_some(p.c.stream);
    }
    for (int i = 0; i < 2; i++) /* the first finds what was read last */
        fixture_pass(&p.f, 21000 * MS);
    assert_null(p.c.stream);
    h1_pair_end(&p);
}

static void test_idle(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    for (int late = 0; late < 2; late++) { /* sends that finish later have no say in it */
        struct h1_pair p;
        h1_pair_begin(&p, &cfg);
        for (int i = 0; i < 3; i++) {
            cl_mem_hold_sends(p.c.stream, late);
            client_send(&p.c, GET("/"));
            if (late)
                assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
            client_expect(&p.c, 200, "hello");
            fixture_pass(&p.f, 59000 * MS);
            assert_non_null(p.c.stream);
        }
        fixture_pass(&p.f, 2000 * MS);
        client_expect_closed(&p.c);
        h1_pair_end(&p);
    }
}

/* A big answer may take longer than the idle time, if it is read at all. */
static void test_long_answers_are_not_idleness(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    cfg.timeouts.idle_ns = 1000 * MS;
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    cl_mem_hold_sends(p.c.stream, true);
    client_send(&p.c, GET("/pinned/100000"));
    fixture_pass(&p.f, 15000 * MS);
    assert_non_null(p.c.stream);
    assert_true(cl_mem_finish_send(p.c.stream, CELLO_OK));
    assert_int_equal(client_expect(&p.c, 200, NULL).body_len, 100000);
    fixture_pass(&p.f, 1100 * MS);
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

/* Handlers and generators take the time they need, also behind an answer that was sent slowly. */
static void test_handlers_are_not_timed(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    static const char *const targets[] = {GET("/") GET("/hold"), GET("/") GET("/stream/1?wait=1"),
                                          GET("/stream/1?wait=1")};
    for (size_t i = 0; i < CL_ARRAY_LEN(targets); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, &cfg);
        cl_mem_hold_sends(p.c.stream, true);
        client_send(&p.c, targets[i]);
        while (cl_mem_finish_send(p.c.stream, CELLO_OK))
            fixture_turn(&p.f);
        cl_mem_hold_sends(p.c.stream, false);
        for (int k = 0; k < 5; k++)
            fixture_pass(&p.f, 1000000 * MS);
        assert_non_null(p.c.stream);
        struct cl_request *r = fixture_take(&p.f);
        if (i == 0)
            cello_respond_bytes(r, CL_STR("done"));
        else
            cello_response_chunk(r, CL_STR("done"), true);
        cello_request_unref(r);
        fixture_turn(&p.f);
        if (i < 2)
            client_expect(&p.c, 200, "hello");
        client_expect(&p.c, 200, i ? "4\r\ndone\r\n0\r\n\r\n" : "done");
        h1_pair_end(&p);
    }
}

/* After an early answer what the peer still sends is dropped, for a while and up to a size. */
static void test_linger(void **state) {
    (void)state;
    struct cello_server_config cfg = quick();
    static char junk[200000];
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    client_send(&p.c, POST("/small", "Content-Length: 99999999\r\n"));
    client_expect(&p.c, 413, NULL);
    for (int i = 0; i < 5; i++)
        client_push(&p.c, junk, sizeof junk);
    assert_non_null(p.c.stream);
    assert_int_equal(fixture_used(&p.f), 0);
    client_push(&p.c, junk, sizeof junk);
    assert_null(p.c.stream);
    client_free(&p.c);
    client_open(&p.f, &p.c);
    client_send(&p.c, POST("/small", "Content-Length: 99999999\r\n"));
    client_expect(&p.c, 413, NULL);
    fixture_pass(&p.f, 1900 * MS);
    client_push(&p.c, junk, 10);
    assert_non_null(p.c.stream);
    fixture_pass(&p.f, 200 * MS);
    assert_null(p.c.stream);
    h1_pair_end(&p);
}

static void test_everything_off(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts = (struct cl_timeouts){0};
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    fixture_pass(&p.f, 10000000 * MS);
    client_send(&p.c, "GET");
    fixture_pass(&p.f, 10000000 * MS);
    client_send(&p.c, " / HTTP/1.1\r\nHost: a\r\n\r\n" POST("/echo", "Content-Length: 3\r\n"));
    fixture_pass(&p.f, 10000000 * MS);
    client_send(&p.c, "abc");
    fixture_pass(&p.f, 10000000 * MS);
    client_expect(&p.c, 200, "hello");
    client_expect(&p.c, 200, "abc");
    h1_pair_end(&p);
}

/* ---- memory on the hot path ---- */

/* Sanitizer builds give every block back to malloc, so that a use after release is seen. */
static void test_no_malloc_per_request(void **state) {
    (void)state;
#if defined(CL_POISON)
    skip();
#endif
    struct cello_server_config cfg = fixture_config();
    static char echo[6000] = POST("/echo", "Content-Length: 4096\r\n");
    memset(echo + strlen(echo), 'e', 4096);
    const char *const texts[] = {GET("/"),
                                 GET("/item/123?q=%41b&r=2"),
                                 GET("/sink/3000"),
                                 echo,
                                 GET("/") GET("/item/1") GET("/sink/100"),
                                 GET("/none")};
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        uint64_t before = 0;
        for (int round = 0; round < 100; round++) {
            if (round == 10)
                before = cl_alloc_count();
            client_send(&p.c, texts[i]);
            cl_mem_output_clear(p.c.stream);
        }
        assert_int_equal(cl_alloc_count() - before, 0);
    }
    h1_pair_end(&p);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(head_sizes),
        T(body_sizes),
        T(requests_per_connection),
        T(inflight),
        T(no_memory_for_a_body),
        T(no_memory_for_chunks),
        T(no_memory_at_all),
        T(pipelined_answers_wait_for_the_reader),
        T(bytes_wait_for_the_reader),
        T(silent_client),
        T(slow_head),
        T(slow_head_behind_an_answer),
        T(silent_body),
        T(body_below_the_minimum_rate),
        T(slow_reader),
        T(slow_reader_is_kept),
        T(idle),
        T(long_answers_are_not_idleness),
        T(handlers_are_not_timed),
        T(linger),
        T(everything_off),
        T(no_malloc_per_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
