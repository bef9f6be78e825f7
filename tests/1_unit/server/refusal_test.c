/* Handlers of the program for requests that no route answers. */
#include "support/fixture.h"

struct own {
    struct cello_handler super;
    int status;
    unsigned deleted;
    bool allow; /* says Allow itself */
};

static void on_request(const struct cello_handler *h, struct cl_request *r) {
    const struct own *own = CL_CONTAINER_OF(h, struct own, super);
    assert_int_equal(cello_request_route(r).len, 0);
    cello_response_status(r, own->status);
    if (own->allow)
        assert_int_equal(cello_response_header(r, CL_STR("Allow"), CL_STR("TRACE")), CELLO_OK);
    cello_respond_bytes(r, cello_request_body(r));
}

static void del(struct cello_handler *h) {
    CL_CONTAINER_OF(h, struct own, super)->deleted++;
}

static struct own own(int status) {
    return (struct own){.super = {.on_request = on_request, .del = del}, .status = status};
}

struct pair {
    struct fixture f;
    struct client c;
    struct own not_found, not_allowed;
};

static void begin(struct pair *p) {
    p->not_found = own(404);
    p->not_allowed = own(405);
    fixture_begin(&p->f, NULL);
    cello_app_redirect_slashes(p->f.app, true);
    assert_int_equal(cello_app_refusal(p->f.app, 404, &p->not_found.super, 0), CELLO_OK);
    assert_int_equal(cello_app_refusal(p->f.app, 405, &p->not_allowed.super, 0), CELLO_OK);
    fixture_serve(&p->f);
    client_open(&p->f, &p->c);
}

static void end(struct pair *p) {
    client_free(&p->c);
    fixture_free(&p->f);
    assert_int_equal(p->not_found.deleted, 1);
    assert_int_equal(p->not_allowed.deleted, 1);
}

static void ask(struct pair *p, const char *request, int status, const char *body) {
    struct response r;
    client_send(&p->c, request);
    client_answer(&p->c, &r);
    assert_int_equal(r.status, status);
    assert_int_equal(r.body_len, strlen(body));
    assert_memory_equal(r.body, body, r.body_len);
}

static void test_the_program_answers(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    ask(&p, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 404, "abc");
    ask(&p, "POST /item/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nde", 405, "de");
    ask(&p, GET("/"), 200, "hello");
    end(&p);
}

static void test_a_405_has_allow(void **state) {
    (void)state;
    struct pair p;
    begin(&p);
    static const char request[] = "DELETE /item/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char *const allowed[] = {"GET, HEAD, OPTIONS", "TRACE"};
    for (size_t i = 0; i < CL_ARRAY_LEN(allowed); i++) {
        struct response r;
        p.not_allowed.allow = i == 1;
        client_send(&p.c, request);
        client_answer(&p.c, &r);
        assert_true(response_field_is(&r, "Allow", allowed[i]));
    }
    p.not_allowed.allow = false;
    p.not_allowed.status = 200;
    struct response r;
    size_t len = 0;
    client_send(&p.c, request);
    client_answer(&p.c, &r);
    assert_null(response_field(&r, "Allow", &len));
    end(&p);
}

static void test_what_stays_the_engines(void **state) {
    (void)state;
    struct pair p;
    struct response r;
    begin(&p);
    client_send(&p.c, "OPTIONS /item/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    client_answer(&p.c, &r);
    assert_int_equal(r.status, 204);
    client_send(&p.c, GET("/slash"));
    client_answer(&p.c, &r);
    assert_int_equal(r.status, 307);
    client_send(&p.c, GET("/%zz"));
    client_answer(&p.c, &r);
    assert_int_equal(r.status, 400);
    end(&p);
}

static void test_what_is_refused(void **state) {
    (void)state;
    struct fixture f;
    struct own h = own(404);
    fixture_begin(&f, NULL);
    assert_int_equal(cello_app_refusal(f.app, 400, &h.super, 0), CELLO_EINVAL);
    assert_int_equal(h.deleted, 1);
    fixture_serve(&f);
    assert_int_equal(cello_app_refusal(f.app, 404, &h.super, 0), CELLO_ESTATE);
    assert_int_equal(h.deleted, 2);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_program_answers),
        cmocka_unit_test(test_a_405_has_allow),
        cmocka_unit_test(test_what_stays_the_engines),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
