/* A job for when an answer is out. Made and queued by cl_after_answer, freed when it is done.
 *
 * Thread: GIL held, the server's thread. */
#ifndef CL_EXT_PLAN_AFTER_H
#define CL_EXT_PLAN_AFTER_H

#include "bridge/pool.h"
#include "plan/call.h"

struct cl_after {
    struct cl_after *next, *prev; /* prev: only among those that run as tasks */
    struct cl_bridge *bridge;     /* NULL: the server is gone */
    struct cl_guest *guest;       /* that it is a task of, or NULL */
    struct cl_call call;          /* generators, callback and their context */
    PyObject *task;               /* of the callback's coroutine; strong */
    struct cl_job job;            /* that it is for the pool, */
    PyObject *server;             /* and what then keeps the bridge; strong */
    struct cl_str route;          /* the application's */
    char method[16];
    size_t method_len;
};

/* A line in the server log with the request's route. `exception` (stolen) may be NULL. */
void cl_after_log(struct cl_after *job, PyObject *exception);
void cl_after_del(struct cl_after *job);
/* What comes after callback and generators: the background tasks; then the job is freed. */
void cl_after_rest(struct cl_after *job);
/* The same in a job of its own, for cl_after_rest, when the callback's coroutine has ended, which
 * the job belongs to. NULL: nothing is left to do. */
struct cl_after *cl_after_split(struct cl_after *job);
int cl_after_traverse(const struct cl_after *job, visitproc visit, void *arg);

#endif
