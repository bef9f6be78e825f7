/* Between the files of the guest.
 *
 *   guest.c         a server and a loop joined; starting handlers
 *   guest_wait.c    the wait: what select() of the engine's loop does
 *   guest_runner.c  the coroutine object that a task drives; one handler at a time
 *   guest_watch.c   clients that leave, and handlers that take too long
 *   guest_offload.c calls that coroutines hand to the thread pool
 *   guest_after.c   coroutines that go on when their requests were answered
 *   guest_task.c    the Task whose state says whether it can serve again
 *   guest_state.c   types and names
 *
 * A handler runs in a Runner. To asyncio a Runner is the coroutine of a Task; to us it is a slot
 * that a handler's coroutine is put into. On the engine's own loop slots are kept and used again:
 *
 *      IDLE --first step, by ourselves--> RUNNING --returned at once--> IDLE
 *                                            | yields a future
 *                                         HANDOVER --the task's step--> WAITING --returned-->
 * PARKED IDLE --first step, by the task's step---------------------------^            settle | IDLE
 * or ENDING
 *
 * A Task is used again only when nobody has kept or changed it (cl_guest_task_is_clean); else it
 * ends for real, with the handler's result. Under another loop, and in debug mode, every handler
 * has a Task of its own that ends with it.
 *
 * All with the GIL held, on the loop's thread. */
#ifndef CL_EXT_GUEST_INTERNAL_H
#define CL_EXT_GUEST_INTERNAL_H

#include "bridge/guest.h"
#include "bridge/guest_state.h"
#include "plan/after.h"
#include "types/loop.h"

struct cl_selector;

enum cl_runner_state {
    CL_RUNNER_IDLE,     /* in the pool */
    CL_RUNNER_RUNNING,  /* has a handler */
    CL_RUNNER_HANDOVER, /* its first step, made without the task's step, yielded `yielded` */
    CL_RUNNER_PARKED,   /* its handler has ended, the task has not: cl_guest_settle decides */
    CL_RUNNER_ENDING,   /* the next step ends the task with `outcome` */
    CL_RUNNER_ENDED,
};

struct cl_runner {
    PyObject_HEAD struct cl_guest_state *ext_state; /* strong */
    struct cl_guest *guest;                         /* borrowed; NULL: the server is gone */
    enum cl_runner_state state;
    bool pooled;           /* its task serves many handlers; else the task owns the context */
    bool starting;         /* inside cl_guest_start: a result is returned there, not answered */
    PyObject *task, *step; /* strong; the callable that runs the task's next step (pooled) */
    PyObject *coro;        /* the handler's coroutine, or whatever awaitable it returned */
    PyObject *steps;       /* its iterator; coro itself for coroutines */
    PyObject *context;
    PyObject *yielded;   /* of HANDOVER */
    PyObject *late;      /* an exception to throw at the next step */
    PyObject *outcome;   /* the handler's result; NULL with `exception` */
    PyObject *exception; /* what it raised */
    PyObject *name;      /* of a handler whose task has ended: it is shown in asyncio's log */
    struct cl_entry *entry;
    struct cl_call call;        /* what the answer needs, once the handler has suspended */
    struct cl_request *request; /* a reference of ours, or NULL */
    struct cello_observer observer;
    struct cl_note note; /* of what the observer was told */
    bool unwatched;      /* the observer is to be set in a turn */
    bool left, overdue;  /* told; overdue: answered with 504, once the note has run */
    bool answered;
    bool cancelled;   /* because of either, which happens once */
    bool brief, slow; /* what the deadline tells next is that it waits for long; it was told */
    struct cl_runner *next, *prev; /* active ones; or next: idle, parked */
    bool listed;                   /* in the list of active ones, which holds a reference */
    /* What an untouched task looks like, between handlers. */
    Py_ssize_t task_refs;
    void *task_weakrefs;
    PyObject *weakrefs;
};

struct cl_guest {
    struct cl_guest *next; /* of all that have a server and a loop */
    struct cl_bridge *bridge;
    struct cl_guest_state *state; /* strong */
    PyObject *loop;               /* strong */
    struct cl_engine_loop *own;   /* the same when it is an EngineLoop; else NULL */
    struct cl_selector *selector; /* strong; of an EngineLoop */
    struct cl_watch *watch;       /* on the selector's descriptor */
    bool fds_ready;               /* asyncio has descriptors to serve */
    bool in_wait;                 /* inside cl_guest_wait, whose callbacks may delete the guest */
    bool gone;                    /* they did: nothing but cl_guest_free is allowed */
    bool pooling;                 /* tasks are kept */
    bool eager;                   /* asyncio.Task knows eager_start */
    PyObject *pool_context;       /* of pooled tasks themselves */
    PyObject *on_done;            /* called once, when the server is done; may be NULL */
    struct cl_runner *idle, *active, *parked;
    struct cl_after *spawned; /* jobs that run as tasks */
    unsigned idle_count;
};

/* ---- guest.c ---- */

/* Adds attach_loop, detach_loop and handler_tasks to the module. */
int cl_guest_add_functions(PyObject *module);
/* Decide about the runners whose handlers have ended: idle again, or ended for real. */
void cl_guest_settle(struct cl_guest *g);
/* The end of a guest that is gone. */
void cl_guest_free(struct cl_guest *g);
/* The loop got work from another thread. False: nothing is waiting in the engine. */
bool cl_guest_wake(struct cl_engine_loop *l);

/* ---- guest_wait.c ---- */

/* Turns of the engine and rounds of asyncio's callbacks until asyncio itself has to do something:
 * 1: descriptors are ready, 0: something else. timeout_s < 0: none. -1: exception set. */
int cl_guest_wait(struct cl_guest *g, double timeout_s);

/* ---- guest_runner.c ---- */

/* What a coroutine's throw(exception), or the older throw(type, value, traceback), is to raise; a
 * new reference. NULL: exception set. */
PyObject *cl_runner_thrown(PyObject *const *args, Py_ssize_t n);
struct cl_runner *cl_runner_new(struct cl_guest *g, bool pooled);
/* Put a handler in (coro stolen). -1: exception set, coro is gone. */
int cl_runner_load(struct cl_runner *r, struct cl_entry *e, PyObject *coro, PyObject *context);
/* Throw into what is awaited; *result and the rest as with PyIter_Send. */
PySendResult cl_guest_throw(PyObject *steps, PyObject *exception, PyObject **result);
/* One step of the handler in its context. */
PySendResult cl_runner_advance(struct cl_runner *r, PyObject **result);
/* The handler's coroutine is over: drop it, its context and its iterator. */
void cl_runner_unload(struct cl_runner *r);
void cl_runner_list(struct cl_runner *r);
void cl_runner_unlist(struct cl_runner *r);
/* Let go of the task and of the outcome. */
void cl_runner_forget(struct cl_runner *r);

/* ---- guest_watch.c ---- */

/* The handler has suspended, with r->request: it is cancelled when its client leaves, or its time
 * is over. */
void cl_runner_watch(struct cl_runner *r);
/* The end of that, before the request is let go. */
void cl_runner_unwatch(struct cl_runner *r);

/* ---- guest_offload.c ---- */

/* _cello.offload(callable, /). */
PyObject *cl_guest_offload(PyObject *module, PyObject *callable);

/* ---- guest_after.c ---- */

/* The server is gone: what still runs belongs to the loop alone. */
void cl_guest_forget_spawned(struct cl_guest *g);

/* ---- guest_task.c ---- */

/* A Task of g's loop that drives the runner; pooled: our subclass, unstarted, its first step in
 * r->step. -1: exception set. */
int cl_guest_task_new(struct cl_guest *g, struct cl_runner *r);
/* A Task for a coroutine that is no handler's. Its first step is made at once where it can be: not
 * in debug mode, under a task factory, and before Python 3.12 under another loop or inside of a
 * task's step. NULL: exception set. */
PyObject *cl_guest_task_apart(struct cl_guest *g, PyObject *coro, PyObject *context);
/* Remember what the task looks like untouched. */
void cl_guest_task_mark(struct cl_runner *r);
/* Nobody has kept, changed or cancelled the task since. */
bool cl_guest_task_is_clean(const struct cl_runner *r);
/* Changed or cancelled: it is to end with its handler. */
bool cl_guest_task_is_dirty(const struct cl_runner *r);
/* asyncio shall not log an exception that was answered. */
void cl_guest_task_silence(struct cl_runner *r);
/* Drop r->task. */
void cl_guest_task_forget(struct cl_runner *r);

#endif
