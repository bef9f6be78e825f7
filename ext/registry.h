/* The handler registry: what is known of each handler, by dense id, compiled when its route is
 * added. At request time nothing is looked up on the callable itself.
 *
 * Owner: the _cello.App. GIL held for changes; no entries are added once the routes are frozen. */
#ifndef CL_EXT_REGISTRY_H
#define CL_EXT_REGISTRY_H

#include "module.h"
#include "plan/plan.h"

enum {
    CL_ENTRY_ASYNC = 1 << 0,         /* a coroutine function */
    CL_ENTRY_WANTS_REQUEST = 1 << 1, /* h(req); else h() */
    CL_ENTRY_POOLED = 1 << 2,        /* runs on the thread pool */
    CL_ENTRY_MEASURED = 1 << 3,      /* was slow: how it spends its time is looked at */
    CL_ENTRY_STREAMS_ASYNC = 1 << 4, /* calling it gives an async generator */
    CL_ENTRY_NEEDS_POOL = 1 << 5,    /* something of it may: no request while the pool is full */
    CL_ENTRY_STREAMS = 1 << 6,       /* it declares an iterator, or is a generator function */
};

/* The server's TimeoutConfig.handler. */
#define CL_ENTRY_TIMEOUT_DEFAULT UINT64_MAX

/* Where a handler runs. */
enum cl_blocking { CL_BLOCKING_AUTO, CL_BLOCKING_NEVER, CL_BLOCKING_ALWAYS };

/* What a handler that is a generator says it yields. */
enum cl_stream_item { CL_ITEMS_UNKNOWN, CL_ITEMS_TEXT, CL_ITEMS_BYTES, CL_ITEMS_EVENTS };

struct cl_entry {
    PyObject *callable;   /* strong */
    struct cl_plan *plan; /* strong; NULL: h() or h(req) */
    PyObject *name;       /* str, "module.qualname (file:line)" for the log; strong */
    uint32_t flags;
    int status;         /* of a bare return value; 0: 200, or 204 for None */
    uint8_t items;      /* enum cl_stream_item */
    uint32_t size_hint; /* bytes of the last JSON body: room to ask for */
    bool suspends;      /* an async handler that has suspended once: the guest's choice of task */
    enum cl_blocking blocking;
    bool needs_pool;     /* it has background tasks */
    uint32_t waits;      /* a bit for each of the last calls that were measured: it waited */
    uint32_t calm;       /* calls since the last one that did */
    uint64_t timeout_ns; /* until the response head; CL_ENTRY_TIMEOUT_DEFAULT, 0: off */
};

struct cl_registry {
    struct cl_entry **entries; /* id 0 is unused */
    uint32_t count, cap;
};

void cl_registry_clear(struct cl_registry *reg);
int cl_registry_traverse(struct cl_registry *reg, visitproc visit, void *arg);
/* Until cl_registry_set_plan the callable is called as h(). 0 with *id set, or -1 with an exception
 * set. */
int cl_registry_add(struct cl_registry *reg, PyObject *callable, PyObject *name, int status,
                    uint32_t *id);
/* Where it runs, and for how long. */
void cl_registry_set_terms(struct cl_entry *e, enum cl_blocking blocking, uint64_t timeout_ns,
                           bool needs_pool);
/* How it is called from now on; calls that run keep what they began with. `plan` is a Plan or NULL:
 * h(). Also while requests are served, on any thread. */
void cl_registry_set_plan(struct cl_entry *e, PyObject *callable, bool is_async,
                          struct cl_plan *plan);
/* Takes back the one that was added last: its route was refused. */
void cl_registry_drop_last(struct cl_registry *reg);

#endif
