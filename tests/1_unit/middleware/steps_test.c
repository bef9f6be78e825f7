/* The native steps, through whole requests. */
#include <stdio.h>

#include "support/fixture.h"

static void begin(struct h1_pair *p, struct cl_step *step) {
    assert_non_null(step);
    fixture_begin(&p->f, NULL);
    assert_int_equal(cello_app_use(p->f.app, step), CELLO_OK);
    fixture_serve(&p->f);
    client_open(&p->f, &p->c);
}

/* ---- request ids ---- */

static bool is_made(const char *id, size_t len) {
    return id && len == 32 && strspn(id, "0123456789abcdef") >= 32;
}

static void test_ids_are_made(void **state) {
    (void)state;
    struct h1_pair p;
    begin(&p, cello_step_request_id(CL_STR("X-Request-ID")));
    static const char *const requests[] = {
        GET("/"),
        GET("/none"),
        GET("/%zz"),
        "DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        GET("/sink/5000"),
        GET("/stream/2"),
        "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"};
    char seen[CL_ARRAY_LEN(requests)][33];
    for (size_t i = 0; i < CL_ARRAY_LEN(requests); i++) {
        struct response r;
        size_t len = 0;
        client_send(&p.c, requests[i]);
        client_answer(&p.c, &r);
        const char *id = response_field(&r, "X-Request-ID", &len);
        assert_true(is_made(id, len));
        memcpy(seen[i], id, 32);
        seen[i][32] = '\0';
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(seen[k], seen[i]);
    }
    h1_pair_end(&p);
}

static void test_ids_are_taken_over(void **state) {
    (void)state;
    struct h1_pair p;
    begin(&p, cello_step_request_id(CL_STR("X-Trace")));
    char long_id[130];
    memset(long_id, 'a', 129);
    long_id[129] = '\0';
    const struct {
        const char *id;
        bool good;
    } ids[] = {{"a", true},         {"A-b_c.d:e+f/g=h@9", true},
               {long_id + 1, true}, {long_id, false},
               {"", false},         {"a b", false},
               {"a\"b", false},     {"a,b", false},
               {"\xc3\xa4", false}, {"<script>", false}};
    for (size_t i = 0; i < CL_ARRAY_LEN(ids); i++) {
        char text[300];
        struct response r;
        size_t len = 0;
        snprintf(text, sizeof text, "GET /hold HTTP/1.1\r\nHost: a\r\nx-trace: %s\r\n\r\n",
                 ids[i].id);
        client_send(&p.c, text);
        struct cl_request *held = fixture_take(&p.f);
        struct cl_str id = cello_request_id(held);
        assert_int_equal(cl_str_eq(id, cl_str(ids[i].id, strlen(ids[i].id))), ids[i].good);
        cello_respond_empty(held);
        fixture_turn(&p.f);
        client_answer(&p.c, &r);
        const char *sent = response_field(&r, "X-Trace", &len);
        assert_true(sent && cl_str_eq(cl_str(sent, len), id));
        assert_true(ids[i].good || is_made(sent, len));
        cello_request_unref(held);
    }
    h1_pair_end(&p);
}

static void test_bad_id_headers(void **state) {
    (void)state;
    assert_null(cello_step_request_id(CL_STR("")));
    assert_null(cello_step_request_id(CL_STR("a b")));
    assert_null(cello_step_request_id(CL_STR("Content-Length")));
}

/* ---- security headers ---- */

static void test_security_headers(void **state) {
    (void)state;
    const struct cello_security_headers cfg = {
        .x_frame_options = CL_STR_INIT("DENY"),
        .x_content_type_options = true,
        .referrer_policy = CL_STR_INIT("no-referrer"),
        .csp = CL_STR_INIT("default-src 'self'"),
        .coop = CL_STR_INIT("same-origin"),
    };
    struct h1_pair p;
    begin(&p, cello_step_security_headers(&cfg));
    static const char *const requests[] = {GET("/"), GET("/none"), GET("/stream/1"), GET("/%")};
    for (size_t i = 0; i < CL_ARRAY_LEN(requests); i++) {
        struct response r;
        size_t len = 0;
        client_send(&p.c, requests[i]);
        client_answer(&p.c, &r);
        assert_true(response_field_is(&r, "X-Frame-Options", "DENY"));
        assert_true(response_field_is(&r, "X-Content-Type-Options", "nosniff"));
        assert_true(response_field_is(&r, "Referrer-Policy", "no-referrer"));
        assert_true(response_field_is(&r, "Content-Security-Policy", "default-src 'self'"));
        assert_true(response_field_is(&r, "Cross-Origin-Opener-Policy", "same-origin"));
        assert_null(response_field(&r, "Permissions-Policy", &len));
        assert_null(response_field(&r, "Cross-Origin-Embedder-Policy", &len));
    }
    /* What the handler says goes first. */
    struct response r;
    client_send(&p.c, GET("/header?name=x-frame-options&value=SAMEORIGIN"));
    client_answer(&p.c, &r);
    assert_true(response_field_is(&r, "X-Frame-Options", "SAMEORIGIN"));
    assert_null(memmem(r.head, r.head_len, "DENY", 4));
    h1_pair_end(&p);
}

static void test_bad_security_headers(void **state) {
    (void)state;
    const struct cello_security_headers cfg = {.csp = CL_STR_INIT("a\r\nSet-Cookie: b")};
    assert_null(cello_step_security_headers(&cfg));
}

/* ---- the chain ---- */

struct tracer {
    struct cl_step super;
    char name;
};

static char trace[32];
static bool answer_in_b;

static void note(char c) {
    size_t n = strlen(trace);
    assert_true(n < sizeof trace - 1);
    trace[n] = c;
}

static int before(const struct cl_step *step, struct cl_request *r) {
    char name = CL_CONTAINER_OF(step, struct tracer, super)->name;
    note(name);
    if (!answer_in_b || name != 'b')
        return CELLO_OK;
    cello_response_status(r, 403);
    cello_respond_empty(r);
    return CELLO_ECANCELED;
}

static int after(const struct cl_step *step, struct cl_request *r) {
    (void)r;
    note((char)(CL_CONTAINER_OF(step, struct tracer, super)->name - 'a' + 'A'));
    return CELLO_OK;
}

/* In order before, in reverse after; the route's own behind the application's. */
static void test_order(void **state) {
    (void)state;
    static struct tracer tracers[] = {{{.before = before, .after = after}, 'a'},
                                      {{.before = before, .after = after}, 'b'},
                                      {{.before = before, .after = after}, 'c'}};
    static struct cello_handler *handler;
    struct cl_step *own[] = {&tracers[2].super};
    struct h1_pair p;
    char err[200];
    fixture_begin(&p.f, NULL);
    assert_int_equal(cello_app_use(p.f.app, &tracers[0].super), CELLO_OK);
    assert_int_equal(cello_app_use(p.f.app, &tracers[1].super), CELLO_OK);
    handler = cello_application_handler();
    struct cello_route route = {.methods = CELLO_GET,
                                .path = CL_STR("/own"),
                                .handler = handler,
                                .steps = own,
                                .step_count = 1};
    assert_int_equal(cello_app_route(p.f.app, &route, err, sizeof err), CELLO_OK);
    fixture_serve(&p.f);
    assert_int_equal(cello_app_use(p.f.app, &tracers[0].super), CELLO_ESTATE);
    client_open(&p.f, &p.c);
    const struct {
        const char *request, *want;
        bool answer;
    } cases[] = {
        {GET("/"), "abBA", false},
        {GET("/none"), "abBA", false},
        {GET("/"), "abBA", true},
        {GET("/own"), "abCBA", true},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct response r;
        memset(trace, 0, sizeof trace);
        answer_in_b = cases[i].answer;
        client_send(&p.c, cases[i].request);
        client_answer(&p.c, &r);
        assert_int_equal(r.status == 403, cases[i].answer);
        assert_string_equal(trace, cases[i].want);
    }
    h1_pair_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_made),         cmocka_unit_test(test_ids_are_taken_over),
        cmocka_unit_test(test_bad_id_headers),       cmocka_unit_test(test_security_headers),
        cmocka_unit_test(test_bad_security_headers), cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
