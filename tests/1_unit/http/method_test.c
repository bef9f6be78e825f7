#include "http/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void names_and_methods_agree(void **state) {
    (void)state;
    for (int m = 0; m < CL_METHOD_COUNT; m++) {
        struct cl_str name = cl_method_name((enum cl_method)m);
        assert_true(name.len > 0);
        assert_int_equal(cl_method_from(name), m);
    }
    assert_int_equal(cl_method_name(CL_METHOD_OTHER).len, 0);
    assert_int_equal(cl_method_name((enum cl_method) - 1).len, 0);
}

static void others_are_other(void **state) {
    (void)state;
    static const char *const others[] = {
        "",    "G",     "GE",  "get", "GETT",   "Put",  "PO",        "P",     "PATCHY",
        "PRI", "HEADS", "DEL", "XYZ", "OPTION", "TRAC", "CONNECTED", "PURGE", "PROPFIND"};
    for (size_t i = 0; i < CL_ARRAY_LEN(others); i++) {
        size_t n = strlen(others[i]);
        char *exact = malloc(n ? n : 1); /* so that a read past the end is seen */
        assert_non_null(exact);
        memcpy(exact, others[i], n);
        assert_int_equal(cl_method_from(cl_str(exact, n)), CL_METHOD_OTHER);
        free(exact);
    }
}

static void safe_methods(void **state) {
    (void)state;
    assert_true(cl_method_is_safe(CL_METHOD_GET) && cl_method_is_safe(CL_METHOD_OPTIONS));
    assert_false(cl_method_is_safe(CL_METHOD_POST) || cl_method_is_safe(CL_METHOD_OTHER));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_methods_agree),
        cmocka_unit_test(others_are_other),
        cmocka_unit_test(safe_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
