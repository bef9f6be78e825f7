#include "json/number.h"

#include <math.h>

/* Significant digits the exact way looks at. Half way points between doubles have at most 767, so
 * all digits behind these only matter by whether one of them is not zero. */
enum { MAX_DIGITS = 770 };

/* ---- big integers: enough of them to compare two products ----
 * The largest: 2**53 times 5**(342 + 770) (2,636 bits), or 770 digits times 10**308 (3,582 bits),
 * plus a shift of at most 1,140 bits. */
enum { BIG_WORDS = 80 };

struct big {
    size_t len;
    uint64_t word[BIG_WORDS];
};

static void big_multiply_add(struct big *b, uint64_t factor, uint64_t add) {
    uint64_t carry = add;
    for (size_t i = 0; i < b->len; i++) {
        cl_u128 product = (cl_u128)b->word[i] * factor + carry;
        b->word[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    if (carry) {
        assert(b->len < BIG_WORDS);
        b->word[b->len++] = carry;
    }
}

static void big_multiply_pow5(struct big *b, unsigned exponent) {
    const uint64_t five_27 = 7450580596923828125;
    for (; exponent >= 27; exponent -= 27)
        big_multiply_add(b, five_27, 0);
    uint64_t rest = 1;
    while (exponent--)
        rest *= 5;
    big_multiply_add(b, rest, 0);
}

static void big_shift_left(struct big *b, unsigned bits) {
    size_t words = bits / 64;
    if (bits % 64)
        big_multiply_add(b, (uint64_t)1 << bits % 64, 0);
    assert(b->len + words <= BIG_WORDS);
    memmove(b->word + words, b->word, b->len * sizeof b->word[0]);
    memset(b->word, 0, words * sizeof b->word[0]);
    b->len += words;
}

static int big_compare(const struct big *a, const struct big *b) {
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (size_t i = a->len; i-- > 0;)
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i] ? -1 : 1;
    return 0;
}

/* ---- the exact way ---- */

/* digits * 10**exponent (+ a bit more if `sticky`); `lead` is the value of the first up to 19
 * digits and `lead_exponent` its power of ten. */
struct exact_decimal {
    struct big digits;
    int64_t exponent;
    bool sticky;
    uint64_t lead;
    int64_t lead_exponent;
};

/* Exponents are exact up to here: as many digits behind a point would take a petabyte. */
#define EXPONENT_HELD ((int64_t)1000000000000000)

/* An exponent's value, held where no number of digits can outweigh it. */
static int64_t read_exponent(const char *p, const char *end) {
    bool negative = *p == '-';
    p += negative || *p == '+';
    int64_t value = 0;
    for (; p < end; p++)
        if (value < EXPONENT_HELD)
            value = value * 10 + (*p - '0');
    return negative ? -value : value;
}

static void read_exact(const char *p, const char *end, struct exact_decimal *d) {
    *d = (struct exact_decimal){.exponent = 0};
    int count = 0, lead_count = 0;
    bool point = false;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        unsigned digit = (unsigned)(*p - '0');
        bool is_leading_zero = count == 0 && digit == 0;
        if (!is_leading_zero && count < MAX_DIGITS) {
            big_multiply_add(&d->digits, 10, digit);
            count++;
            d->exponent -= point;
            if (lead_count < 19) {
                d->lead = d->lead * 10 + digit;
                lead_count++;
            }
            continue;
        }
        d->sticky |= digit != 0;
        d->exponent += is_leading_zero ? -(int64_t)point : !point;
    }
    if (p < end)
        d->exponent += read_exponent(p + 1, end);
    d->lead_exponent = d->exponent + count - lead_count;
}

/* Compare the decimal with (2 * significand + 1) * 2**(exponent - 1), the point half way between
 * the double significand * 2**exponent and the next one. */
static int compare_half_way(const struct exact_decimal *d, uint64_t significand, int exponent) {
    struct big left = d->digits;
    struct big right = {.len = 1, .word = {2 * significand + 1}};
    int left_shift = (int)d->exponent, right_shift = exponent - 1;
    if (left_shift >= 0) {
        big_multiply_pow5(&left, (unsigned)left_shift);
    } else {
        big_multiply_pow5(&right, (unsigned)-left_shift);
    }
    int common = CL_MIN(left_shift, right_shift);
    big_shift_left(&left, (unsigned)(left_shift - common));
    big_shift_left(&right, (unsigned)(right_shift - common));
    int order = big_compare(&left, &right);
    return order ? order : d->sticky;
}

/* A double at most a few steps from the decimal: 64 bits of both factors are enough for that. */
static uint64_t nearby_bits(const struct exact_decimal *d) {
    int shift = __builtin_clzll(d->lead), ten = (int)d->lead_exponent;
    struct cl_pow10 g = cl_pow10_table[ten - CL_POW10_MIN_EXP];
    uint64_t high = (uint64_t)(((cl_u128)(d->lead << shift) * g.hi) >> 64);
    int exponent = cl_floor_log2_pow10(ten) + 1 - shift; /* of high's lowest bit */
    double value = ldexp((double)(high >> 11), exponent + 11);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

double cl_json_double_exact(const char *p, const char *end) {
    double sign = *p == '-' ? -1 : 1;
    p += *p == '-';
    struct exact_decimal d;
    read_exact(p, end, &d);
    if (d.lead == 0 || d.lead_exponent < CL_POW10_MIN_EXP)
        return 0 * sign;
    if (d.lead_exponent > 308)
        return HUGE_VAL * sign;
    /* Doubles of one sign are ordered like their bits, so the neighbours are bits - 1 and bits + 1;
     * walk until the decimal lies between the half way points around `bits`. */
    const uint64_t infinity = (uint64_t)0x7ff << 52;
    uint64_t bits = CL_MIN(nearby_bits(&d), infinity - 1);
    for (bool down = false;;) {
        uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
        int biased = (int)(bits >> 52);
        uint64_t significand = biased ? fraction | (uint64_t)1 << 52 : fraction;
        int order = compare_half_way(&d, significand, (biased ? biased : 1) - 1075);
        if (order > 0 || (order == 0 && (significand & 1))) {
            bits++;
            if (down || bits == infinity)
                break;
        } else {
            if (bits == 0)
                break;
            bits--;
            down = true;
        }
    }
    double value;
    memcpy(&value, &bits, sizeof value);
    return value * sign;
}

/* ---- the parts of cl_json_read_number that are not inline ---- */

struct cl_json_number cl_json_long_integer(const char *p, const char *end, bool negative) {
    struct cl_json_number number = {.kind = CL_JSON_NUMBER_BIGINT, .end = end};
    if (end - p > 19)
        return number;
    uint64_t value = 0;
    (void)cl_scan_digits(p, end, &value);
    const uint64_t most_negative = (uint64_t)1 << 63;
    if (value < most_negative || (negative && value == most_negative)) {
        number.kind = CL_JSON_NUMBER_INT;
        number.i64 = (int64_t)(negative ? 0 - value : value);
    }
    return number;
}

/* How many of the digits in [first, end), which may have a point in them, are significant. */
static ptrdiff_t significant_digits(const char *first, const char *end) {
    bool has_point = false;
    const char *p = first;
    for (; p < end && (*p == '0' || *p == '.'); p++)
        has_point |= *p == '.';
    ptrdiff_t count = end - p;
    if (!has_point)
        count -= memchr(p, '.', (size_t)(end - p)) != NULL;
    return count;
}

struct cl_json_number cl_json_fraction(const char *start, const char *first, const char *p,
                                       const char *end) {
    uint64_t significand = 0;
    (void)cl_scan_digits(first, p, &significand);
    int64_t exponent = 0;
    if (*p == '.') {
        const char *fraction = ++p;
        p = cl_scan_digits(p, end, &significand);
        if (p == fraction)
            return cl_json_bad_number(p);
        exponent = fraction - p;
    }
    const char *digits_end = p;
    if (p < end && (*p | 0x20) == 'e') {
        const char *text = ++p;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *exponent_digits = p;
        while (p < end && cl_is_digit(*p))
            p++;
        if (p == exponent_digits)
            return cl_json_bad_number(p);
        exponent += read_exponent(text, p);
    }
    struct cl_json_number number = {.kind = CL_JSON_NUMBER_DOUBLE, .end = p};
    /* 19 digits always fit in 64 bits. */
    bool fits = digits_end - first <= 19 || significant_digits(first, digits_end) <= 19;
    int ten = (int)CL_MIN(CL_MAX(exponent, -10000), 10000); /* far beyond any double */
    if (!fits || !cl_double_from_decimal(significand, ten, *start == '-', &number.f64)) {
        number.f64 = cl_json_double_exact(start, p);
        if (isinf(number.f64))
            number.kind = CL_JSON_NUMBER_RANGE;
    }
    return number;
}
