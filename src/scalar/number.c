/* Numbers and truth values. The arithmetic is that of the JSON kernels, the grammar is wider. */
#include "json/number.h"

#include <math.h>

#include "scalar/scalar_internal.h"

/* Up to 18 digits always fit in int64_t, up to 19 in uint64_t. */
enum { INT64_DIGITS = 18, UINT64_DIGITS = 19 };

static bool is_space(char c) {
    return c == ' ' || (unsigned char)(c - '\t') < 5;
}

static struct cl_str trim(struct cl_str s) {
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    while (s.len && is_space(*s.ptr)) {
        s.ptr++;
        s.len--;
    }
    return s;
}

/* Step over a sign; true for minus. */
static bool take_sign(struct cl_text_cursor *c) {
    bool is_negative = cl_text_is_at(c, '-');
    c->p += is_negative || cl_text_is_at(c, '+');
    return is_negative;
}

static const char *skip_digits(const char *p, const char *end) {
    while (p < end && cl_is_digit(*p))
        p++;
    return p;
}

static const char *skip_zeros(const char *p, const char *end) {
    while (p < end && *p == '0')
        p++;
    return p;
}

/* ---- integers ---- */

/* All the spellings that the short way does not know. */
static CL_NOINLINE int parse_int(struct cl_str text, struct cello_int *out) {
    struct cl_text_cursor c = cl_text_cursor(trim(text));
    bool is_negative = take_sign(&c);
    const char *first = c.p;
    const char *digits_end = skip_digits(first, c.end);
    if (digits_end == first)
        return CELLO_EINVAL;
    c.p = digits_end;
    if (cl_text_take(&c, '.')) {
        const char *fraction = c.p;
        c.p = skip_zeros(fraction, c.end);
        if (c.p == fraction)
            return CELLO_EINVAL;
    }
    if (c.p != c.end)
        return CELLO_EINVAL;
    first = skip_zeros(first, digits_end - 1);
    if (digits_end - first > CELLO_DIGITS_MAX)
        return CELLO_ELIMIT;
    struct cl_json_number number = cl_json_long_integer(first, digits_end, is_negative);
    bool is_big = number.kind == CL_JSON_NUMBER_BIGINT;
    *out = (struct cello_int){
        .value = is_big ? 0 : number.i64,
        .is_big = is_big,
        .is_negative = is_negative,
        .digits = cl_str(first, (size_t)(digits_end - first)),
    };
    return CELLO_OK;
}

int cello_int_parse(struct cl_str text, struct cello_int *out) {
    struct cl_text_cursor c = cl_text_cursor(text);
    bool is_negative = cl_text_take(&c, '-');
    size_t count = cl_text_left(&c);
    uint64_t value = 0;
    if (CL_UNLIKELY(count == 0 || count > INT64_DIGITS ||
                    cl_scan_digits(c.p, c.end, &value) != c.end))
        return parse_int(text, out);
    *out = (struct cello_int){.value = is_negative ? -(int64_t)value : (int64_t)value};
    return CELLO_OK;
}

/* ---- numbers with a fraction ---- */

struct decimal {
    bool is_negative;
    const char *first;    /* behind the sign */
    const char *end;      /* of the text */
    size_t digit_count;   /* on both sides of the point */
    uint64_t significand; /* all digits; it has wrapped if there are too many */
    int exponent;         /* of the significand, held at +-EXPONENT_HELD */
    int written_exponent; /* what stands behind the e, held likewise */
};

/* Far beyond any double and CELLO_DIGITS_MAX, and small enough to add to. */
enum { EXPONENT_HELD = 100000 };

static bool read_exponent(struct cl_text_cursor *c, int *out) {
    bool is_negative = take_sign(c);
    const char *first = c->p;
    int value = 0;
    for (; c->p < c->end && cl_is_digit(*c->p); c->p++)
        value = CL_MIN(value * 10 + (*c->p - '0'), EXPONENT_HELD);
    *out = is_negative ? -value : value;
    return c->p > first;
}

/* `text` is trimmed. */
static bool read_decimal(struct cl_str text, struct decimal *d) {
    struct cl_text_cursor c = cl_text_cursor(text);
    *d = (struct decimal){.is_negative = take_sign(&c), .first = c.p, .end = c.end};
    c.p = cl_scan_digits(c.p, c.end, &d->significand);
    d->digit_count = (size_t)(c.p - d->first);
    if (cl_text_take(&c, '.')) {
        const char *fraction = c.p;
        c.p = cl_scan_digits(c.p, c.end, &d->significand);
        size_t count = (size_t)(c.p - fraction);
        d->digit_count += count;
        d->exponent = -(int)CL_MIN(count, (size_t)EXPONENT_HELD);
    }
    if (d->digit_count == 0)
        return false;
    if (cl_text_take(&c, 'e') || cl_text_take(&c, 'E')) {
        if (!read_exponent(&c, &d->written_exponent))
            return false;
        d->exponent += d->written_exponent;
    }
    return c.p == c.end;
}

static bool is_not_finite(struct cl_str text) {
    static const struct cl_str words[] = {CL_STR_INIT("nan"), CL_STR_INIT("snan"),
                                          CL_STR_INIT("inf"), CL_STR_INIT("infinity")};
    struct cl_text_cursor c = cl_text_cursor(text);
    (void)take_sign(&c);
    for (size_t i = 0; i < CL_ARRAY_LEN(words); i++)
        if (cl_str_ieq(words[i], cl_str(c.p, cl_text_left(&c))))
            return true;
    return false;
}

static int no_decimal(struct cl_str text) {
    return is_not_finite(text) ? CELLO_ENOTSUP : CELLO_EINVAL;
}

int cello_float_parse(struct cl_str text, double *out) {
    text = trim(text);
    struct decimal d;
    if (!read_decimal(text, &d))
        return no_decimal(text);
    double value;
    if (d.digit_count > UINT64_DIGITS ||
        !cl_double_from_decimal(d.significand, d.exponent, d.is_negative, &value)) {
        value = cl_json_double_exact(d.first, d.end);
        if (isinf(value))
            return CELLO_ELIMIT;
        value = d.is_negative ? -value : value;
    }
    *out = value;
    return CELLO_OK;
}

int cello_decimal_parse(struct cl_str text, struct cl_str *number) {
    text = trim(text);
    struct decimal d;
    if (!read_decimal(text, &d))
        return no_decimal(text);
    if (d.digit_count > CELLO_DIGITS_MAX || d.written_exponent > CELLO_DIGITS_MAX ||
        d.written_exponent < -CELLO_DIGITS_MAX)
        return CELLO_ELIMIT;
    *number = text;
    return CELLO_OK;
}

/* ---- truth values ---- */

int cello_bool_parse(struct cl_str text, bool *out) {
    static const struct {
        struct cl_str word;
        bool value;
    } words[] = {
        {CL_STR_INIT("true"), true}, {CL_STR_INIT("false"), false}, {CL_STR_INIT("1"), true},
        {CL_STR_INIT("0"), false},   {CL_STR_INIT("on"), true},     {CL_STR_INIT("off"), false},
        {CL_STR_INIT("yes"), true},  {CL_STR_INIT("no"), false},    {CL_STR_INIT("t"), true},
        {CL_STR_INIT("f"), false},   {CL_STR_INIT("y"), true},      {CL_STR_INIT("n"), false},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(words); i++) {
        if (cl_str_ieq(words[i].word, text)) {
            *out = words[i].value;
            return CELLO_OK;
        }
    }
    return CELLO_EINVAL;
}
