#include "cluster/report.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATIENCE_MS = 100, TIME_MAX = 40, ROOM_AT_END = 8 };

static enum cl_log_style report_style;
static enum cl_log_level report_least;

static void format_time(char out[TIME_MAX], uint64_t wall_ns) {
    time_t seconds = (time_t)(wall_ns / CL_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, TIME_MAX - n, ".%03uZ", (unsigned)(wall_ns / CL_NS_PER_MS % 1000));
}

/* Without line breaks and other control characters, which could forge lines. */
static size_t add_text(char *out, size_t at, const char *text, bool json) {
    for (; *text && at < CL_REPORT_LINE_MAX - 2 * ROOM_AT_END; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            at += (size_t)snprintf(out + at, ROOM_AT_END, json ? "\\u%04x" : "\\x%02x", c);
            continue;
        }
        if (json && (c == '"' || c == '\\'))
            out[at++] = '\\';
        out[at++] = (char)c;
    }
    return at;
}

size_t cl_report_line(char out[CL_REPORT_LINE_MAX], enum cl_log_style style,
                      enum cl_log_level level, uint64_t wall_ns, const char *message) {
    static const char *const UPPER[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    static const char *const LOWER[] = {"debug", "info", "warning", "error"};
    char time[TIME_MAX];
    int n = 0;
    format_time(time, wall_ns);
    if (style == CL_LOG_JSON)
        n = snprintf(out, CL_REPORT_LINE_MAX,
                     "{\"time\":\"%s\",\"level\":\"%s\",\"logger\":\"cello\",\"message\":\"", time,
                     LOWER[level]);
    else if (style == CL_LOG_PRODUCTION)
        n = snprintf(out, CL_REPORT_LINE_MAX, "%s %-8s ", time, UPPER[level]);
    else if (level != CL_LOG_INFO)
        n = snprintf(out, CL_REPORT_LINE_MAX, "%-8s ", UPPER[level]);
    size_t at = add_text(out, (size_t)n, message, style == CL_LOG_JSON);
    if (style == CL_LOG_JSON) {
        out[at++] = '"';
        out[at++] = '}';
    }
    out[at++] = '\n';
    return at;
}

static void report(void *ctx, enum cl_log_level level, const char *message) {
    char line[CL_REPORT_LINE_MAX];
    struct pollfd stderr_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)ctx;
    if (level < report_least)
        return;
    size_t n = cl_report_line(line, report_style, level, cl_wall_ns(), message);
    if (poll(&stderr_fd, 1, PATIENCE_MS) == 1 && write(STDERR_FILENO, line, n) < 0)
        return;
}

void cl_report_open(enum cl_log_style style, enum cl_log_level least) {
    report_style = style;
    report_least = least;
    cl_log_set_sink(report, NULL);
}
