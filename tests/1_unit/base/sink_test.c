#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/sink.h"

static void grows_and_keeps(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 1 << 20);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(cl_sink_write(&h.sink, "0123456789", 10), CELLO_OK);
    assert_int_equal(cl_sink_len(&h.sink), 100000);
    for (int i = 0; i < 10000; i++)
        assert_memory_equal(h.sink.base + i * 10, "0123456789", 10);
    cl_heap_sink_free(&h);
}

static void reserve_then_store(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 1000);
    assert_int_equal(cl_sink_reserve(&h.sink, 1000), CELLO_OK);
    for (int i = 0; i < 100; i++)
        cl_sink_put(&h.sink, "abcdefghij", 10);
    assert_int_equal(cl_sink_len(&h.sink), 1000);
    assert_int_equal(cl_sink_reserve(&h.sink, 0), CELLO_OK);
    assert_int_equal(cl_sink_write(&h.sink, NULL, 0), CELLO_OK);
    assert_int_equal(cl_sink_reserve(&h.sink, 1), CELLO_ELIMIT);
    cl_heap_sink_free(&h);
}

static void the_limit_changes_nothing(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 600);
    assert_int_equal(cl_sink_write(&h.sink, "abc", 3), CELLO_OK);
    assert_int_equal(cl_sink_reserve(&h.sink, 598), CELLO_ELIMIT);
    assert_int_equal(cl_sink_reserve(&h.sink, SIZE_MAX), CELLO_ELIMIT);
    assert_int_equal(cl_sink_len(&h.sink), 3);
    assert_memory_equal(h.sink.base, "abc", 3);
    assert_int_equal(cl_sink_reserve(&h.sink, 597), CELLO_OK);
    assert_int_equal(h.sink.end - h.sink.p, 597);
    cl_heap_sink_free(&h);
}

static void out_of_memory_changes_nothing(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 1 << 20);
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_sink_write(&h.sink, "abc", 3), CELLO_ENOMEM);
    assert_int_equal(cl_sink_write(&h.sink, "abc", 3), CELLO_OK);
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_sink_reserve(&h.sink, 100000), CELLO_ENOMEM);
    assert_int_equal(cl_sink_len(&h.sink), 3);
    assert_memory_equal(h.sink.base, "abc", 3);
    cl_heap_sink_free(&h);
    assert_int_equal(cl_sink_write(&h.sink, "abc", 3), CELLO_OK); /* usable again */
    cl_heap_sink_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps),
        cmocka_unit_test(reserve_then_store),
        cmocka_unit_test(the_limit_changes_nothing),
        cmocka_unit_test(out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
