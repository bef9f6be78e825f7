/* Dates and times of day, RFC 3339. */
#include "scalar/scalar_internal.h"

enum { DATE_BYTES = 10, SHORTEST_TIME_BYTES = 5 };

static const char EXTRA[] = "unexpected extra characters at the end of the input";
static const char TOO_SHORT[] = "input is too short";

/* `count` digits; -1 if there are other bytes among them or too few. */
static int take_number(struct cl_text_cursor *c, unsigned count) {
    if (cl_text_left(c) < count)
        return -1;
    int value = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned digit = (unsigned char)c->p[i] - '0';
        if (digit > 9)
            return -1;
        value = value * 10 + (int)digit;
    }
    c->p += count;
    return value;
}

static int days_in_month(int year, int month) {
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static int read_date(struct cl_text_cursor *c, struct cello_date *out, const char **why) {
    static const char separator[] = "invalid date separator, expected `-`";
    if (cl_text_left(c) < DATE_BYTES)
        return cl_text_refuse(why, TOO_SHORT);
    int year = take_number(c, 4);
    if (year < 0)
        return cl_text_refuse(why, "invalid character in year");
    if (!cl_text_take(c, '-'))
        return cl_text_refuse(why, separator);
    int month = take_number(c, 2);
    if (month < 0)
        return cl_text_refuse(why, "invalid character in month");
    if (!cl_text_take(c, '-'))
        return cl_text_refuse(why, separator);
    int day = take_number(c, 2);
    if (day < 0)
        return cl_text_refuse(why, "invalid character in day");
    if (year == 0)
        return cl_text_refuse(why, "year 0 is out of range");
    if (month < 1 || month > 12)
        return cl_text_refuse(why, "month value is outside expected range of 1-12");
    if (day < 1 || day > days_in_month(year, month))
        return cl_text_refuse(why, "day value is outside expected range");
    *out = (struct cello_date){year, month, day};
    return CELLO_OK;
}

/* The digits behind a point, as microseconds; what is smaller is dropped. */
static int take_fraction(struct cl_text_cursor *c) {
    int value = 0, place = 100000;
    for (; c->p < c->end && (unsigned char)(*c->p - '0') < 10; c->p++) {
        value += (*c->p - '0') * place;
        place /= 10;
    }
    return value;
}

/* What follows the seconds, if anything does: Z, +HH:MM or +HHMM. */
static int read_offset(struct cl_text_cursor *c, struct cello_time *out, const char **why) {
    if (c->p == c->end)
        return CELLO_OK;
    out->has_offset = true;
    if (cl_text_take(c, 'Z') || cl_text_take(c, 'z'))
        return CELLO_OK;
    bool is_west = cl_text_is_at(c, '-');
    if (!is_west && !cl_text_is_at(c, '+'))
        return cl_text_refuse(why, "invalid timezone sign");
    c->p++;
    int hours = take_number(c, 2);
    (void)cl_text_take(c, ':');
    int minutes = take_number(c, 2);
    if (hours < 0 || minutes < 0)
        return cl_text_refuse(why, "invalid timezone offset, expected +HH:MM");
    if (minutes > 59)
        return cl_text_refuse(why, "timezone minute value is outside expected range of 0-59");
    if (hours > 23)
        return cl_text_refuse(why, "timezone offset must be less than 24 hours");
    int seconds = (hours * 60 + minutes) * 60;
    out->offset_s = is_west ? -seconds : seconds;
    return CELLO_OK;
}

/* :SS and its fraction. */
static int read_seconds(struct cl_text_cursor *c, struct cello_time *t, const char **why) {
    t->second = take_number(c, 2);
    if (t->second < 0)
        return cl_text_refuse(why, "invalid character in second");
    if (t->second > 59)
        return cl_text_refuse(why, "second value is outside expected range of 0-59");
    if (!cl_text_take(c, '.') && !cl_text_take(c, ','))
        return CELLO_OK;
    const char *fraction = c->p;
    t->microsecond = take_fraction(c);
    return c->p > fraction ? CELLO_OK : cl_text_refuse(why, "second fraction is missing");
}

/* Up to the end. */
static int read_time(struct cl_text_cursor *c, struct cello_time *out, const char **why) {
    if (cl_text_left(c) < SHORTEST_TIME_BYTES)
        return cl_text_refuse(why, TOO_SHORT);
    struct cello_time t = {.hour = take_number(c, 2)};
    if (t.hour < 0)
        return cl_text_refuse(why, "invalid character in hour");
    if (!cl_text_take(c, ':'))
        return cl_text_refuse(why, "invalid time separator, expected `:`");
    t.minute = take_number(c, 2);
    if (t.minute < 0)
        return cl_text_refuse(why, "invalid character in minute");
    if (t.hour > 23)
        return cl_text_refuse(why, "hour value is outside expected range of 0-23");
    if (t.minute > 59)
        return cl_text_refuse(why, "minute value is outside expected range of 0-59");
    if (cl_text_take(c, ':') && read_seconds(c, &t, why) < 0)
        return CELLO_EINVAL;
    if (read_offset(c, &t, why) < 0)
        return CELLO_EINVAL;
    if (c->p != c->end)
        return cl_text_refuse(why, EXTRA);
    *out = t;
    return CELLO_OK;
}

int cello_date_parse(struct cl_str text, struct cello_date *out, const char **why) {
    struct cl_text_cursor c = cl_text_cursor(text);
    struct cello_date date;
    if (read_date(&c, &date, why) < 0)
        return CELLO_EINVAL;
    if (c.p != c.end)
        return cl_text_refuse(why, EXTRA);
    *out = date;
    return CELLO_OK;
}

int cello_time_parse(struct cl_str text, struct cello_time *out, const char **why) {
    struct cl_text_cursor c = cl_text_cursor(text);
    return read_time(&c, out, why);
}

static bool take_separator(struct cl_text_cursor *c) {
    return cl_text_take(c, 'T') || cl_text_take(c, ' ') || cl_text_take(c, 't') ||
           cl_text_take(c, '_');
}

int cello_datetime_parse(struct cl_str text, struct cello_datetime *out, const char **why) {
    struct cl_text_cursor c = cl_text_cursor(text);
    struct cello_datetime moment = {.time = {.hour = 0}};
    if (read_date(&c, &moment.date, why) < 0)
        return CELLO_EINVAL;
    if (c.p != c.end) {
        if (!take_separator(&c))
            return cl_text_refuse(why,
                                  "invalid datetime separator, expected `T`, `t`, `_` or space");
        if (read_time(&c, &moment.time, why) < 0)
            return CELLO_EINVAL;
    }
    *out = moment;
    return CELLO_OK;
}
