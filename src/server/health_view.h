/* What the records of workers say of their health. Thread: any. */
#ifndef CL_SERVER_HEALTH_VIEW_H
#define CL_SERVER_HEALTH_VIEW_H

#include "base/clock.h"
#include "store/members.h"

/* Workers run the program's checks every five seconds, and each check has a time limit: results
 * that are older come from one that has stopped running them. */
#define CL_CHECKS_FRESH_NS (20 * CL_NS_PER_S)

/* What the records of workers say; `records` of them, whatever the area itself says by now. */
struct cl_health_view {
    uint32_t serving; /* ready or draining */
    uint32_t ready;   /* ready, not hung, and their checks are good and fresh */
    uint32_t hung;    /* of those that serve */
    bool stopping;
};

/* `records` of them there are, whatever the area says by now: workers write there.
 * heartbeat_ns: a loop that is away from its wait for longer hangs; 0: none does. */
void cl_health_view(struct cl_health_view *v, const struct cl_members *m, uint32_t records,
                    uint64_t heartbeat_ns, uint64_t now_ns);
bool cl_member_is_hung(const struct cl_member *m, uint64_t heartbeat_ns, uint64_t now_ns);
/* No checks, or all of them good, lately. */
bool cl_member_is_checked(const struct cl_member *m, uint64_t now_ns);

/* There are workers, and all of them hang: then another process could do better. */
static inline bool cl_health_is_live(const struct cl_health_view *v) {
    return v->serving == 0 || v->hung < v->serving;
}

static inline bool cl_health_is_ready(const struct cl_health_view *v) {
    return v->ready > 0 && !v->stopping;
}

#endif
