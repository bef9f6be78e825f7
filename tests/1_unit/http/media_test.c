#include "http/media.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct cl_str str(const char *text) {
    return cl_str(text, strlen(text));
}

static void splits_a_media_type(void **state) {
    (void)state;
    struct cl_media m;
    assert_int_equal(cl_media_parse(str(" text/html ; charset=utf-8"), &m), CELLO_OK);
    assert_true(cl_str_eq(m.type, str("text")) && cl_str_eq(m.subtype, str("html")));
    assert_true(cl_str_eq(m.params, str(" charset=utf-8")));
    static const char *const bad[] = {"",      "text",  "/html",       "text/",
                                      "a b/c", "a/b c", "text/html/x", ";charset=utf-8"};
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_int_equal(cl_media_parse(str(bad[i]), &m), CELLO_EINVAL);
}

static void compares_the_essence(void **state) {
    (void)state;
    assert_true(cl_media_is(str("Application/JSON; charset=utf-8"), str("application/json")));
    assert_false(cl_media_is(str("application/jsonx"), str("application/json")));
    assert_false(cl_media_is(str(""), str("application/json")));
    assert_true(cl_media_is_json(str("application/problem+json")));
    assert_true(cl_media_is_json(str("APPLICATION/Json;a=b")));
    assert_false(cl_media_is_json(str("text/json")));
}

static void finds_parameters(void **state) {
    (void)state;
    struct cl_media m;
    struct cl_str v;
    assert_int_equal(
        cl_media_parse(str("multipart/form-data; a=\"x;y=\\\"z\" ;; Boundary=\"--b c\""), &m),
        CELLO_OK);
    assert_true(cl_media_param(&m, str("boundary"), &v));
    assert_true(cl_str_eq(v, str("--b c")));
    assert_true(cl_media_param(&m, str("a"), &v));
    assert_true(cl_str_eq(v, str("x;y=\\\"z")));
    assert_false(cl_media_param(&m, str("y"), &v));
    assert_int_equal(cl_media_parse(str("a/b; x; y=1"), &m), CELLO_OK);
    assert_false(cl_media_param(&m, str("y"), &v));
    assert_int_equal(cl_media_parse(str("a/b; y=\"\\"), &m), CELLO_OK);
    assert_false(cl_media_param(&m, str("y"), &v));
}

static void weighs_accept(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        const char *offer;
        unsigned quality;
    } cases[] = {
        {"", "a/b", 1000},
        {"a/b", "a/b", 1000},
        {"A/B", "a/b", 1000},
        {"a/c", "a/b", 0},
        {"*/*", "a/b", 1000},
        {"a/*;q=0.5", "a/b", 500},
        {"*/*;q=0.1, a/*;q=0.25, a/b;q=0.333", "a/b", 333},
        {"a/b;q=0, */*", "a/b", 0},
        {"a/b;q=0, */*", "a/c", 1000},
        {"text/html;level=1;q=0.3", "text/html", 300},
        {"a/b;q=1.000", "a/b", 1000},
        {"a/b;q=1.001", "a/b", 0},
        {"a/b;q=2", "a/b", 0},
        {"a/b;q=", "a/b", 0},
        {"a/b;q=0.1234", "a/b", 0},
        {"a/b;q=.5", "a/b", 0},
        {"\"a/b, a/b", "a/b", 0},
        {" ,, a/b;q=0.2 ,", "a/b", 200},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        unsigned got = cl_accept_media(str(cases[i].accept), str(cases[i].offer));
        if (got != cases[i].quality)
            fail_msg("%s for %s: %u", cases[i].accept, cases[i].offer, got);
    }
}

static void weighs_tokens(void **state) {
    (void)state;
    assert_int_equal(cl_accept_token(str("gzip;q=0.5, br"), str("GZIP"), 0), 500);
    assert_int_equal(cl_accept_token(str("gzip;q=0.5, br"), str("br"), 0), 1000);
    assert_int_equal(cl_accept_token(str("gzip, *;q=0"), str("br"), 7), 0);
    assert_int_equal(cl_accept_token(str("*;q=0, gzip"), str("gzip"), 0), 1000);
    assert_int_equal(cl_accept_token(str("gzip"), str("identity"), 7), 7);
    assert_int_equal(cl_accept_token(str(""), str("br"), 0), 0);
    assert_int_equal(cl_accept_token(str("gzip;q=x"), str("gzip"), 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_a_media_type), cmocka_unit_test(compares_the_essence),
        cmocka_unit_test(finds_parameters),    cmocka_unit_test(weighs_accept),
        cmocka_unit_test(weighs_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
