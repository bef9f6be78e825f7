/* asyncio as a guest of the engine: async handlers run inside the engine's turns, inside select()
 * of an asyncio loop of ours, or under a foreign running loop.
 *
 * All with the GIL held, on the server's thread. */
#ifndef CL_EXT_GUEST_H
#define CL_EXT_GUEST_H

#include "bridge/bridge.h"

/* For the asyncio loop `loop` (running, or about to run on this thread). NULL: exception set. */
struct cl_guest *cl_guest_new(struct cl_bridge *b, PyObject *loop);
void cl_guest_del(struct cl_guest *g);
int cl_guest_traverse(struct cl_guest *g, visitproc visit, void *arg);

enum cl_guest_result {
    CL_GUEST_RETURNED,  /* *value is the result */
    CL_GUEST_RAISED,    /* the exception is set */
    CL_GUEST_SUSPENDED, /* the guest answers through cl_bridge_answer when the coroutine ends; it
                           took its own reference to r, and what is in the call */
};

/* Run the first step of a handler's coroutine (reference stolen) as a Task of the loop, in
 * `context` (borrowed). */
enum cl_guest_result cl_guest_start(struct cl_guest *g, struct cl_call *call, PyObject *coro,
                                    PyObject *context, struct cl_request *r, PyObject **value);
/* The same in a Task of its own, from anywhere: also inside the step of another task. */
enum cl_guest_result cl_guest_start_apart(struct cl_guest *g, struct cl_call *call, PyObject *coro,
                                          PyObject *context, struct cl_request *r,
                                          PyObject **value);
/* Borrowed. */
PyObject *cl_guest_loop(const struct cl_guest *g);
/* asyncio's CancelledError, which ends what raises it and nothing else. `g` may be NULL: there is
 * no loop, and so nobody who cancels. */
bool cl_guest_is_cancellation(const struct cl_guest *g, PyObject *exception);
/* The bridge has something to do at the end of a turn, which nothing else may ask for. */
void cl_guest_need_turn(const struct cl_guest *g);
/* Run the coroutine (borrowed) of a job as a Task of the loop; the job is freed when it ends. -1:
 * exception set, the job is still the caller's. */
int cl_guest_spawn(struct cl_guest *g, PyObject *coro, struct cl_after *job);

#endif
