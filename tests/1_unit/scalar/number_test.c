/* The numbers and truth values of <cello/scalar.h>. */
#include <cello/scalar.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/common.h"

/* In a heap block of exactly the text's size, so that a sanitizer sees each byte too far. */
static struct cl_str copied(const char *text) {
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    return cl_str(copy, n);
}

static void drop(struct cl_str s) {
    free((void *)(uintptr_t)s.ptr);
}

static int read_int(const char *text, int64_t *value) {
    struct cl_str s = copied(text);
    struct cello_int out = {.value = 0};
    int err = cello_int_parse(s, &out);
    if (!err && out.is_big)
        fail_msg("%s is big", text);
    *value = out.value;
    drop(s);
    return err;
}

static void integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"-0", 0},
        {"7", 7},
        {"-12", -12},
        {"+12", 12},
        {"007", 7},
        {" 5", 5},
        {"\t5\r\n", 5},
        {"1.0", 1},
        {"-10.000", -10},
        {"999999999999999999", 999999999999999999},
        {"-999999999999999999", -999999999999999999},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"00000000000000000000000009223372036854775807", INT64_MAX},
        {"+9223372036854775807.0", INT64_MAX},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++) {
        int64_t value;
        if (read_int(good[i].text, &value) != CELLO_OK || value != good[i].value)
            fail_msg("%s", good[i].text);
    }
    static const char *const bad[] = {
        "",    "-",   "+",   "x",    "1x",  "1.5", "1.", ".0",   "--1",
        "+-1", "1 2", "1_0", "0x10", "1e3", "- 1", " ",  "1.0x", "\xd9\xa1",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        int64_t value;
        if (read_int(bad[i], &value) != CELLO_EINVAL)
            fail_msg("%s", bad[i]);
    }
    struct cello_int out;
    assert_int_equal(cello_int_parse(cl_str(NULL, 0), &out), CELLO_EINVAL);
}

static void integers_beyond_64_bits(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *digits;
        bool is_negative;
    } big[] = {
        {"9223372036854775808", "9223372036854775808", false},
        {"-9223372036854775809", "9223372036854775809", true},
        {" -00123456789012345678901234567890.00 ", "123456789012345678901234567890", true},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(big); i++) {
        struct cello_int out;
        assert_int_equal(cello_int_parse(CL_STR(""), &out), CELLO_EINVAL);
        struct cl_str text = cl_str(big[i].text, strlen(big[i].text));
        assert_int_equal(cello_int_parse(text, &out), CELLO_OK);
        assert_true(out.is_big);
        assert_int_equal(out.is_negative, big[i].is_negative);
        assert_true(cl_str_eq(out.digits, cl_str(big[i].digits, strlen(big[i].digits))));
    }
}

static void too_many_digits(void **state) {
    (void)state;
    static char text[CELLO_DIGITS_MAX + 4];
    memset(text, '0', 2);
    memset(text + 2, '9', CELLO_DIGITS_MAX + 1);
    struct cello_int out;
    assert_int_equal(cello_int_parse(cl_str(text, CELLO_DIGITS_MAX + 2), &out), CELLO_OK);
    assert_int_equal(out.digits.len, CELLO_DIGITS_MAX);
    assert_int_equal(cello_int_parse(cl_str(text, CELLO_DIGITS_MAX + 3), &out), CELLO_ELIMIT);
    text[CELLO_DIGITS_MAX + 2] = 'x';
    assert_int_equal(cello_int_parse(cl_str(text, CELLO_DIGITS_MAX + 3), &out), CELLO_EINVAL);

    struct cl_str number;
    memset(text, '9', sizeof text);
    assert_int_equal(cello_decimal_parse(cl_str(text, CELLO_DIGITS_MAX), &number), CELLO_OK);
    assert_int_equal(cello_decimal_parse(cl_str(text, CELLO_DIGITS_MAX + 1), &number),
                     CELLO_ELIMIT);
}

/* What both parsers of decimals take, and strtod too. */
static const char *const DECIMALS[] = {
    "0",
    "-0",
    "+1",
    "1.",
    ".5",
    "-.5e1",
    "007.5",
    "1e5",
    "1E-5",
    "1e+05",
    "0.1",
    "123456789012345678901234567890",
    "0.000000000000000000000000000001",
    "9007199254740993",
    "9007199254740992.99999999999999999999999999",
    "1.7976931348623157e308",
    "2.2250738585072011e-308",
    "4.9e-324",
    "1e-400",
    "0e999",
    "0e4300",
};

static void floats(void **state) {
    (void)state;
    for (size_t i = 0; i < CL_ARRAY_LEN(DECIMALS); i++) {
        struct cl_str s = copied(DECIMALS[i]);
        double value = 1, want = strtod(DECIMALS[i], NULL);
        assert_int_equal(cello_float_parse(s, &value), CELLO_OK);
        drop(s);
        if (memcmp(&value, &want, sizeof want) != 0)
            fail_msg("%s: %a is not %a", DECIMALS[i], value, want);
    }
    double value;
    assert_int_equal(cello_float_parse(CL_STR(" 1.5\n"), &value), CELLO_OK);
    assert_true(value > 1.4 && value < 1.6);
}

static const char *const NO_DECIMALS[] = {"",    ".",    "-",   "e5",  "1e",     "1e+",  "1.5.5",
                                          "0x1", "1_0",  "1,5", "- 1", "1 e5",   "nano", "in",
                                          "1ee", "1e5.", "++1", " ",   "infinit"};
static const char *const NOT_FINITE[] = {"nan", "NaN", "-nan", "inf", "+Inf", "-INFINITY"};

static void no_floats(void **state) {
    (void)state;
    double value;
    struct cl_str number;
    for (size_t i = 0; i < CL_ARRAY_LEN(NO_DECIMALS); i++) {
        struct cl_str s = copied(NO_DECIMALS[i]);
        assert_int_equal(cello_float_parse(s, &value), CELLO_EINVAL);
        assert_int_equal(cello_decimal_parse(s, &number), CELLO_EINVAL);
        drop(s);
    }
    for (size_t i = 0; i < CL_ARRAY_LEN(NOT_FINITE); i++) {
        struct cl_str s = copied(NOT_FINITE[i]);
        assert_int_equal(cello_float_parse(s, &value), CELLO_ENOTSUP);
        assert_int_equal(cello_decimal_parse(s, &number), CELLO_ENOTSUP);
        drop(s);
    }
    assert_int_equal(cello_float_parse(CL_STR("1e309"), &value), CELLO_ELIMIT);
    assert_int_equal(cello_float_parse(CL_STR("-1e99999999999999999999"), &value), CELLO_ELIMIT);
    assert_int_equal(cello_float_parse(CL_STR("123456789012345678901e300"), &value), CELLO_ELIMIT);
}

static void decimals(void **state) {
    (void)state;
    for (size_t i = 0; i < CL_ARRAY_LEN(DECIMALS); i++) {
        struct cl_str text = cl_str(DECIMALS[i], strlen(DECIMALS[i])), number;
        assert_int_equal(cello_decimal_parse(text, &number), CELLO_OK);
        assert_true(cl_str_eq(number, text));
    }
    struct cl_str number;
    assert_int_equal(cello_decimal_parse(CL_STR("  1.50 "), &number), CELLO_OK);
    assert_true(cl_str_eq(number, CL_STR("1.50")));
    assert_int_equal(cello_decimal_parse(CL_STR("1e4301"), &number), CELLO_ELIMIT);
    assert_int_equal(cello_decimal_parse(CL_STR("1e-4301"), &number), CELLO_ELIMIT);
}

static void truth_values(void **state) {
    (void)state;
    static const char *const yes[] = {"true", "TRUE", "t", "yes", "Yes", "y", "on", "1"};
    static const char *const no[] = {"false", "False", "f", "no", "NO", "n", "off", "0"};
    static const char *const bad[] = {"", "2", "truee", " true", "00", "oui", "o"};
    bool value;
    for (size_t i = 0; i < CL_ARRAY_LEN(yes); i++) {
        value = false;
        assert_int_equal(cello_bool_parse(cl_str(yes[i], strlen(yes[i])), &value), CELLO_OK);
        assert_true(value);
        value = true;
        assert_int_equal(cello_bool_parse(cl_str(no[i], strlen(no[i])), &value), CELLO_OK);
        assert_false(value);
    }
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_int_equal(cello_bool_parse(cl_str(bad[i], strlen(bad[i])), &value), CELLO_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),        cmocka_unit_test(integers_beyond_64_bits),
        cmocka_unit_test(too_many_digits), cmocka_unit_test(floats),
        cmocka_unit_test(no_floats),       cmocka_unit_test(decimals),
        cmocka_unit_test(truth_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
