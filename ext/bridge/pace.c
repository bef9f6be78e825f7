#include "bridge/pace.h"

#include <sys/resource.h>

/* A handler waits when three of its last twenty calls did. */
enum { LAST_CALLS = 20, WAITS_MIN = 3 };

static uint64_t ns_of_timeval(struct timeval t) {
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

static struct cl_pace read_pace(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (struct cl_pace){
        .wall_ns = cl_bridge_now_ns(),
        .cpu_ns = ns_of_timeval(usage.ru_utime) + ns_of_timeval(usage.ru_stime),
        .switches = usage.ru_nvcsw,
    };
}

static void tell_if_overdue(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r,
                            uint64_t took_ns) {
    uint64_t limit_ns = cl_bridge_timeout_of(b, e);
    char what[120];
    if (!limit_ns || took_ns < limit_ns)
        return;
    PyOS_snprintf(what, sizeof what,
                  "took %.3g s, longer than its timeout of %g s, and cannot be interrupted,",
                  1e-9 * (double)took_ns, 1e-9 * (double)limit_ns);
    cl_bridge_tell(e, r, "warning", what);
}

void cl_pace_was_slow(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r,
                      uint64_t took_ns) {
    tell_if_overdue(b, e, r, took_ns);
    bool may_move = e->blocking == CL_BLOCKING_AUTO && !(e->flags & CL_ENTRY_ASYNC);
    if (!may_move || !b->pool_config.threshold_ns || took_ns < b->pool_config.threshold_ns)
        return;
    e->flags |= CL_ENTRY_MEASURED;
    e->waits = e->calm = 0;
}

void cl_pace_begin(struct cl_pace *p) {
    *p = read_pace();
}

static void move_to_pool(struct cl_entry *e, struct cl_request *r) {
    cl_registry_set_terms(e, CL_BLOCKING_ALWAYS, e->timeout_ns, e->needs_pool);
    cl_bridge_tell(e, r, "warning",
                   "waits, and was moved to the thread pool (blocking=True is where it begins)");
}

void cl_pace_end(const struct cl_pace *p, struct cl_bridge *b, struct cl_entry *e,
                 struct cl_request *r) {
    struct cl_pace now = read_pace();
    uint64_t took_ns = now.wall_ns - p->wall_ns;
    /* A thread that the kernel took off the CPU did not wait, and would not elsewhere. */
    bool waited = took_ns > b->pool_config.threshold_ns && 2 * (now.cpu_ns - p->cpu_ns) < took_ns &&
                  now.switches > p->switches;
    tell_if_overdue(b, e, r, took_ns);
    (void)cl_pace_lap(b);
    if (!(e->flags & CL_ENTRY_MEASURED))
        return; /* its terms were changed meanwhile */
    e->waits = (e->waits << 1 | waited) & ((1u << LAST_CALLS) - 1);
    e->calm = waited ? 0 : e->calm + 1;
    if (__builtin_popcount(e->waits) >= WAITS_MIN)
        move_to_pool(e, r);
    else if (e->calm >= LAST_CALLS)
        e->flags &= ~(uint32_t)CL_ENTRY_MEASURED;
}
