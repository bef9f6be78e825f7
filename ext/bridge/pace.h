/* How long inline handlers take, and whether they wait: one that does moves to the thread pool, and
 * one that takes longer than its timeout, which cannot be interrupted, is logged.
 *
 * Nearly nothing is asked of calls that are quick: one reading of a coarse clock. A handler that
 * was slow once is measured from then on, until it has been quick for a while.
 *
 * GIL held, in a batch. */
#ifndef CL_EXT_PACE_H
#define CL_EXT_PACE_H

#include <time.h>

#include "bridge/bridge.h"

struct cl_pace {
    uint64_t wall_ns, cpu_ns;
    long switches; /* the thread gave up the CPU by itself */
};

/* Nanoseconds since the last call of this, by a clock of some milliseconds. */
static inline uint64_t cl_pace_lap(struct cl_bridge *b) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    uint64_t now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    uint64_t lap_ns = now_ns - b->lap_ns;
    b->lap_ns = now_ns;
    return lap_ns;
}

/* A call that nobody measured took longer than anything that matters. */
void cl_pace_was_slow(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r,
                      uint64_t took_ns);

/* Around a call that is measured. */
void cl_pace_begin(struct cl_pace *p);
void cl_pace_end(const struct cl_pace *p, struct cl_bridge *b, struct cl_entry *e,
                 struct cl_request *r);

#endif
