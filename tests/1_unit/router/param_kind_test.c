#include "router/param_kind.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct check {
    const char *value;
    bool accepted;
};

static void check_all(enum cl_param_kind kind, const struct check *checks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct cl_str value = cl_str(checks[i].value, strlen(checks[i].value));
        if (cl_param_kind_accepts(kind, value) != checks[i].accepted)
            fail_msg("kind %d: \"%s\"", kind, checks[i].value);
    }
}

#define CHECK(kind, ...)                                                                           \
    do {                                                                                           \
        static const struct check checks[] = {__VA_ARGS__};                                        \
        check_all(kind, checks, CL_ARRAY_LEN(checks));                                             \
    } while (0)

static void numbers(void **state) {
    (void)state;
    CHECK(CL_PARAM_INT, {"0", true}, {"-7", true}, {"007", true}, {"", false}, {"-", false},
          {"+1", false}, {"1.0", false}, {"1a", false}, {"--1", false}, {" 1", false},
          {"99999999999999999999999999", true});
    CHECK(CL_PARAM_FLOAT, {"0", true}, {"-7.25", true}, {"1.", false}, {".5", false},
          {"1.2.3", false}, {"-", false}, {"", false}, {"1e5", false}, {"nan", false},
          {"1.5x", false}, {"-.5", false});
}

static void words(void **state) {
    (void)state;
    CHECK(CL_PARAM_ALPHA, {"az", true}, {"AZ", true}, {"a1", false}, {"", false}, {"a-b", false},
          {"[", false}, {"`", false}, {"@", false}, {"{", false}, {"\xc3\xa9", false});
    CHECK(CL_PARAM_SLUG, {"a-b_C9", true}, {"-", true}, {"", false}, {"a.b", false}, {"a b", false},
          {"/", false}, {":", false}, {"a\x80", false});
    CHECK(CL_PARAM_TEXT, {"x", true}, {"a/b", true}, {"", false});
    CHECK(CL_PARAM_PATH, {"a/b", true}, {"/", true}, {"", false});
}

static void uuids(void **state) {
    (void)state;
    CHECK(CL_PARAM_UUID, {"01234567-89ab-cdef-0123-456789ABCDEF", true},
          {"01234567-89ab-cdef-0123-456789ABCDEG", false},
          {"0123456789ab-cdef-0123-456789ABCDEF-", false},
          {"01234567-89ab-cdef-0123-456789ABCDE", false},
          {"01234567-89ab-cdef-0123-456789ABCDEF0", false},
          {"-1234567-89ab-cdef-0123-456789ABCDEF", false},
          {"0123456789abcdef0123456789abcdef", false}, {"", false});
}

static void dates(void **state) {
    (void)state;
    CHECK(CL_PARAM_DATE, {"2024-02-29", true}, {"2023-02-29", false}, {"1900-02-29", false},
          {"2000-02-29", true}, {"2024-04-31", false}, {"2024-12-31", true}, {"2024-13-01", false},
          {"2024-00-10", false}, {"2024-01-00", false}, {"2024-01-32", false},
          {"0000-01-01", false}, {"0001-01-01", true}, {"9999-12-31", true}, {"2024-1-1", false},
          {"2024/01/01", false}, {"20240101", false}, {"2024-01-0x", false}, {"02024-01-01", false},
          {"-024-01-01", false}, {"", false});
}

static void kinds_by_word(void **state) {
    (void)state;
    assert_int_equal(cl_param_kind_from(CL_STR("int")), CL_PARAM_INT);
    assert_int_equal(cl_param_kind_from(CL_STR("path")), CL_PARAM_PATH);
    assert_int_equal(cl_param_kind_from(CL_STR("Int")), CL_PARAM_KIND_COUNT);
    assert_int_equal(cl_param_kind_from(CL_STR("str")), CL_PARAM_KIND_COUNT);
    assert_int_equal(cl_param_kind_from(CL_STR("regex")), CL_PARAM_KIND_COUNT);
    assert_int_equal(cl_param_kind_from(CL_STR("")), CL_PARAM_KIND_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers), cmocka_unit_test(words),         cmocka_unit_test(uuids),
        cmocka_unit_test(dates),   cmocka_unit_test(kinds_by_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
