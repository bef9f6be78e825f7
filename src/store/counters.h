/* Numbers of all workers together: counters, gauges, histograms, each with a name.
 *
 * Each record has its own lane of slots, so that nobody waits for anybody and an addition is one
 * instruction. A sum is over all lanes. The lane of a process that has ended keeps its counts, and
 * the next one in that record goes on from there: nothing is moved, so nothing is lost or counted
 * twice, however it ended. Gauges tell of processes that are there: one that ends takes its share
 * away (cl_counters_vacate). Of a histogram, a process that is killed may have counted the value
 * and not yet added it to the sum.
 *
 * Thread: any, in any process. */
#ifndef CL_STORE_COUNTERS_H
#define CL_STORE_COUNTERS_H

#include <stdatomic.h>

#include "base/common.h"

enum {
    CL_COUNTER_NAME_MAX = 119, /* bytes; labels are part of the name */
    CL_COUNTERS_MAX = 1024,    /* names */
    CL_COUNTER_SLOTS = 16384,  /* of each lane, 8 bytes each */
    CL_HISTOGRAM_BOUNDS_MAX = 32,
    /* Without bounds: four steps for each power of two, up to 2^64. */
    CL_HISTOGRAM_STEPS = 252,
};

enum cl_counter_kind { CL_COUNTER = 1, CL_GAUGE, CL_HISTOGRAM };

struct cl_counters_area;

/* An opened area; cheap, the caller's. */
struct cl_counters {
    struct cl_counters_area *area;
    _Atomic uint64_t *lane; /* of this process */
    uint32_t records;
};

size_t cl_counters_size(uint32_t records);
/* Once, by whoever made the segment. CELLO_EINVAL: the area is smaller. */
int cl_counters_make(void *area, size_t size, uint32_t records) CL_MUST_USE;
/* False: there are none in the area, or no such record. */
bool cl_counters_open(struct cl_counters *c, void *area, size_t size, uint32_t record) CL_MUST_USE;
/* The gauges of a record become 0: its process has ended. */
void cl_counters_vacate(const struct cl_counters *c, uint32_t record);

/* What is added to: valid as long as the segment is. */
struct cl_counter {
    _Atomic uint64_t *slots; /* histogram: the sum, then the buckets */
    const struct cl_counter_entry *entry;
};

/* Find or make, the same in all processes. bounds: of a histogram, rising, each the largest value
 * of its bucket; none: steps. Errors: CELLO_EINVAL (name empty or too long, bounds do not rise),
 * CELLO_EEXIST (the name is of another kind or has other bounds), CELLO_ELIMIT (too many). */
int cl_counter_register(const struct cl_counters *c, struct cl_counter *out, struct cl_str name,
                        enum cl_counter_kind kind, const uint64_t *bounds,
                        uint32_t bound_count) CL_MUST_USE;

/* Counters and gauges; a gauge falls by adding a negative number, as an unsigned one. */
static inline void cl_counter_add(const struct cl_counter *c, uint64_t n) {
    atomic_fetch_add_explicit(&c->slots[0], n, memory_order_relaxed);
}
/* Gauge: this process's share. */
static inline void cl_gauge_set(const struct cl_counter *c, int64_t value) {
    atomic_store_explicit(&c->slots[0], (uint64_t)value, memory_order_relaxed);
}
/* Histogram. */
void cl_histogram_observe(const struct cl_counter *c, uint64_t value);

/* ---- reading ---- */

/* Names registered so far, in order; they never go. */
uint32_t cl_counters_count(const struct cl_counters *c);
/* i < cl_counters_count. */
void cl_counters_at(const struct cl_counters *c, uint32_t i, struct cl_counter *out,
                    struct cl_str *name, enum cl_counter_kind *kind);
/* Over all lanes. Of a histogram: of the values. */
uint64_t cl_counter_sum(const struct cl_counters *c, const struct cl_counter *counter);
/* Buckets of a histogram, and how many values are in bucket i; the last one has no bound. */
uint32_t cl_histogram_buckets(const struct cl_counter *counter);
uint64_t cl_histogram_count(const struct cl_counters *c, const struct cl_counter *counter,
                            uint32_t bucket);
/* The largest value that belongs to bucket i; UINT64_MAX for the last. */
uint64_t cl_histogram_bound(const struct cl_counter *counter, uint32_t bucket);

#endif
