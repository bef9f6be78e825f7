/* Scalars: what one parser takes is in range, and says the same when it is written out again. */
#include <cello/scalar.h>

#include "base/common.h"
#include "check.h"
#include <math.h>
#include <stdio.h>

static void check_numbers(struct cl_str text) {
    struct cello_int integer, again;
    char out[64];
    if (cello_int_parse(text, &integer) == CELLO_OK) {
        CHECK(integer.digits.len <= CELLO_DIGITS_MAX);
        if (!integer.is_big) {
            int n = snprintf(out, sizeof out, " +%lld.0", (long long)integer.value);
            struct cl_str spelled = cl_str(out, (size_t)n);
            bool is_negative = integer.value < 0;
            CHECK(cello_int_parse(spelled, &again) == (is_negative ? CELLO_EINVAL : CELLO_OK));
            CHECK(is_negative || again.value == integer.value);
        }
    }
    double number, same;
    struct cl_str decimal;
    int err = cello_float_parse(text, &number);
    bool is_decimal = cello_decimal_parse(text, &decimal) == CELLO_OK;
    if (is_decimal)
        CHECK(err == CELLO_OK || err == CELLO_ELIMIT);
    if (err == CELLO_OK) {
        CHECK(isfinite(number));
        int n = snprintf(out, sizeof out, "%.17g", number);
        CHECK(cello_float_parse(cl_str(out, (size_t)n), &same) == CELLO_OK);
        CHECK(memcmp(&number, &same, sizeof number) == 0);
    }
    bool truth;
    (void)cello_bool_parse(text, &truth);
}

static void check_uuid(struct cl_str text) {
    uint8_t bytes[16], same[16];
    const char *why = NULL;
    if (cello_uuid_parse(text, bytes, &why) < 0) {
        CHECK(why);
        return;
    }
    char out[33];
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(out + 2 * i, 3, "%02X", bytes[i]);
    CHECK(cello_uuid_parse(cl_str(out, 32), same, &why) == CELLO_OK);
    CHECK(memcmp(bytes, same, sizeof bytes) == 0);
}

static void check_times(struct cl_str text) {
    struct cello_date date;
    struct cello_datetime moment, same;
    struct cello_time time;
    const char *why = NULL;
    if (cello_date_parse(text, &date, &why) == CELLO_OK) {
        CHECK(date.year >= 1 && date.month >= 1 && date.month <= 12);
        CHECK(date.day >= 1 && date.day <= 31);
        CHECK(cello_datetime_parse(text, &moment, &why) == CELLO_OK);
    }
    if (cello_time_parse(text, &time, &why) == CELLO_OK) {
        char out[64];
        int minutes = abs(time.offset_s) / 60;
        int n = snprintf(out, sizeof out, "2024-02-29T%02d:%02d:%02d.%06d%c%02d:%02d", time.hour,
                         time.minute, time.second, time.microsecond, time.offset_s < 0 ? '-' : '+',
                         minutes / 60, minutes % 60);
        CHECK(cello_datetime_parse(cl_str(out, (size_t)n), &same, &why) == CELLO_OK);
        time.has_offset = true;
        CHECK(same.time.hour == time.hour && same.time.minute == time.minute);
        CHECK(same.time.second == time.second && same.time.microsecond == time.microsecond);
        CHECK(same.time.offset_s == time.offset_s);
    }
    if (cello_datetime_parse(text, &moment, &why) < 0)
        CHECK(why);
    struct cello_duration length;
    if (cello_duration_parse(text, &length, &why) == CELLO_OK) {
        CHECK(length.days >= -999999999 && length.days <= 999999999);
        CHECK(length.seconds >= 0 && length.seconds < 86400);
        CHECK(length.microseconds >= 0 && length.microseconds < 1000000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = copy_bytes(data, size);
    struct cl_str text = cl_str(copy, size);
    check_numbers(text);
    check_uuid(text);
    check_times(text);
    free(copy);
    return 0;
}
