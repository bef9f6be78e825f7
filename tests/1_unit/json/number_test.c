#include "json/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/random.h"
#include "json/double.h"
#include "json/integer.h"

/* Reads from a heap block of exactly the text's size, so that a sanitizer sees each byte too far.
 */
static struct cl_json_number read_text(const char *text) {
    size_t n = strlen(text);
    char *copy = malloc(n);
    memcpy(copy, text, n);
    struct cl_json_number number = cl_json_read_number(copy, copy + n);
    number.end = text + (number.end - copy);
    free(copy);
    return number;
}

static void same_double(double a, double b, const char *text) {
    if (memcmp(&a, &b, sizeof a) != 0)
        fail_msg("%s: %a is not %a", text, a, b);
}

static void reads_like_strtod(const char *text) {
    struct cl_json_number number = read_text(text);
    assert_int_equal(number.kind, CL_JSON_NUMBER_DOUBLE);
    assert_ptr_equal(number.end, text + strlen(text));
    same_double(number.f64, strtod(text, NULL), text);
    same_double(cl_json_double_exact(text, text + strlen(text)), strtod(text, NULL), text);
}

static void integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"7", 7},
                {"-12", -12},
                {"999999999999999999", 999999999999999999},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++) {
        struct cl_json_number number = read_text(good[i].text);
        assert_int_equal(number.kind, CL_JSON_NUMBER_INT);
        assert_int_equal(number.i64, good[i].value);
    }
    static const char *const big[] = {"9223372036854775808", "-9223372036854775809",
                                      "18446744073709551616", "123456789012345678901234567890"};
    for (size_t i = 0; i < CL_ARRAY_LEN(big); i++)
        assert_int_equal(read_text(big[i]).kind, CL_JSON_NUMBER_BIGINT);
}

static void malformed_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } bad[] = {{"-", 1},  {"01", 1},  {"-01", 2},   {"1.", 2},  {"1.e5", 2},
               {"1e", 2}, {"1e+", 3}, {"1.5e-", 5}, {"-.5", 1}, {"00", 1}};
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        struct cl_json_number number = read_text(bad[i].text);
        assert_int_equal(number.kind, CL_JSON_NUMBER_BAD);
        assert_int_equal(number.end - bad[i].text, bad[i].at);
    }
}

static void hard_doubles(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0.0",
        "-0.0",
        "1e0",
        "0e5",
        "0.1",
        "-1.5",
        "1e22",
        "1e23",
        "9007199254740993.0",
        "9007199254740992999.0e-3",
        "2.2250738585072012e-308",
        "2.2250738585072011e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "179769313486231570000e288",
        "1e-400",
        "0.00000000000000000000000000000000000000000001e44",
        "6.631236846766476e-316",
        "3.2378839133029012895883522612e-319",
        "100000000000000016777215.0",
        "100000000000000016777216.0",
        "9355950000000000000.00000000000000000000000000000000001844674407370955161600000184467440",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "8.54e-320",
        "123456789012345678901234567890e-10",
        "0.000000000000000000000000000000000e1",
        "12345678901234567890.0",
        "1e-342",
        "7e-343",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++)
        reads_like_strtod(texts[i]);
}

static void out_of_range(void **state) {
    (void)state;
    assert_int_equal(read_text("1e309").kind, CL_JSON_NUMBER_RANGE);
    assert_int_equal(read_text("-1.7976931348623159e308").kind, CL_JSON_NUMBER_RANGE);
    assert_int_equal(read_text("1e99999999999999999999").kind, CL_JSON_NUMBER_RANGE);
    reads_like_strtod("1e-99999999999999999999");
}

static double random_double(void) {
    for (;;) {
        uint64_t bits = next_random();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            return value;
    }
}

/* A point and `zeros` digits 0, a 1, and an exponent: 10**(exponent - zeros - 1). */
static void reads_far_from_the_point(size_t zeros, const char *exponent, double want) {
    size_t n = strlen(exponent);
    char *text = malloc(3 + zeros + n);
    memcpy(text, "0.", 2);
    memset(text + 2, '0', zeros);
    text[2 + zeros] = '1';
    memcpy(text + 3 + zeros, exponent, n);
    struct cl_json_number number = cl_json_read_number(text, text + 3 + zeros + n);
    assert_int_equal(number.kind, CL_JSON_NUMBER_DOUBLE);
    same_double(number.f64, want, exponent);
    same_double(cl_json_double_exact(text, text + 3 + zeros + n), want, exponent);
    free(text);
}

static void an_exponent_undoes_any_number_of_zeros(void **state) {
    (void)state;
    reads_far_from_the_point(2000000, "e2000001", 1);
    reads_far_from_the_point(2000000, "e1000100", 0);
    reads_far_from_the_point(1000100, "e1000101", 1);
    reads_far_from_the_point(1000100, "e1000000", 1e-101);
}

static void random_doubles_read_exactly(void **state) {
    (void)state;
    char text[64];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(text, sizeof text, "%.*e", (int)(next_random() % 30) + 1, random_double());
        reads_like_strtod(text);
        (void)snprintf(text, sizeof text, "%llu.%llue%d",
                       (unsigned long long)next_random() >> (next_random() & 63),
                       (unsigned long long)next_random() >> (next_random() & 63),
                       (int)(next_random() % 600) - 300);
        if (isfinite(strtod(text, NULL)))
            reads_like_strtod(text);
    }
}

/* A decimal of up to 800 digits that is a half way point, or just beside one. */
static void half_way_points_round_to_even(void **state) {
    (void)state;
    char text[1200];
    for (int i = 0; i < 300; i++) {
        long double half = (long double)fabs(random_double());
        uint64_t bits;
        double value = (double)half;
        memcpy(&bits, &value, sizeof bits);
        bits++;
        double next;
        memcpy(&next, &bits, sizeof next);
        if (!isfinite(next))
            continue;
        half = ((long double)value + (long double)next) / 2;
        int n = snprintf(text, sizeof text, "%.*Le", 780, half);
        reads_like_strtod(text);
        char *digit = memchr(text, 'e', (size_t)n);
        digit[-1] = '1';
        reads_like_strtod(text);
    }
}

static void prints(double value, const char *want) {
    char text[CL_DOUBLE_MAX + 1];
    *cl_put_double(text, value) = 0;
    assert_string_equal(text, want);
}

static void doubles_print_in_the_documented_form(void **state) {
    (void)state;
    prints(0.0, "0.0");
    prints(-0.0, "-0.0");
    prints(1.0, "1.0");
    prints(0.1, "0.1");
    prints(-2.5, "-2.5");
    prints(100.0, "100.0");
    prints(123456.789, "123456.789");
    prints(1e15, "1000000000000000.0");
    prints(1e16, "1e+16");
    prints(12345678901234567.0, "1.2345678901234568e+16");
    prints(0.00001, "0.00001");
    prints(0.0000123, "0.0000123");
    prints(0.000001, "1e-6");
    prints(1.5e-7, "1.5e-7");
    prints(1e22, "1e+22");
    prints(5e-324, "5e-324");
    prints(1.7976931348623157e308, "1.7976931348623157e+308");
    prints(9007199254740992.0, "9007199254740992.0");
}

/* The digits of a number's text, without point, exponent and zeros at either end. */
static void digits_of(const char *text, char digits[32]) {
    size_t n = 0;
    for (; *text && *text != 'e'; text++)
        if (cl_is_digit(*text) && (n || *text != '0'))
            digits[n++] = *text;
    while (n && digits[n - 1] == '0')
        n--;
    digits[n] = 0;
}

/* The text reads back as the value, and its digits are those that printf rounds to with the least
 * precision that reads back. Below a power of two the next double is nearer: there a decimal that
 * printf does not round to may read back too, so that ours may be shorter. */
static void is_shortest(double value) {
    char text[CL_DOUBLE_MAX + 1], want[64], got_digits[32], want_digits[32];
    *cl_put_double(text, value) = 0;
    same_double(strtod(text, NULL), value, text);
    int precision = 0;
    do {
        (void)snprintf(want, sizeof want, "%.*e", precision++, value);
    } while (strtod(want, NULL) != value);
    digits_of(text, got_digits);
    digits_of(want, want_digits);
    int exponent;
    bool is_power_of_two = frexp(value, &exponent) == 0.5;
    if (is_power_of_two && strlen(got_digits) < strlen(want_digits))
        return;
    if (strcmp(got_digits, want_digits) != 0)
        fail_msg("%s is not %s", text, want);
}

static void random_doubles_print_shortest(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        is_shortest(random_double());
        is_shortest((double)(next_random() >> (next_random() & 63)) / 1024);
        /* Ties between two shortest decimals, and decimals at the very end of what reads back. */
        is_shortest((double)((next_random() >> 12 | (uint64_t)1 << 52) | 1) / 4);
        is_shortest((double)(next_random() >> (4 + next_random() % 7)));
    }
    for (int exponent = -1074; exponent < 1024; exponent++)
        is_shortest(ldexp(1, exponent));
}

static void integers_print(void **state) {
    (void)state;
    char text[32], want[32];
    for (int i = 0; i < 200000; i++) {
        uint64_t value = next_random() >> (next_random() & 63);
        *cl_put_u64(text, value) = 0;
        (void)snprintf(want, sizeof want, "%llu", (unsigned long long)value);
        assert_string_equal(text, want);
        *cl_put_i64(text, (int64_t)value) = 0;
        (void)snprintf(want, sizeof want, "%lld", (long long)value);
        assert_string_equal(text, want);
    }
    for (uint64_t power = 1, i = 0; i < 20; i++, power *= 10)
        for (uint64_t value = power - 1; value <= power; value++) {
            *cl_put_u64(text, value) = 0;
            (void)snprintf(want, sizeof want, "%llu", (unsigned long long)value);
            assert_string_equal(text, want);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(malformed_numbers),
        cmocka_unit_test(hard_doubles),
        cmocka_unit_test(out_of_range),
        cmocka_unit_test(an_exponent_undoes_any_number_of_zeros),
        cmocka_unit_test(random_doubles_read_exactly),
        cmocka_unit_test(half_way_points_round_to_even),
        cmocka_unit_test(doubles_print_in_the_documented_form),
        cmocka_unit_test(random_doubles_print_shortest),
        cmocka_unit_test(integers_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
