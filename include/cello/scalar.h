/* Scalars in text: what a path, a query, a header or a form says where a program wants a number, a
 * truth value, an identifier or a time.
 *
 * Each function takes all of `text` or refuses it; what it refuses it leaves unwritten. One reading
 * for all: ASCII only, no locale, no underscores between digits. Numbers may have ASCII white space
 * around them, as `+5` in a query arrives as ` 5`; nothing else may.
 *
 * Errors: CELLO_EINVAL: not written so; others are named with the function. Where there is a `why`
 * it then points to a static phrase in lower case.
 *
 * Thread: any; no state, no allocation. Spans are borrowed for the call. */
#ifndef CELLO_SCALAR_H
#define CELLO_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

/* ---- numbers ---- */

/* CPython's own limit: turning decimal digits into an integer takes quadratic time. */
enum { CELLO_DIGITS_MAX = 4300 };

struct cello_int {
    int64_t value;        /* unless is_big */
    bool is_big;          /* beyond int64_t */
    bool is_negative;     /* with is_big: */
    struct cl_str digits; /* in `text`, without sign and leading zeros */
};

/* [+-]?[0-9]+(\.0+)? CELLO_ELIMIT: more than CELLO_DIGITS_MAX digits, leading zeros aside. */
CELLO_API int cello_int_parse(struct cl_str text, struct cello_int *out);

/* A decimal with or without fraction and exponent, digits on at least one side of the point; the
 * double next to it. CELLO_ELIMIT: beyond the largest double. CELLO_ENOTSUP: a word for infinity or
 * for "not a number", which no JSON can answer and no comparison refuses. */
CELLO_API int cello_float_parse(struct cl_str text, double *out);

/* The syntax of cello_float_parse, for a type that computes in decimal: *number is what is between
 * the white space. CELLO_ELIMIT: more than CELLO_DIGITS_MAX digits, or an exponent beyond plus or
 * minus that. CELLO_ENOTSUP: as above. */
CELLO_API int cello_decimal_parse(struct cl_str text, struct cl_str *number);

/* true t yes y on 1, false f no n off 0, in any case. */
CELLO_API int cello_bool_parse(struct cl_str text, bool *out);

/* ---- identifiers ---- */

/* RFC 9562: 8-4-4-4-12 hexadecimal digits, or 32 without hyphens; alone, in braces, or behind
 * "urn:uuid:". Either case. */
CELLO_API int cello_uuid_parse(struct cl_str text, uint8_t out[16], const char **why);

/* ---- times: RFC 3339, with the parts of ISO 8601 that have one meaning ---- */

/* A day that exists in the proleptic Gregorian calendar. */
struct cello_date {
    int year, month, day; /* 1-9999, 1-12, 1-31 */
};

struct cello_time {
    int hour, minute, second, microsecond; /* 0-23, 0-59, 0-59, 0-999999 */
    bool has_offset;                       /* else it is local to whoever reads it */
    int offset_s;                          /* east of UTC, less than a day */
};

struct cello_datetime {
    struct cello_date date;
    struct cello_time time;
};

/* A length of time as Python's timedelta has it: all of the sign is in the days. */
struct cello_duration {
    int days;         /* -999999999 to 999999999 */
    int seconds;      /* 0 to 86399 */
    int microseconds; /* 0 to 999999 */
};

/* YYYY-MM-DD */
CELLO_API int cello_date_parse(struct cl_str text, struct cello_date *out, const char **why);
/* HH:MM, then :SS, then a fraction (digits behind the sixth are dropped), then Z or +HH:MM, each of
 * which may be missing. No leap seconds: there is no room for them in what reads this. */
CELLO_API int cello_time_parse(struct cl_str text, struct cello_time *out, const char **why);
/* A date, then T or a space (or t, _) and a time, or midnight without them. */
CELLO_API int cello_datetime_parse(struct cl_str text, struct cello_datetime *out,
                                   const char **why);
/* [+-]?PnWnDTnHnMnS; each part may be missing but not all, the last one may have a fraction, which
 * is rounded to microseconds. Years and months have no length, so they are refused. */
CELLO_API int cello_duration_parse(struct cl_str text, struct cello_duration *out,
                                   const char **why);

#endif
