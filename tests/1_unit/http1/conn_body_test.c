/* Bodies that the handler reads. */
#include "http1/body_fixture.h"

static void test_read(void **state) {
    (void)state;
    static const char text[] =
        POST("/read", "Content-Length: 10\r\n") "0123456789" POST("/read", "Content-Length: 0\r\n")
            POST("/read", CHUNKED) "3\r\n012\r\n2;a=b\r\n34\r\n0\r\nA: b\r\n\r\n" GET("/read")
                GET("/");
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        if (cut == 0)
            cl_mem_set_chunk(p.c.stream, 1);
        client_push(&p.c, text, cut);
        client_push(&p.c, text + cut, sizeof text - 1 - cut);
        client_expect(&p.c, 200, "10 bytes, closed by the peer");
        client_expect(&p.c, 200, "0 bytes, closed by the peer");
        client_expect(&p.c, 200, "5 bytes, closed by the peer");
        client_expect(&p.c, 200, "0 bytes, closed by the peer");
        client_expect(&p.c, 200, "hello");
        client_expect_nothing(&p.c);
        assert_int_equal(fixture_used(&p.f), 0);
        h1_pair_end(&p);
    }
}

/* What is read is what was sent, and leaves while more comes. */
static void test_tee(void **state) {
    (void)state;
    static const char text[] = POST("/tee", "Content-Length: 10\r\n") "0123456789" POST(
        "/tee", CHUNKED) "3\r\n012\r\n2\r\n34\r\n0\r\n\r\n" GET("/");
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_push(&p.c, text, cut);
        client_push(&p.c, text + cut, sizeof text - 1 - cut);
        for (size_t want = 10; want; want -= 5) {
            struct response r = client_expect(&p.c, 200, NULL);
            char body[64] = "";
            for (const char *at = r.body; *at != '0';) { /* its own chunks, at most 9 bytes each */
                size_t n = *at == 'a' ? 10 : (size_t)(*at - '0');
                strncat(body, at + 3, n);
                at += 3 + n + 2;
            }
            assert_string_equal(body, want == 10 ? "0123456789" : "01234");
            assert_false(r.close);
            if (want == 5)
                break;
        }
        client_expect(&p.c, 200, "hello");
        client_expect_nothing(&p.c);
        h1_pair_end(&p);
    }
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/tee", CHUNKED));
    for (int i = 0; i < 3; i++) { /* each chunk is answered before the next is sent */
        size_t before = client_received(&p.c);
        client_send(&p.c, "3\r\nabc\r\n");
        assert_string_equal(client_text(&p.c) + before, "3\r\nabc\r\n");
    }
    client_send(&p.c, "0\r\n\r\n");
    client_expect(&p.c, 200, "3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n");
    h1_pair_end(&p);
}

/* However much is sent: what nobody reads stays with the client, and the handler may take its time.
 */
static void test_sender_waits(void **state) {
    (void)state;
    static char body[1 << 20];
    for (int chunked = 0; chunked < 2; chunked++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, chunked ? POST("/later", CHUNKED) "100000\r\n"
                                  : POST("/later", "Content-Length: 1048576\r\n"));
        client_push(&p.c, body, sizeof body);
        client_send(&p.c, chunked ? "\r\n0\r\n\r\n" GET("/") : GET("/"));
        fixture_pass(&p.f, 1000000 * MS);
        struct cl_request *r = fixture_take(&p.f);
        size_t total = 0;
        for (;;) {
            struct cl_str piece;
            assert_in_range(fixture_used(&p.f), 1, CL_BODY_WINDOW + 4 * CL_BLOCK_SIZE);
            int err = cello_request_read(r, NULL, &piece);
            if (err == CELLO_EOF)
                break;
            if (err == CELLO_OK)
                total += piece.len;
            else
                assert_int_equal(err, CELLO_EAGAIN);
            fixture_turn(&p.f);
        }
        assert_int_equal(total, sizeof body);
        cello_respond_bytes(r, CL_STR("read"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        client_expect(&p.c, 200, "read");
        client_expect(&p.c, 200, "hello");
        h1_pair_end(&p);
    }
}

static void test_piece_stays(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/later", "Content-Length: 20\r\n") "0123456789");
    struct cl_request *r = fixture_take(&p.f);
    struct cl_str piece, again;
    assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_OK);
    client_send(&p.c, "abcdefghij");
    assert_true(cl_str_eq(piece, CL_STR("0123456789")));
    assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_OK);
    cl_mem_reset(p.c.stream); /* also when the client has gone */
    fixture_turn(&p.f);
    assert_true(cl_str_eq(piece, CL_STR("abcdefghij")));
    assert_int_equal(cello_request_read(r, NULL, &again), CELLO_EOF);
    cello_respond_bytes(r, CL_STR("late"));
    cello_request_unref(r);
    h1_pair_end(&p);
}

/* Read, then left alone by the connection, then read again. */
static void test_an_end_stays(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int reads[2], end; /* before, and behind */
    } cases[] = {
        {POST("/later", ""), {CELLO_EOF, CELLO_EOF}, CELLO_EOF},
        {POST("/later", "Content-Length: 3\r\n") "abc", {CELLO_OK, CELLO_EOF}, CELLO_EOF},
        {POST("/later", CHUNKED) "3\r\nabc\r\n0\r\n\r\n", {CELLO_OK, CELLO_EOF}, CELLO_EOF},
        {POST("/later", CHUNKED) "3\r\nabc\r\n", {CELLO_OK, CELLO_EAGAIN}, CELLO_ECANCELED},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        for (unsigned kind = 0; kind < 6; kind++) {
            struct h1_pair p;
            struct cl_str piece;
            h1_pair_begin(&p, NULL);
            client_send(&p.c, cases[i].text);
            struct cl_request *r = fixture_take(&p.f);
            unsigned reads = kind / 2;
            for (unsigned n = 0; n < reads; n++)
                assert_int_equal(cello_request_read(r, NULL, &piece), cases[i].reads[n]);
            if (kind % 2)
                cl_mem_reset(p.c.stream);
            cello_respond_bytes(r, CL_STR("read"));
            fixture_turn(&p.f);
            int end = !reads && cases[i].reads[0] == CELLO_OK ? CELLO_ECANCELED : cases[i].end;
            for (int n = 0; n < 2; n++)
                assert_int_equal(cello_request_read(r, NULL, &piece), end);
            cello_request_unref(r);
            h1_pair_end(&p);
        }
    }
}

static void test_answers_before_the_body(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool close;
    } cases[] = {
        {POST("/later", "Content-Length: 3\r\n") "abc" GET("/"), false},
        {POST("/later", CHUNKED) "3\r\nabc\r\n0\r\n\r\n" GET("/"), false},
        {POST("/later", "Content-Length: 4\r\n") "abc", true},
        {POST("/later", CHUNKED) "3\r\nabc\r\n", true},
        {POST("/later", CHUNKED) "3\r\nabc\r\nx", true},
        {POST("/later", "Expect: 100-continue\r\nContent-Length: 4\r\n"), true},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        for (int read_first = 0; read_first < 2; read_first++) {
            struct h1_pair p;
            h1_pair_begin(&p, NULL);
            client_send(&p.c, cases[i].text);
            struct cl_request *r = fixture_take(&p.f);
            struct cl_str piece;
            if (read_first && i < 5)
                assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_OK);
            cello_respond_bytes(r, CL_STR("early"));
            int end = CELLO_ECANCELED; /* what was skipped is lost */
            if (read_first && i == 4)
                end = CELLO_ECHUNK;
            else if (read_first && !cases[i].close)
                end = CELLO_EOF;
            assert_int_equal(cello_request_read(r, NULL, &piece), end);
            cello_request_unref(r);
            fixture_turn(&p.f);
            assert_int_equal(client_expect(&p.c, 200, "early").close, cases[i].close);
            if (cases[i].close)
                client_expect_closed(&p.c);
            else
                client_expect(&p.c, 200, "hello");
            h1_pair_end(&p);
        }
    }
}

/* 100 Continue goes out when the body is wanted, and only then. */
static void test_continue_when_read(void **state) {
    (void)state;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/read", "Expect: 100-continue\r\nContent-Length: 3\r\n"));
    client_expect(&p.c, 100, NULL);
    client_send(&p.c, "abc");
    client_expect(&p.c, 200, "3 bytes, closed by the peer");
    client_send(&p.c, POST("/later", "Expect: 100-continue\r\nContent-Length: 3\r\n"));
    client_expect_nothing(&p.c);
    struct cl_request *r = fixture_take(&p.f);
    struct cl_str piece;
    assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_EAGAIN);
    fixture_turn(&p.f);
    client_expect(&p.c, 100, NULL);
    assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_EAGAIN);
    client_send(&p.c, "abc");
    client_expect_nothing(&p.c);
    cello_respond_bytes(r, CL_STR("done"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    assert_false(client_expect(&p.c, 200, "done").close);
    /* In the middle of an answer it would be part of it. */
    client_send(&p.c, POST("/tee", "Expect: 100-continue\r\nContent-Length: 3\r\n"));
    assert_null(strstr(client_text(&p.c) + 100, "100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer"));
    client_send(&p.c, "abc");
    client_expect(&p.c, 200, "3\r\nabc\r\n0\r\n\r\n");
    h1_pair_end(&p);
}

static void test_bad_bodies_that_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text, *answer;
        bool eof;
    } cases[] = {
        {POST("/read", CHUNKED) "3\r\nabc\r\nx", "3 bytes, malformed chunk", false},
        {POST("/read", CHUNKED) "3\r\nabcd", "3 bytes, malformed chunk", false},
        {POST("/read", CHUNKED) "3\r\nabc\r\n0\r\nA : b\r\n\r\n", "3 bytes, malformed field name",
         false},
        {POST("/read", "Content-Length: 10\r\n") "0123", "4 bytes, cancelled", true},
        {POST("/read", "Content-Length: 10\r\n"), "0 bytes, cancelled", true},
        {POST("/read", CHUNKED) "3\r\nabc\r\n", "3 bytes, cancelled", true},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, cases[i].text);
        if (cases[i].eof)
            client_eof(&p.c);
        assert_true(client_expect(&p.c, 200, cases[i].answer).close);
        client_expect_closed(&p.c);
        h1_pair_end(&p);
    }
    static char big[1 << 20];
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/read", "Content-Length: 1048577\r\n"));
    client_expect(&p.c, 413, NULL);
    assert_int_equal(p.f.handled, 0);
    h1_pair_end(&p);
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/read", CHUNKED) "7fffffff\r\n");
    cl_mem_set_chunk(p.c.stream, 8000); /* some of it comes while the reader waits */
    client_push(&p.c, big, sizeof big);
    client_expect_nothing(&p.c);
    client_send(&p.c, "x");
    struct response r = client_expect(&p.c, 200, NULL);
    assert_true(r.close && memmem(r.body, r.body_len, "1048576 bytes, body too large", 29));
    client_expect_closed(&p.c);
    h1_pair_end(&p);
}

static void test_client_leaves_a_reader(void **state) {
    (void)state;
    static const char *const texts[] = {POST("/read", "Content-Length: 10\r\n") "0123",
                                        POST("/read", CHUNKED) "3\r\nab",
                                        POST("/tee", "Content-Length: 10\r\n") "0123"};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct h1_pair p;
        h1_pair_begin(&p, NULL);
        client_send(&p.c, texts[i]);
        cl_mem_reset(p.c.stream);
        fixture_turn(&p.f);
        assert_int_equal(p.f.read + p.f.stopped, 1);
        h1_pair_end(&p);
    }
    struct h1_pair p; /* its side ended in the middle of the body, and of the answer */
    h1_pair_begin(&p, NULL);
    client_send(&p.c, texts[2]);
    client_eof(&p.c);
    assert_null(p.c.stream);
    assert_null(strstr(client_text(&p.c), "0\r\n\r\n")); /* the last chunk */
    h1_pair_end(&p);
}

/* Whoever waits for the body is told there; others hear it as observers. */
static void test_reader_or_observer(void **state) {
    (void)state;
    for (int reading = 0; reading < 3; reading++) {
        for (int reset = 0; reset < 2; reset++) {
            struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
            struct cl_str piece;
            struct h1_pair p;
            h1_pair_begin(&p, NULL);
            client_send(&p.c, POST("/later", "Content-Length: 10\r\n"));
            struct cl_request *r = fixture_take(&p.f);
            cello_request_observe(r, &told.observer);
            if (reading)
                assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_EAGAIN);
            if (reading == 2)
                cello_request_unread(r);
            (reset ? cl_mem_reset : cl_mem_eof)(p.c.stream);
            fixture_turn(&p.f);
            assert_int_equal(told.ready, reading == 1);
            assert_int_equal(told.left, reading != 1);
            assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_ECANCELED);
            assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_ECANCELED);
            cello_respond_bytes(r, CL_STR("x"));
            cello_request_unref(r);
            h1_pair_end(&p);
        }
    }
}

/* What the reader was told of stays over the read that gives it, in whichever block it lies. */
static void test_told_piece_stays(void **state) {
    (void)state;
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/later", "Content-Length: 100000\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    for (unsigned i = 0; i < 20; i++) {
        char sent[1001] = "";
        struct cl_str piece;
        memset(sent, 'a' + (int)i, sizeof sent - 1);
        assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_EAGAIN);
        client_send(&p.c, sent);
        assert_int_equal(told.ready, i + 1);
        assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_OK);
        assert_true(cl_str_eq(piece, cl_str(sent, sizeof sent - 1)));
    }
    cello_respond_bytes(r, CL_STR("enough"));
    cello_request_unref(r);
    h1_pair_end(&p);
}

/* Time runs only while somebody waits for the client. */
static void test_times_of_a_reader(void **state) {
    (void)state;
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct cl_str piece;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/later", "Content-Length: 100000\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    fixture_pass(&p.f, 1000000 * MS);
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_EAGAIN);
    fixture_pass(&p.f, 4000 * MS);
    client_send(&p.c, "x");
    assert_int_equal(told.ready, 1);
    fixture_pass(&p.f, 1000000 * MS);
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_OK);
    fixture_pass(&p.f, 1000000 * MS);
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_EAGAIN);
    fixture_pass(&p.f, 900 * MS);
    assert_int_equal(told.ready, 1);
    fixture_pass(&p.f, 200 * MS); /* five seconds in all, and not 240 bytes for each */
    assert_int_equal(told.ready, 2);
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_ETIMEOUT);
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_ETIMEOUT);
    cello_respond_problem(r, 408, CL_STR("slow"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    assert_true(client_expect(&p.c, 408, NULL).close);
    client_expect_closed(&p.c);
    h1_pair_end(&p);

    h1_pair_begin(&p, NULL); /* in the middle of an answer: it is cut off */
    client_send(&p.c, POST("/tee", "Content-Length: 100000\r\n") "abc");
    fixture_pass(&p.f, 4000 * MS);
    assert_non_null(p.c.stream);
    fixture_pass(&p.f, 2000 * MS);
    assert_null(p.c.stream);
    assert_null(strstr(client_text(&p.c), "0\r\n\r\n")); /* the last chunk */
    h1_pair_end(&p);
}

/* The handler's own time is not spent by waiting for the client, and begins again with each piece.
 */
static void test_deadline_of_a_reader(void **state) {
    (void)state;
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct cl_str piece;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts = (struct cl_timeouts){0};
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    client_send(&p.c, POST("/later", "Content-Length: 100000\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_EAGAIN);
    cello_request_observe(r, &told.observer);
    cello_request_set_deadline(r, 1000 * MS);
    for (int i = 0; i < 3; i++) {
        fixture_pass(&p.f, 100000 * MS);
        client_send(&p.c, "abc");
        assert_int_equal(told.ready, i + 1);
        fixture_pass(&p.f, 900 * MS);
        assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_OK);
        fixture_pass(&p.f, 900 * MS);
        assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_EAGAIN);
    }
    cello_request_unread(r);
    fixture_pass(&p.f, 900 * MS);
    assert_int_equal(told.overdue, 0);
    fixture_pass(&p.f, 200 * MS);
    assert_int_equal(told.overdue, 1);
    client_send(&p.c, "abc");
    assert_int_equal(cello_request_read(r, &told.reader, &piece), CELLO_OK);
    fixture_pass(&p.f, 100000 * MS);
    assert_int_equal(told.overdue, 1);
    cello_respond_problem(r, 504, CL_STR(""));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 504, NULL);
    h1_pair_end(&p);
}

static void test_other_routes_are_not_read(void **state) {
    (void)state;
    struct cl_str piece;
    struct h1_pair p;
    h1_pair_begin(&p, NULL);
    client_send(&p.c, POST("/hold", "Content-Length: 3\r\n") "abc");
    struct cl_request *r = fixture_take(&p.f);
    assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_ESTATE);
    cello_respond_bytes(r, cello_request_body(r));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "abc");
    h1_pair_end(&p);
}

/* All memory is with others: the reader is told, and may say so. */
static void test_no_memory_to_read_into(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_buffered_bytes = 3 * CL_BLOCK_SIZE;
    struct client other[2];
    struct h1_pair p;
    h1_pair_begin(&p, &cfg);
    client_send(&p.c, POST("/read", "Content-Length: 10000\r\n"));
    for (size_t i = 0; i < 2; i++) {
        client_open(&p.f, &other[i]);
        client_send(&other[i], "GET / HT");
    }
    static char body[9000];
    client_push(&p.c, body, sizeof body);
    assert_int_equal(p.f.read, 1); /* there was no room for an answer either */
    for (size_t i = 0; i < 2; i++)
        client_free(&other[i]);
    h1_pair_end(&p);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(read),
        T(tee),
        T(sender_waits),
        T(piece_stays),
        T(an_end_stays),
        T(answers_before_the_body),
        T(continue_when_read),
        T(bad_bodies_that_are_read),
        T(client_leaves_a_reader),
        T(reader_or_observer),
        T(told_piece_stays),
        T(times_of_a_reader),
        T(deadline_of_a_reader),
        T(other_routes_are_not_read),
        T(no_memory_to_read_into),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
