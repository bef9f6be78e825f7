/* Text and stacks for a descriptor, written where nothing may be allocated or locked: in handlers
 * of signals, while the process dies or hangs. All of it is async-signal-safe once
 * cl_report_prepare has run; errors of write(2) are ignored, errno is kept by the caller. */
#ifndef CL_OBSERVE_REPORT_H
#define CL_OBSERVE_REPORT_H

#include "base/common.h"

struct cl_report {
    int fd;
    size_t len;
    char text[256];
};

#define CL_REPORT(descriptor)                                                                      \
    (struct cl_report) {                                                                           \
        .fd = (descriptor)                                                                         \
    }

/* Loads what the first backtrace of a process would load, and finds the build id of this code.
 * Once, in ordinary code. */
void cl_report_prepare(void);
/* Hexadecimal, of the program or module that this code is linked into; empty: it has none. */
const char *cl_report_build_id(void);

/* What is gathered goes out when it is full, and with cl_report_flush. */
void cl_report_put(struct cl_report *r, const char *text);
/* Bytes that came from elsewhere: those that are no printable ASCII as '?'. */
void cl_report_str(struct cl_report *r, struct cl_str text);
void cl_report_number(struct cl_report *r, uint64_t n, unsigned base);
void cl_report_flush(struct cl_report *r);

/* The C stack of this thread, a line for each frame: object(function+offset)[address]. `context`:
 * of the handler of a signal, whose own frames are then left out. */
void cl_report_stack(int fd, const void *context);

#endif
