#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* What is expected, as text: "first+length first+length", "ignored" or "none". */
static void expect(const char *field, uint64_t size, const char *want) {
    struct cl_range ranges[CL_RANGE_MAX];
    unsigned count;
    char got[2048];
    size_t n = 0;
    enum cl_range_result result =
        cl_range_parse(cl_str(field, strlen(field)), size, ranges, &count);
    got[0] = '\0';
    if (result == CL_RANGE_PARTIAL)
        for (unsigned i = 0; i < count; i++)
            n += (size_t)snprintf(got + n, sizeof got - n, "%s%llu+%llu", i ? " " : "",
                                  (unsigned long long)ranges[i].first,
                                  (unsigned long long)ranges[i].length);
    else
        snprintf(got, sizeof got, "%s", result == CL_RANGE_IGNORED ? "ignored" : "none");
    if (strcmp(got, want) != 0)
        fail_msg("%s of %llu: %s, not %s", field, (unsigned long long)size, got, want);
}

static void reads_one_range(void **state) {
    (void)state;
    expect("bytes=0-0", 1000, "0+1");
    expect("bytes=0-499", 1000, "0+500");
    expect("bytes=500-", 1000, "500+500");
    expect("bytes=-1", 1000, "999+1");
    expect("bytes=-500", 1000, "500+500");
    expect("bytes=-5000", 1000, "0+1000");
    expect("bytes=0-", 1000, "0+1000");
    expect("bytes=999-5000", 1000, "999+1");
    expect("BYTES=1-2", 1000, "1+2");
    expect("bytes=000000000000000000000000000001-2", 1000, "1+2");
    expect("bytes=0-99999999999999999999999999999999", 1000, "0+1000");
    expect("bytes=-18446744073709551616", 1000, "0+1000");
    expect("bytes=18446744073709551614-", UINT64_MAX, "18446744073709551614+1");
}

static void refuses_what_is_not_there(void **state) {
    (void)state;
    expect("bytes=1000-", 1000, "none");
    expect("bytes=1000-2000, 3000-", 1000, "none");
    expect("bytes=-0", 1000, "none");
    expect("bytes=99999999999999999999999999-", 1000, "none");
    expect("bytes=1000-, 5-6", 1000, "5+2");
    expect("bytes=-0, 0-0", 1000, "0+1");
}

static void ignores_what_is_malformed(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",           "bytes",        "bytes=",     "bytes=,",      "bytes= , ,",    "bytes=a-b",
        "bytes=5-4",  "bytes=1",      "bytes=-",    "bytes=--1",    "bytes=1--2",    "bytes=1-2-3",
        "bytes=1-2;", "bytes=0x1-2",  "bytes=+1-2", "bytes=1 -2",   "bytes=1- 2",    "bytes =1-2",
        "items=1-2",  "bytes 1-2",    "bytes:1-2",  "bytes=1-2, a", "bytes=1-2 3-4", "none",
        "octets=0-1", "bytes=0-1,3-2"};
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        expect(bad[i], 1000, "ignored");
    expect("bytes=0-0", 0, "ignored");
    expect("bytes=-5", 0, "ignored");
    expect("bytes=5-", 0, "ignored");
}

static void reads_several_in_their_order(void **state) {
    (void)state;
    expect("bytes=0-9,500-509", 1000, "0+10 500+10");
    expect("bytes=500-509 , ,\t0-9,", 1000, "500+10 0+10");
    expect("bytes=-10,0-9", 1000, "990+10 0+10");
    expect("bytes=0-9,2000-,500-509", 1000, "0+10 500+10");
}

static void joins_what_touches(void **state) {
    (void)state;
    expect("bytes=0-9,5-14", 1000, "0+15");
    expect("bytes=0-9,10-19", 1000, "0+20");
    expect("bytes=10-19,0-9", 1000, "0+20");
    expect("bytes=0-9,90-99", 1000, "0+100");
    expect("bytes=0-9,91-99", 1000, "0+10 91+9");
    expect("bytes=0-0,500-500,0-999", 1000, "0+1000");
    expect("bytes=600-699,0-99,300-399,50-650", 1000, "0+700");
    expect("bytes=0-,0-,0-,0-,0-", 1000, "0+1000");
}

static void has_a_limit(void **state) {
    (void)state;
    char field[CL_RANGE_MAX * 16 + 16] = "bytes=";
    char want[CL_RANGE_MAX * 16] = "";
    size_t n = strlen(field), w = 0;
    for (unsigned i = 0; i < CL_RANGE_MAX; i++) {
        n += (size_t)snprintf(field + n, sizeof field - n, "%s%u-%u", i ? "," : "", i * 1000,
                              i * 1000);
        w += (size_t)snprintf(want + w, sizeof want - w, "%s%u+1", i ? " " : "", i * 1000);
    }
    expect(field, 100000, want);
    snprintf(field + n, sizeof field - n, ",99999-");
    expect(field, 100000, "ignored");
}

/* Every field of two ranges over a small representation, byte by byte. */
static void sends_what_was_asked_for(void **state) {
    (void)state;
    enum { SIZE = 300, STEP = 37 };
    for (unsigned a = 0; a < SIZE; a += STEP)
        for (unsigned b = a; b < SIZE; b += STEP)
            for (unsigned c = 0; c < SIZE; c += STEP)
                for (unsigned d = c; d < SIZE; d += STEP) {
                    char field[64];
                    struct cl_range ranges[CL_RANGE_MAX];
                    unsigned count, sent[SIZE] = {0};
                    int n = snprintf(field, sizeof field, "bytes=%u-%u,%u-%u", a, b, c, d);
                    assert_int_equal(cl_range_parse(cl_str(field, (size_t)n), SIZE, ranges, &count),
                                     CL_RANGE_PARTIAL);
                    for (unsigned i = 0; i < count; i++)
                        for (uint64_t at = 0; at < ranges[i].length; at++)
                            sent[ranges[i].first + at]++;
                    for (unsigned at = 0; at < SIZE; at++) {
                        bool asked = (at >= a && at <= b) || (at >= c && at <= d);
                        assert_true(sent[at] <= 1 && (!asked || sent[at] == 1));
                    }
                }
}

static void writes_content_range(void **state) {
    (void)state;
    char text[CL_CONTENT_RANGE_MAX];
    const struct cl_range r = {500, 100};
    size_t n = cl_range_content(&r, 1234, text);
    assert_int_equal(n, strlen("bytes 500-599/1234"));
    assert_memory_equal(text, "bytes 500-599/1234", n);
    n = cl_range_content_unsatisfied(1234, text);
    assert_int_equal(n, strlen("bytes */1234"));
    assert_memory_equal(text, "bytes */1234", n);
    const struct cl_range most = {UINT64_MAX - 2, 2};
    assert_int_equal(cl_range_content(&most, UINT64_MAX, text), CL_CONTENT_RANGE_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_one_range),           cmocka_unit_test(refuses_what_is_not_there),
        cmocka_unit_test(ignores_what_is_malformed), cmocka_unit_test(reads_several_in_their_order),
        cmocka_unit_test(joins_what_touches),        cmocka_unit_test(has_a_limit),
        cmocka_unit_test(sends_what_was_asked_for),  cmocka_unit_test(writes_content_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
