/* Whether the body of a request comes fast enough: the same for every protocol.
 *
 * No silence longer than read_body_ns, and not below min_body_rate on average, of which the time
 * counts in which somebody wants the body: a handler that reads when it likes stops the clock.
 * Thread: the worker's. */
#ifndef CL_HTTP_BODY_WATCH_H
#define CL_HTTP_BODY_WATCH_H

#include <cello/limits.h>

#include "base/clock.h"
#include "base/common.h"

struct cl_body_watch {
    uint64_t start_ns;  /* of watching; while a reader waits: of this wait, less those before */
    uint64_t waited_ns; /* by a reader, until it stopped */
};

CL_INLINE void cl_body_watch_begin(struct cl_body_watch *w, uint64_t now_ns) {
    *w = (struct cl_body_watch){.start_ns = now_ns};
}

/* A reader waits from now on, and no longer. */
CL_INLINE void cl_body_watch_wait(struct cl_body_watch *w, uint64_t now_ns) {
    w->start_ns = now_ns - w->waited_ns;
}

CL_INLINE void cl_body_watch_rest(struct cl_body_watch *w, uint64_t now_ns) {
    w->waited_ns = now_ns - w->start_ns;
}

/* When more must have come, now that `received` bytes are here: these allow the body to last until
 * received / rate. In the past: it is too slow already. UINT64_MAX: never. */
CL_INLINE uint64_t cl_body_watch_deadline(const struct cl_body_watch *w,
                                          const struct cl_timeouts *t, uint64_t now_ns,
                                          uint64_t received) {
    uint64_t deadline_ns = t->read_body_ns ? now_ns + t->read_body_ns : UINT64_MAX;
    if (!t->min_body_rate)
        return deadline_ns;
    uint64_t allowed_ns = received / t->min_body_rate * CL_NS_PER_S +
                          received % t->min_body_rate * CL_NS_PER_S / t->min_body_rate;
    return CL_MIN(deadline_ns, w->start_ns + CL_MAX(allowed_ns, CL_BODY_RATE_GRACE_NS));
}

#endif
