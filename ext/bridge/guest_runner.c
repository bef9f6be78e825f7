/* The Runner: the coroutine object of a handler's Task. */
#include "bridge/guest_internal.h"

#include <stddef.h>
#include <structmember.h>

static struct cl_runner *runner_of(PyObject *o) {
    return (struct cl_runner *)(void *)o;
}

/* ---- a handler in, a handler out ---- */

struct cl_runner *cl_runner_new(struct cl_guest *g, bool pooled) {
    PyTypeObject *type = g->state->runner_type;
    struct cl_runner *r = (struct cl_runner *)(void *)type->tp_alloc(type, 0);
    if (!r)
        return NULL;
    r->ext_state = (struct cl_guest_state *)(void *)Py_NewRef((PyObject *)g->state);
    r->guest = g;
    r->pooled = pooled;
    return r;
}

/* What drives an awaitable: itself for coroutines, else what its __await__ gives. */
static PyObject *steps_of(PyObject *coro) {
    if (PyCoro_CheckExact(coro))
        return Py_NewRef(coro);
    PyAsyncMethods *async = Py_TYPE(coro)->tp_as_async;
    if (async && async->am_await)
        return async->am_await(coro);
    if (PyGen_Check(coro))
        return Py_NewRef(coro);
    PyErr_Format(PyExc_TypeError, "an async handler returned %.100s, which cannot be awaited",
                 Py_TYPE(coro)->tp_name);
    return NULL;
}

int cl_runner_load(struct cl_runner *r, struct cl_entry *e, PyObject *coro, PyObject *context) {
    PyObject *steps = steps_of(coro);
    if (!steps) {
        Py_DECREF(coro);
        return -1;
    }
    r->coro = coro;
    r->steps = steps;
    r->context = Py_NewRef(context);
    r->entry = e;
    r->state = CL_RUNNER_RUNNING;
    return 0;
}

void cl_runner_unload(struct cl_runner *r) {
    Py_CLEAR(r->steps);
    Py_CLEAR(r->coro);
    Py_CLEAR(r->context);
    Py_CLEAR(r->late);
}

void cl_runner_list(struct cl_runner *r) {
    struct cl_guest *g = r->guest;
    r->listed = true;
    r->prev = NULL;
    r->next = g->active;
    if (g->active)
        g->active->prev = r;
    g->active = r;
    Py_INCREF(r);
}

void cl_runner_unlist(struct cl_runner *r) {
    if (!r->listed)
        return;
    r->listed = false;
    if (r->next)
        r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        r->guest->active = r->next;
    r->next = r->prev = NULL;
    Py_DECREF(r);
}

/* ---- steps ---- */

static void restore_exception(PyObject *exception) {
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
}

PySendResult cl_guest_throw(PyObject *steps, PyObject *exception, PyObject **result) {
    *result = PyObject_CallMethod(steps, "throw", "O", exception);
    if (*result)
        return PYGEN_NEXT;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return PYGEN_ERROR;
    PyObject *stop = cl_ext_fetch_exception();
    *result = Py_XNewRef(((PyStopIterationObject *)(void *)stop)->value);
    Py_DECREF(stop);
    if (!*result)
        *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* In r->context, which the step enters unless the task has done so. */
static PySendResult advance(struct cl_runner *r, PyObject *exception, PyObject **result) {
    PyObject *context = r->pooled ? Py_NewRef(r->context) : NULL;
    if (context && PyContext_Enter(context) < 0) {
        Py_DECREF(context);
        return PYGEN_ERROR;
    }
    cello_request_enter(r->request);
    PySendResult how = exception ? cl_guest_throw(r->steps, exception, result)
                                 : PyIter_Send(r->steps, Py_None, result);
    cello_request_enter(NULL);
    if (context) {
        if (PyContext_Exit(context) < 0) {
            if (how != PYGEN_ERROR)
                Py_CLEAR(*result);
            how = PYGEN_ERROR;
        }
        Py_DECREF(context);
    }
    return how;
}

PySendResult cl_runner_advance(struct cl_runner *r, PyObject **result) {
    return advance(r, NULL, result);
}

/* A client that has left is not answered when that has ended the handler. */
static void answer_outcome(struct cl_bridge *b, struct cl_runner *r, struct cl_request *request) {
    PyObject *value = Py_XNewRef(r->outcome);
    if (!value && r->exception)
        restore_exception(r->exception);
    bool cancelled = !value && PyErr_ExceptionMatches(r->ext_state->cancelled_error);
    if (r->answered || (r->left && cancelled)) {
        cl_bridge_drop_answer(b, &r->call, request, value, r->ext_state->cancelled_error);
        if (!r->answered)
            cello_response_abort(request);
    } else if (cancelled) {
        cl_bridge_answer_cancelled(b, &r->call, request);
    } else {
        cl_bridge_answer(b, &r->call, request, value);
    }
}

/* Answer the request with the outcome and let go of it. */
static void answer(struct cl_runner *r) {
    struct cl_request *request = r->request;
    if (!request)
        return;
    if (r->guest) {
        struct cl_bridge *b = r->guest->bridge;
        cl_runner_unwatch(r);
        r->request = NULL;
        answer_outcome(b, r, request);
        cl_call_clear(b->ext, &r->call);
    }
    r->request = NULL;
    cello_request_unref(request);
}

void cl_runner_forget(struct cl_runner *r) {
    Py_CLEAR(r->step);
    cl_guest_task_forget(r);
    Py_CLEAR(r->outcome);
    Py_CLEAR(r->exception);
}

/* The task ends, with what the handler gave. */
static PySendResult end_task(struct cl_runner *r, PyObject **result) {
    r->state = CL_RUNNER_ENDED;
    if (r->exception) {
        cl_guest_task_silence(r);
        restore_exception(r->exception);
        *result = NULL;
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(r->outcome ? r->outcome : Py_None);
    return PYGEN_RETURN;
}

/* The task, which may be looked at when its handler's coroutine is gone, still says whose it was.
 */
static void keep_name(struct cl_runner *r) {
    r->name = PyObject_GetAttr(r->coro, r->ext_state->str_qualname);
    if (!r->name)
        PyErr_Clear();
}

/* The handler has ended in a step of the task. */
static PySendResult finish(struct cl_runner *r, PyObject **result) {
    struct cl_guest *g = r->guest;
    if (!r->starting && !r->call.context)
        r->call.context = Py_XNewRef(r->context);
    if (!r->pooled || cl_guest_task_is_dirty(r))
        keep_name(r);
    cl_runner_unload(r);
    cl_runner_unlist(r);
    if (!r->starting)
        answer(r);
    if (!r->pooled || !g || cl_guest_task_is_dirty(r)) {
        PySendResult how = end_task(r, result);
        if (!r->starting)
            cl_runner_forget(r);
        return how;
    }
    r->state = CL_RUNNER_PARKED;
    r->next = g->parked;
    g->parked = r;
    Py_INCREF(r);
    /* A bare yield makes the task ask for its next step at once: that request is dropped, the step
     * that the runner has serves again. */
    g->own->capture = CL_CAPTURE_DROP;
    *result = Py_NewRef(Py_None);
    return PYGEN_NEXT;
}

static PySendResult step(struct cl_runner *r, PyObject *exception, PyObject **result) {
    PyObject *value = NULL, *late = NULL;
    if (!exception && r->late) {
        exception = late = r->late;
        r->late = NULL;
    }
    PySendResult how = advance(r, exception, &value);
    Py_XDECREF(late);
    if (how != PYGEN_NEXT) {
        r->outcome = how == PYGEN_RETURN ? value : NULL;
        r->exception = how == PYGEN_ERROR ? cl_ext_fetch_exception() : NULL;
        Py_INCREF(r); /* the list of active ones may have the last reference */
        how = finish(r, result);
        Py_DECREF(r);
        return how;
    }
    if (r->starting && !r->listed) {
        r->entry->suspends = true;
        cl_runner_list(r);
    }
    *result = value;
    return PYGEN_NEXT;
}

/* The first step was made before the task's own: its future goes to the task now. An exception
 * means the handler has cancelled itself meanwhile; as in asyncio it reaches what is awaited. */
static PySendResult hand_over(struct cl_runner *r, PyObject *exception, PyObject **result) {
    *result = r->yielded;
    r->yielded = NULL;
    r->state = CL_RUNNER_RUNNING;
    if (!exception)
        return PYGEN_NEXT;
    PyObject *done =
        *result == Py_None ? NULL : PyObject_CallMethodNoArgs(*result, r->ext_state->str_cancel);
    if (done != Py_True)
        r->late = Py_NewRef(exception);
    PyErr_Clear();
    Py_XDECREF(done);
    return PYGEN_NEXT;
}

static PySendResult runner_step(struct cl_runner *r, PyObject *exception, PyObject **result) {
    switch (r->state) {
    case CL_RUNNER_RUNNING: return step(r, exception, result);
    case CL_RUNNER_HANDOVER: return hand_over(r, exception, result);
    case CL_RUNNER_ENDING:
    case CL_RUNNER_ENDED:
    case CL_RUNNER_IDLE:
    case CL_RUNNER_PARKED: break;
    }
    return end_task(r, result);
}

static PySendResult runner_send(PyObject *o, PyObject *arg, PyObject **result) {
    (void)arg;
    return runner_step(runner_of(o), NULL, result);
}

/* ---- the coroutine's methods ---- */

static PyObject *send_method(PyObject *o, PyObject *arg) {
    PyObject *result = NULL;
    PySendResult how = runner_send(o, arg, &result);
    return cl_ext_from_send(how, result);
}

static PyObject *iternext(PyObject *o) {
    return send_method(o, Py_None);
}

PyObject *cl_runner_thrown(PyObject *const *args, Py_ssize_t n) {
    if (n < 1 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
        return NULL;
    }
    bool has_value = n > 1 && args[1] != Py_None;
    if (has_value && PyExceptionInstance_Check(args[1]))
        return Py_NewRef(args[1]);
    if (!PyExceptionClass_Check(args[0]))
        return Py_NewRef(args[0]);
    return has_value ? PyObject_CallOneArg(args[0], args[1]) : PyObject_CallNoArgs(args[0]);
}

static PyObject *throw_method(PyObject *o, PyObject *const *args, Py_ssize_t n) {
    PyObject *result = NULL, *exception = cl_runner_thrown(args, n);
    if (!exception)
        return NULL;
    PySendResult how = runner_step(runner_of(o), exception, &result);
    Py_DECREF(exception);
    return cl_ext_from_send(how, result);
}

static PyObject *close_method(PyObject *o, PyObject *ignored) {
    (void)ignored;
    struct cl_runner *r = runner_of(o);
    if (!r->coro)
        Py_RETURN_NONE;
    return PyObject_CallMethodNoArgs(r->coro, r->ext_state->str_close);
}

static PyObject *await_runner(PyObject *o) {
    return Py_NewRef(o);
}

/* cr_frame, cr_code, __qualname__, ...: those of the handler's coroutine; of one that has ended,
 * its name. */
static PyObject *getattr(PyObject *o, PyObject *name) {
    struct cl_runner *r = runner_of(o);
    PyObject *value = PyObject_GenericGetAttr(o, name);
    if (value || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return value;
    if (!r->coro && (!r->name || PyUnicode_Compare(name, r->ext_state->str_qualname) != 0))
        return NULL;
    PyErr_Clear();
    return r->coro ? PyObject_GetAttr(r->coro, name) : Py_NewRef(r->name);
}

static PyObject *repr(PyObject *o) {
    PyObject *coro = runner_of(o)->coro;
    return coro ? PyObject_Repr(coro) : PyUnicode_FromString("<cello handler>");
}

/* ---- the type ---- */

static int runner_traverse(PyObject *o, visitproc visit, void *arg) {
    struct cl_runner *r = runner_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(r->ext_state);
    Py_VISIT(r->task);
    Py_VISIT(r->step);
    Py_VISIT(r->coro);
    Py_VISIT(r->steps);
    Py_VISIT(r->context);
    Py_VISIT(r->yielded);
    int err = cl_call_traverse(&r->call, visit, arg);
    if (err)
        return err;
    Py_VISIT(r->late);
    Py_VISIT(r->outcome);
    Py_VISIT(r->exception);
    return 0;
}

static int runner_clear(PyObject *o) {
    struct cl_runner *r = runner_of(o);
    cl_runner_forget(r);
    Py_CLEAR(r->name);
    Py_CLEAR(r->yielded);
    cl_runner_unload(r);
    cl_call_clear(NULL, &r->call);
    return 0;
}

static void runner_dealloc(PyObject *o) {
    struct cl_runner *r = runner_of(o);
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    if (r->weakrefs)
        PyObject_ClearWeakRefs(o);
    if (r->request)
        cello_request_drop(r->request);
    runner_clear(o);
    Py_XDECREF(r->ext_state);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyMethodDef runner_methods[] = {
    {"send", send_method, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))throw_method, METH_FASTCALL, NULL},
    {"close", close_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef runner_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct cl_runner, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot runner_slots[] = {
    {Py_tp_dealloc, (void *)runner_dealloc}, {Py_tp_traverse, (void *)runner_traverse},
    {Py_tp_clear, (void *)runner_clear},     {Py_tp_repr, (void *)repr},
    {Py_tp_getattro, (void *)getattr},       {Py_tp_iternext, (void *)iternext},
    {Py_am_await, (void *)await_runner},     {Py_am_send, (void *)runner_send},
    {Py_tp_methods, runner_methods},         {Py_tp_members, runner_members},
    {Py_tp_iter, (void *)PyObject_SelfIter}, {0, NULL},
};

static PyType_Spec runner_spec = {
    .name = "cello._cello.HandlerCoroutine",
    .basicsize = sizeof(struct cl_runner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = runner_slots,
};

int cl_runner_setup_types(PyObject *module, struct cl_guest_state *s) {
    s->runner_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &runner_spec, NULL);
    return s->runner_type ? 0 : -1;
}
