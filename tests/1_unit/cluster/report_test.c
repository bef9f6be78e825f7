#include "cluster/report.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* 2001-09-09 01:46:40.123 */
static const uint64_t WALL_NS = 1000000000123456789;

static int worker = -1; /* of the next line */

static void expect(enum cl_log_style style, enum cl_log_level level, const char *message,
                   const char *line) {
    char out[CL_REPORT_LINE_MAX + 1];
    size_t n = cl_report_line(out, style, level, WALL_NS, worker, message);
    out[n] = '\0';
    assert_string_equal(out, line);
    worker = -1;
}

static void lines_look_like_those_of_workers(void **state) {
    (void)state;
    expect(CL_LOG_DEVELOPMENT, CL_LOG_INFO, "a", "a\n");
    expect(CL_LOG_DEVELOPMENT, CL_LOG_WARNING, "a", "WARNING  a\n");
    expect(CL_LOG_PRODUCTION, CL_LOG_ERROR, "a", "2001-09-09T01:46:40.123Z ERROR    a\n");
    expect(CL_LOG_JSON, CL_LOG_INFO, "a \"b\"\\",
           "{\"time\":\"2001-09-09T01:46:40.123Z\",\"level\":\"info\",\"logger\":\"cello\","
           "\"message\":\"a \\\"b\\\"\\\\\"}\n");
}

static void they_name_their_worker(void **state) {
    (void)state;
    worker = 3;
    expect(CL_LOG_DEVELOPMENT, CL_LOG_INFO, "a", "worker 3: a\n");
    worker = 0;
    expect(CL_LOG_PRODUCTION, CL_LOG_WARNING, "a",
           "2001-09-09T01:46:40.123Z WARNING  worker 0: a\n");
    worker = 1023;
    expect(CL_LOG_JSON, CL_LOG_ERROR, "a",
           "{\"time\":\"2001-09-09T01:46:40.123Z\",\"level\":\"error\",\"logger\":\"cello\","
           "\"message\":\"a\",\"worker\":1023}\n");
}

static void nothing_forges_a_line(void **state) {
    (void)state;
    expect(CL_LOG_DEVELOPMENT, CL_LOG_INFO, "a\nb\x1b", "a\\x0ab\\x1b\n");
    expect(CL_LOG_JSON, CL_LOG_INFO, "\n",
           "{\"time\":\"2001-09-09T01:46:40.123Z\",\"level\":\"info\",\"logger\":\"cello\","
           "\"message\":\"\\u000a\"}\n");
}

static void a_long_line_is_cut(void **state) {
    (void)state;
    char message[2 * CL_REPORT_LINE_MAX], out[CL_REPORT_LINE_MAX];
    memset(message, '\n', sizeof message);
    message[sizeof message - 1] = '\0';
    for (enum cl_log_style style = CL_LOG_DEVELOPMENT; style <= CL_LOG_JSON; style++) {
        size_t n = cl_report_line(out, style, CL_LOG_ERROR, WALL_NS, INT32_MAX, message);
        assert_in_range(n, CL_REPORT_LINE_MAX / 2, CL_REPORT_LINE_MAX);
        assert_int_equal(out[n - 1], '\n');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_look_like_those_of_workers),
        cmocka_unit_test(they_name_their_worker),
        cmocka_unit_test(nothing_forges_a_line),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
