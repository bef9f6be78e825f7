/* Stacks of this process on request: the side that answers cluster/stacks.h.
 *
 * A handler of CL_STACKS_SIGNAL writes, into the process's unnamed file: what the process is and
 * does, the C stack of each thread (asked one after the other, by the same signal), and the stacks
 * of another language. One for the process. */
#ifndef CL_OBSERVE_STACKS_H
#define CL_OBSERVE_STACKS_H

#include "base/common.h"

/* What a report says that this folder does not know. Both write to `fd`, in handlers of signals;
 * either may be NULL. */
struct cl_diagnosis {
    /* Lines about the process, and about what this thread does. */
    void (*describe)(int fd);
    /* Stacks of all threads in another language. */
    void (*other_stacks)(int fd);
};

/* From now on the process answers. `d` is copied; a later call changes it. Errors: CELLO_ESYS. */
int cl_stacks_start(const struct cl_diagnosis *d) CL_MUST_USE;
/* The process's unnamed file; -1: not started. What is written to it goes behind what is there. */
int cl_stacks_fd(void);

#endif
