/* What looking at the workers shows: one that hangs, one that has served long enough. */
#include "cluster/policy_internal.h"

/* The most that counts between two looks. More: not the worker was away, but the machine. */
static const uint64_t LOOK_MAX_NS = 2 * CL_NS_PER_S;

/* To write down its stacks. */
static const uint64_t DUMP_NS = CL_NS_PER_S;

/* Stands for a turn of a process that was stopped while it waited. No turn began then. */
static const uint64_t STOPPED_MARK = 1;

/* For how long the loop has been in the turn in which it is now, as far as was watched. */
static uint64_t watch(struct process *w, uint64_t busy_since, uint64_t now) {
    bool same = busy_since && busy_since == w->busy_mark;
    w->busy_ns = same ? w->busy_ns + CL_MIN(now - w->looked_ns, LOOK_MAX_NS) : 0;
    w->busy_mark = busy_since;
    w->looked_ns = now;
    return w->busy_ns;
}

static void look_at_heart(struct cl_policy *p, struct process *w, const struct cl_sight *sight,
                          uint64_t now) {
    uint64_t timeout = p->config.heartbeat_timeout_ns, busy_since = sight->busy_since_ns;
    if (!busy_since && sight->stopped)
        busy_since = STOPPED_MARK;
    bool hangs = watch(w, busy_since, now) >= timeout && timeout;
    if (w->suspicion == DUMPED && !hangs) {
        LOG_OF(CL_LOG_WARNING, w, "is back at its loop, and goes on");
        w->suspicion = TRUSTED;
    } else if (w->suspicion == TRUSTED && hangs) {
        LOG_OF(CL_LOG_ERROR, w, "has not been back at its loop for %g s: asking for its stacks",
               (double)w->busy_ns / 1e9);
        w->suspicion = DUMP_WANTED;
    }
}

static void look_at_age(struct cl_policy *p, struct process *w, const struct cl_sight *sight) {
    struct seat *s = seat_of(p, w);
    if (s->worn)
        return;
    if (w->requests_max && sight->requests >= w->requests_max)
        LOG_OF(CL_LOG_INFO, w, "has answered %llu requests: replacing it",
               (unsigned long long)sight->requests);
    else if (p->config.max_rss_bytes && sight->rss_bytes > p->config.max_rss_bytes)
        LOG_OF(CL_LOG_INFO, w, "has %llu MB of memory: replacing it",
               (unsigned long long)(sight->rss_bytes >> 20));
    else
        return;
    s->worn = true;
}

void cl_policy_lose(struct cl_policy *p, struct process *w, uint64_t now) {
    cl_policy_leave(p, w, 0, now);
    seat_of(p, w)->serving = NOBODY;
    if (p->phase == RUNNING)
        cl_policy_crashed(p, w, "drains, and nobody here has told it to", now);
}

void cl_policy_saw(struct cl_policy *p, uint32_t record, const struct cl_sight *sight,
                   uint64_t now) {
    struct process *w = &p->processes[record];
    if (w->state != SERVING || p->phase != RUNNING)
        return;
    if (sight->draining) {
        cl_policy_lose(p, w, now);
        return;
    }
    look_at_heart(p, w, sight, now);
    look_at_age(p, w, sight);
}

bool cl_policy_next_of_hung(struct cl_policy *p, uint64_t now, struct cl_action *out) {
    for (uint32_t i = 0; i < record_count(p); i++) {
        struct process *w = &p->processes[i];
        out->record = i;
        out->worker_id = w->worker_id;
        if (w->state != SERVING)
            continue;
        if (w->suspicion == DUMP_WANTED) {
            w->suspicion = DUMPED;
            w->kill_ns = now + DUMP_NS;
            out->kind = CL_ACTION_DUMP;
            return true;
        }
        if (w->suspicion == DUMPED && now >= w->kill_ns) {
            LOG_OF(CL_LOG_ERROR, w, "hangs: killing it");
            w->suspicion = KILLED;
            out->kind = CL_ACTION_KILL;
            return true;
        }
    }
    return false;
}
