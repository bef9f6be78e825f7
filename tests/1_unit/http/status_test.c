#include "http/status.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void phrases_are_the_registered_ones(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *phrase;
    } cases[] = {
        {100, "Continue"},
        {103, "Early Hints"},
        {200, "OK"},
        {226, "IM Used"},
        {308, "Permanent Redirect"},
        {404, "Not Found"},
        {413, "Content Too Large"},
        {422, "Unprocessable Content"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {511, "Network Authentication Required"},
        {104, ""},
        {209, ""},
        {306, ""},
        {418, ""},
        {452, ""},
        {512, ""},
        {99, ""},
        {600, ""},
        {0, ""},
        {-404, ""},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_str phrase = cl_status_reason(cases[i].status);
        assert_int_equal(phrase.len, strlen(cases[i].phrase));
        assert_memory_equal(phrase.ptr, cases[i].phrase, phrase.len);
    }
}

static void every_error_has_a_status_and_texts(void **state) {
    (void)state;
    for (int err = 5; err > -100; err--) {
        int status = cl_error_status(err);
        assert_true(status >= 200 && status < 600);
        assert_true(cl_status_reason(status).len > 0);
        assert_true(strlen(cl_error_detail(err)) > 10);
        assert_non_null(cello_strerror(err));
    }
    assert_int_equal(cl_error_status(CELLO_EREQLINE), 400);
    assert_int_equal(cl_error_status(CELLO_EURI_TOO_LONG), 414);
    assert_int_equal(cl_error_status(CELLO_EHEAD_TOO_LARGE), 431);
    assert_int_equal(cl_error_status(CELLO_EBODY_TOO_LARGE), 413);
    assert_int_equal(cl_error_status(CELLO_EEXPECT), 417);
    assert_int_equal(cl_error_status(CELLO_ECODING), 501);
    assert_int_equal(cl_error_status(CELLO_EVERSION), 505);
    assert_int_equal(cl_error_status(CELLO_ETIMEOUT), 408);
    assert_int_equal(cl_error_status(CELLO_ENOMEM), 500);
    assert_string_equal(cello_strerror(CELLO_OK), "success");
    assert_string_equal(cello_strerror(1), "unknown error");
}

static void bodies(void **state) {
    (void)state;
    assert_true(cl_status_has_body(200) && cl_status_has_body(404));
    assert_false(cl_status_has_body(101) || cl_status_has_body(204) || cl_status_has_body(304));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phrases_are_the_registered_ones),
        cmocka_unit_test(every_error_has_a_status_and_texts),
        cmocka_unit_test(bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
