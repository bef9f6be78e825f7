#include "router/static_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

static void an_empty_map_finds_nothing(void **state) {
    (void)state;
    struct cl_static_map map = {.slots = NULL};
    assert_int_equal(cl_static_map_find(&map, 0, CL_STR("")), 0);
    assert_int_equal(cl_static_map_find(&map, 0, CL_STR("a")), 0);
    cl_static_map_free(&map);
}

/* Keys of every length, from blocks of exactly that length, so that a read beyond is seen. */
static void keys_of_every_length(void **state) {
    (void)state;
    enum { LENGTHS = 70 };
    struct cl_static_map map = {.slots = NULL};
    for (uint32_t parent = 0; parent < 2; parent++) {
        for (uint32_t n = 0; n < LENGTHS; n++) {
            char *text = malloc(n);
            for (uint32_t i = 0; i < n; i++)
                text[i] = (char)('a' + i % 26);
            uint32_t child = parent * 1000 + n + 1;
            assert_int_equal(cl_static_map_add(&map, parent, cl_str(text, n), child), CELLO_OK);
            free(text);
        }
    }
    for (uint32_t parent = 0; parent < 3; parent++) {
        for (uint32_t n = 0; n < LENGTHS; n++) {
            char *text = malloc(n);
            for (uint32_t i = 0; i < n; i++)
                text[i] = (char)('a' + i % 26);
            uint32_t child = parent < 2 ? parent * 1000 + n + 1 : 0;
            assert_int_equal(cl_static_map_find(&map, parent, cl_str(text, n)), child);
            for (uint32_t i = 0; i < n; i++) {
                text[i] ^= 1;
                assert_int_equal(cl_static_map_find(&map, parent, cl_str(text, n)), 0);
                text[i] ^= 1;
            }
            free(text);
        }
    }
    cl_static_map_free(&map);
}

static void many_keys(void **state) {
    (void)state;
    enum { KEYS = 20000 };
    struct cl_static_map map = {.slots = NULL};
    char text[32];
    for (uint32_t i = 1; i <= KEYS; i++) {
        int n = snprintf(text, sizeof(text), "key%u", i);
        assert_int_equal(cl_static_map_add(&map, i % 7, cl_str(text, (size_t)n), i), CELLO_OK);
    }
    for (uint32_t i = 1; i <= KEYS; i++) {
        int n = snprintf(text, sizeof(text), "key%u", i);
        assert_int_equal(cl_static_map_find(&map, i % 7, cl_str(text, (size_t)n)), i);
        assert_int_equal(cl_static_map_find(&map, i % 7 + 1, cl_str(text, (size_t)n)), 0);
    }
    assert_true(map.mask + 1 >= 4 * map.count);
    cl_static_map_free(&map);
}

static void failures_leave_the_map_usable(void **state) {
    (void)state;
    struct cl_static_map map = {.slots = NULL};
    char text[32];
    uint32_t failures = 0;
    for (uint32_t i = 1; i <= 200; i++) {
        struct cl_str key = cl_str(text, (size_t)snprintf(text, sizeof(text), "key%u", i));
        cl_alloc_fail_nth(1);
        int err = cl_static_map_add(&map, 0, key, i);
        cl_alloc_fail_nth(0);
        if (err) {
            assert_int_equal(err, CELLO_ENOMEM);
            failures++;
            assert_int_equal(cl_static_map_find(&map, 0, key), 0);
            assert_int_equal(cl_static_map_add(&map, 0, key, i), CELLO_OK);
        }
        assert_int_equal(cl_static_map_find(&map, 0, key), i);
    }
    assert_true(failures > 4);
    cl_static_map_free(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(keys_of_every_length),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(failures_leave_the_map_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
