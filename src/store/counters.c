#include "store/counters.h"

#include "store/lock.h"

struct cl_counter_entry {
    uint32_t slot; /* the first one, in every lane */
    uint32_t kind;
    uint32_t bound_count; /* of a histogram; 0: steps */
    uint8_t name_len;
    char name[CL_COUNTER_NAME_MAX];
    uint64_t bounds[CL_HISTOGRAM_BOUNDS_MAX];
};

_Static_assert(CL_COUNTER_NAME_MAX <= UINT8_MAX, "its length is a byte");

/* Entries are written once, then published by the count; so a process that dies while it registers
 * leaves nothing. */
struct cl_counters_area {
    struct cl_lock lock;
    uint32_t records; /* 0: not made yet */
    _Atomic uint32_t count;
    struct cl_counter_entry entries[CL_COUNTERS_MAX];
    /* A page for each lane and more, so that no two share a line. */
    _Alignas(4096) _Atomic uint64_t slots[][CL_COUNTER_SLOTS];
};

/* ---- layout ---- */

size_t cl_counters_size(uint32_t records) {
    return sizeof(struct cl_counters_area) + records * sizeof(uint64_t[CL_COUNTER_SLOTS]);
}

int cl_counters_make(void *memory, size_t size, uint32_t records) {
    struct cl_counters_area *area = memory;
    if (!area || !records || size < cl_counters_size(records))
        return CELLO_EINVAL;
    cl_lock_init(&area->lock);
    area->records = records;
    return CELLO_OK;
}

bool cl_counters_open(struct cl_counters *c, void *memory, size_t size, uint32_t record) {
    struct cl_counters_area *area = memory;
    uint32_t records = area && size >= sizeof *area ? area->records : 0;
    if (size < cl_counters_size(records) || record >= records)
        return false;
    *c = (struct cl_counters){
        .area = area,
        .lane = area->slots[record],
        .records = records,
    };
    return true;
}

void cl_counters_vacate(const struct cl_counters *c, uint32_t record) {
    /* The supervisor does this for one that may have broken all there is: no number leads it
     * astray.
     */
    uint32_t count = CL_MIN(cl_counters_count(c), (uint32_t)CL_COUNTERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const volatile struct cl_counter_entry *e = &c->area->entries[i];
        uint32_t slot = e->slot;
        if (e->kind == CL_GAUGE && slot < CL_COUNTER_SLOTS)
            atomic_store_explicit(&c->area->slots[record][slot], 0, memory_order_relaxed);
    }
}

/* ---- registering ---- */

static uint32_t slots_of(const struct cl_counter_entry *e) {
    if (e->kind != CL_HISTOGRAM)
        return 1;
    return 1 + (e->bound_count ? e->bound_count + 1 : CL_HISTOGRAM_STEPS);
}

static void give(const struct cl_counters *c, const struct cl_counter_entry *e,
                 struct cl_counter *out) {
    *out = (struct cl_counter){.slots = c->lane + e->slot, .entry = e};
}

static bool is_rising(const uint64_t *bounds, uint32_t n) {
    for (uint32_t i = 1; i < n; i++)
        if (bounds[i] <= bounds[i - 1])
            return false;
    return true;
}

static bool is_same(const struct cl_counter_entry *a, const struct cl_counter_entry *b) {
    return a->kind == b->kind && a->bound_count == b->bound_count &&
           memcmp(a->bounds, b->bounds, a->bound_count * sizeof a->bounds[0]) == 0;
}

/* Lock held. */
static int find_or_add(const struct cl_counters *c, struct cl_counter_entry *wanted,
                       const struct cl_counter_entry **out) {
    uint32_t count = cl_counters_count(c);
    for (uint32_t i = 0; i < count; i++) {
        const struct cl_counter_entry *e = &c->area->entries[i];
        if (cl_str_eq(cl_str(e->name, e->name_len), cl_str(wanted->name, wanted->name_len))) {
            *out = e;
            return is_same(e, wanted) ? CELLO_OK : CELLO_EEXIST;
        }
    }
    const struct cl_counter_entry *last = count ? &c->area->entries[count - 1] : NULL;
    wanted->slot = last ? last->slot + slots_of(last) : 0;
    if (count == CL_COUNTERS_MAX || slots_of(wanted) > CL_COUNTER_SLOTS - wanted->slot)
        return CELLO_ELIMIT;
    c->area->entries[count] = *wanted;
    atomic_store_explicit(&c->area->count, count + 1, memory_order_release);
    *out = &c->area->entries[count];
    return CELLO_OK;
}

int cl_counter_register(const struct cl_counters *c, struct cl_counter *out, struct cl_str name,
                        enum cl_counter_kind kind, const uint64_t *bounds, uint32_t bound_count) {
    if (!name.len || name.len > CL_COUNTER_NAME_MAX || bound_count > CL_HISTOGRAM_BOUNDS_MAX ||
        (bound_count && kind != CL_HISTOGRAM) || !is_rising(bounds, bound_count))
        return CELLO_EINVAL;
    struct cl_counter_entry wanted = {
        .kind = kind,
        .bound_count = bound_count,
        .name_len = (uint8_t)name.len,
    };
    memcpy(wanted.name, name.ptr, name.len);
    if (bound_count)
        memcpy(wanted.bounds, bounds, bound_count * sizeof *bounds);
    const struct cl_counter_entry *e = NULL;
    (void)!cl_lock_take(&c->area->lock); /* what one who died has begun is not counted */
    int err = find_or_add(c, &wanted, &e);
    cl_lock_give(&c->area->lock);
    if (!err)
        give(c, e, out);
    return err;
}

/* ---- histograms ---- */

/* 0 to 3 have a step of their own; then the two bits below the highest one choose among four. */
static uint32_t step_of(uint64_t value) {
    if (value < 4)
        return (uint32_t)value;
    unsigned high = 63 - (unsigned)__builtin_clzll(value);
    return (high - 1) * 4 + (uint32_t)(value >> (high - 2) & 3);
}

static uint64_t bound_of_step(uint32_t step) {
    if (step < 4)
        return step;
    unsigned high = step / 4 + 1;
    uint64_t first = (UINT64_C(4) | (step & 3)) << (high - 2);
    return first + ((UINT64_C(1) << (high - 2)) - 1);
}

static uint32_t bucket_of(const struct cl_counter_entry *e, uint64_t value) {
    if (!e->bound_count)
        return step_of(value);
    uint32_t i = 0;
    while (i < e->bound_count && value > e->bounds[i])
        i++;
    return i;
}

void cl_histogram_observe(const struct cl_counter *c, uint64_t value) {
    uint32_t bucket = bucket_of(c->entry, value);
    atomic_fetch_add_explicit(&c->slots[1 + bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->slots[0], value, memory_order_relaxed);
}

uint32_t cl_histogram_buckets(const struct cl_counter *counter) {
    return slots_of(counter->entry) - 1;
}

uint64_t cl_histogram_bound(const struct cl_counter *counter, uint32_t bucket) {
    const struct cl_counter_entry *e = counter->entry;
    if (bucket + 1 >= cl_histogram_buckets(counter))
        return UINT64_MAX;
    return e->bound_count ? e->bounds[bucket] : bound_of_step(bucket);
}

/* ---- sums ---- */

uint32_t cl_counters_count(const struct cl_counters *c) {
    return atomic_load_explicit(&c->area->count, memory_order_acquire);
}

void cl_counters_at(const struct cl_counters *c, uint32_t i, struct cl_counter *out,
                    struct cl_str *name, enum cl_counter_kind *kind) {
    const struct cl_counter_entry *e = &c->area->entries[i];
    *name = cl_str(e->name, e->name_len);
    *kind = (enum cl_counter_kind)e->kind;
    give(c, e, out);
}

static uint64_t sum_of(const struct cl_counters *c, uint32_t slot) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->records; i++)
        sum += atomic_load_explicit(&c->area->slots[i][slot], memory_order_relaxed);
    return sum;
}

uint64_t cl_counter_sum(const struct cl_counters *c, const struct cl_counter *counter) {
    return sum_of(c, counter->entry->slot);
}

uint64_t cl_histogram_count(const struct cl_counters *c, const struct cl_counter *counter,
                            uint32_t bucket) {
    return sum_of(c, counter->entry->slot + 1 + bucket);
}
