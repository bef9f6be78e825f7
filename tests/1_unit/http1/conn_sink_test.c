/* Bodies that are not collected, but fed to a sink as they come. */
#include <stdio.h>

#include "http1/body_fixture.h"

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

static void begin_form(struct h1_pair *p) {
    static struct cello_handler handler = {.on_request = on_form};
    static struct cl_step step = {.before = set_sink, .name = "sink"};
    static struct cl_step *const steps[] = {&step};
    char err[200];
    fixture_begin(&p->f, NULL);
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

static void end_form(struct h1_pair *p) {
    h1_pair_end(p);
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
        POST("/form", CHUNKED) "3\r\n012\r\n6;a=b\r\n345678\r\n"
                               "1\r\n9\r\n0\r\nA: b\r\n\r\n" GET("/"),
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        for (size_t cut = 0; cut < strlen(texts[i]); cut++) {
            struct h1_pair p;
            begin_form(&p);
            if (cut == 0)
                cl_mem_set_chunk(p.c.stream, 1);
            client_push(&p.c, texts[i], cut);
            client_push(&p.c, texts[i] + cut, strlen(texts[i]) - cut);
            client_expect(&p.c, 200, "0123456789");
            client_expect(&p.c, 200, "hello");
            client_expect_nothing(&p.c);
            end_form(&p);
        }
    }
}

/* A body of any size costs no more memory than a small one. */
static void test_sink_takes_constant_memory(void **state) {
    (void)state;
    static char body[5000];
    for (int chunked = 0; chunked < 2; chunked++) {
        struct h1_pair p;
        begin_form(&p);
        memset(body, 'b', sizeof body);
        client_send(&p.c, chunked ? POST("/form", CHUNKED) "186a0\r\n"
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
        end_form(&p);
    }
}

/* Tiny chunks come together. */
static void test_small_chunks_are_joined(void **state) {
    (void)state;
    static char text[30000] = POST("/form", CHUNKED);
    size_t head = strlen(text), n = head;
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "3\r\n%03d\r\n", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "0\r\n\r\n");
    struct h1_pair p;
    begin_form(&p);
    client_push(&p.c, text, n);
    struct response r = client_expect(&p.c, 200, NULL);
    assert_int_equal(r.body_len, 3000);
    for (int i = 0; i < 1000; i++) {
        char want[12];
        snprintf(want, sizeof want, "%03d", i);
        assert_memory_equal(r.body + (size_t)i * 3, want, 3);
    }
    assert_in_range(form.writes, 1, 10);
    end_form(&p);
}

static void test_sink_refuses(void **state) {
    (void)state;
    static const char *const heads[] = {POST("/form", "Content-Length: 10\r\n") "0123456789",
                                        POST("/form", CHUNKED) "a\r\n"
                                                               "0123456789\r\n0\r\n\r\n"};
    for (size_t i = 0; i < CL_ARRAY_LEN(heads); i++) {
        for (int at_end = 0; at_end < 2; at_end++) {
            struct h1_pair p;
            begin_form(&p);
            form.fail_at = at_end ? 0 : 5;
            form.end_result = at_end ? CELLO_EUTF8 : CELLO_OK;
            client_send(&p.c, heads[i]);
            struct response r = client_expect(&p.c, at_end ? 400 : 503, NULL);
            assert_true(r.close);
            assert_int_equal(form.ends, at_end);
            client_expect_closed(&p.c);
            end_form(&p);
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
        {POST("/form", CHUNKED) "a\r\n01", 400, true},
        {POST("/form", CHUNKED) "3\r\n012\r\nx", 400, false},
        {POST("/form", "Content-Length: 100001\r\n"), 413, false},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct h1_pair p;
        begin_form(&p);
        client_send(&p.c, cases[i].text);
        if (cases[i].eof)
            client_eof(&p.c);
        client_expect(&p.c, cases[i].status, NULL);
        client_expect_closed(&p.c);
        assert_int_equal(form.ends, 0);
        end_form(&p);
    }
    static char big[100001];
    struct h1_pair p;
    begin_form(&p);
    client_send(&p.c, POST("/form", CHUNKED) "7fffffff\r\n");
    client_push(&p.c, big, sizeof big);
    client_expect(&p.c, 413, NULL);
    client_expect_closed(&p.c);
    end_form(&p);
    begin_form(&p);
    client_send(&p.c, POST("/form", "Content-Length: 10\r\n") "01");
    fixture_pass(&p.f, 31000 * MS);
    client_expect(&p.c, 408, NULL);
    client_expect_closed(&p.c);
    end_form(&p);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(sink),         T(sink_takes_constant_memory), T(small_chunks_are_joined),
        T(sink_refuses), T(bad_bodies_of_a_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
