/* Reading of JSON numbers: integers and doubles, both exact.
 *
 * Doubles are correctly rounded. Up to 19 digits go through one 128-bit product with a power of ten
 * (D. Lemire, "Number parsing at a gigabyte per second", after M. Eisel); what that cannot decide,
 * and longer numbers, go through exact big-integer comparison in number.c.
 *
 * Nothing at or behind `end` is read. Thread: any. */
#ifndef CL_JSON_NUMBER_H
#define CL_JSON_NUMBER_H

#include "json/pow10.h"

enum cl_json_number_kind {
    CL_JSON_NUMBER_BAD,    /* not a number; `end` is where it went wrong */
    CL_JSON_NUMBER_INT,    /* i64 */
    CL_JSON_NUMBER_BIGINT, /* an integer that does not fit in i64: the text tells */
    CL_JSON_NUMBER_DOUBLE, /* f64 */
    CL_JSON_NUMBER_RANGE,  /* a number beyond the largest double */
};

struct cl_json_number {
    enum cl_json_number_kind kind;
    union {
        int64_t i64;
        double f64;
    };
    const char *end; /* behind the last byte of the number */
};

/* The double nearest to the number in [p, end), which follows JSON's grammar. Infinite where the
 * number is beyond the largest double. */
double cl_json_double_exact(const char *p, const char *end);

/* significand * 10**exponent, correctly rounded, or false if the product leaves it open. */
CL_INLINE bool cl_double_from_decimal(uint64_t significand, int exponent, bool negative,
                                      double *result) {
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (CL_LIKELY(significand <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22)) {
        /* Both operands are exact, so IEEE division and multiplication round once. */
        double value = (double)significand;
        value = exponent < 0 ? value / exact[-exponent] : value * exact[exponent];
        *result = negative ? -value : value;
        return true;
    }
    uint64_t sign = (uint64_t)negative << 63, bits;
    if (significand == 0 || exponent < CL_POW10_MIN_EXP) {
        bits = sign;
        memcpy(result, &bits, sizeof bits);
        return true;
    }
    if (exponent > 308)
        return false;
    int shift = __builtin_clzll(significand);
    uint64_t w = significand << shift;
    struct cl_pow10 g = cl_pow10_table[exponent - CL_POW10_MIN_EXP];
    cl_u128 product = (cl_u128)w * g.hi;
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    if (CL_UNLIKELY((high & 0x1ff) == 0x1ff && low + w < low)) {
        /* The bits below could carry into those that round: take the table's lower half in. */
        cl_u128 more = (cl_u128)w * g.lo;
        uint64_t sum = low + (uint64_t)(more >> 64);
        high += sum < low;
        if ((high & 0x1ff) == 0x1ff && sum + 1 == 0 && (uint64_t)more + w < (uint64_t)more)
            return false;
        low = sum;
    }
    uint64_t top = high >> 63;
    uint64_t mantissa = high >> (9 + top);
    /* Half way between two doubles as far as this product sees: it takes the exact way. */
    if (low == 0 && (high & 0x1ff) == 0 && (mantissa & 3) == 1)
        return false;
    int biased = cl_floor_log2_pow10(exponent) + 63 - shift + (int)top + 1023;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> 53) {
        mantissa >>= 1;
        biased++;
    }
    if (biased < 1 || biased > 2046)
        return false;
    bits = sign | (uint64_t)biased << 52 | (mantissa & (((uint64_t)1 << 52) - 1));
    memcpy(result, &bits, sizeof bits);
    return true;
}

CL_INLINE bool cl_is_digit(char c) {
    return (unsigned char)(c - '0') < 10;
}

/* The value of eight digits, one a byte as 0 to 9, the first in the lowest byte. */
CL_INLINE uint32_t cl_value_of_8_digits(uint64_t digits) {
    digits = digits * 10 + (digits >> 8);
    uint64_t even = (digits & 0x000000ff000000ff) * (100 + ((uint64_t)1000000 << 32));
    uint64_t odd = ((digits >> 16) & 0x000000ff000000ff) * (1 + ((uint64_t)10000 << 32));
    return (uint32_t)((even + odd) >> 32);
}

/* Digits from `p` on go into *value, which wraps when there are too many. Returns their end. Eight
 * at a time, and the rest at once too: their number is hard to foresee, which a loop would pay for.
 */
CL_INLINE const char *cl_scan_digits(const char *p, const char *end, uint64_t *value) {
    static const uint32_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    uint64_t v = *value;
    while (CL_LIKELY(end - p >= 8)) {
        uint64_t digits;
        memcpy(&digits, p, 8);
        digits ^= 0x3030303030303030;
        uint64_t others =
            (((digits & 0x7f7f7f7f7f7f7f7f) + 0x7676767676767676) | digits) & 0x8080808080808080;
        if (others) {
            size_t n = (size_t)__builtin_ctzll(others) >> 3;
            if (n == 0)
                break;
            *value = v * power[n] + cl_value_of_8_digits(digits << (64 - 8 * n));
            return p + n;
        }
        v = v * 100000000 + cl_value_of_8_digits(digits);
        p += 8;
    }
    for (; p < end && cl_is_digit(*p); p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *value = v;
    return p;
}

/* A number that is an integer of more than 18 digits: `p` behind the sign, `end` behind the last.
 */
struct cl_json_number cl_json_long_integer(const char *p, const char *end, bool negative);

/* What is behind the integer digits, where the short way does not do: `start` is the number's
 * begin, `first` its first digit, `p` behind the integer digits. */
struct cl_json_number cl_json_fraction(const char *start, const char *first, const char *p,
                                       const char *end);

CL_INLINE struct cl_json_number cl_json_bad_number(const char *at) {
    return (struct cl_json_number){.kind = CL_JSON_NUMBER_BAD, .end = at};
}

/* A number with a point, no exponent and up to 19 digits is done here. `value` is that of the
 * integer digits. */
CL_INLINE struct cl_json_number cl_json_short_fraction(const char *start, const char *first,
                                                       const char *p, const char *end,
                                                       uint64_t value) {
    if (CL_LIKELY(*p == '.')) {
        const char *fraction_end = cl_scan_digits(p + 1, end, &value);
        int exponent = (int)(p + 1 - fraction_end);
        bool is_short = exponent < 0 && fraction_end - first <= 20;
        bool has_exponent = fraction_end < end && (*fraction_end | 0x20) == 'e';
        struct cl_json_number number = {.kind = CL_JSON_NUMBER_DOUBLE, .end = fraction_end};
        if (CL_LIKELY(is_short && !has_exponent) &&
            cl_double_from_decimal(value, exponent, *start == '-', &number.f64))
            return number;
    }
    return cl_json_fraction(start, first, p, end);
}

/* The number that starts at `p` < `end`. */
CL_INLINE struct cl_json_number cl_json_read_number(const char *p, const char *end) {
    const char *start = p;
    bool negative = *p == '-';
    p += negative;
    const char *first = p;
    if (CL_UNLIKELY(p == end || !cl_is_digit(*p)))
        return cl_json_bad_number(p);
    uint64_t value = (uint64_t)(*p++ - '0');
    if (p < end && cl_is_digit(*p)) {
        if (CL_UNLIKELY(value == 0)) /* 01 */
            return cl_json_bad_number(p);
        p = cl_scan_digits(p, end, &value);
    }
    if (p < end && (*p == '.' || (*p | 0x20) == 'e'))
        return cl_json_short_fraction(start, first, p, end, value);
    if (CL_UNLIKELY(p - first > 18))
        return cl_json_long_integer(first, p, negative);
    int64_t i64 = (int64_t)(negative ? 0 - value : value);
    return (struct cl_json_number){.kind = CL_JSON_NUMBER_INT, .i64 = i64, .end = p};
}

#endif
