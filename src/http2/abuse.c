#include "http2/abuse.h"

#include "base/clock.h"

static const struct {
    uint32_t burst, per_second;
} allowed[CL_H2_ACTS] = {
    /* A page that is left cancels all of its streams at once, and the next page may be left, too;
     * a program whose requests run into its own time limit cancels them one by one. */
    [CL_H2_ACT_RESET] = {500, 30},
    /* Streams that were opened before the client had read how many it may. */
    [CL_H2_ACT_REFUSED] = {500, 30},
    /* One, and a few when a client adapts its windows. */
    [CL_H2_ACT_SETTINGS] = {50, 5},
    /* Clients that measure the bandwidth send one with each round trip while data comes. */
    [CL_H2_ACT_PING] = {1000, 200},
    /* A browser moves each of its streams once or twice. */
    [CL_H2_ACT_PRIORITY] = {500, 100},
    /* An empty DATA frame may be how a library flushes; a head in several frames is beyond what the
     * server takes. */
    [CL_H2_ACT_EMPTY] = {100, 20},
    [CL_H2_ACT_WINDOW] = {1000, 100},
};

bool cl_h2_abuse_count(struct cl_h2_abuse *a, enum cl_h2_act act, uint64_t now_ns) {
    uint64_t cost_ns = CL_NS_PER_S / allowed[act].per_second;
    if (a->earned[act]) {
        a->earned[act]--;
        return true;
    }
    uint64_t full_ns = CL_MAX(a->full_ns[act], now_ns) + cost_ns;
    if (full_ns - now_ns > cost_ns * allowed[act].burst)
        return false;
    a->full_ns[act] = full_ns;
    return true;
}

void cl_h2_abuse_earn(struct cl_h2_abuse *a, enum cl_h2_act act, unsigned n) {
    a->earned[act] = CL_MIN(a->earned[act] + n, (uint32_t)CL_H2_EARNED_MAX);
}
