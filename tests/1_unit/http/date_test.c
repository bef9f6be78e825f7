#include "http/date.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW 1700000000 /* 2023-11-14 */

static time_t parse(const char *text) {
    time_t t = -1;
    int err = cl_http_date_parse(cl_str(text, strlen(text)), NOW, &t);
    assert_int_equal(err, t == -1 ? CELLO_EINVAL : CELLO_OK);
    return t;
}

static void formats_known_times(void **state) {
    (void)state;
    static const struct {
        time_t t;
        const char *text;
    } cases[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {-62135596800, "Mon, 01 Jan 0001 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        char out[CL_HTTP_DATE_LEN + 1];
        cl_http_date_format(cases[i].t, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void agrees_with_libc_over_the_centuries(void **state) {
    (void)state;
    for (int64_t t = -62135596800; t < 253402300799; t += 86400 * 13 + 12345) {
        time_t when = (time_t)t, back = 0;
        struct tm tm;
        char expected[64], out[CL_HTTP_DATE_LEN + 1];
        assert_non_null(gmtime_r(&when, &tm));
        cl_http_date_format(when, out);
        /* glibc's %Y does not pad; the dates before the year 1000 are read back only */
        if (tm.tm_year >= -900) {
            strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
            assert_string_equal(out, expected);
        }
        assert_int_equal(cl_http_date_parse(cl_str(out, CL_HTTP_DATE_LEN), NOW, &back), CELLO_OK);
        assert_int_equal(back, when);
    }
}

static void reads_three_formats(void **state) {
    (void)state;
    assert_int_equal(parse("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(parse("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(parse("Sun Nov  6 08:49:37 1994"), 784111777);
    assert_int_equal(parse("Wed Nov 16 08:49:37 1994"), 784975777);
    assert_int_equal(parse("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800); /* leap second */
}

static void resolves_two_digit_years(void **state) {
    (void)state;
    /* 2023 + 50 is 2073 */
    assert_int_equal(parse("Sunday, 01-Jan-73 00:00:00 GMT"), 3250454400);
    assert_int_equal(parse("Tuesday, 01-Jan-74 00:00:00 GMT"), 126230400);
    assert_int_equal(parse("Monday, 01-Jan-24 00:00:00 GMT"), 1704067200);
}

static void refuses_everything_else(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun",
        "Sun,",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 30 Feb 2000 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 19 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Funday, 06-Nov-94 08:49:37 GMT",
        "784111777",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i]), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_known_times),
        cmocka_unit_test(agrees_with_libc_over_the_centuries),
        cmocka_unit_test(reads_three_formats),
        cmocka_unit_test(resolves_two_digit_years),
        cmocka_unit_test(refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
