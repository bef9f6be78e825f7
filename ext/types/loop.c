#include "types/loop.h"

#include <stddef.h>
#include <structmember.h>
#include <time.h>

#include "bridge/guest_internal.h"
#include "types/handle.h"
#include "types/timer_heap.h"

static struct cl_engine_loop *loop_of(PyObject *o) {
    return (struct cl_engine_loop *)(void *)o;
}

/* ---- arguments ---- */

/* callback, *args, context=None; `first` arguments come before the callback. */
struct call {
    PyObject *const *args;
    Py_ssize_t n; /* positional, after the callback */
    PyObject *callback;
    PyObject *context; /* NULL or None: the current one is copied */
};

static int parse(const char *name, Py_ssize_t first, PyObject *const *args, Py_ssize_t n,
                 PyObject *kwnames, struct call *out) {
    if (n <= first) {
        PyErr_Format(PyExc_TypeError, "%s() takes a callback", name);
        return -1;
    }
    *out = (struct call){.args = args + first + 1, .n = n - first - 1, .callback = args[first]};
    Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < keywords; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_CompareWithASCIIString(keyword, "context") != 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", name,
                         keyword);
            return -1;
        }
        out->context = args[n + i];
    }
    return 0;
}

static int check_open(const struct cl_engine_loop *l) {
    if (l->closed != Py_True)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
    return -1;
}

/* The method of asyncio's own loop, with the arguments as they came. */
static PyObject *asyncio_call(struct cl_engine_loop *l, PyObject *name, PyObject *const *args,
                              Py_ssize_t n, PyObject *kwnames) {
    if (cl_guest_state_load(l->state, PyType_GetModule(l->state->loop_type)) < 0)
        return NULL;
    PyObject *method = PyObject_GetAttr(l->state->base_loop, name);
    if (!method)
        return NULL;
    Py_ssize_t total = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject *result = NULL;
    PyObject **with_self = PyMem_Malloc((size_t)(total + 1) * sizeof *with_self);
    if (with_self) {
        with_self[0] = (PyObject *)l;
        memcpy(with_self + 1, args, (size_t)total * sizeof *with_self);
        result = PyObject_Vectorcall(method, with_self, (size_t)(n + 1), kwnames);
        PyMem_Free(with_self);
    } else {
        PyErr_NoMemory();
    }
    l->touched = true;
    Py_DECREF(method);
    return result;
}

/* ---- call_soon ---- */

static PyObject *append_ready(struct cl_engine_loop *l, struct cl_handle *h) {
    PyObject *done =
        h ? PyObject_CallMethodOneArg(l->ready, l->state->str_append, (PyObject *)h) : NULL;
    if (!done) {
        Py_XDECREF(h);
        return NULL;
    }
    Py_DECREF(done);
    return (PyObject *)h;
}

/* Whether this is the step to be captured. A new task's is known by the task, later ones, which
 * come with every handler that waits, by their type. */
static bool is_step(struct cl_engine_loop *l, PyObject *callback) {
    if (l->capture == CL_CAPTURE_DROP)
        return Py_IS_TYPE(callback, l->step_type);
    PyObject *task = PyObject_GetAttrString(callback, "__self__");
    if (!task)
        PyErr_Clear();
    bool is = task && Py_IS_TYPE(task, l->state->task_type);
    if (is)
        Py_XSETREF(l->step_type, (PyTypeObject *)Py_NewRef(Py_TYPE(callback)));
    Py_XDECREF(task);
    return is;
}

PyDoc_STRVAR(call_soon_doc,
             "call_soon($self, callback, *args, context=None)\n--\n\nCall it in the next "
             "round of the loop. Returns a Handle.");

static PyObject *call_soon(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    struct cl_engine_loop *l = loop_of(self);
    struct call call;
    if (l->capture && n > 0 && is_step(l, args[0])) {
        if (l->capture == CL_CAPTURE_KEEP)
            Py_XSETREF(l->captured, Py_NewRef(args[0]));
        l->capture = CL_CAPTURE_OFF;
        Py_RETURN_NONE;
    }
    if (cl_loop_is_plain(l))
        return asyncio_call(l, l->state->str_call_soon, args, n, kwnames);
    if (parse("call_soon", 0, args, n, kwnames, &call) < 0 || check_open(l) < 0)
        return NULL;
    return append_ready(
        l, cl_handle_new(l->state->handle_type, l, call.callback, call.args, call.n, call.context));
}

PyDoc_STRVAR(
    call_soon_threadsafe_doc,
    "call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nAs call_soon(), from any "
    "thread.");

static PyObject *call_soon_threadsafe(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                      PyObject *kwnames) {
    struct cl_engine_loop *l = loop_of(self);
    struct call call;
    if (cl_loop_is_plain(l))
        return asyncio_call(l, l->state->str_call_soon_threadsafe, args, n, kwnames);
    if (parse("call_soon_threadsafe", 0, args, n, kwnames, &call) < 0 || check_open(l) < 0)
        return NULL;
    PyObject *h = append_ready(
        l, cl_handle_new(l->state->handle_type, l, call.callback, call.args, call.n, call.context));
    if (!h || cl_guest_wake(l))
        return h;
    PyObject *done = PyObject_CallMethodNoArgs(self, l->state->str_write_to_self);
    if (!done)
        Py_CLEAR(h);
    Py_XDECREF(done);
    return h;
}

/* ---- timers ---- */

static PyObject *schedule(struct cl_engine_loop *l, double when, const struct call *call) {
    struct cl_handle *h =
        cl_handle_new(l->state->timer_type, l, call->callback, call->args, call->n, call->context);
    if (!h)
        return NULL;
    h->when = when;
    if (cl_timer_heap_push(l->state, l->scheduled, (PyObject *)h) < 0) {
        Py_DECREF(h);
        return NULL;
    }
    h->scheduled = true;
    return (PyObject *)h;
}

static int seconds(PyObject *o, const char *name, double *out) {
    if (o == Py_None) {
        PyErr_Format(PyExc_TypeError, "%s must not be None", name);
        return -1;
    }
    *out = PyFloat_AsDouble(o);
    return *out == -1.0 && PyErr_Occurred() ? -1 : 0;
}

PyDoc_STRVAR(call_later_doc,
             "call_later($self, delay, callback, *args, context=None)\n--\n\nCall it after "
             "`delay` seconds. Returns a TimerHandle.");

static PyObject *call_later(PyObject *self, PyObject *const *args, Py_ssize_t n,
                            PyObject *kwnames) {
    struct cl_engine_loop *l = loop_of(self);
    struct call call;
    double delay;
    if (cl_loop_is_plain(l))
        return asyncio_call(l, l->state->str_call_later, args, n, kwnames);
    if (parse("call_later", 1, args, n, kwnames, &call) < 0 ||
        seconds(args[0], "delay", &delay) < 0 || check_open(l) < 0)
        return NULL;
    return schedule(l, cl_loop_time() + delay, &call);
}

PyDoc_STRVAR(call_at_doc,
             "call_at($self, when, callback, *args, context=None)\n--\n\nCall it at `when`, "
             "seconds of time(). Returns a TimerHandle.");

static PyObject *call_at(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    struct cl_engine_loop *l = loop_of(self);
    struct call call;
    double at;
    if (cl_loop_is_plain(l))
        return asyncio_call(l, l->state->str_call_at, args, n, kwnames);
    if (parse("call_at", 1, args, n, kwnames, &call) < 0 || seconds(args[0], "when", &at) < 0 ||
        check_open(l) < 0)
        return NULL;
    return schedule(l, at, &call);
}

PyDoc_STRVAR(time_doc, "time($self)\n--\n\nSeconds of the monotonic clock.");

static PyObject *get_time(PyObject *self, PyObject *ignored) {
    (void)self;
    (void)ignored;
    return PyFloat_FromDouble(cl_loop_time());
}

/* ---- what every future asks for ---- */

PyDoc_STRVAR(get_debug_doc, "get_debug($self)\n--\n\nWhether debug mode is on.");

static PyObject *get_debug(PyObject *self, PyObject *ignored) {
    (void)ignored;
    PyObject *debug = loop_of(self)->debug;
    return Py_NewRef(debug ? debug : Py_False);
}

PyDoc_STRVAR(create_future_doc, "create_future($self)\n--\n\nAn asyncio.Future of this loop.");

static PyObject *create_future(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_guest_state *s = loop_of(self)->state;
    if (!s->loaded && cl_guest_state_load(s, PyType_GetModule(s->loop_type)) < 0)
        return NULL;
    return PyObject_Vectorcall(s->future_type, &self, 0, s->kw_loop);
}

/* ---- the type ---- */

static PyObject *loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext)
        return NULL;
    PyObject *o = type->tp_alloc(type, 0);
    if (o)
        loop_of(o)->state = (struct cl_guest_state *)(void *)Py_NewRef(ext->guest_types);
    return o;
}

static int loop_traverse(PyObject *o, visitproc visit, void *arg) {
    struct cl_engine_loop *l = loop_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(l->state);
    Py_VISIT(l->ready);
    Py_VISIT(l->scheduled);
    Py_VISIT(l->task_factory);
    Py_VISIT(l->captured);
    Py_VISIT(l->step_type);
    return 0;
}

static int loop_clear(PyObject *o) {
    struct cl_engine_loop *l = loop_of(o);
    Py_CLEAR(l->ready);
    Py_CLEAR(l->scheduled);
    Py_CLEAR(l->closed);
    Py_CLEAR(l->debug);
    Py_CLEAR(l->stopping);
    Py_CLEAR(l->task_factory);
    Py_CLEAR(l->captured);
    Py_CLEAR(l->step_type);
    return 0;
}

static void loop_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    loop_clear(o);
    Py_XDECREF(loop_of(o)->state);
    type->tp_free(o);
    Py_DECREF(type);
}

#define WITH_KEYWORDS(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef loop_methods[] = {
    {"call_soon", WITH_KEYWORDS(call_soon), call_soon_doc},
    {"call_soon_threadsafe", WITH_KEYWORDS(call_soon_threadsafe), call_soon_threadsafe_doc},
    {"call_later", WITH_KEYWORDS(call_later), call_later_doc},
    {"call_at", WITH_KEYWORDS(call_at), call_at_doc},
    {"time", get_time, METH_NOARGS, time_doc},
    {"get_debug", get_debug, METH_NOARGS, get_debug_doc},
    {"create_future", create_future, METH_NOARGS, create_future_doc},
    {NULL, NULL, 0, NULL},
};

#define FIELD(name, field)                                                                         \
    { name, T_OBJECT_EX, offsetof(struct cl_engine_loop, field), 0, NULL }

static PyMemberDef loop_members[] = {
    FIELD("_ready", ready),
    FIELD("_scheduled", scheduled),
    FIELD("_closed", closed),
    FIELD("_debug", debug),
    FIELD("_stopping", stopping),
    FIELD("_task_factory", task_factory),
    {"_timer_cancelled_count", T_PYSSIZET, offsetof(struct cl_engine_loop, timer_cancelled_count),
     0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *get_has_server(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(loop_of(self)->guest != NULL);
}

static PyGetSetDef loop_getset[] = {
    {"_has_server", get_has_server, NULL, "bool: a server is driven by this loop", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(loop_doc, "The part in C of an asyncio loop that runs inside the engine.");

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)loop_doc},
    {Py_tp_new, (void *)loop_new},
    {Py_tp_dealloc, (void *)loop_dealloc},
    {Py_tp_traverse, (void *)loop_traverse},
    {Py_tp_clear, (void *)loop_clear},
    {Py_tp_methods, loop_methods},
    {Py_tp_members, loop_members},
    {Py_tp_getset, loop_getset},
    {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "cello._cello.LoopBase",
    .basicsize = sizeof(struct cl_engine_loop),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = loop_slots,
};

int cl_loop_setup_types(PyObject *module, struct cl_guest_state *s) {
    s->loop_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &loop_spec, NULL);
    return s->loop_type ? PyModule_AddType(module, s->loop_type) : -1;
}
