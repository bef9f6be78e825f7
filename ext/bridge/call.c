/* Handlers called: h(), h(req), and by a plan; def and async def. */
#include "plan/call.h"
#include "bridge/guest.h"
#include "types/request.h"

/* ---- contexts ---- */

/* The one used before serves again unless its handler set something in it or kept it. */
PyObject *cl_bridge_take_context(struct cl_ext *ext) {
    PyObject *context = ext->empty_context;
    if (context) {
        ext->empty_context = NULL;
        return context;
    }
    return PyContext_New();
}

void cl_bridge_give_context(struct cl_ext *ext, PyObject *context) {
    if (!ext->empty_context && Py_REFCNT(context) == 1 && PyObject_Size(context) == 0)
        ext->empty_context = context;
    else
        Py_DECREF(context);
}

void cl_bridge_settle_context(struct cl_ext *ext, struct cl_call *call, PyObject *context,
                              PyObject *value) {
    bool stays = call->generators || call->background ||
                 (value && (Py_IS_TYPE(value, ext->after_type) || PyGen_CheckExact(value) ||
                            PyAsyncGen_CheckExact(value)));
    if (stays && !call->context)
        call->context = context;
    else
        cl_bridge_give_context(ext, context);
}

/* ---- calls ---- */

static PyObject *call_plainly(struct cl_bridge *b, PyObject *callable, struct cl_call *call,
                              struct cl_request *r) {
    PyObject *args[2] = {NULL, NULL};
    size_t n = call->entry->flags & CL_ENTRY_WANTS_REQUEST ? 1 : 0;
    if (n && !(args[1] = cl_call_request(b, call, r)))
        return NULL;
    return PyObject_Vectorcall(callable, args + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

PyObject *cl_bridge_call_in_context(struct cl_bridge *b, PyObject *callable, struct cl_call *call,
                                    struct cl_request *r, PyObject *context) {
    if (PyContext_Enter(context) < 0)
        return NULL;
    PyObject *value =
        call->plan ? cl_plan_call(b, callable, call, r) : call_plainly(b, callable, call, r);
    if (PyContext_Exit(context) < 0)
        Py_CLEAR(value);
    return value;
}

/* False: the guest will answer. */
static bool start(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                  PyObject *context, PyObject **value) {
    PyObject *coroutine = *value;
    *value = NULL;
    return cl_guest_start(b->guest, call, coroutine, context, r, value) != CL_GUEST_SUSPENDED;
}

static bool call_async(struct cl_bridge *b, PyObject *callable, struct cl_call *call,
                       struct cl_request *r, PyObject *context, PyObject **value) {
    if (!b->guest) {
        PyErr_SetString(PyExc_RuntimeError, "an async handler needs the server to run a loop");
        return true;
    }
    /* Without a plan no code runs before the first step, which enters the context itself. */
    *value = call->plan ? cl_bridge_call_in_context(b, callable, call, r, context)
                        : call_plainly(b, callable, call, r);
    if (*value && (call->generators ||
                   call->background)) /* the first step may end, and answer, in a cancellation */
        call->context = Py_NewRef(context);
    return *value ? start(b, call, r, context, value) : true;
}

bool cl_bridge_call(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                    PyObject **value) {
    struct cl_entry *e = call->entry;
    PyObject *context = cl_bridge_take_context(b->ext);
    bool ended = true;
    *value = NULL;
    if (!context)
        return true;
    /* The program may set another plan while this one runs. */
    PyObject *callable = Py_NewRef(e->callable);
    call->plan = (struct cl_plan *)(void *)Py_XNewRef((PyObject *)e->plan);
    if (e->flags & CL_ENTRY_ASYNC)
        ended = call_async(b, callable, call, r, context, value);
    else
        *value = cl_bridge_call_in_context(b, callable, call, r, context);
    Py_DECREF(callable);
    if (ended)
        cl_bridge_settle_context(b->ext, call, context, *value);
    else
        cl_bridge_give_context(b->ext, context);
    return ended;
}
