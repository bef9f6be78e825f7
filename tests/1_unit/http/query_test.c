#include "http/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

#define MAX_PAIRS 4

static struct cl_str str(const char *text) {
    return cl_str(text, strlen(text));
}

static const struct {
    const char *raw;
    unsigned count;
    const char *pairs[MAX_PAIRS][2];
} cases[] = {
    {"", 0, {{NULL}}},
    {"&&", 0, {{NULL}}},
    {"a", 1, {{"a", ""}}},
    {"a=", 1, {{"a", ""}}},
    {"=", 1, {{"", ""}}},
    {"=b", 1, {{"", "b"}}},
    {"a=b", 1, {{"a", "b"}}},
    {"a=b=c", 1, {{"a", "b=c"}}},
    {"&a=1&&b=2&", 2, {{"a", "1"}, {"b", "2"}}},
    {"a=1;b=2", 1, {{"a", "1;b=2"}}},
    {"a=1&a=2&a=3", 3, {{"a", "1"}, {"a", "2"}, {"a", "3"}}},
    {"a+b=c+d&%61%3D%26=%25%2B", 2, {{"a b", "c d"}, {"a=&", "%+"}}},
    {"%C3%A4=\xc3\xb6", 1, {{"\xc3\xa4", "\xc3\xb6"}}},
};

static void parses_every_case(void **state) {
    (void)state;
    struct cl_arena arena;
    cl_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_pair *pairs;
        unsigned n;
        assert_int_equal(cl_query_parse(str(cases[i].raw), &arena, MAX_PAIRS, &pairs, &n),
                         CELLO_OK);
        assert_int_equal(n, cases[i].count);
        for (unsigned k = 0; k < n; k++) {
            assert_true(cl_str_eq(pairs[k].name, str(cases[i].pairs[k][0])));
            assert_true(cl_str_eq(pairs[k].value, str(cases[i].pairs[k][1])));
        }
        cl_arena_reset(&arena);
    }
    cl_arena_free(&arena);
}

static void finds_what_it_parses(void **state) {
    (void)state;
    struct cl_arena arena;
    cl_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        for (unsigned k = 0; k < cases[i].count; k++) {
            const char *name = cases[i].pairs[k][0], *last = NULL;
            for (unsigned j = 0; j < cases[i].count; j++)
                if (strcmp(cases[i].pairs[j][0], name) == 0)
                    last = cases[i].pairs[j][1];
            struct cl_str value;
            assert_int_equal(cl_query_find(str(cases[i].raw), str(name), &arena, &value), CELLO_OK);
            assert_true(cl_str_eq(value, str(last)));
        }
    }
    struct cl_str value;
    static const char *const raws[] = {"", "&", "ab=1", "%61b", "a%", "a%4", "A=1"};
    for (size_t i = 0; i < CL_ARRAY_LEN(raws); i++)
        assert_int_equal(cl_query_find(str(raws[i]), str("a"), &arena, &value), CELLO_ENOENT);
    assert_int_equal(cl_query_find(str("a=%zz&b"), str("b"), &arena, &value), CELLO_OK);
    assert_int_equal(cl_query_find(str("a=%zz&b"), str("a"), &arena, &value), CELLO_EPERCENT);
    cl_arena_free(&arena);
}

static void refuses_bad_input(void **state) {
    (void)state;
    struct cl_arena arena;
    struct cl_pair *pairs;
    unsigned n;
    cl_arena_init(&arena, 1 << 16);
    assert_int_equal(cl_query_parse(str("a=%"), &arena, 9, &pairs, &n), CELLO_EPERCENT);
    assert_int_equal(cl_query_parse(str("%4=a"), &arena, 9, &pairs, &n), CELLO_EPERCENT);
    assert_int_equal(cl_query_parse(str("a=%00"), &arena, 9, &pairs, &n), CELLO_EUTF8);
    assert_int_equal(cl_query_parse(cl_str("a=\0", 3), &arena, 9, &pairs, &n), CELLO_EUTF8);
    assert_int_equal(cl_query_parse(str("a=%FF"), &arena, 9, &pairs, &n), CELLO_EUTF8);
    assert_int_equal(cl_query_parse(str("a=\xff"), &arena, 9, &pairs, &n), CELLO_EUTF8);
    assert_int_equal(cl_query_parse(str("a&b&c"), &arena, 3, &pairs, &n), CELLO_OK);
    assert_int_equal(cl_query_parse(str("a&b&c&&d"), &arena, 3, &pairs, &n), CELLO_ELIMIT);
    cl_arena_free(&arena);
}

static void borrows_what_is_plain(void **state) {
    (void)state;
    struct cl_arena arena;
    struct cl_pair *pairs;
    unsigned n;
    struct cl_str raw = CL_STR("a=b&c=%41"), value;
    cl_arena_init(&arena, 1 << 16);
    assert_int_equal(cl_query_parse(raw, &arena, 9, &pairs, &n), CELLO_OK);
    assert_ptr_equal(pairs[0].name.ptr, raw.ptr);
    assert_ptr_equal(pairs[0].value.ptr, raw.ptr + 2);
    assert_true(pairs[1].value.ptr < raw.ptr || pairs[1].value.ptr >= raw.ptr + raw.len);
    uint64_t before = cl_alloc_count();
    assert_int_equal(cl_query_find(raw, CL_STR("a"), &arena, &value), CELLO_OK);
    assert_ptr_equal(value.ptr, raw.ptr + 2);
    assert_int_equal(cl_alloc_count(), before);
    cl_arena_free(&arena);
}

static void survives_failing_allocations(void **state) {
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct cl_arena arena;
        struct cl_pair *pairs;
        unsigned n;
        cl_arena_init(&arena, 1 << 16);
        cl_alloc_fail_nth(nth);
        int err = cl_query_parse(CL_STR("%41=%42&c=+"), &arena, 9, &pairs, &n);
        cl_alloc_fail_nth(0);
        cl_arena_free(&arena);
        if (err == CELLO_OK) {
            assert_true(nth > 1);
            break;
        }
        assert_int_equal(err, CELLO_ENOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_every_case),
        cmocka_unit_test(finds_what_it_parses),
        cmocka_unit_test(refuses_bad_input),
        cmocka_unit_test(borrows_what_is_plain),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
