/* The lengths of time of <cello/scalar.h>. */
#include <cello/scalar.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/common.h"

static void lengths(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct cello_duration want;
    } good[] = {
        {"P1D", {1, 0, 0}},
        {"+P1W2D", {9, 0, 0}},
        {"PT1H", {0, 3600, 0}},
        {"P1DT1H1M1.5S", {1, 3661, 500000}},
        {"PT36H", {1, 43200, 0}},
        {"PT1.5H", {0, 5400, 0}},
        {"P1.5D", {1, 43200, 0}},
        {"PT1,5S", {0, 1, 500000}},
        {"PT0.1234567S", {0, 0, 123457}},
        {"PT0.9999999S", {0, 1, 0}},
        {"PT0.00000049999S", {0, 0, 0}},
        {"P0D", {0, 0, 0}},
        {"-P0D", {0, 0, 0}},
        {"-P1D", {-1, 0, 0}},
        {"-PT0.5S", {-1, 86399, 500000}},
        {"-PT1S", {-1, 86399, 0}},
        {"-P1DT0.000001S", {-2, 86399, 999999}},
        {"P999999999D", {999999999, 0, 0}},
        {"-P999999999D", {-999999999, 0, 0}},
        {"P999999999DT23H59M59.999999S", {999999999, 86399, 999999}},
        {"PT000000000000000000000000001S", {0, 1, 0}},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++) {
        struct cello_duration got;
        const char *why = NULL;
        size_t n = strlen(good[i].text);
        char *copy = malloc(n); /* exactly: a sanitizer sees each byte too far */
        assert_non_null(copy);
        memcpy(copy, good[i].text, n);
        int err = cello_duration_parse(cl_str(copy, n), &got, &why);
        free(copy);
        if (err || memcmp(&got, &good[i].want, sizeof got) != 0)
            fail_msg("%s: %s", good[i].text, why ? why : "another length");
    }
}

#define TOO_LARGE "durations may not exceed 999,999,999 days"
#define NO_LENGTH "years and months have no definite length"
#define BAD_UNIT "invalid or misplaced unit in duration"
#define BAD_DIGIT "invalid digit in duration"

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        {"", "expected `P`"},
        {"-", "expected `P`"},
        {"1D", "expected `P`"},
        {"p1d", "expected `P`"},
        {"01:00:00", "expected `P`"},
        {"P", "input is too short"},
        {"PT", BAD_DIGIT},
        {"P1DT", BAD_DIGIT},
        {"P D", BAD_DIGIT},
        {"P-1D", BAD_DIGIT},
        {"P.5D", BAD_DIGIT},
        {"P1.D", BAD_DIGIT},
        {"PT1TS", BAD_UNIT},
        {"P1", BAD_UNIT},
        {"P1S", BAD_UNIT},
        {"P1H", BAD_UNIT},
        {"PT1D", BAD_UNIT},
        {"PT1S1M", BAD_UNIT},
        {"PT1M1M", BAD_UNIT},
        {"P1D1W", BAD_UNIT},
        {"P1Y", NO_LENGTH},
        {"P1M", NO_LENGTH},
        {"P1.5DT1H", "only the last part of a duration may have a fraction"},
        {"P1000000000D", TOO_LARGE},
        {"-P999999999DT1S", TOO_LARGE},
        {"P999999999DT24H", TOO_LARGE},
        {"P999999999DT23H59M59.9999999S", TOO_LARGE},
        {"P99999999999999999999999999999D", TOO_LARGE},
        {"P86400000000000W", TOO_LARGE},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        struct cello_duration got = {.days = 7};
        const char *why = "none";
        struct cl_str text = cl_str(bad[i].text, strlen(bad[i].text));
        int err = cello_duration_parse(text, &got, &why);
        if (err != CELLO_EINVAL || strcmp(why, bad[i].why) != 0 || got.days != 7)
            fail_msg("%s: %s", bad[i].text, why);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
