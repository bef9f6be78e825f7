#include "http/disposition.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void writes_names(void **state) {
    (void)state;
    static const struct {
        const char *name, *want;
    } cases[] = {
        {"a b.pdf", "attachment; filename=\"a b.pdf\""},
        {"", "attachment; filename=\"\""},
        {"a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"},
        {"100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"},
        {"na\xc3\xafve \xe2\x82\xac.txt",
         "attachment; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"},
        {"\xf0\x9f\x8e\xbb", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%8E%BB"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        char out[256];
        size_t len;
        struct cl_str name = cl_str(cases[i].name, strlen(cases[i].name));
        assert_true(cl_disposition_bound(name) <= sizeof out);
        assert_int_equal(cl_disposition(name, false, out, &len), CELLO_OK);
        assert_true(len <= cl_disposition_bound(name));
        char shown[sizeof out];
        size_t shown_len;
        assert_int_equal(cl_disposition(name, true, shown, &shown_len), CELLO_OK);
        assert_int_equal(len - shown_len, strlen("attachment") - strlen("inline"));
        assert_memory_equal(shown, "inline;", 7);
        assert_memory_equal(shown + 6, out + 10, shown_len - 6);
        if (!cl_str_eq(cl_str(out, len), cl_str(cases[i].want, strlen(cases[i].want))))
            fail_msg("%.*s", (int)len, out);
    }
}

static void refuses_control_characters(void **state) {
    (void)state;
    static const struct cl_str bad[] = {
        CL_STR_INIT("a\r\nb"), CL_STR_INIT("a\nb"), CL_STR_INIT("a\0b"),    CL_STR_INIT("\x7f"),
        CL_STR_INIT("\t"),     CL_STR_INIT("\xff"), CL_STR_INIT("\xc0\x80")};
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        char out[256];
        size_t len;
        assert_int_equal(cl_disposition(bad[i], false, out, &len), CELLO_EINVAL);
    }
}

/* No name needs more than what was said. */
static void keeps_its_bound(void **state) {
    (void)state;
    char name[64], out[512];
    size_t len;
    memset(name, '%', sizeof name);
    assert_int_equal(cl_disposition(cl_str(name, sizeof name), false, out, &len), CELLO_OK);
    assert_true(len <= cl_disposition_bound(cl_str(name, sizeof name)));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_names),
                                       cmocka_unit_test(refuses_control_characters),
                                       cmocka_unit_test(keeps_its_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
