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
};

struct cl_entry {
    PyObject *callable;   /* strong */
    struct cl_plan *plan; /* strong; NULL: h() or h(req) */
    PyObject *name;       /* str, "module.qualname (file:line)" for the log; strong */
    uint32_t flags;
    int status;         /* of a bare return value; 0: 200, or 204 for None */
    uint32_t size_hint; /* bytes of the last JSON body: room to ask for */
    bool suspends;      /* an async handler that has suspended once: the guest's choice of task */
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
/* How it is called from now on; calls that run keep what they began with. `plan` is a Plan or NULL:
 * h(). Also while requests are served, on any thread. */
void cl_registry_set_plan(struct cl_entry *e, PyObject *callable, bool is_async,
                          struct cl_plan *plan);
/* Takes back the one that was added last: its route was refused. */
void cl_registry_drop_last(struct cl_registry *reg);

#endif
