/* The supervisor's log: lines on standard error that look like those of its workers
 * (python/cello/_log.py). Thread: any. */
#ifndef CL_CLUSTER_REPORT_H
#define CL_CLUSTER_REPORT_H

#include "cluster/options.h"

/* From here on cl_log writes so. A reader of standard error that does not read does not hold up the
 * supervisor: lines are lost instead. */
void cl_report_open(enum cl_log_style style, enum cl_log_level least);

enum { CL_REPORT_LINE_MAX = 4096 };

/* One line with its end, no longer than CL_REPORT_LINE_MAX; its length. */
size_t cl_report_line(char out[CL_REPORT_LINE_MAX], enum cl_log_style style,
                      enum cl_log_level level, uint64_t wall_ns, const char *message);

#endif
