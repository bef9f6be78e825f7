/* One request's way through a handler: what its walk made and its answer needs.
 *
 * It lives on the stack of the batch; when a handler suspends it moves into the guest's runner. A
 * plain h() or h(req) leaves it empty but for the request.
 *
 * Thread: GIL held, the server's thread. */
#ifndef CL_EXT_PLAN_CALL_H
#define CL_EXT_PLAN_CALL_H

#include "bridge/bridge.h"
#include "plan/plan.h"
#include "types/request.h"

struct cl_call {
    struct cl_entry *entry; /* borrowed: entries live as long as the application */
    struct cl_plan *plan;   /* strong; NULL: h() or h(req) */
    PyObject *request;      /* the cello.Request; NULL: nobody asked for it */
    PyObject *response;     /* the injected cello.Response */
    PyObject *context;      /* that of the handler, when something is left to run in it */
    PyObject *generators;   /* list of those that are open; NULL: none */
    PyObject *callback;     /* of an After */
    PyObject *background;   /* the injected cello.BackgroundTasks */
    int status;             /* of a bare value; 0: the entry's */
    bool escaped;           /* others may hold the request */
    bool pooled;            /* runs on the pool: so does what is left to do after the answer */
    bool hooked;            /* an answer of the exception hook is being made: it is asked once */
};

/* The call's Request, borrowed; made when there is none. NULL: exception set. */
PyObject *cl_call_request(struct cl_bridge *b, struct cl_call *call, struct cl_request *r);
/* The handler has suspended: all goes to `to`. What others may see from now on is made ready. */
void cl_call_move(struct cl_bridge *b, struct cl_call *call, struct cl_call *to);
/* Let go of everything. */
void cl_call_clear(struct cl_ext *ext, struct cl_call *call);
int cl_call_traverse(const struct cl_call *call, visitproc visit, void *arg);

/* The same, for the end of a batch's call: almost always a request is all there is. */
static inline void cl_call_end(struct cl_ext *ext, struct cl_call *call) {
    if (call->plan || call->response || call->context || call->generators || call->callback ||
        call->background || call->escaped)
        cl_call_clear(ext, call);
    else if (call->request)
        cl_pyrequest_release_object(ext, call->request);
}

/* Something is to be done once the answer is out. */
static inline bool cl_call_has_more(const struct cl_call *call) {
    return call->generators || call->callback || call->background;
}

/* ---- run.c ---- */

/* Walk the plan and call `callable` with what it gives: its result, or NULL with an exception set.
 * Generators that were opened are in call->generators either way. The handler's context is
 * entered. */
PyObject *cl_plan_call(struct cl_bridge *b, PyObject *callable, struct cl_call *call,
                       struct cl_request *r);

/* ---- unwind.c ---- */

/* Resume the open generators, the last one first, or throw `exception` (stolen, may be NULL) into
 * them; what one raises goes to the next. Returns what the last one left, a new reference or NULL.
 * `all`: to the end; else only until nothing is thrown any more: those that are left open have seen
 * no error. */
PyObject *cl_call_unwind(struct cl_call *call, PyObject *exception, bool all);

/* ---- result.c ---- */

/* The value (stolen) as the plan's filter leaves it. NULL: exception set. */
PyObject *cl_plan_filter(struct cl_ext *ext, const struct cl_plan *plan, PyObject *value);
/* Headers and status of the injected Response to the answer. -1: exception set. */
int cl_call_merge_response(struct cl_bridge *b, struct cl_call *call, struct cl_request *r);

/* ---- after.c ---- */

/* The value of an After (stolen), new; what else it has goes to the call. */
PyObject *cl_after_take(PyObject *after, struct cl_call *call);
/* The request was answered: what is left to do happens after the flush. Takes over generators,
 * callback and context. */
void cl_after_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r);
/* Do it. New work that comes up meanwhile waits for the next time. */
void cl_after_run(struct cl_bridge *b);

#endif
