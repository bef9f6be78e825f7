/* The server log: rare lines about the server itself, never one per request.
 *
 * A process-wide sink: lines of the supervisor and of Python programs are made by cluster/report.h,
 * a C program gets them on standard error. Thread: any; the sink must be thread-safe. */
#ifndef CL_BASE_LOG_H
#define CL_BASE_LOG_H

#include "base/common.h"

enum cl_log_level { CL_LOG_DEBUG, CL_LOG_INFO, CL_LOG_WARNING, CL_LOG_ERROR };

typedef void (*cl_log_fn)(void *ctx, enum cl_log_level level, const char *line);

/* NULL: back to standard error, warnings and errors only. */
void cl_log_set_sink(cl_log_fn fn, void *ctx);
void cl_log(enum cl_log_level level, const char *fmt, ...) CL_PRINTF(2, 3);

#endif
