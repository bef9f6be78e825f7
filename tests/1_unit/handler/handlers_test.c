/* Constants and the application slot, through whole requests. */
#include <stdio.h>

#include "handler/constant.h"
#include "support/fixture.h"

static void test_constants(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct response r;
    char err[200], value[] = "v", body[] = "body", path[] = "/c";
    static char big[100000];
    memset(big, 'z', sizeof big);
    const struct cl_str headers[][2] = {{CL_STR_INIT("X-A"), {value, 1}},
                                        {CL_STR_INIT("X-B"), CL_STR_INIT("w")}};
    fixture_begin(&f, NULL);
    assert_int_equal(cello_app_constant(f.app, CELLO_GET | CELLO_POST, cl_str(path, 2), "here:1",
                                        418, CL_STR("text/css"), headers, 2, cl_str(body, 4), err,
                                        sizeof err),
                     CELLO_OK);
    assert_int_equal(cello_app_constant(f.app, CELLO_GET, CL_STR("/big"), NULL, 200, CL_STR(""),
                                        NULL, 0, cl_str(big, sizeof big), err, sizeof err),
                     CELLO_OK);
    assert_int_equal(cello_app_constant(f.app, CELLO_GET, CL_STR("/gone"), NULL, 204, CL_STR(""),
                                        NULL, 0, CL_STR("ignored"), err, sizeof err),
                     CELLO_OK);
    value[0] = body[0] = path[1] = '!'; /* everything was copied */
    fixture_serve(&f);
    client_open(&f, &c);
    client_send(&c,
                GET("/c") "POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" GET("/gone"));
    for (int i = 0; i < 2; i++) {
        r = client_expect(&c, 418, "body");
        assert_true(response_field_is(&r, "Content-Type", "text/css"));
        assert_true(response_field_is(&r, "X-A", "v") && response_field_is(&r, "X-B", "w"));
    }
    client_expect(&c, 204, "");
    client_send(&c, GET("/big") "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n");
    r = client_expect(&c, 200, NULL);
    assert_true(r.body_len == sizeof big && memcmp(r.body, big, sizeof big) == 0);
    client_answer_to_head(&c, &r);
    assert_true(response_field_is(&r, "Content-Length", "100000"));
    client_expect_nothing(&c);
    client_free(&c);
    fixture_free(&f);
}

static void test_bad_constants(void **state) {
    (void)state;
    static const struct cl_str bad[][1][2] = {{{CL_STR_INIT("A"), CL_STR_INIT("b\r\nC: d")}},
                                              {{CL_STR_INIT("A B"), CL_STR_INIT("c")}},
                                              {{CL_STR_INIT(""), CL_STR_INIT("c")}},
                                              {{CL_STR_INIT("date"), CL_STR_INIT("c")}},
                                              {{CL_STR_INIT("Content-Length"), CL_STR_INIT("3")}}};
    struct cello_handler *h;
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_int_equal(cl_constant_new(&h, 200, CL_STR("a/b"), bad[i], 1, CL_STR("")),
                         CELLO_EINVAL);
    static const int statuses[] = {-1, 0, 100, 199, 600};
    for (size_t i = 0; i < CL_ARRAY_LEN(statuses); i++)
        assert_int_equal(cl_constant_new(&h, statuses[i], CL_STR("a/b"), NULL, 0, CL_STR("")),
                         CELLO_EINVAL);
    assert_int_equal(cl_constant_new(&h, 200, CL_STR("a\nb"), NULL, 0, CL_STR("")), CELLO_EINVAL);
}

/* ---- the application slot ---- */

struct slot {
    struct cl_server *server;
    unsigned runs, taken, most;
    unsigned per_run; /* leave the rest for the next turn */
};

static bool run(void *ctx) {
    struct slot *s = ctx;
    struct cl_request *r;
    unsigned n = 0;
    s->runs++;
    while (n < s->per_run && (r = cello_server_next(s->server))) {
        n++;
        cello_respond_bytes(r, CL_STR("app"));
        cello_request_unref(r);
    }
    s->taken += n;
    s->most = CL_MAX(s->most, n);
    return n == s->per_run;
}

static void slot_begin(struct fixture *f, struct slot *s) {
    struct cello_server_config cfg = fixture_config();
    char err[200];
    cfg.application = (struct cello_application){.ctx = s, .run = run};
    struct cello_route route = {.methods = CELLO_GET,
                                .path = CL_STR("/app"),
                                .handler = cello_application_handler(),
                                .id = 7};
    fixture_begin(f, &cfg);
    assert_int_equal(cello_app_route(f->app, &route, err, sizeof err), CELLO_OK);
    fixture_serve(f);
    s->server = f->server;
}

static void test_application_gets_batches(void **state) {
    (void)state;
    enum { CLIENTS = 20 };
    struct fixture f;
    struct slot s = {.per_run = 100};
    struct client c[CLIENTS];
    slot_begin(&f, &s);
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&f, &c[i]);
        assert_int_equal(cl_mem_push(c[i].stream, GET("/app"), sizeof GET("/app") - 1), CELLO_OK);
    }
    fixture_turn(&f);
    assert_int_equal(s.runs, 1);
    assert_int_equal(s.most, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        client_expect(&c[i], 200, "app");
        client_free(&c[i]);
    }
    fixture_free(&f);
}

/* What a run leaves is taken in the next turn, which does not wait. */
static void test_application_may_leave_some(void **state) {
    (void)state;
    struct fixture f;
    struct slot s = {.per_run = 1};
    struct client c[3];
    slot_begin(&f, &s);
    for (int i = 0; i < 3; i++) {
        client_open(&f, &c[i]);
        assert_int_equal(cl_mem_push(c[i].stream, GET("/app"), sizeof GET("/app") - 1), CELLO_OK);
    }
    assert_int_equal(cello_server_turn(f.server, 0), CELLO_OK);
    assert_int_equal(s.taken, 1);
    assert_int_equal(cl_loop_next_ns(f.server->worker.loop), 0);
    fixture_turn(&f);
    assert_int_equal(s.taken, 3);
    for (int i = 0; i < 3; i++)
        client_free(&c[i]);
    fixture_free(&f);
}

/* Clients that left while they waited cost no call. */
static void test_clients_that_left_are_skipped(void **state) {
    (void)state;
    struct fixture f;
    struct slot s = {.per_run = 100};
    struct client c[3];
    slot_begin(&f, &s);
    for (int i = 0; i < 3; i++) {
        client_open(&f, &c[i]);
        assert_int_equal(cl_mem_push(c[i].stream, GET("/app"), sizeof GET("/app") - 1), CELLO_OK);
        if (i != 1)
            cl_mem_reset(c[i].stream);
    }
    fixture_turn(&f);
    assert_int_equal(s.taken, 1);
    client_expect(&c[1], 200, "app");
    for (int i = 0; i < 3; i++)
        client_free(&c[i]);
    fixture_free(&f);
}

/* A server that goes while requests wait gives them up. */
static void test_queue_at_the_end(void **state) {
    (void)state;
    struct fixture f;
    struct slot s = {.per_run = 0};
    struct client c;
    slot_begin(&f, &s);
    client_open(&f, &c);
    assert_int_equal(cl_mem_push(c.stream, GET("/app"), sizeof GET("/app") - 1), CELLO_OK);
    assert_int_equal(cello_server_turn(f.server, 0), CELLO_OK);
    client_free(&c);
    while (cello_server_next(f.server))
        fail();
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_bad_constants),
        cmocka_unit_test(test_application_gets_batches),
        cmocka_unit_test(test_application_may_leave_some),
        cmocka_unit_test(test_clients_that_left_are_skipped),
        cmocka_unit_test(test_queue_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
