/* Who serves: a record for each worker process, and what they all have to know. Workers write
 * their own record, the supervisor and the health endpoints read them.
 *
 * A worker has an id, 0 to workers - 1, which its successor takes over; while both live they have
 * a record each, so that there are twice as many records as workers.
 *
 * Thread: any, in any process. Each field says who writes it; all are words of their own, so that
 * a reader may see one newer than another, but none half written. */
#ifndef CL_STORE_MEMBERS_H
#define CL_STORE_MEMBERS_H

#include <stdatomic.h>

#include "store/segment.h"

enum cl_member_state {
    CL_MEMBER_FREE,
    CL_MEMBER_STARTING, /* the supervisor's, before it starts the process */
    CL_MEMBER_READY,    /* the worker's: it accepts connections */
    CL_MEMBER_DRAINING, /* the worker's: it finishes what it has */
};

struct cl_member {
    /* Written by the supervisor; state also by the worker. */
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint32_t worker_id;
    _Atomic int32_t pid; /* 0: none yet */
    _Atomic uint64_t started_ns;
    /* Written by the worker; the line of its own is what each turn of its loop writes. */
    _Alignas(64) _Atomic uint64_t busy_since_ns; /* 0: it waits for events, and is well */
    _Atomic uint64_t requests;
    _Atomic uint64_t buffered_bytes;
    _Atomic uint32_t connections;
    _Atomic uint32_t inflight;
    /* The program's own checks of its health: how many there are, how many failed, and when they
     * had run. */
    _Atomic uint32_t checks;
    _Atomic uint32_t failing;
    _Atomic uint64_t checked_ns;
};

struct cl_members {
    uint32_t workers; /* ids; written once, before any worker starts */
    uint32_t count;   /* records */
    /* Written by the supervisor: a stop has begun, so that nobody shall send new clients. */
    _Atomic uint32_t stopping;
    /* Written by the first worker: the hooks that run once for all have run. */
    _Atomic uint32_t cluster_started;
    struct cl_member at[];
};

enum { CL_WORKERS_MAX = 1024 };

/* Bytes of the area for so many workers. */
size_t cl_members_size(uint32_t workers);
/* The area of a segment; the supervisor, which passes `workers` > 0, fills it in first.
 * NULL: it is not there, or not whole. */
struct cl_members *cl_members_of(const struct cl_segment *s, uint32_t workers);

/* How long the worker's loop has been away from its wait; 0: it is not. */
static inline uint64_t cl_member_busy_ns(const struct cl_member *m, uint64_t now_ns) {
    uint64_t since = atomic_load_explicit(&m->busy_since_ns, memory_order_relaxed);
    return since && now_ns > since ? now_ns - since : 0;
}

#endif
