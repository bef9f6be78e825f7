#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"

static void memory_is_aligned_and_apart(void **state) {
    (void)state;
    struct cl_arena a;
    cl_arena_init(&a, 1 << 20);
    char *last = NULL;
    for (size_t size = 1; size < 200; size++) {
        char *p = cl_arena_alloc(&a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 8, 0);
        memset(p, (int)size, size);
        if (last && size > 1)
            assert_int_equal(last[0], (char)(size - 1));
        last = p;
    }
    cl_arena_free(&a);
}

static void an_unused_arena_takes_nothing(void **state) {
    (void)state;
    uint64_t before = cl_alloc_count();
    struct cl_arena a;
    cl_arena_init(&a, 1000);
    cl_arena_reset(&a);
    cl_arena_free(&a);
    assert_int_equal(cl_alloc_count(), before);
}

/* What is used the same way again needs no heap after a few rounds. */
static void reset_keeps_what_fits_next_time(void **state) {
    (void)state;
    for (size_t size = 100; size <= 4000; size += 300) {
        struct cl_arena a;
        cl_arena_init(&a, 1 << 20);
        for (int i = 0; i < 3; i++) {
            assert_non_null(cl_arena_alloc(&a, 40));
            assert_non_null(cl_arena_alloc(&a, size));
            cl_arena_reset(&a);
        }
        uint64_t before = cl_alloc_count();
        for (int i = 0; i < 100; i++) {
            assert_non_null(cl_arena_alloc(&a, 40));
            assert_non_null(cl_arena_alloc(&a, size));
            cl_arena_reset(&a);
        }
        assert_int_equal(cl_alloc_count(), before);
        cl_arena_free(&a);
    }
}

static void reset_keeps_no_large_chunk(void **state) {
    (void)state;
    struct cl_arena a;
    cl_arena_init(&a, 1 << 20);
    assert_non_null(cl_arena_alloc(&a, 100));
    for (int i = 0; i < 10; i++)
        assert_non_null(cl_arena_alloc(&a, 10000));
    cl_arena_reset(&a);
    assert_in_range(a.total, 1, 4096);
    cl_arena_free(&a);
    assert_non_null(cl_arena_alloc(&a, 10000));
    cl_arena_reset(&a);
    assert_int_equal(a.total, 0);
    assert_non_null(cl_arena_alloc(&a, 100));
    cl_arena_free(&a);
}

static void the_limit_holds(void **state) {
    (void)state;
    struct cl_arena a;
    cl_arena_init(&a, 10000);
    assert_null(cl_arena_alloc(&a, 10001));
    assert_non_null(cl_arena_alloc(&a, 4096));
    assert_non_null(cl_arena_alloc(&a, 5000));
    assert_null(cl_arena_alloc(&a, 5000));
    cl_arena_reset(&a);
    assert_non_null(cl_arena_alloc(&a, 5000)); /* it was given back */
    assert_null(cl_arena_alloc(&a, SIZE_MAX));
    assert_null(cl_arena_alloc(&a, SIZE_MAX - 3));
    cl_arena_free(&a);
}

static void dup_terminates(void **state) {
    (void)state;
    struct cl_arena a;
    cl_arena_init(&a, 8192);
    struct cl_str s = cl_arena_dup(&a, CL_STR("hello"));
    assert_int_equal(s.len, 5);
    assert_string_equal(s.ptr, "hello");
    s = cl_arena_dup(&a, cl_str(NULL, 0));
    assert_string_equal(s.ptr, "");
    static const char big[9000];
    s = cl_arena_dup(&a, cl_str(big, sizeof big));
    assert_null(s.ptr);
    cl_arena_free(&a);
}

static void out_of_memory_is_told(void **state) {
    (void)state;
    struct cl_arena a;
    cl_arena_init(&a, 1 << 20);
    cl_alloc_fail_nth(1);
    assert_null(cl_arena_alloc(&a, 8));
    assert_non_null(cl_arena_alloc(&a, 8));
    cl_alloc_fail_nth(1);
    assert_null(cl_arena_alloc(&a, 100000));
    assert_non_null(cl_arena_alloc(&a, 8));
    cl_arena_free(&a);
}

#if defined(CL_POISON)
static void freed_memory_is_poisoned(void **state) {
    (void)state;
    struct cl_arena a;
    cl_arena_init(&a, 1 << 20);
    char *p = cl_arena_alloc(&a, 16);
    assert_false(__asan_address_is_poisoned(p));
    assert_true(__asan_address_is_poisoned(p + 16)); /* not given out yet */
    cl_arena_reset(&a);
    assert_true(__asan_address_is_poisoned(p));
    cl_arena_free(&a);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(an_unused_arena_takes_nothing),
        cmocka_unit_test(reset_keeps_what_fits_next_time),
        cmocka_unit_test(reset_keeps_no_large_chunk),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(dup_terminates),
        cmocka_unit_test(out_of_memory_is_told),
#if defined(CL_POISON)
        cmocka_unit_test(freed_memory_is_poisoned),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
