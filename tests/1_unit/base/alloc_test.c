#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

static void the_nth_allocation_fails_once(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 5; n++) {
        cl_alloc_fail_nth(n);
        for (uint64_t i = 1; i < 8; i++) {
            void *p = i % 2 ? cl_malloc(10) : cl_calloc(2, 5);
            assert_int_equal(p == NULL, i == n);
            cl_free(p);
        }
    }
    cl_alloc_fail_nth(3);
    cl_alloc_fail_nth(0); /* never */
    for (int i = 0; i < 5; i++) {
        void *p = cl_malloc(1);
        assert_non_null(p);
        cl_free(p);
    }
}

static void realloc_fails_and_keeps(void **state) {
    (void)state;
    char *p = cl_malloc(4);
    memcpy(p, "abc", 4);
    cl_alloc_fail_nth(1);
    assert_null(cl_realloc(p, 4000));
    assert_string_equal(p, "abc");
    char *q = cl_realloc(p, 4000);
    assert_non_null(q);
    assert_string_equal(q, "abc");
    cl_free(q);
    cl_free(NULL);
}

static void allocations_are_counted(void **state) {
    (void)state;
    uint64_t before = cl_alloc_count();
    void *p = cl_malloc(1);
    p = cl_realloc(p, 2);
    cl_free(p);
    cl_free(cl_calloc(1, 1));
    cl_free(cl_strndup("x", 1));
    assert_int_equal(cl_alloc_count() - before, 4);
}

static void strndup_terminates(void **state) {
    (void)state;
    char *s = cl_strndup("hello", 3);
    assert_string_equal(s, "hel");
    cl_free(s);
    s = cl_strndup(NULL, 0);
    assert_string_equal(s, "");
    cl_free(s);
    cl_alloc_fail_nth(1);
    assert_null(cl_strndup("x", 1));
}

static void calloc_is_zeroed_and_checked(void **state) {
    (void)state;
    char *p = cl_calloc(100, 3);
    for (int i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    cl_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails_once), cmocka_unit_test(realloc_fails_and_keeps),
        cmocka_unit_test(allocations_are_counted),       cmocka_unit_test(strndup_terminates),
        cmocka_unit_test(calloc_is_zeroed_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
