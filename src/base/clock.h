/* Time in nanoseconds. */
#ifndef CL_BASE_CLOCK_H
#define CL_BASE_CLOCK_H

#include <time.h>

#include "base/common.h"

#define CL_NS_PER_MS 1000000ull
#define CL_NS_PER_S 1000000000ull

/* CLOCK_MONOTONIC. */
static inline uint64_t cl_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* CLOCK_REALTIME, coarse (some milliseconds): for log lines and the Date field. */
static inline uint64_t cl_wall_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
}

#endif
