#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 1024 };

static void to_stderr(void *ctx, enum cl_log_level level, const char *line) {
    (void)ctx;
    if (level >= CL_LOG_WARNING)
        fprintf(stderr, "cello: %s\n", line);
}

static _Atomic(cl_log_fn) sink_fn = to_stderr;
static _Atomic(void *) sink_ctx;

void cl_log_set_sink(cl_log_fn fn, void *ctx) {
    atomic_store(&sink_ctx, ctx);
    atomic_store(&sink_fn, fn ? fn : to_stderr);
}

void cl_log(enum cl_log_level level, const char *fmt, ...) {
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    atomic_load (&sink_fn)(atomic_load(&sink_ctx), level, line);
}
