/* Lengths of time, ISO 8601. */
#include "scalar/scalar_internal.h"

#define DAY_S ((int64_t)86400)
/* timedelta.max, rounded up to whole days. */
#define LIMIT_S ((int64_t)1000000000 * DAY_S)

enum { MICROSECONDS = 1000000 };

static const char TOO_LARGE[] = "durations may not exceed 999,999,999 days";
static const char BAD_DIGIT[] = "invalid digit in duration";

struct part {
    int64_t whole;
    int64_t nanos; /* the fraction, in 10**-9 of the unit */
    bool has_fraction;
};

static bool is_digit(const struct cl_text_cursor *c) {
    return c->p < c->end && (unsigned char)(*c->p - '0') < 10;
}

static int read_part(struct cl_text_cursor *c, struct part *out, const char **why) {
    struct part part = {.whole = 0};
    if (!is_digit(c))
        return cl_text_refuse(why, BAD_DIGIT);
    for (; is_digit(c); c->p++) {
        part.whole = part.whole * 10 + (*c->p - '0');
        if (part.whole > LIMIT_S)
            return cl_text_refuse(why, TOO_LARGE);
    }
    if (cl_text_take(c, '.') || cl_text_take(c, ',')) {
        if (!is_digit(c))
            return cl_text_refuse(why, BAD_DIGIT);
        part.has_fraction = true;
        int64_t place = 100000000; /* of the first digit */
        for (; is_digit(c); c->p++, place /= 10)
            part.nanos += (*c->p - '0') * place;
    }
    *out = part;
    return CELLO_OK;
}

/* The parts in their order; those behind `T` from TIME_UNITS on. */
static const struct {
    char letter;
    int64_t seconds;
} UNITS[] = {{'W', 7 * DAY_S}, {'D', DAY_S}, {'H', 3600}, {'M', 60}, {'S', 1}};
enum { TIME_UNITS = 2 };

/* Find the letter at the cursor among those that may still come. */
static int take_unit(struct cl_text_cursor *c, unsigned *next, bool in_time, const char **why) {
    unsigned last = in_time ? CL_ARRAY_LEN(UNITS) : TIME_UNITS;
    for (unsigned i = *next; i < last; i++) {
        if (cl_text_take(c, UNITS[i].letter)) {
            *next = i + 1;
            return (int)i;
        }
    }
    bool is_month = !in_time && cl_text_is_at(c, 'M');
    return cl_text_refuse(why, is_month || cl_text_is_at(c, 'Y')
                                   ? "years and months have no definite length"
                                   : "invalid or misplaced unit in duration");
}

/* All that follows the P, summed up. */
static int read_parts(struct cl_text_cursor *c, int64_t *seconds, int64_t *microseconds,
                      const char **why) {
    unsigned next = 0;
    bool in_time = false, has_fraction = false;
    *seconds = *microseconds = 0;
    while (c->p < c->end) {
        if (has_fraction)
            return cl_text_refuse(why, "only the last part of a duration may have a fraction");
        if (!in_time && cl_text_take(c, 'T')) {
            in_time = true;
            next = TIME_UNITS;
        }
        struct part part;
        if (read_part(c, &part, why) < 0)
            return CELLO_EINVAL;
        int unit = take_unit(c, &next, in_time, why);
        if (unit < 0)
            return CELLO_EINVAL;
        int64_t unit_s = UNITS[unit].seconds;
        if (part.whole > LIMIT_S / unit_s)
            return cl_text_refuse(why, TOO_LARGE);
        *seconds += part.whole * unit_s;
        *microseconds = (part.nanos * unit_s + 500) / 1000;
        has_fraction = part.has_fraction;
    }
    *seconds += *microseconds / MICROSECONDS;
    *microseconds %= MICROSECONDS;
    return CELLO_OK;
}

int cello_duration_parse(struct cl_str text, struct cello_duration *out, const char **why) {
    struct cl_text_cursor c = cl_text_cursor(text);
    bool is_negative = cl_text_take(&c, '-');
    if (!is_negative)
        (void)cl_text_take(&c, '+');
    if (!cl_text_take(&c, 'P'))
        return cl_text_refuse(why, "expected `P`");
    if (c.p == c.end)
        return cl_text_refuse(why, "input is too short");
    int64_t seconds, microseconds;
    if (read_parts(&c, &seconds, &microseconds, why) < 0)
        return CELLO_EINVAL;
    if (is_negative) {
        int64_t borrow = microseconds > 0;
        microseconds = borrow * MICROSECONDS - microseconds;
        seconds = -seconds - borrow;
    }
    int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
    if (days > 999999999 || days < -999999999)
        return cl_text_refuse(why, TOO_LARGE);
    *out = (struct cello_duration){(int)days, (int)(seconds - days * DAY_S), (int)microseconds};
    return CELLO_OK;
}
