/* Bodies that are not collected: fed to a sink as they come, or read by the handler. */
#include <stdio.h>

#include "base/alloc.h"
#include "support/fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(target, fields) "POST " target " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define MS 1000000ull

struct pair {
    struct fixture f;
    struct client c;
};

/* ---- a sink that keeps what it gets ---- */

static struct {
    struct cl_body_sink super;
    char bytes[1 << 20];
    size_t len;
    unsigned writes, ends, dels;
    size_t fail_at; /* write fails beyond that many bytes; 0: never */
    int end_result;
} form;

static int form_write(struct cl_body_sink *s, struct cl_str piece) {
    (void)s;
    assert_true(piece.len > 0 && piece.len <= sizeof form.bytes - form.len);
    form.writes++;
    memcpy(form.bytes + form.len, piece.ptr, piece.len);
    form.len += piece.len;
    return form.fail_at && form.len > form.fail_at ? CELLO_ELIMIT : CELLO_OK;
}

static int form_end(struct cl_body_sink *s) {
    (void)s;
    form.ends++;
    return form.end_result;
}

static void form_del(struct cl_body_sink *s) {
    (void)s;
    form.dels++;
}

static int set_sink(const struct cl_step *step, struct cl_request *r) {
    (void)step;
    form.super = (struct cl_body_sink){form_write, form_end, form_del};
    form.len = 0;
    form.writes = form.ends = form.dels = 0;
    r->body_sink = &form.super;
    return CELLO_OK;
}

static void on_form(const struct cello_handler *h, struct cl_request *r) {
    (void)h;
    assert_int_equal(form.ends, 1);
    assert_int_equal(cello_request_body(r).len, 0);
    cello_respond_bytes(r, cl_str(form.bytes, form.len));
}

static void begin(struct pair *p, const struct cello_server_config *cfg) {
    static struct cello_handler handler = {.on_request = on_form};
    static struct cl_step step = {.before = set_sink, .name = "sink"};
    static struct cl_step *const steps[] = {&step};
    char err[200];
    fixture_begin(&p->f, cfg);
    struct cello_route route = {.methods = CELLO_POST,
                                .path = CL_STR("/form"),
                                .handler = &handler,
                                .body = CELLO_BODY_FORM,
                                .max_body = 100000,
                                .steps = steps,
                                .step_count = 1};
    assert_int_equal(cello_app_route(p->f.app, &route, err, sizeof err), CELLO_OK);
    fixture_serve(&p->f);
    client_open(&p->f, &p->c);
}

static void finish(struct pair *p) {
    client_free(&p->c);
    fixture_free(&p->f);
}

static void end(struct pair *p) {
    finish(p);
    assert_int_equal(form.dels, 1);
    form.fail_at = 0;
    form.end_result = 0;
}

/* ---- forms ---- */

/* Cut anywhere, of both framings, and what is pipelined behind is left alone. */
static void test_sink(void **state) {
    (void)state;
    static const char *const texts[] = {
        POST("/form", "Content-Length: 10\r\n") "0123456789" GET("/"),
        POST("/form", "Transfer-Encoding: chunked\r\n") "3\r\n012\r\n6;a=b\r\n345678\r\n"
                                                        "1\r\n9\r\n0\r\nA: b\r\n\r\n" GET("/"),
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        for (size_t cut = 0; cut < strlen(texts[i]); cut++) {
            struct pair p;
            begin(&p, NULL);
            if (cut == 0)
                cl_mem_set_chunk(p.c.stream, 1);
            client_push(&p.c, texts[i], cut);
            client_push(&p.c, texts[i] + cut, strlen(texts[i]) - cut);
            client_expect(&p.c, 200, "0123456789");
            client_expect(&p.c, 200, "hello");
            client_expect_nothing(&p.c);
            end(&p);
        }
    }
}

/* A body of any size costs no more memory than a small one. */
static void test_sink_takes_constant_memory(void **state) {
    (void)state;
    static char body[5000];
    for (int chunked = 0; chunked < 2; chunked++) {
        struct pair p;
        begin(&p, NULL);
        memset(body, 'b', sizeof body);
        client_send(&p.c, chunked ? POST("/form", "Transfer-Encoding: chunked\r\n") "186a0\r\n"
                                  : POST("/form", "Content-Length: 100000\r\n"));
        for (int i = 0; i < 19; i++) {
            client_push(&p.c, body, sizeof body);
            assert_int_equal(form.len, (size_t)(i + 1) * sizeof body);
            assert_in_range(fixture_used(&p.f), 0, 2 * CL_BLOCK_SIZE);
        }
        client_push(&p.c, body, sizeof body);
        if (chunked)
            client_send(&p.c, "\r\n0\r\n\r\n");
        assert_int_equal(client_expect(&p.c, 200, NULL).body_len, 100000);
        end(&p);
    }
}

/* Tiny chunks come together. */
static void test_small_chunks_are_joined(void **state) {
    (void)state;
    static char text[30000] = POST("/form", "Transfer-Encoding: chunked\r\n");
    size_t head = strlen(text), n = head;
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "3\r\n%03d\r\n", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "0\r\n\r\n");
    struct pair p;
    begin(&p, NULL);
    client_push(&p.c, text, n);
    struct response r = client_expect(&p.c, 200, NULL);
    assert_int_equal(r.body_len, 3000);
    for (int i = 0; i < 1000; i++) {
        char want[12];
        snprintf(want, sizeof want, "%03d", i);
        assert_memory_equal(r.body + (size_t)i * 3, want, 3);
    }
    assert_in_range(form.writes, 1, 10);
    end(&p);
}

static void test_sink_refuses(void **state) {
    (void)state;
    static const char *const heads[] = {
        POST("/form", "Content-Length: 10\r\n") "0123456789",
        POST("/form", "Transfer-Encoding: chunked\r\n") "a\r\n"
                                                        "0123456789\r\n0\r\n\r\n"};
    for (size_t i = 0; i < CL_ARRAY_LEN(heads); i++) {
        for (int at_end = 0; at_end < 2; at_end++) {
            struct pair p;
            begin(&p, NULL);
            form.fail_at = at_end ? 0 : 5;
            form.end_result = at_end ? CELLO_EUTF8 : CELLO_OK;
            client_send(&p.c, heads[i]);
            struct response r = client_expect(&p.c, at_end ? 400 : 503, NULL);
            assert_true(r.close);
            assert_int_equal(form.ends, at_end);
            client_expect_closed(&p.c);
            end(&p);
        }
    }
}

static void test_bad_bodies_of_a_sink(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int status;
        bool eof;
    } cases[] = {
        {POST("/form", "Content-Length: 10\r\n") "01", 400, true},
        {POST("/form", "Transfer-Encoding: chunked\r\n") "a\r\n01", 400, true},
        {POST("/form", "Transfer-Encoding: chunked\r\n") "3\r\n012\r\nx", 400, false},
        {POST("/form", "Content-Length: 100001\r\n"), 413, false},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct pair p;
        begin(&p, NULL);
        client_send(&p.c, cases[i].text);
        if (cases[i].eof)
            client_eof(&p.c);
        client_expect(&p.c, cases[i].status, NULL);
        client_expect_closed(&p.c);
        assert_int_equal(form.ends, 0);
        end(&p);
    }
    static char big[100001];
    struct pair p;
    begin(&p, NULL);
    client_send(&p.c, POST("/form", "Transfer-Encoding: chunked\r\n") "7fffffff\r\n");
    client_push(&p.c, big, sizeof big);
    client_expect(&p.c, 413, NULL);
    client_expect_closed(&p.c);
    end(&p);
    begin(&p, NULL);
    client_send(&p.c, POST("/form", "Content-Length: 10\r\n") "01");
    fixture_pass(&p.f, 31000 * MS);
    client_expect(&p.c, 408, NULL);
    client_expect_closed(&p.c);
    end(&p);
}

/* ---- read by the handler ---- */

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void test_read(void **state) {
    (void)state;
    static const char text[] =
        POST("/read", "Content-Length: 10\r\n") "0123456789" POST("/read", "Content-Length: 0\r\n")
            POST("/read", CHUNKED) "3\r\n012\r\n2;a=b\r\n34\r\n0\r\nA: b\r\n\r\n" GET("/read")
                GET("/");
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct pair p;
        begin(&p, NULL);
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
        finish(&p);
    }
}

/* What is read is what was sent, and leaves while more comes. */
static void test_tee(void **state) {
    (void)state;
    static const char text[] = POST("/tee", "Content-Length: 10\r\n") "0123456789" POST(
        "/tee", CHUNKED) "3\r\n012\r\n2\r\n34\r\n0\r\n\r\n" GET("/");
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct pair p;
        begin(&p, NULL);
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
        finish(&p);
    }
    struct pair p;
    begin(&p, NULL);
    client_send(&p.c, POST("/tee", CHUNKED));
    for (int i = 0; i < 3; i++) { /* each chunk is answered before the next is sent */
        size_t before = client_received(&p.c);
        client_send(&p.c, "3\r\nabc\r\n");
        assert_string_equal(client_text(&p.c) + before, "3\r\nabc\r\n");
    }
    client_send(&p.c, "0\r\n\r\n");
    client_expect(&p.c, 200, "3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n");
    finish(&p);
}

/* However much is sent: what nobody reads stays with the client, and the handler may take its time.
 */
static void test_sender_waits(void **state) {
    (void)state;
    static char body[1 << 20];
    for (int chunked = 0; chunked < 2; chunked++) {
        struct pair p;
        begin(&p, NULL);
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
        finish(&p);
    }
}

static void test_piece_stays(void **state) {
    (void)state;
    struct pair p;
    begin(&p, NULL);
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
    assert_int_equal(cello_request_read(r, NULL, &again), CELLO_ECANCELED);
    cello_respond_bytes(r, CL_STR("late"));
    cello_request_unref(r);
    finish(&p);
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
            struct pair p;
            begin(&p, NULL);
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
            finish(&p);
        }
    }
}

/* 100 Continue goes out when the body is wanted, and only then. */
static void test_continue_when_read(void **state) {
    (void)state;
    struct pair p;
    begin(&p, NULL);
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
    finish(&p);
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
        struct pair p;
        begin(&p, NULL);
        client_send(&p.c, cases[i].text);
        if (cases[i].eof)
            client_eof(&p.c);
        assert_true(client_expect(&p.c, 200, cases[i].answer).close);
        client_expect_closed(&p.c);
        finish(&p);
    }
    static char big[1 << 20];
    struct pair p;
    begin(&p, NULL);
    client_send(&p.c, POST("/read", "Content-Length: 1048577\r\n"));
    client_expect(&p.c, 413, NULL);
    assert_int_equal(p.f.handled, 0);
    finish(&p);
    begin(&p, NULL);
    client_send(&p.c, POST("/read", CHUNKED) "7fffffff\r\n");
    cl_mem_set_chunk(p.c.stream, 8000); /* some of it comes while the reader waits */
    client_push(&p.c, big, sizeof big);
    client_expect_nothing(&p.c);
    client_send(&p.c, "x");
    struct response r = client_expect(&p.c, 200, NULL);
    assert_true(r.close && memmem(r.body, r.body_len, "1048576 bytes, body too large", 29));
    client_expect_closed(&p.c);
    finish(&p);
}

static void test_client_leaves_a_reader(void **state) {
    (void)state;
    static const char *const texts[] = {POST("/read", "Content-Length: 10\r\n") "0123",
                                        POST("/read", CHUNKED) "3\r\nab",
                                        POST("/tee", "Content-Length: 10\r\n") "0123"};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct pair p;
        begin(&p, NULL);
        client_send(&p.c, texts[i]);
        cl_mem_reset(p.c.stream);
        fixture_turn(&p.f);
        assert_int_equal(p.f.read + p.f.stopped, 1);
        finish(&p);
    }
    struct pair p; /* its side ended in the middle of the body, and of the answer */
    begin(&p, NULL);
    client_send(&p.c, texts[2]);
    client_eof(&p.c);
    assert_null(p.c.stream);
    assert_null(strstr(client_text(&p.c), "0\r\n\r\n")); /* the last chunk */
    finish(&p);
}

struct told {
    struct cello_reader reader;
    struct cello_observer observer;
    unsigned ready, left, overdue;
};

static void told_ready(struct cello_reader *reader, struct cl_request *r) {
    (void)r;
    CL_CONTAINER_OF(reader, struct told, reader)->ready++;
}

static void told_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    (void)r;
    struct told *t = CL_CONTAINER_OF(o, struct told, observer);
    t->left += event == CELLO_EVENT_LEFT;
    t->overdue += event == CELLO_EVENT_OVERDUE;
}

/* Whoever waits for the body is told there; others hear it as observers. */
static void test_reader_or_observer(void **state) {
    (void)state;
    for (int reading = 0; reading < 3; reading++) {
        for (int reset = 0; reset < 2; reset++) {
            struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
            struct cl_str piece;
            struct pair p;
            begin(&p, NULL);
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
            finish(&p);
        }
    }
}

/* What the reader was told of stays over the read that gives it, in whichever block it lies. */
static void test_told_piece_stays(void **state) {
    (void)state;
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct pair p;
    begin(&p, NULL);
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
    finish(&p);
}

/* Time runs only while somebody waits for the client. */
static void test_times_of_a_reader(void **state) {
    (void)state;
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct cl_str piece;
    struct pair p;
    begin(&p, NULL);
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
    finish(&p);

    begin(&p, NULL); /* in the middle of an answer: it is cut off */
    client_send(&p.c, POST("/tee", "Content-Length: 100000\r\n") "abc");
    fixture_pass(&p.f, 4000 * MS);
    assert_non_null(p.c.stream);
    fixture_pass(&p.f, 2000 * MS);
    assert_null(p.c.stream);
    assert_null(strstr(client_text(&p.c), "0\r\n\r\n")); /* the last chunk */
    finish(&p);
}

/* Read what there is; returns why there is no more. */
static int read_on(struct pair *p, struct cl_request *r, struct told *told, size_t *got) {
    struct cl_str piece;
    int err;
    for (int i = 0; i < 2; i++) {
        while ((err = cello_request_read(r, &told->reader, &piece)) == CELLO_OK) {
            *got += piece.len;
            i = 0;
        }
        if (err == CELLO_EAGAIN)
            fixture_turn(&p->f);
    }
    return err;
}

/* A fast body is reported in larger steps, never in steps that may not come, and what is less does
 * not wait long. */
static void test_fast_bodies_are_gathered(void **state) {
    (void)state;
    static char body[CL_BODY_GATHER];
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct pair p;
    begin(&p, NULL);
    fixture_stop_clock();
    client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    size_t sent = 100000, got = 0;
    client_push(&p.c, body, sent);
    assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
    assert_int_equal(got, sent);
    assert_int_equal(cl_mem_gathers(p.c.stream), CL_BODY_GATHER);

    unsigned ready = told.ready;
    client_push(&p.c, "x", 1);
    assert_int_equal(told.ready, ready);
    fixture_pass(&p.f, 2 * CL_BODY_GATHER_NS);
    fixture_turn(&p.f);
    assert_int_equal(told.ready, ready + 1);
    assert_int_equal(cl_mem_gathers(p.c.stream), 1);
    assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
    assert_int_equal(got, ++sent);
    assert_int_equal(cl_mem_gathers(p.c.stream), 1); /* slow now */
    fixture_pass(&p.f, 5 * MS);
    client_push(&p.c, "y", 1);
    assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
    assert_int_equal(got, ++sent);

    while (sent < 1000000) { /* until less than a step is left */
        size_t n = CL_MIN(sizeof body, 1000000 - sent);
        client_push(&p.c, body, n);
        sent += n;
        int err = read_on(&p, r, &told, &got);
        assert_int_equal(got, sent);
        assert_int_equal(err, sent < 1000000 ? CELLO_EAGAIN : CELLO_EOF);
        assert_int_equal(cl_mem_gathers(p.c.stream),
                         1000000 - sent < CL_BODY_GATHER ? 1 : CL_BODY_GATHER);
    }
    assert_int_equal(got, 1000000);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "read");
    client_send(&p.c, GET("/"));
    client_expect(&p.c, 200, "hello");
    finish(&p);
}

/* A reader with memory of its own, of what it was told to have. */
static struct cl_str read_by_hand(struct cl_request *r, struct told *told, char *memory,
                                  int *result) {
    struct cl_str piece = {NULL, 0};
    told->reader.memory = told->reader.waiting ? memory : NULL;
    told->reader.room = told->reader.waiting;
    told->reader.waiting = 0;
    *result = cello_request_read(r, &told->reader, &piece);
    return piece;
}

/* A fast body until a piece lies in `memory`. How much was read; `*sent` is at least 10,000 bytes
 * more. */
static size_t start_by_hand(struct pair *p, struct cl_request *r, struct told *told,
                            const char *body, char *memory, size_t *sent) {
    size_t got = 0;
    int result;
    *sent = 0;
    told->reader.has_memory = true;
    for (int i = 0; i < 100; i++) {
        struct cl_str piece = read_by_hand(r, told, memory, &result);
        assert_memory_equal(piece.ptr, body + got, piece.len);
        got += piece.len;
        size_t ahead = piece.ptr == memory ? 10000 : 100000;
        if (got + ahead > *sent)
            client_push(&p->c, body + *sent, got + ahead - *sent);
        *sent = CL_MAX(*sent, got + ahead);
        if (piece.ptr == memory)
            return got;
        fixture_turn(&p->f);
    }
    fail();
    return 0;
}

/* Pieces of a large body lie in the reader's memory, the largest of them are larger than what may
 * wait in the engine's; the request behind it is served. */
static void test_memory_of_the_reader(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 }; /* what the route takes */
    static const char behind[] = GET("/");
    static char body[SIZE + sizeof behind], memory[CL_BODY_PIECE];
    struct told told = {.reader.on_ready = told_ready};
    struct pair p;
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)(i * 31 + i / 251);
    memcpy(body + SIZE, behind, sizeof behind - 1);
    begin(&p, NULL);
    fixture_stop_clock();
    client_send(&p.c, POST("/later", "Content-Length: 1048576\r\n"));
    struct cl_request *r = fixture_take(&p.f);
    size_t sent, got = start_by_hand(&p, r, &told, body, memory, &sent), largest = 0;
    client_push(&p.c, body + sent, SIZE + sizeof behind - 1 - sent);
    int result = CELLO_OK;
    for (unsigned i = 0; i < 1000 && result != CELLO_EOF; i++) {
        struct cl_str piece = read_by_hand(r, &told, memory, &result);
        if (result != CELLO_OK) {
            fixture_turn(&p.f);
            continue;
        }
        assert_ptr_equal(piece.ptr, memory);
        assert_true(piece.len <= SIZE - got);
        assert_memory_equal(memory, body + got, piece.len);
        got += piece.len;
        largest = CL_MAX(largest, piece.len);
    }
    assert_int_equal(got, SIZE);
    assert_true(largest > CL_BODY_WINDOW);
    fixture_pass(&p.f, 1000 * MS); /* the handler has all of it, and may take its time */
    fixture_turn(&p.f);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "read");
    client_expect(&p.c, 200, "hello");
    finish(&p);
}

/* A reader that comes without memory, or not for a while: the body waits as it does otherwise, and
 * its end is noticed. */
static void test_memory_that_does_not_come(void **state) {
    (void)state;
    static char body[1000000], memory[CL_BODY_PIECE];
    for (int i = 0; i < 4; i++) {
        struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
        struct pair p;
        begin(&p, NULL);
        fixture_stop_clock();
        client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
        struct cl_request *r = fixture_take(&p.f);
        cello_request_observe(r, &told.observer);
        size_t sent, got = start_by_hand(&p, r, &told, body, memory, &sent), before = got;
        size_t held = fixture_used(&p.f);
        if (i == 2)
            client_eof(&p.c);
        if (i == 3)
            cl_mem_reset(p.c.stream);
        fixture_turn(&p.f);
        assert_int_equal(fixture_used(&p.f), held);
        if (i > 0) {
            fixture_pass(&p.f, 3 * CL_BODY_GATHER_NS);
            fixture_turn(&p.f);
            assert_int_equal(told.left, i == 3);
        }
        if (i == 1)
            assert_true(fixture_used(&p.f) > held);
        told.reader.memory = NULL;
        int err = read_on(&p, r, &told, &got);
        if (err == CELLO_EAGAIN) /* only now it is known that it has none */
            err = read_on(&p, r, &told, &got);
        assert_int_equal(err, i > 1 ? CELLO_ECANCELED : CELLO_EAGAIN);
        assert_int_equal(got, i < 3 ? sent : before);
        cello_respond_bytes(r, CL_STR("early"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        if (i < 2)
            assert_true(client_expect(&p.c, 200, "early").close);
        finish(&p);
    }
}

/* The client leaves, or falls silent, while memory waits for it. */
static void test_memory_waits_in_vain(void **state) {
    (void)state;
    static char body[1000000], memory[CL_BODY_PIECE];
    for (int i = 0; i < 3; i++) {
        struct told told = {.reader.on_ready = told_ready};
        struct pair p;
        int result = CELLO_OK;
        begin(&p, NULL);
        fixture_stop_clock();
        client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
        struct cl_request *r = fixture_take(&p.f);
        size_t sent, got = start_by_hand(&p, r, &told, body, memory, &sent);
        for (int turns = 0; got < sent; turns++) {
            got += read_by_hand(r, &told, memory, &result).len;
            fixture_pass(&p.f, 2 * CL_BODY_GATHER_NS);
            assert_true(turns < 10);
        }
        (void)read_by_hand(r, &told, memory, &result);
        assert_int_equal(result, CELLO_EAGAIN);
        unsigned ready = told.ready;
        if (i == 0)
            client_eof(&p.c);
        else if (i == 1)
            cl_mem_reset(p.c.stream);
        else
            fixture_pass(&p.f, 31000 * MS);
        fixture_turn(&p.f);
        assert_int_equal(told.ready, ready + 1);
        (void)read_by_hand(r, &told, memory, &result);
        assert_int_equal(result, i == 2 ? CELLO_ETIMEOUT : CELLO_ECANCELED);
        cello_respond_bytes(r, CL_STR("gone"));
        cello_request_unref(r);
        finish(&p);
    }
}

/* What decides not to gather: chunks, a deadline that is near, an answer before the end. */
static void test_what_is_not_gathered(void **state) {
    (void)state;
    static char body[100000];
    for (int i = 0; i < 3; i++) {
        struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
        struct cello_server_config cfg = fixture_config();
        struct pair p;
        size_t got = 0;
        if (i == 1)
            cfg.timeouts.read_body_ns = 3 * CL_BODY_GATHER_NS;
        begin(&p, &cfg);
        fixture_stop_clock();
        client_send(&p.c, i ? POST("/later", "Content-Length: 1000000\r\n")
                            : POST("/later", CHUNKED) "f4240\r\n");
        struct cl_request *r = fixture_take(&p.f);
        client_push(&p.c, body, sizeof body);
        assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
        assert_int_equal(got, sizeof body);
        assert_int_equal(cl_mem_gathers(p.c.stream), i == 2 ? CL_BODY_GATHER : 0);
        cello_respond_bytes(r, CL_STR("early"));
        cello_request_unref(r);
        assert_int_equal(cl_mem_gathers(p.c.stream), i == 2 ? 1 : 0);
        fixture_turn(&p.f);
        assert_true(client_expect(&p.c, 200, "early").close);
        client_expect_closed(&p.c);
        finish(&p);
    }
}

/* A sender that stops in the middle of a step has not stopped earlier than it has. */
static void test_gathered_bytes_count_in_time(void **state) {
    (void)state;
    static char body[400000];
    struct pair p;
    begin(&p, NULL);
    fixture_stop_clock();
    client_send(&p.c, POST("/read", "Content-Length: 1000000\r\n"));
    client_push(&p.c, body, 100000);
    assert_int_equal(cl_mem_gathers(p.c.stream), CL_BODY_GATHER);
    fixture_pass(&p.f, 10 * MS);
    client_push(&p.c, "x", 1);
    for (int i = 0; i < 3; i++) {
        fixture_pass(&p.f, 29000 * MS);
        client_push(&p.c, "x", 1);
    }
    client_push(&p.c, body, 400000);
    client_push(&p.c, body, 400000);
    client_push(&p.c, body, 99996);
    client_expect(&p.c, 200, NULL);
    finish(&p);
}

/* Nothing at all comes after a fast start: the silence is that of every body, and so is the end. */
static void test_fast_bodies_end_in_time(void **state) {
    (void)state;
    static char body[100000];
    for (int eof = 0; eof < 2; eof++) {
        struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
        struct pair p;
        size_t got = 0;
        begin(&p, NULL);
        fixture_stop_clock();
        client_send(&p.c, POST("/later", "Content-Length: 1000000\r\n"));
        struct cl_request *r = fixture_take(&p.f);
        client_push(&p.c, body, sizeof body);
        assert_int_equal(read_on(&p, r, &told, &got), CELLO_EAGAIN);
        assert_int_equal(cl_mem_gathers(p.c.stream), CL_BODY_GATHER);
        if (eof) {
            client_eof(&p.c);
            assert_int_equal(cl_mem_gathers(p.c.stream), 1);
        } else {
            fixture_pass(&p.f, 2 * CL_BODY_GATHER_NS);
            assert_int_equal(cl_mem_gathers(p.c.stream), 1);
            fixture_pass(&p.f, 31000 * MS);
        }
        assert_int_equal(read_on(&p, r, &told, &got), eof ? CELLO_ECANCELED : CELLO_ETIMEOUT);
        assert_int_equal(got, sizeof body);
        cello_respond_problem(r, 408, CL_STR("slow"));
        cello_request_unref(r);
        fixture_turn(&p.f);
        client_expect(&p.c, 408, NULL);
        client_expect_closed(&p.c);
        finish(&p);
    }
}

/* The handler's own time is not spent by waiting for the client, and begins again with each piece.
 */
static void test_deadline_of_a_reader(void **state) {
    (void)state;
    struct told told = {.reader.on_ready = told_ready, .observer = {told_event}};
    struct cl_str piece;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts = (struct cl_timeouts){0};
    struct pair p;
    begin(&p, &cfg);
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
    finish(&p);
}

static void test_other_routes_are_not_read(void **state) {
    (void)state;
    struct cl_str piece;
    struct pair p;
    begin(&p, NULL);
    client_send(&p.c, POST("/hold", "Content-Length: 3\r\n") "abc");
    struct cl_request *r = fixture_take(&p.f);
    assert_int_equal(cello_request_read(r, NULL, &piece), CELLO_ESTATE);
    cello_respond_bytes(r, cello_request_body(r));
    cello_request_unref(r);
    fixture_turn(&p.f);
    client_expect(&p.c, 200, "abc");
    finish(&p);
}

/* All memory is with others: the reader is told, and may say so. */
static void test_no_memory_to_read_into(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_buffered_bytes = 3 * CL_BLOCK_SIZE;
    struct client other[2];
    struct pair p;
    begin(&p, &cfg);
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
    finish(&p);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(sink),
        T(sink_takes_constant_memory),
        T(small_chunks_are_joined),
        T(sink_refuses),
        T(bad_bodies_of_a_sink),
        T(read),
        T(tee),
        T(sender_waits),
        T(piece_stays),
        T(answers_before_the_body),
        T(continue_when_read),
        T(bad_bodies_that_are_read),
        T(client_leaves_a_reader),
        T(reader_or_observer),
        T(told_piece_stays),
        T(times_of_a_reader),
        T(fast_bodies_are_gathered),
        T(memory_of_the_reader),
        T(memory_that_does_not_come),
        T(memory_waits_in_vain),
        T(what_is_not_gathered),
        T(gathered_bytes_count_in_time),
        T(fast_bodies_end_in_time),
        T(deadline_of_a_reader),
        T(other_routes_are_not_read),
        T(no_memory_to_read_into),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
