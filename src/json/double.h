/* The shortest text that reads back as the same double.
 *
 * Among all shortest decimals the one closest to the value is chosen, so the digits are those of
 * Python's repr(). The layout is the one of the fast Python encoders: "1.0", "0.00001", "1e+16",
 * "1.5e-7": plain with a point from 1e-5 up to below 1e16, and an exponent outside.
 *
 * The method: scale the value by a power of ten, so that one unit in its last place becomes 1 to 10
 * units of the result; a 128-bit product tells the digits. If a multiple of ten lies within half an
 * ulp it is the answer (what is shorter still shows as trailing zeros), else the nearest integer
 * is. The product is short by less than two units of its last bit. Where that could matter, and for
 * powers of two, whose lower neighbour is nearer, the exact test of Schubfach decides
 * (R. Giulietti, "The Schubfach way to render doubles").
 *
 * Thread: any. No errors. */
#ifndef CL_JSON_DOUBLE_H
#define CL_JSON_DOUBLE_H

#include "json/integer.h"
#include "json/pow10.h"

/* Bytes a writer may touch, whatever the value. */
enum { CL_DOUBLE_MAX = 40 };

/* value = digits * 10**exponent, digits below 10**17 and possibly with zeros at their end. */
struct cl_decimal {
    uint64_t digits;
    int exponent;
};

/* The exact method, for any finite double above 0: significand * 2**exponent;
 * `is_power_of_two`: the lower neighbour is half as far as the upper one. */
struct cl_decimal cl_decimal_exact(uint64_t significand, int exponent, bool is_power_of_two);

/* |x - y| <= 2, where wrapping is welcome. */
CL_INLINE bool cl_within_two(uint64_t x, uint64_t y) {
    return x - y + 2 <= 4;
}

/* `bits`: a finite double above 0. */
CL_INLINE struct cl_decimal cl_decimal_shortest(uint64_t bits) {
    uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    int biased = (int)(bits >> 52);
    if (CL_UNLIKELY(biased == 0))
        return cl_decimal_exact(fraction, -1074, false);
    uint64_t significand = fraction | (uint64_t)1 << 52;
    int exponent = biased - 1075;
    if (CL_UNLIKELY(fraction == 0))
        return cl_decimal_exact(significand, exponent, biased > 1);

    int k = cl_floor_log10_pow2(exponent);
    struct cl_pow10 g = cl_pow10_table[-k - CL_POW10_MIN_EXP];
    int shift = exponent + cl_floor_log2_pow10(-k) + 1; /* 1 to 4 */
    uint64_t c = significand << shift;
    cl_u128 product = (cl_u128)c * g.hi + (uint64_t)(((cl_u128)c * g.lo) >> 64);
    uint64_t whole = (uint64_t)(product >> 64), part = (uint64_t)product;

    /* From here in units of 2**-60, modulo ten. */
    const uint64_t ten = (uint64_t)10 << 60;
    uint64_t last_digit = whole % 10;
    uint64_t rest = last_digit << 60 | part >> 4;
    uint64_t half_ulp = g.hi >> (5 - shift);
    uint64_t upper = rest + half_ulp;
    bool unsure = cl_within_two(rest, half_ulp) || cl_within_two(upper + 1, ten) ||
                  cl_within_two(part, (uint64_t)1 << 63);
    if (CL_UNLIKELY(unsure))
        return cl_decimal_exact(significand, exponent, false);
    uint64_t nearest = whole + (part >> 63);
    uint64_t tens = whole - last_digit + (upper >= ten ? 10 : 0);
    bool has_tens = rest < half_ulp || upper >= ten;
    return (struct cl_decimal){has_tens ? tens : nearest, k};
}

/* Eight digits of a value below 10**8, one a byte, the first in the lowest byte. Three halvings,
 * each a division by a constant as a multiplication, for all groups in one register. */
CL_INLINE uint64_t cl_eight_digits(uint32_t value) {
    uint64_t fours =
        value + ((uint64_t)0x100000000 - 10000) * (((uint64_t)value * 109951163) >> 40);
    uint64_t twos = fours + (0x10000 - 100) * (((fours * 5243) >> 19) & 0x7f0000007f);
    uint64_t ones = twos + (0x100 - 10) * (((twos * 103) >> 10) & 0xf000f000f000f);
    return __builtin_bswap64(ones);
}

/* How many zeros stand at the end of the 16 digits in (first, second), both from cl_eight_digits.
 */
CL_INLINE int cl_trailing_zeros_16(uint64_t first, uint64_t second) {
    if (second)
        return __builtin_clzll(second) >> 3;
    return first ? 8 + (__builtin_clzll(first) >> 3) : 16;
}

/* Lay out 17 digits (the first is not '0') of which `count` matter, the point after `point` of
 * them. Returns the end. */
CL_INLINE char *cl_layout_double(char *out, const char digits[32], int count, int point) {
    if (CL_LIKELY(point > 0 && point <= 16)) {
        memcpy(out, digits, 16);
        memcpy(out + point + 1, digits + point, 16);
        out[point] = '.';
        return out + (count > point ? count + 1 : point + 2);
    }
    if (point > -5 && point <= 0) {
        memcpy(out, "0.00000", 8);
        memcpy(out + 2 - point, digits, 17);
        return out + 2 - point + count;
    }
    out[0] = digits[0];
    out[1] = '.';
    memcpy(out + 2, digits + 1, 16);
    out += count > 1 ? count + 1 : 1;
    int exponent = point - 1;
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    unsigned magnitude = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (magnitude >= 100)
        *out++ = (char)('0' + magnitude / 100);
    if (magnitude >= 10)
        *out++ = (char)('0' + magnitude / 10 % 10);
    *out++ = (char)('0' + magnitude % 10);
    return out;
}

/* Wholes, halves and quarters: the commonest floats of all need no division. Two digits behind the
 * point make fifteen in all, and no two such decimals read back as the same double: the text is the
 * shortest one. Returns NULL for other values. `value` is above 0. */
CL_INLINE char *cl_put_quarters(char *out, double value) {
    static const char endings[4][4] = {".0", ".25", ".5", ".75"};
    if (!(value < 1e13))
        return NULL;
    double scaled = value * 4.0;
    int64_t quarters = (int64_t)scaled;
    if ((double)quarters != scaled)
        return NULL;
    out = cl_put_u64(out, (uint64_t)quarters >> 2);
    memcpy(out, endings[quarters & 3], 4);
    return out + 2 + (quarters & 1);
}

/* Most floats that people write have at most four digits behind the point and fifteen in all. Such
 * a decimal is the shortest one exactly if dividing its digits gives the value back: both the
 * digits and the divisor are exact, and IEEE division rounds correctly. Returns NULL for other
 * values. `value` is above 0. */
CL_INLINE char *cl_put_short_double(char *out, double value) {
    if (!(value < 1e11))
        return NULL;
    double scaled = value * 10000.0;
    int64_t digits = (int64_t)scaled;
    if ((double)digits != scaled || (double)digits / 10000.0 != value)
        return NULL;
    uint32_t fraction = (uint32_t)(digits % 10000);
    out = cl_put_u64(out, (uint64_t)(digits / 10000));
    uint32_t high = fraction / 100, low = fraction % 100;
    out[0] = '.';
    cl_put_pair(out + 1, high);
    cl_put_pair(out + 3, low);
    int kept = low ? (low % 10 ? 4 : 3) : (high % 10 ? 2 : 1);
    return out + 1 + kept;
}

/* `value` is finite; the caller has room for CL_DOUBLE_MAX bytes. Returns the end of the text. */
CL_INLINE char *cl_put_double(char *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    *out = '-';
    out += bits >> 63;
    bits &= ~((uint64_t)1 << 63);
    if (bits == 0) {
        memcpy(out, "0.0", 4);
        return out + 3;
    }
    memcpy(&value, &bits, sizeof bits);
    char *end = cl_put_quarters(out, value);
    if (!end)
        end = cl_put_short_double(out, value);
    if (end)
        return end;
    struct cl_decimal d = cl_decimal_shortest(bits);
    /* Exactly 17 digits; only subnormals take more than one step. */
    while (d.digits < 10000000000000000) {
        d.digits *= 10;
        d.exponent--;
    }
    uint64_t high = d.digits / 100000000;
    uint32_t lead = (uint32_t)(high / 100000000);
    uint64_t first = cl_eight_digits((uint32_t)(high % 100000000));
    uint64_t second = cl_eight_digits((uint32_t)(d.digits % 100000000));
    int count = 17 - cl_trailing_zeros_16(first, second);
    const uint64_t zeros = 0x3030303030303030;
    char digits[32];
    first |= zeros;
    second |= zeros;
    digits[0] = (char)('0' + lead);
    memcpy(digits + 1, &first, 8);
    memcpy(digits + 9, &second, 8);
    memcpy(digits + 17, &zeros, 8);
    memcpy(digits + 24, &zeros, 8);
    return cl_layout_double(out, digits, count, d.exponent + 17);
}

#endif
