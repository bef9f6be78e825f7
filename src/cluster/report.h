/* The server log of the supervisor, and of the engine in a Python program: lines on standard error
 * that look like those which Python writes (python/cello/_log.py). Thread: any. */
#ifndef CL_CLUSTER_REPORT_H
#define CL_CLUSTER_REPORT_H

#include "cluster/options.h"

/* From here on cl_log writes so; worker_id -1: none is named. A reader of standard error that does
 * not read holds nobody up: lines are lost instead. */
void cl_report_open(enum cl_log_style style, enum cl_log_level least, int worker_id);

/* By their names, as the supervisor's command line has them. False: there is none of this name. */
bool cl_report_style(const char *name, enum cl_log_style *out);
bool cl_report_level(const char *name, enum cl_log_level *out);

enum { CL_REPORT_LINE_MAX = 4096 };

/* One line with its end, no longer than CL_REPORT_LINE_MAX; its length. */
size_t cl_report_line(char out[CL_REPORT_LINE_MAX], enum cl_log_style style,
                      enum cl_log_level level, uint64_t wall_ns, int worker_id,
                      const char *message);

#endif
