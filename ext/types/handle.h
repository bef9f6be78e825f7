/* What loop.call_soon and loop.call_later return on the engine's loop: asyncio.Handle and
 * asyncio.TimerHandle in C, with the same methods. In debug mode asyncio's own are used. */
#ifndef CL_EXT_HANDLE_H
#define CL_EXT_HANDLE_H

#include "bridge/guest_state.h"

struct cl_engine_loop;

enum { CL_HANDLE_INLINE_ARGS = 2 };

struct cl_handle {
    PyObject_HEAD struct cl_engine_loop *loop; /* strong */
    PyObject *callback;                        /* NULL: cancelled */
    PyObject *context;
    /* slots[0] is room for a bound method's self; the arguments follow. More than fit: a tuple in
     * slots[1], and arg_count is -1. */
    PyObject *slots[1 + CL_HANDLE_INLINE_ARGS];
    int arg_count;
    bool cancelled;
    bool scheduled; /* a timer that is in the loop's heap */
    double when;    /* of a timer: seconds of loop.time() */
    PyObject *weakrefs;
};

/* A handle, or a timer when `type` is timer_type; context NULL or None: a copy of the current one.
 * NULL: exception set. */
struct cl_handle *cl_handle_new(PyTypeObject *type, struct cl_engine_loop *loop, PyObject *callback,
                                PyObject *const *args, Py_ssize_t n, PyObject *context);
/* Call the callback in its context. What it raises goes to the loop's exception handler, but for
 * SystemExit and KeyboardInterrupt: -1, set. */
int cl_handle_run(struct cl_handle *h);
void cl_handle_free_spares(struct cl_guest_state *s);

static inline bool cl_handle_check(const struct cl_guest_state *s, PyObject *o) {
    return Py_IS_TYPE(o, s->handle_type) || Py_IS_TYPE(o, s->timer_type);
}

#endif
