/* The dates and times of day of <cello/scalar.h>. */
#include <cello/scalar.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/common.h"

/* The result of one parser as text, or why there is none. */
typedef void show_fn(struct cl_str text, char *out, size_t size);

static void put_time(const struct cello_time *t, char *out, size_t size) {
    size_t n =
        (size_t)snprintf(out, size, "%d:%d:%d.%d", t->hour, t->minute, t->second, t->microsecond);
    if (t->has_offset)
        (void)snprintf(out + n, size - n, " %d", t->offset_s);
}

static void show_date(struct cl_str text, char *out, size_t size) {
    struct cello_date d;
    const char *why;
    if (cello_date_parse(text, &d, &why) < 0)
        (void)snprintf(out, size, "%s", why);
    else
        (void)snprintf(out, size, "%d %d %d", d.year, d.month, d.day);
}

static void show_time(struct cl_str text, char *out, size_t size) {
    struct cello_time t;
    const char *why;
    if (cello_time_parse(text, &t, &why) < 0)
        (void)snprintf(out, size, "%s", why);
    else
        put_time(&t, out, size);
}

static void show_datetime(struct cl_str text, char *out, size_t size) {
    struct cello_datetime d;
    const char *why;
    if (cello_datetime_parse(text, &d, &why) < 0) {
        (void)snprintf(out, size, "%s", why);
        return;
    }
    int n = snprintf(out, size, "%d %d %d ", d.date.year, d.date.month, d.date.day);
    put_time(&d.time, out + n, size - (size_t)n);
}

struct expected {
    const char *text;
    const char *want;
};

static void check(show_fn *show, const struct expected *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        /* Exactly the text's size, so that a sanitizer sees each byte too far. */
        size_t n = strlen(cases[i].text);
        char *copy = malloc(n ? n : 1), got[128];
        assert_non_null(copy);
        memcpy(copy, cases[i].text, n);
        show(cl_str(copy, n), got, sizeof got);
        free(copy);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: %s, not %s", cases[i].text, got, cases[i].want);
    }
}

#define SHORT "input is too short"
#define EXTRA "unexpected extra characters at the end of the input"

static void dates(void **state) {
    (void)state;
    static const struct expected cases[] = {
        {"2024-02-29", "2024 2 29"},
        {"2000-02-29", "2000 2 29"},
        {"0001-01-01", "1 1 1"},
        {"9999-12-31", "9999 12 31"},
        {"", SHORT},
        {"2024-1-1", SHORT},
        {"2024-02-2", SHORT},
        {"2024-02-291", EXTRA},
        {"2024-02-29T00:00", EXTRA},
        {"2024/02/29", "invalid date separator, expected `-`"},
        {"2024-02/29", "invalid date separator, expected `-`"},
        {"x024-02-29", "invalid character in year"},
        {"2024-0x-29", "invalid character in month"},
        {"2024-02-2x", "invalid character in day"},
        {"0000-02-29", "year 0 is out of range"},
        {"2024-00-10", "month value is outside expected range of 1-12"},
        {"2024-13-10", "month value is outside expected range of 1-12"},
        {"2024-01-00", "day value is outside expected range"},
        {"2024-01-32", "day value is outside expected range"},
        {"2024-04-31", "day value is outside expected range"},
        {"2023-02-29", "day value is outside expected range"},
        {"1900-02-29", "day value is outside expected range"},
    };
    check(show_date, cases, CL_ARRAY_LEN(cases));
}

static void times(void **state) {
    (void)state;
    static const struct expected cases[] = {
        {"10:20", "10:20:0.0"},
        {"00:00:00", "0:0:0.0"},
        {"23:59:59", "23:59:59.0"},
        {"10:20:30.5", "10:20:30.500000"},
        {"10:20:30,000001", "10:20:30.1"},
        {"10:20:30.1234569", "10:20:30.123456"},
        {"10:20:30.12345678901234567890", "10:20:30.123456"},
        {"10:20Z", "10:20:0.0 0"},
        {"10:20:30z", "10:20:30.0 0"},
        {"10:20:30+01:30", "10:20:30.0 5400"},
        {"10:20:30.25-0800", "10:20:30.250000 -28800"},
        {"10:20:30+23:59", "10:20:30.0 86340"},
        {"10:20:30-00:00", "10:20:30.0 0"},
        {"", SHORT},
        {"1:20", SHORT},
        {"10:2", SHORT},
        {"x0:20", "invalid character in hour"},
        {"10-20", "invalid time separator, expected `:`"},
        {"10:x0", "invalid character in minute"},
        {"10:20:", "invalid character in second"},
        {"10:20:3", "invalid character in second"},
        {"24:00", "hour value is outside expected range of 0-23"},
        {"10:60", "minute value is outside expected range of 0-59"},
        {"23:59:60Z", "second value is outside expected range of 0-59"},
        {"10:20:30.", "second fraction is missing"},
        {"10:20:30.Z", "second fraction is missing"},
        {"10:20.5", "invalid timezone sign"},
        {"10:20 Z", "invalid timezone sign"},
        {"10:20+", "invalid timezone offset, expected +HH:MM"},
        {"10:20+01", "invalid timezone offset, expected +HH:MM"},
        {"10:20+01:", "invalid timezone offset, expected +HH:MM"},
        {"10:20+01:60", "timezone minute value is outside expected range of 0-59"},
        {"10:20+24:00", "timezone offset must be less than 24 hours"},
        {"10:20Zx", EXTRA},
        {"10:20+01:000", EXTRA},
    };
    check(show_time, cases, CL_ARRAY_LEN(cases));
}

static void datetimes(void **state) {
    (void)state;
    static const struct expected cases[] = {
        {"2024-02-29", "2024 2 29 0:0:0.0"},
        {"2024-02-29T10:20", "2024 2 29 10:20:0.0"},
        {"2024-02-29t10:20:30.5Z", "2024 2 29 10:20:30.500000 0"},
        {"2024-02-29 10:20:30-01:00", "2024 2 29 10:20:30.0 -3600"},
        {"2024-02-29_10:20:30", "2024 2 29 10:20:30.0"},
        {"2024-02-29T", SHORT},
        {"2024-02-29T10", SHORT},
        {"2024-02-30T10:20", "day value is outside expected range"},
        {"2024-02-29x10:20", "invalid datetime separator, expected `T`, `t`, `_` or space"},
        {"2024-02-29T24:00", "hour value is outside expected range of 0-23"},
        {"2024-02-29T10:20:30Z ", EXTRA},
    };
    check(show_datetime, cases, CL_ARRAY_LEN(cases));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(times),
        cmocka_unit_test(datetimes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
