#include "event/timer.h"

#include "base/clock.h"

#define TICK_NS (CL_TIMER_TICK_MS * CL_NS_PER_MS)

_Static_assert((CL_TIMER_SLOTS & (CL_TIMER_SLOTS - 1)) == 0, "slots are found with a mask");
_Static_assert(CL_TIMER_SLOTS % 64 == 0, "one bit for each slot, in whole words");

enum { SLOT_MASK = CL_TIMER_SLOTS - 1, WORDS = CL_TIMER_SLOTS / 64 };

static size_t slot_of(uint64_t tick) {
    return (size_t)(tick & SLOT_MASK);
}

static void ring_init(struct cl_timer *head) {
    head->next = head->prev = head;
}

static void unlink_timer(struct cl_timer_wheel *w, struct cl_timer *t) {
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = NULL;
    w->count--;
    /* The slot itself is asked, not t's neighbours: run() moves rings to a head of its own. */
    size_t slot = slot_of(t->slot_ns / TICK_NS);
    if (w->slots[slot].next == &w->slots[slot])
        w->used[slot / 64] &= ~(1ull << (slot % 64));
}

void cl_timer_wheel_init(struct cl_timer_wheel *w, uint64_t now_ns) {
    *w = (struct cl_timer_wheel){.tick = now_ns / TICK_NS};
    for (size_t i = 0; i < CL_TIMER_SLOTS; i++)
        ring_init(&w->slots[i]);
}

void cl_timer_init(struct cl_timer *t, void (*fire)(struct cl_timer *)) {
    *t = (struct cl_timer){.deadline_ns = UINT64_MAX, .fire = fire};
}

void cl_timer_file(struct cl_timer_wheel *w, struct cl_timer *t) {
    if (t->deadline_ns == UINT64_MAX)
        return;
    /* Rounded up, so never early; not in the past, whose slots come round last; and within one
     * turn of the wheel: a later deadline is filed again when that slot comes round. */
    uint64_t tick = t->deadline_ns / TICK_NS + (t->deadline_ns % TICK_NS != 0);
    tick = CL_MAX(tick, w->tick + 1);
    tick = CL_MIN(tick, w->tick + CL_TIMER_SLOTS - 1);
    uint64_t slot_ns = tick * TICK_NS;
    if (t->next) {
        if (t->slot_ns == slot_ns)
            return;
        unlink_timer(w, t);
    }
    t->slot_ns = slot_ns;
    size_t slot = slot_of(tick);
    struct cl_timer *head = &w->slots[slot];
    t->next = head;
    t->prev = head->prev;
    head->prev->next = t;
    head->prev = t;
    w->used[slot / 64] |= 1ull << (slot % 64);
    w->count++;
}

void cl_timer_stop(struct cl_timer_wheel *w, struct cl_timer *t) {
    t->deadline_ns = UINT64_MAX;
    if (t->next)
        unlink_timer(w, t);
}

/* The first used slot at or after `tick`; SIZE_MAX slots away when none is. */
static uint64_t next_used_tick(const struct cl_timer_wheel *w, uint64_t tick) {
    size_t first = slot_of(tick);
    for (size_t i = 0; i <= WORDS; i++) {
        size_t word = (first / 64 + i) % WORDS;
        uint64_t bits = w->used[word];
        if (i == 0)
            bits &= ~0ull << (first % 64);
        if (!bits)
            continue;
        size_t slot = word * 64 + (size_t)__builtin_ctzll(bits);
        return tick + slot_of(slot - first);
    }
    return UINT64_MAX;
}

static void run_slot(struct cl_timer_wheel *w, size_t slot, uint64_t now_ns) {
    /* The ring moves to a head of its own: what fire() files cannot prolong this walk, and what it
     * stops is unlinked from it. */
    struct cl_timer due, *head = &w->slots[slot];
    due.next = head->next;
    due.prev = head->prev;
    due.next->prev = due.prev->next = &due;
    ring_init(head);
    w->used[slot / 64] &= ~(1ull << (slot % 64));
    while (due.next != &due) {
        struct cl_timer *t = due.next;
        unlink_timer(w, t);
        if (t->deadline_ns <= now_ns)
            t->fire(t);
        else
            cl_timer_file(w, t);
    }
}

void cl_timer_wheel_run(struct cl_timer_wheel *w, uint64_t now_ns) {
    uint64_t last = now_ns / TICK_NS;
    if (last <= w->tick)
        return;
    uint64_t first = CL_MAX(w->tick + 1, last < CL_TIMER_SLOTS ? 0 : last - CL_TIMER_SLOTS + 1);
    w->tick = last;
    size_t slots = (size_t)(last - first) + 1;
    for (size_t i = 0; i < slots && w->count; i++) {
        size_t slot = slot_of(first + i);
        if (w->used[slot / 64] & 1ull << (slot % 64))
            run_slot(w, slot, now_ns);
    }
}

uint64_t cl_timer_wheel_next_ns(const struct cl_timer_wheel *w) {
    if (!w->count)
        return UINT64_MAX;
    return next_used_tick(w, w->tick + 1) * TICK_NS;
}
