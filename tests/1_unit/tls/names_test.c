/* Names that choose a certificate. */
#include "tls/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/context.h"

static struct cl_str str(const char *s) {
    return cl_str(s, strlen(s));
}

static int setup(void **state) {
    SSL_CTX **some = calloc(3, sizeof *some);
    for (int i = 0; i < 3; i++)
        if (!(some[i] = SSL_CTX_new(TLS_server_method())))
            return -1;
    *state = some;
    return 0;
}

static int teardown(void **state) {
    SSL_CTX **some = *state;
    for (int i = 0; i < 3; i++)
        SSL_CTX_free(some[i]);
    free(some);
    return 0;
}

static void test_order(void **state) {
    SSL_CTX **some = *state;
    struct cl_tls_names n = {0};
    static const char *const names[] = {"b.a", "*.a",   "a",   "*.b.a", "c.a", "b.a",
                                        "*.a", "x.y.z", "C.A", "zz",    "0",   "a-b.a"};
    for (size_t i = 0; i < CL_ARRAY_LEN(names); i++)
        assert_int_equal(cl_tls_names_add(&n, str(names[i]), some[i >= 5 ? 2 : i % 2]), CELLO_OK);
    cl_tls_names_sort(&n);
    assert_ptr_equal(cl_tls_names_find(&n, str("b.a")), some[0]); /* the first of two */
    assert_ptr_equal(cl_tls_names_find(&n, str("x.a")), some[1]);
    assert_ptr_equal(cl_tls_names_find(&n, str("a")), some[0]);
    assert_ptr_equal(cl_tls_names_find(&n, str("x.b.A")), some[1]);
    assert_ptr_equal(cl_tls_names_find(&n, str("c.a")), some[0]);
    assert_ptr_equal(cl_tls_names_find(&n, str("X.Y.Z")), some[2]);
    assert_ptr_equal(cl_tls_names_find(&n, str("a-b.a")), some[2]);
    static const char *const strangers[] = {"", ".", ".a", "b", "x.y.b.a", "z", "aa", "y.z", "00"};
    for (size_t i = 0; i < CL_ARRAY_LEN(strangers); i++)
        assert_null(cl_tls_names_find(&n, str(strangers[i])));
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    assert_null(cl_tls_names_find(&n, cl_str(long_name, sizeof long_name)));
    cl_tls_names_free(&n);
    assert_null(cl_tls_names_find(&n, str("a")));
}

static void test_valid(void **state) {
    (void)state;
    static const char *const good[] = {"a",     "a.b",     "*.a",
                                       "*.a.b", "A-1.b_c", "xn--bcher-kva.example"};
    static const char *const bad[] = {"",     ".",   "*",   "*.",  "a.",    ".a",  "a..b",
                                      "*a.b", "a.*", "a b", "a/b", "[::1]", "a:1", "b\xc3\xbc.a"};
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++)
        assert_true(cl_tls_name_valid(str(good[i])));
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_false(cl_tls_name_valid(str(bad[i])));
    char name[254];
    memset(name, 'a', sizeof name);
    assert_true(cl_tls_name_valid(cl_str(name, 253)));
    assert_false(cl_tls_name_valid(cl_str(name, 254)));
}

static void test_limit(void **state) {
    SSL_CTX **some = *state;
    struct cl_tls_names n = {0};
    char name[20];
    for (int i = 0; i < CL_TLS_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "n%d.a", i);
        assert_int_equal(cl_tls_names_add(&n, str(name), some[i % 3]), CELLO_OK);
    }
    assert_int_equal(cl_tls_names_add(&n, str("one.more"), some[0]), CELLO_ELIMIT);
    cl_tls_names_sort(&n);
    assert_ptr_equal(cl_tls_names_find(&n, str("n65534.a")), some[65534 % 3]);
    cl_tls_names_free(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests_name("tls names", tests, setup, teardown);
}
