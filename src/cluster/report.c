#include "cluster/report.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATIENCE_MS = 100, TIME_MAX = 40, ESCAPE_MAX = 8, END_MAX = 32 };

static const char *const STYLES[] = {"development", "production", "json"};
static const char *const LEVELS[] = {"debug", "info", "warning", "error"};

/* A program sets them again for each server, while others may log. */
static _Atomic(enum cl_log_style) report_style;
static _Atomic(enum cl_log_level) report_least;
static atomic_int report_worker = -1;

static void format_time(char out[TIME_MAX], uint64_t wall_ns) {
    time_t seconds = (time_t)(wall_ns / CL_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, TIME_MAX - n, ".%03uZ", (unsigned)(wall_ns / CL_NS_PER_MS % 1000));
}

/* Without line breaks and other control characters, which could forge lines. */
static size_t add_text(char *out, size_t at, const char *text, bool json) {
    for (; *text && at < CL_REPORT_LINE_MAX - ESCAPE_MAX - END_MAX; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            at += (size_t)snprintf(out + at, ESCAPE_MAX, json ? "\\u%04x" : "\\x%02x", c);
            continue;
        }
        if (json && (c == '"' || c == '\\'))
            out[at++] = '\\';
        out[at++] = (char)c;
    }
    return at;
}

static size_t end_object(char *out, int worker_id) {
    int n = worker_id < 0 ? snprintf(out, END_MAX, "\"}")
                          : snprintf(out, END_MAX, "\",\"worker\":%d}", worker_id);
    return (size_t)n;
}

size_t cl_report_line(char out[CL_REPORT_LINE_MAX], enum cl_log_style style,
                      enum cl_log_level level, uint64_t wall_ns, int worker_id,
                      const char *message) {
    static const char *const UPPER[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    char time[TIME_MAX];
    int n = 0;
    format_time(time, wall_ns);
    if (style == CL_LOG_JSON)
        n = snprintf(out, CL_REPORT_LINE_MAX,
                     "{\"time\":\"%s\",\"level\":\"%s\",\"logger\":\"cello\",\"message\":\"", time,
                     LEVELS[level]);
    else if (style == CL_LOG_PRODUCTION)
        n = snprintf(out, CL_REPORT_LINE_MAX, "%s %-8s ", time, UPPER[level]);
    else if (level != CL_LOG_INFO)
        n = snprintf(out, CL_REPORT_LINE_MAX, "%-8s ", UPPER[level]);
    if (worker_id >= 0 && style != CL_LOG_JSON)
        n += snprintf(out + n, CL_REPORT_LINE_MAX - (size_t)n, "worker %d: ", worker_id);
    size_t at = add_text(out, (size_t)n, message, style == CL_LOG_JSON);
    if (style == CL_LOG_JSON)
        at += end_object(out + at, worker_id);
    out[at++] = '\n';
    return at;
}

static int find_name(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, names[i]))
            return (int)i;
    return -1;
}

static void report(void *ctx, enum cl_log_level level, const char *message) {
    char line[CL_REPORT_LINE_MAX];
    struct pollfd stderr_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)ctx;
    if (level < report_least)
        return;
    size_t n = cl_report_line(line, report_style, level, cl_wall_ns(), report_worker, message);
    if (poll(&stderr_fd, 1, PATIENCE_MS) == 1 && write(STDERR_FILENO, line, n) < 0)
        return;
}

bool cl_report_style(const char *name, enum cl_log_style *out) {
    int i = find_name(name, STYLES, CL_ARRAY_LEN(STYLES));
    *out = (enum cl_log_style)CL_MAX(i, 0);
    return i >= 0;
}

bool cl_report_level(const char *name, enum cl_log_level *out) {
    int i = find_name(name, LEVELS, CL_ARRAY_LEN(LEVELS));
    *out = (enum cl_log_level)CL_MAX(i, 0);
    return i >= 0;
}

void cl_report_open(enum cl_log_style style, enum cl_log_level least, int worker_id) {
    report_style = style;
    report_least = least;
    report_worker = worker_id;
    cl_log_set_sink(report, NULL);
}
