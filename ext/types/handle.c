#include "types/handle.h"

#include <stddef.h>
#include <structmember.h>

#include "types/loop.h"
#include "types/timer_heap.h"

/* Freed handles kept for the next call_soon; a loop rarely has more in flight. */
enum { SPARES_MAX = 256 };

static struct cl_handle *handle_of(PyObject *o) {
    return (struct cl_handle *)(void *)o;
}

/* ---- made and gone ---- */

static struct cl_handle *take_memory(struct cl_guest_state *s, PyTypeObject *type) {
#ifndef Py_GIL_DISABLED
    struct cl_handle *h = s->spare_handles;
    if (h) {
        s->spare_handles = (struct cl_handle *)(void *)h->callback;
        s->spare_handle_count--;
        PyObject_Init((PyObject *)h, type);
        return h;
    }
#endif
    return PyObject_GC_New(struct cl_handle, type);
}

static void give_memory(struct cl_guest_state *s, struct cl_handle *h) {
#ifndef Py_GIL_DISABLED
    if (s->spare_handle_count < SPARES_MAX) {
        h->callback = (PyObject *)(void *)s->spare_handles;
        s->spare_handles = h;
        s->spare_handle_count++;
        return;
    }
#endif
    PyObject_GC_Del(h);
}

void cl_handle_free_spares(struct cl_guest_state *s) {
    while (s->spare_handles) {
        struct cl_handle *h = s->spare_handles;
        s->spare_handles = (struct cl_handle *)(void *)h->callback;
        PyObject_GC_Del(h);
    }
    s->spare_handle_count = 0;
}

static int set_args(struct cl_handle *h, PyObject *const *args, Py_ssize_t n) {
    if (n > CL_HANDLE_INLINE_ARGS) {
        PyObject *tuple = PyTuple_New(n);
        if (!tuple)
            return -1;
        for (Py_ssize_t i = 0; i < n; i++)
            PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
        h->slots[1] = tuple;
        h->arg_count = -1;
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        h->slots[1 + i] = Py_NewRef(args[i]);
    h->arg_count = (int)n;
    return 0;
}

struct cl_handle *cl_handle_new(PyTypeObject *type, struct cl_engine_loop *loop, PyObject *callback,
                                PyObject *const *args, Py_ssize_t n, PyObject *context) {
    context = context && context != Py_None ? Py_NewRef(context) : PyContext_CopyCurrent();
    if (!context)
        return NULL;
    struct cl_handle *h = take_memory(loop->state, type);
    if (!h) {
        Py_DECREF(context);
        return NULL;
    }
    h->loop = loop;
    Py_INCREF(loop);
    h->callback = Py_NewRef(callback);
    h->context = context;
    memset(h->slots, 0, sizeof h->slots);
    h->arg_count = 0;
    h->cancelled = h->scheduled = false;
    h->when = 0;
    h->weakrefs = NULL;
    int err = set_args(h, args, n);
    PyObject_GC_Track(h);
    if (err)
        Py_CLEAR(h);
    return h;
}

static void drop_call(struct cl_handle *h) {
    Py_CLEAR(h->callback);
    for (int i = 1; i <= CL_HANDLE_INLINE_ARGS; i++)
        Py_CLEAR(h->slots[i]);
    h->arg_count = 0;
}

static int handle_traverse(PyObject *o, visitproc visit, void *arg) {
    struct cl_handle *h = handle_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(h->loop);
    Py_VISIT(h->callback);
    Py_VISIT(h->context);
    for (int i = 1; i <= CL_HANDLE_INLINE_ARGS; i++)
        Py_VISIT(h->slots[i]);
    return 0;
}

static int handle_clear(PyObject *o) {
    drop_call(handle_of(o));
    Py_CLEAR(handle_of(o)->context);
    return 0; /* the loop stays: it knows where the memory goes */
}

static void handle_dealloc(PyObject *o) {
    struct cl_handle *h = handle_of(o);
    PyTypeObject *type = Py_TYPE(o);
    struct cl_engine_loop *loop = h->loop;
    PyObject_GC_UnTrack(o);
    if (h->weakrefs)
        PyObject_ClearWeakRefs(o);
    handle_clear(o);
    give_memory(loop->state, h);
    Py_DECREF(loop);
    Py_DECREF(type);
}

/* ---- running ---- */

static PyObject *args_of(const struct cl_handle *h) {
    if (h->arg_count < 0)
        return Py_NewRef(h->slots[1]);
    PyObject *tuple = PyTuple_New(h->arg_count);
    for (int i = 0; tuple && i < h->arg_count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(h->slots[1 + i]));
    return tuple;
}

/* What is set, to the loop's exception handler, as asyncio.Handle._run does. */
static int report(struct cl_handle *h) {
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyObject *exception = cl_ext_fetch_exception();
    PyObject *done = PyObject_CallMethodObjArgs((PyObject *)h->loop, h->loop->state->str_report, h,
                                                exception ? exception : Py_None, NULL);
    Py_XDECREF(exception);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *call(struct cl_handle *h) {
    if (h->arg_count < 0)
        return PyObject_Call(h->callback, h->slots[1], NULL);
    return PyObject_Vectorcall(h->callback, h->slots + 1,
                               (size_t)h->arg_count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

int cl_handle_run(struct cl_handle *h) {
    if (!h->callback)
        return 0;
    /* The call may cancel the handle. */
    PyObject *callback = Py_NewRef(h->callback), *context = Py_NewRef(h->context), *done = NULL;
    PyObject *kept[CL_HANDLE_INLINE_ARGS];
    for (int i = 0; i < CL_HANDLE_INLINE_ARGS; i++)
        kept[i] = Py_XNewRef(h->slots[1 + i]);
    if (PyContext_Enter(context) == 0) {
        done = call(h);
        if (PyContext_Exit(context) < 0)
            Py_CLEAR(done);
    }
    int err = done ? 0 : report(h);
    Py_XDECREF(done);
    for (int i = 0; i < CL_HANDLE_INLINE_ARGS; i++)
        Py_XDECREF(kept[i]);
    Py_DECREF(context);
    Py_DECREF(callback);
    return err;
}

PyDoc_STRVAR(run_doc, "_run($self)\n--\n\nCall the callback in its context (asyncio's loop does).");

static PyObject *run(PyObject *o, PyObject *ignored) {
    (void)ignored;
    return cl_handle_run(handle_of(o)) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- methods ---- */

PyDoc_STRVAR(cancel_doc, "cancel($self)\n--\n\nThe callback will not be called.");

static PyObject *cancel(PyObject *o, PyObject *ignored) {
    (void)ignored;
    struct cl_handle *h = handle_of(o);
    if (!h->cancelled) {
        if (h->scheduled)
            h->loop->timer_cancelled_count++;
        h->cancelled = true;
        drop_call(h);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(cancelled_doc, "cancelled($self)\n--\n\nTrue after cancel().");

static PyObject *cancelled(PyObject *o, PyObject *ignored) {
    (void)ignored;
    return PyBool_FromLong(handle_of(o)->cancelled);
}

PyDoc_STRVAR(get_context_doc, "get_context($self)\n--\n\nThe contextvars.Context of the callback.");

static PyObject *get_context(PyObject *o, PyObject *ignored) {
    (void)ignored;
    return Py_NewRef(handle_of(o)->context);
}

PyDoc_STRVAR(when_doc,
             "when($self)\n--\n\nWhen the callback is due: float, seconds of loop.time().");

static PyObject *when(PyObject *o, PyObject *ignored) {
    (void)ignored;
    return PyFloat_FromDouble(handle_of(o)->when);
}

static PyObject *get_callback(PyObject *o, void *closure) {
    (void)closure;
    PyObject *callback = handle_of(o)->callback;
    return Py_NewRef(callback ? callback : Py_None);
}

static PyObject *get_args(PyObject *o, void *closure) {
    (void)closure;
    return handle_of(o)->callback ? args_of(handle_of(o)) : Py_NewRef(Py_None);
}

static PyObject *get_none(PyObject *o, void *closure) {
    (void)o;
    (void)closure;
    Py_RETURN_NONE;
}

/* asyncio's wording: <TimerHandle cancelled when=1.5 f() at file:line>. */
static PyObject *handle_repr(PyObject *o) {
    return PyObject_CallMethod((PyObject *)handle_of(o)->loop, "_repr_handle", "O", o);
}

/* ---- order and equality of timers, as asyncio.TimerHandle has them ---- */

static Py_hash_t timer_hash(PyObject *o) {
    PyObject *number = PyFloat_FromDouble(handle_of(o)->when);
    Py_hash_t hash = number ? PyObject_Hash(number) : -1;
    Py_XDECREF(number);
    return hash;
}

static int equal(const struct cl_handle *a, const struct cl_handle *b) {
    if (a == b)
        return 1;
    if (a->when != b->when || a->cancelled != b->cancelled || a->arg_count != b->arg_count)
        return 0;
    if (!a->callback || !b->callback)
        return a->callback == b->callback;
    int same = PyObject_RichCompareBool(a->callback, b->callback, Py_EQ);
    for (int i = 1; i <= CL_HANDLE_INLINE_ARGS && same > 0 && a->slots[i]; i++)
        same = PyObject_RichCompareBool(a->slots[i], b->slots[i], Py_EQ);
    return same;
}

static PyObject *timer_compare(PyObject *o, PyObject *other, int op) {
    const struct cl_handle *h = handle_of(o);
    const struct cl_guest_state *s = h->loop->state;
    bool ours = Py_IS_TYPE(other, s->timer_type);
    if (op == Py_EQ || op == Py_NE || !(ours || PyObject_HasAttr(other, s->str_when))) {
        if (!ours || (op != Py_EQ && op != Py_NE))
            Py_RETURN_NOTIMPLEMENTED;
        int same = equal(h, handle_of(other));
        return same < 0 ? NULL : PyBool_FromLong(same == (op == Py_EQ));
    }
    double a = h->when, b;
    if (cl_timer_when(s, other, &b) < 0)
        return NULL;
    Py_RETURN_RICHCOMPARE(a, b, op);
}

/* ---- types ---- */

static PyMethodDef handle_methods[] = {
    {"_run", run, METH_NOARGS, run_doc},
    {"cancel", cancel, METH_NOARGS, cancel_doc},
    {"cancelled", cancelled, METH_NOARGS, cancelled_doc},
    {"get_context", get_context, METH_NOARGS, get_context_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef timer_methods[] = {
    {"when", when, METH_NOARGS, when_doc},
    {NULL, NULL, 0, NULL},
};

/* What asyncio reads and writes of a handle. */
static PyMemberDef handle_members[] = {
    {"_cancelled", T_BOOL, offsetof(struct cl_handle, cancelled), READONLY, NULL},
    {"_context", T_OBJECT, offsetof(struct cl_handle, context), READONLY, NULL},
    {"_loop", T_OBJECT, offsetof(struct cl_handle, loop), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct cl_handle, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef timer_members[] = {
    {"_when", T_DOUBLE, offsetof(struct cl_handle, when), READONLY, NULL},
    {"_scheduled", T_BOOL, offsetof(struct cl_handle, scheduled), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct cl_handle, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef handle_getset[] = {
    {"_callback", get_callback, NULL, NULL, NULL},
    {"_args", get_args, NULL, NULL, NULL},
    {"_source_traceback", get_none, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(handle_doc, "What call_soon() returns: a callback that will be called.");
PyDoc_STRVAR(timer_doc, "What call_later() and call_at() return: a callback that will be called at "
                        "a time.");

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)handle_doc},
    {Py_tp_dealloc, (void *)handle_dealloc},
    {Py_tp_traverse, (void *)handle_traverse},
    {Py_tp_clear, (void *)handle_clear},
    {Py_tp_repr, (void *)handle_repr},
    {Py_tp_methods, handle_methods},
    {Py_tp_members, handle_members},
    {Py_tp_getset, handle_getset},
    {0, NULL},
};

static PyType_Slot timer_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)timer_doc},
    {Py_tp_dealloc, (void *)handle_dealloc},
    {Py_tp_traverse, (void *)handle_traverse},
    {Py_tp_clear, (void *)handle_clear},
    {Py_tp_repr, (void *)handle_repr},
    {Py_tp_richcompare, (void *)timer_compare},
    {Py_tp_hash, (void *)timer_hash},
    {Py_tp_methods, timer_methods},
    {Py_tp_members, timer_members},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "cello._cello.Handle",
    .basicsize = sizeof(struct cl_handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = handle_slots,
};

static PyType_Spec timer_spec = {
    .name = "cello._cello.TimerHandle",
    .basicsize = sizeof(struct cl_handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = timer_slots,
};

int cl_handle_setup_types(PyObject *module, struct cl_guest_state *s) {
    s->handle_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &handle_spec, NULL);
    if (!s->handle_type || PyModule_AddType(module, s->handle_type) < 0)
        return -1;
    s->timer_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &timer_spec, (PyObject *)s->handle_type);
    return s->timer_type ? PyModule_AddType(module, s->timer_type) : -1;
}
