/* HandlerTask: an asyncio.Task that serves one handler after another.
 *
 * Between handlers it is asleep and says it is done, so that all_tasks() does not show it and
 * nobody waits for it. What a program may do to a task and would show in the next handler (a name,
 * callbacks, attributes, a cancellation) marks it: it then ends with the handler that did it. */
#include <stddef.h>

#include "bridge/guest_internal.h"

/* Behind the fields of asyncio.Task, whose size only asyncio knows. */
struct extra {
    struct cl_runner *runner; /* borrowed: the runner owns the task */
    bool dirty;
    bool retired; /* serves no more: it has ended, or would never */
};

static struct extra *extra_of(const struct cl_guest_state *s, PyObject *task) {
    Py_ssize_t base = ((PyTypeObject *)s->plain_task_type)->tp_basicsize;
    return (struct extra *)(void *)((char *)task + base);
}

static struct cl_guest_state *state_of(PyObject *task) {
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(task));
    return ext ? cl_guest_state_of(ext) : NULL;
}

static bool asleep(const struct extra *x) {
    return x->retired || (x->runner && x->runner->state == CL_RUNNER_IDLE);
}

/* ---- methods ---- */

static PyObject *call_base(PyObject *method, PyObject *self, PyObject *const *args, Py_ssize_t n,
                           PyObject *kwnames) {
    enum { ARGS_MAX = 6 };
    PyObject *with_self[1 + ARGS_MAX] = {self};
    Py_ssize_t total = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (total > ARGS_MAX) {
        PyErr_SetString(PyExc_TypeError, "too many arguments");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < total; i++)
        with_self[1 + i] = args[i];
    return PyObject_Vectorcall(method, with_self, (size_t)(n + 1), kwnames);
}

static PyObject *cancel(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    struct cl_guest_state *s = state_of(self);
    if (!s || asleep(extra_of(s, self)))
        return s ? Py_NewRef(Py_False) : NULL;
    extra_of(s, self)->dirty = true;
    return call_base(s->base_cancel, self, args, n, kwnames);
}

static PyObject *uncancel(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    extra_of(s, self)->dirty = true;
    return PyObject_CallOneArg(s->base_uncancel, self);
}

static PyObject *set_name(PyObject *self, PyObject *name) {
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    extra_of(s, self)->dirty = true;
    return PyObject_CallFunctionObjArgs(s->base_set_name, self, name, NULL);
}

static PyObject *add_done_callback(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                   PyObject *kwnames) {
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    extra_of(s, self)->dirty = true;
    return call_base(s->base_add_done_callback, self, args, n, kwnames);
}

static PyObject *done(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    return asleep(extra_of(s, self)) ? Py_NewRef(Py_True) : PyObject_CallOneArg(s->base_done, self);
}

static PyObject *get_coro(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    struct cl_runner *r = extra_of(s, self)->runner;
    return r && r->coro ? Py_NewRef(r->coro) : PyObject_CallOneArg(s->base_get_coro, self);
}

static PyObject *get_context(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    struct cl_runner *r = extra_of(s, self)->runner;
    if (r && r->context)
        return Py_NewRef(r->context);
    if (s->base_get_context) /* Python 3.12 */
        return PyObject_CallOneArg(s->base_get_context, self);
    PyErr_SetString(PyExc_RuntimeError, "the handler of this task has ended");
    return NULL;
}

static int setattr(PyObject *self, PyObject *name, PyObject *value) {
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return -1;
    extra_of(s, self)->dirty = true;
    return PyObject_GenericSetAttr(self, name, value);
}

static PyObject *get_dict(PyObject *self, void *closure) {
    struct cl_guest_state *s = state_of(self);
    if (!s)
        return NULL;
    extra_of(s, self)->dirty = true;
    return PyObject_GenericGetDict(self, closure);
}

/* ---- the type ---- */

#define WITH_KEYWORDS(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef task_methods[] = {
    {"cancel", WITH_KEYWORDS(cancel), NULL},
    {"uncancel", uncancel, METH_NOARGS, NULL},
    {"set_name", set_name, METH_O, NULL},
    {"add_done_callback", WITH_KEYWORDS(add_done_callback), NULL},
    {"done", done, METH_NOARGS, NULL},
    {"get_coro", get_coro, METH_NOARGS, NULL},
    {"get_context", get_context, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef task_getset[] = {
    {"__dict__", get_dict, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot task_slots[] = {
    {Py_tp_methods, task_methods},
    {Py_tp_getset, task_getset},
    {Py_tp_setattro, (void *)setattr},
    {0, NULL},
};

static int load_methods(struct cl_guest_state *s) {
    const struct {
        const char *name;
        PyObject **slot;
    } methods[] = {
        {"cancel", &s->base_cancel},     {"uncancel", &s->base_uncancel},
        {"set_name", &s->base_set_name}, {"add_done_callback", &s->base_add_done_callback},
        {"done", &s->base_done},         {"get_coro", &s->base_get_coro},
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        *methods[i].slot = PyObject_GetAttrString(s->plain_task_type, methods[i].name);
        if (!*methods[i].slot)
            return -1;
    }
    s->base_get_context = PyObject_GetAttrString(s->plain_task_type, "get_context");
    if (!s->base_get_context)
        PyErr_Clear();
    return 0;
}

int cl_guest_task_load(struct cl_guest_state *s, PyObject *module) {
    if (!PyType_Check(s->plain_task_type)) {
        PyErr_SetString(PyExc_TypeError, "asyncio.Task is not a class");
        return -1;
    }
    PyTypeObject *base = (PyTypeObject *)s->plain_task_type;
    PyType_Spec spec = {
        .name = "cello._cello.HandlerTask",
        .basicsize = (int)(base->tp_basicsize + (Py_ssize_t)sizeof(struct extra)),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = task_slots,
    };
    if (load_methods(s) < 0)
        return -1;
    s->task_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, s->plain_task_type);
    return s->task_type ? 0 : -1;
}

/* ---- use ---- */

/* A task of ours, made while the loop catches its request for a first step, which goes to *step. */
static PyObject *new_captured(struct cl_guest *g, PyObject *coro, PyObject *context,
                              PyObject **step) {
    struct cl_guest_state *s = g->state;
    PyObject *args = PyTuple_Pack(1, coro);
    PyObject *kwargs = args ? Py_BuildValue("{sOsO}", "loop", g->loop, "context", context) : NULL;
    PyObject *task = kwargs ? s->task_type->tp_alloc(s->task_type, 0) : NULL;
    if (task) {
        g->own->capture = CL_CAPTURE_KEEP;
        if (s->task_type->tp_init(task, args, kwargs) < 0)
            Py_CLEAR(task);
        g->own->capture = CL_CAPTURE_OFF;
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    *step = g->own->captured;
    g->own->captured = NULL;
    if (task && !*step) {
        PyErr_SetString(PyExc_RuntimeError, "asyncio.Task did not ask for a first step");
        Py_CLEAR(task);
    }
    return task;
}

static PyObject *new_pooled(struct cl_guest *g, struct cl_runner *r) {
    PyObject *task = new_captured(g, (PyObject *)r, g->pool_context, &r->step);
    if (task)
        extra_of(g->state, task)->runner = r;
    if (task && PyObject_SetAttrString(task, "_log_destroy_pending", Py_False) < 0)
        Py_CLEAR(task);
    return task;
}

/* Whether tasks are made by asyncio.Task itself. */
static bool has_no_factory(struct cl_guest *g) {
    PyObject *factory = PyObject_CallMethodNoArgs(g->loop, g->state->str_get_task_factory);
    bool none = factory == Py_None;
    if (!factory)
        PyErr_Clear();
    Py_XDECREF(factory);
    return none;
}

/* A Task of its own, which runs its first step at once if asyncio knows how to, else soon. */
static PyObject *new_ordinary(struct cl_guest *g, PyObject *coro, PyObject *context) {
    struct cl_guest_state *s = g->state;
    if (!g->eager || !has_no_factory(g)) {
        PyObject *method_args[] = {g->loop, coro, context};
        return PyObject_VectorcallMethod(s->str_create_task, method_args, 2, s->kw_context);
    }
    PyObject *args[] = {coro, g->loop, context, Py_True};
    return PyObject_Vectorcall(s->plain_task_type, args, 1, s->kw_eager);
}

/* The first step of a task that asked for it with `step`, now; soon, where another task runs. */
static int first_step(struct cl_guest *g, PyObject *step, PyObject *context) {
    PyObject *done = NULL;
    if (PyContext_Enter(context) == 0) {
        done = PyObject_CallNoArgs(step);
        if (PyContext_Exit(context) < 0)
            Py_CLEAR(done);
    }
    if (!done && PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        PyErr_Clear();
        PyObject *args[] = {g->loop, step, context};
        done = PyObject_VectorcallMethod(g->state->str_call_soon, args, 2, g->state->kw_context);
    }
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *cl_guest_task_apart(struct cl_guest *g, PyObject *coro, PyObject *context) {
    bool own = g->pooling && !cl_loop_is_plain(g->own) && g->own->task_factory == Py_None;
    if (g->eager || !own)
        return new_ordinary(g, coro, context);
    PyObject *step = NULL, *task = new_captured(g, coro, context, &step);
    if (task && first_step(g, step, context) < 0)
        Py_CLEAR(task);
    Py_XDECREF(step);
    return task;
}

int cl_guest_task_new(struct cl_guest *g, struct cl_runner *r) {
    PyObject *task = r->pooled ? new_pooled(g, r) : new_ordinary(g, (PyObject *)r, r->context);
    r->task = task;
    if (task && r->pooled)
        cl_guest_task_mark(r);
    return task ? 0 : -1;
}

static PyObject **weakrefs_of(PyObject *task) {
    return (PyObject **)(void *)((char *)task + Py_TYPE(task)->tp_weaklistoffset);
}

void cl_guest_task_mark(struct cl_runner *r) {
    extra_of(r->ext_state, r->task)->dirty = false;
    r->task_refs = Py_REFCNT(r->task);
    r->task_weakrefs = *weakrefs_of(r->task);
}

bool cl_guest_task_is_dirty(const struct cl_runner *r) {
    return !r->task || extra_of(r->ext_state, r->task)->dirty;
}

/* asyncio's own weak reference to every task is there all the time. */
bool cl_guest_task_is_clean(const struct cl_runner *r) {
    PyWeakReference *head = (PyWeakReference *)(void *)*weakrefs_of(r->task);
    return !extra_of(r->ext_state, r->task)->dirty && Py_REFCNT(r->task) == r->task_refs &&
           head == r->task_weakrefs && (!head || !head->wr_next);
}

static PyObject *retrieve(PyObject *ignored, PyObject *task) {
    (void)ignored;
    PyObject *exception = PyObject_CallMethod(task, "exception", NULL);
    if (!exception)
        PyErr_Clear(); /* it was cancelled */
    Py_XDECREF(exception);
    Py_RETURN_NONE;
}

static PyMethodDef retrieve_def = {"retrieve_answered_exception", retrieve, METH_O, NULL};

void cl_guest_task_silence(struct cl_runner *r) {
    PyObject *callback = r->task ? PyCFunction_New(&retrieve_def, NULL) : NULL;
    PyObject *done =
        callback ? PyObject_CallMethod(r->task, "add_done_callback", "O", callback) : NULL;
    if (!done)
        PyErr_Clear();
    Py_XDECREF(done);
    Py_XDECREF(callback);
}

void cl_guest_task_forget(struct cl_runner *r) {
    if (r->task && r->pooled) {
        extra_of(r->ext_state, r->task)->runner = NULL;
        extra_of(r->ext_state, r->task)->retired = true;
    }
    Py_CLEAR(r->task);
}
