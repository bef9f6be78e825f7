/* Coarse deadlines for many connections: a hashed timer wheel.
 *
 * Deadlines move with every request, so moving one is a single store: the owner writes
 * `deadline_ns`, the wheel notices when the old slot comes round and files the timer again. Only
 * arming an idle timer or asking for an earlier deadline touches the wheel.
 *
 * Precision: one tick (CL_TIMER_TICK_MS), never early. */
#ifndef CL_EVENT_TIMER_H
#define CL_EVENT_TIMER_H

#include "base/common.h"

enum { CL_TIMER_TICK_MS = 20, CL_TIMER_SLOTS = 1024 };

struct cl_timer {
    struct cl_timer *next, *prev; /* the slot's ring; NULL: not filed */
    uint64_t deadline_ns;         /* UINT64_MAX: never */
    uint64_t slot_ns;             /* when the slot it is filed in comes round */
    void (*fire)(struct cl_timer *t);
};

struct cl_timer_wheel {
    struct cl_timer slots[CL_TIMER_SLOTS]; /* ring heads */
    uint64_t used[CL_TIMER_SLOTS / 64];    /* a bit for each slot that has a timer */
    uint64_t tick;                         /* the last tick that was run */
    size_t count;
};

void cl_timer_wheel_init(struct cl_timer_wheel *w, uint64_t now_ns);
/* The timer is idle: its deadline is UINT64_MAX. */
void cl_timer_init(struct cl_timer *t, void (*fire)(struct cl_timer *));
/* Put the timer into the slot of its deadline; for cl_timer_set. */
void cl_timer_file(struct cl_timer_wheel *w, struct cl_timer *t);
/* Not filed afterwards; also inside fire(). */
void cl_timer_stop(struct cl_timer_wheel *w, struct cl_timer *t);

/* Set the deadline. Later than the current one: one store. */
CL_INLINE void cl_timer_set(struct cl_timer_wheel *w, struct cl_timer *t, uint64_t deadline_ns) {
    t->deadline_ns = deadline_ns;
    if (CL_UNLIKELY(!t->next || deadline_ns < t->slot_ns))
        cl_timer_file(w, t);
}

/* Fire what is due, in the order of the slots. A timer that fired is not filed; fire() may set it
 * again (it fires in a later tick) and may stop or free any other timer. */
void cl_timer_wheel_run(struct cl_timer_wheel *w, uint64_t now_ns);
/* When run() has something to do next; UINT64_MAX: no timer is filed. */
uint64_t cl_timer_wheel_next_ns(const struct cl_timer_wheel *w);

#endif
