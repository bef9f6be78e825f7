/* How a cluster stops: all workers are told and drain at the same time; the first one, when it is
 * alone, runs what is to run once for all. When there is no worker 0 then, the next one does; when
 * it dies later, nobody does: the others may have gone, and know nothing of it. */
#include "cluster/policy_internal.h"

/* What is left of shutdown_timeout to the program's own hooks, when requests have used up the rest.
 */
enum { PART_OF_HOOKS = 10 };

/* From the second signal on. */
static const uint64_t HURRY_NS = CL_NS_PER_S;

void cl_policy_leave(struct cl_policy *p, struct process *w, uint32_t kind, uint64_t now) {
    uint64_t time = p->hurried ? HURRY_NS : p->config.shutdown_timeout_ns;
    uint64_t hooks = time / PART_OF_HOOKS;
    bool patient = p->config.graceful && !p->hurried;
    int32_t record = (int32_t)(w - p->processes);
    w->state = LEAVING;
    w->tell = (struct cl_control){.kind = kind,
                                  .value = p->last == record && w->worker_id != 0,
                                  .ns = patient ? time - hooks : 0};
    w->deadline_ns = now + time + (p->last == record ? hooks : 0);
    w->suspicion = w->suspicion == KILLED ? KILLED : TRUSTED;
    for (uint32_t i = 0; i < p->config.workers; i++)
        if (p->seats[i].adopter == record)
            p->seats[i].adopter = NOBODY;
}

static void tell_all(struct cl_policy *p, uint64_t now) {
    for (uint32_t i = 0; i < record_count(p); i++) {
        struct process *w = &p->processes[i];
        bool retires = p->retiring && w->state == SERVING;
        if (w->state != NONE)
            cl_policy_leave(p, w, retires ? CL_CONTROL_RETIRE : CL_CONTROL_STOP, now);
    }
}

static int32_t who_is_last(const struct cl_policy *p) {
    int32_t found = NOBODY;
    for (uint32_t i = 0; found == NOBODY && i < p->config.workers; i++)
        found = p->seats[i].serving != NOBODY ? p->seats[i].serving : p->seats[i].coming;
    return found;
}

void cl_policy_begin_stop(struct cl_policy *p, uint64_t now) {
    p->phase = STOPPING;
    p->last = who_is_last(p);
    tell_all(p, now);
}

void cl_policy_stop(struct cl_policy *p, uint64_t now) {
    if (p->phase == RUNNING) {
        p->phase = DELAYED;
        p->stop_ns = now + (p->config.graceful ? p->config.drain_delay_ns : 0);
    } else if (p->retiring) {
        p->retiring = false;
        tell_all(p, now);
    } else {
        p->hurried = true;
        if (p->phase == DELAYED)
            p->stop_ns = now;
        else
            tell_all(p, now);
    }
}

void cl_policy_hand_over(struct cl_policy *p, uint64_t now) {
    if (p->phase == STOPPING)
        return;
    p->retiring = true;
    cl_policy_begin_stop(p, now);
}

static uint32_t process_count(const struct cl_policy *p) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < record_count(p); i++)
        count += p->processes[i].state != NONE;
    return count;
}

bool cl_policy_next_of_stop(struct cl_policy *p, struct cl_action *out) {
    uint32_t left = process_count(p);
    if (!p->stopping_told && !p->retiring) {
        p->stopping_told = true;
        out->kind = CL_ACTION_STOPPING;
        return true;
    }
    if (!p->closed) {
        p->closed = true;
        out->kind = CL_ACTION_CLOSE;
        return true;
    }
    if (left == 1 && p->last != NOBODY && p->processes[p->last].ended && !p->last_told) {
        p->last_told = true;
        out->kind = CL_ACTION_TELL;
        out->record = (uint32_t)p->last;
        out->control.kind = CL_CONTROL_LAST;
        return true;
    }
    if (left == 0 && !p->gone) {
        p->gone = true;
        out->kind = CL_ACTION_EXIT;
        out->status = p->status;
        return true;
    }
    return false;
}
