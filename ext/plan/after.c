/* What is left to do when a request was answered: callbacks of `_cello.After`, and generators of
 * dependencies. It waits in the bridge until the engine has flushed the answers of its turn, so
 * that no client waits for it; the server's drain does. */
#include "plan/after.h"
#include "bridge/guest.h"
#include "plan/call.h"

#include <stddef.h>
#include <structmember.h>

/* ---- one job ---- */

static struct cl_after *new_job(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    struct cl_after *job = PyMem_Calloc(1, sizeof *job);
    if (!job)
        return NULL;
    struct cl_str method = cello_request_method(r);
    job->bridge = b;
    job->method_len = Py_MIN(method.len, sizeof job->method);
    memcpy(job->method, method.ptr, job->method_len);
    job->route = cello_request_route(r);
    job->call = (struct cl_call){
        .entry = call->entry,
        .context = call->context,
        .generators = call->generators,
        .callback = call->callback,
        .pooled = call->pooled,
    };
    call->context = call->generators = call->callback = NULL;
    return job;
}

void cl_after_log(struct cl_after *job, PyObject *exception) {
    const struct cl_origin origin = {
        .entry = job->call.entry,
        .method = {job->method, job->method_len},
        .route = job->route,
    };
    cl_bridge_report(job->bridge, &origin, "exception after the answer", exception);
}

void cl_after_del(struct cl_after *job) {
    struct cl_bridge *b = job->bridge;
    if (b && b->server)
        cello_server_release(b->server);
    PyObject *server = job->server;
    cl_call_clear(NULL, &job->call);
    PyMem_Free(job);
    Py_XDECREF(server);
}

/* True: the callback's coroutine goes on, and the job with it. */
static bool start_coroutine(struct cl_after *job, PyObject *coroutine) {
    struct cl_guest *g = job->bridge->guest;
    if (g && cl_guest_spawn(g, coroutine, job) == 0)
        return true;
    if (!g)
        PyErr_SetString(PyExc_RuntimeError,
                        "a coroutine to run after the answer needs the server to run a loop");
    cl_after_log(job, cl_ext_fetch_exception());
    PyObject *closed = PyObject_CallMethod(coroutine, "close", NULL);
    if (!closed)
        PyErr_Clear();
    Py_XDECREF(closed);
    return false;
}

static bool call_back(struct cl_after *job) {
    struct cl_call *call = &job->call;
    if (!call->context)
        call->context = PyContext_New();
    bool entered = call->context && PyContext_Enter(call->context) == 0;
    PyObject *result = entered ? PyObject_CallNoArgs(call->callback) : NULL;
    if (entered && PyContext_Exit(call->context) < 0)
        Py_CLEAR(result);
    if (!result)
        cl_after_log(job, cl_ext_fetch_exception());
    bool goes_on = result && PyCoro_CheckExact(result) && start_coroutine(job, result);
    Py_XDECREF(result);
    return goes_on;
}

/* True: a coroutine goes on, and the job with it. */
static bool run_here(struct cl_after *job) {
    bool goes_on = job->call.callback && call_back(job);
    PyObject *exception = cl_call_unwind(&job->call, NULL, true);
    if (exception)
        cl_after_log(job, exception);
    return goes_on;
}

/* ---- on the thread pool ---- */

static struct cl_after *after_of_job(struct cl_job *j) {
    return (struct cl_after *)(void *)((char *)j - offsetof(struct cl_after, job));
}

static void work(struct cl_job *j) {
    (void)run_here(after_of_job(j));
}

static void done(struct cl_job *j, struct cl_bridge *b) {
    (void)b;
    cl_after_del(after_of_job(j));
}

static void lost(struct cl_job *j) {
    cl_after_del(after_of_job(j));
}

/* What a pooled handler opened is closed there, too: it may wait. */
static bool run_pooled(struct cl_after *job) {
    struct cl_pool *pool = job->bridge->server ? cl_bridge_pool(job->bridge) : NULL;
    job->job = (struct cl_job){.work = work, .done = done, .lost = lost};
    job->server = Py_NewRef(job->bridge->self);
    if (pool && cl_pool_submit(pool, &job->job) == 0)
        return true;
    PyErr_Clear();
    Py_CLEAR(job->server);
    return false;
}

static void run(struct cl_after *job) {
    if (job->call.pooled && run_pooled(job))
        return;
    if (!run_here(job))
        cl_after_del(job);
}

/* ---- the queue ---- */

void cl_after_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    struct cl_after *job = new_job(b, call, r);
    if (!job) { /* late is better than never: the client waits this once */
        Py_XDECREF(cl_call_unwind(call, NULL, true));
        return;
    }
    if (b->server)
        cello_server_hold(b->server);
    *(b->after ? b->after_end : &b->after) = job;
    b->after_end = &job->next;
    if (b->guest && !b->turning)
        cl_guest_need_turn(b->guest);
}

void cl_after_run(struct cl_bridge *b) {
    struct cl_after *job = b->after;
    b->after = NULL;
    while (job) {
        struct cl_after *next = job->next;
        job->next = NULL;
        run(job);
        job = next;
    }
}

int cl_after_traverse(const struct cl_after *job, visitproc visit, void *arg) {
    for (; job; job = job->next) {
        Py_VISIT(job->task);
        int err = cl_call_traverse(&job->call, visit, arg);
        if (err)
            return err;
    }
    return 0;
}

/* ---- the type ---- */

struct after_object {
    PyObject_HEAD PyObject *value;
    PyObject *callback;
};

static struct after_object *after_of(PyObject *object) {
    return (struct after_object *)(void *)object;
}

PyObject *cl_after_take(PyObject *object, PyObject **callback) {
    PyObject *value = Py_NewRef(after_of(object)->value);
    *callback = Py_NewRef(after_of(object)->callback);
    Py_DECREF(object);
    return value;
}

static PyObject *after_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) != 2 || (kwargs && PyDict_GET_SIZE(kwargs)) ||
        !PyCallable_Check(PyTuple_GET_ITEM(args, 1))) {
        PyErr_SetString(PyExc_TypeError, "After takes a value and a callable");
        return NULL;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self) {
        after_of(self)->value = Py_NewRef(PyTuple_GET_ITEM(args, 0));
        after_of(self)->callback = Py_NewRef(PyTuple_GET_ITEM(args, 1));
    }
    return self;
}

/* Immutable, and so never cleared; see plan.h. */
static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(after_of(self)->value);
    Py_VISIT(after_of(self)->callback);
    return 0;
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(after_of(self)->value);
    Py_CLEAR(after_of(self)->callback);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"value", T_OBJECT, offsetof(struct after_object, value), READONLY, NULL},
    {"callback", T_OBJECT, offsetof(struct after_object, callback), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(doc, "After(value, callback, /)\n--\n\nReturned by a handler, answers with `value` "
                  "and calls `callback()` when the answer was written. A coroutine that it returns "
                  "runs on the server's loop.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},         {Py_tp_new, (void *)after_new},
    {Py_tp_dealloc, (void *)dealloc}, {Py_tp_traverse, (void *)traverse},
    {Py_tp_members, members},         {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.After",
    .basicsize = sizeof(struct after_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_after_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->after_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->after_type ? PyModule_AddType(module, ext->after_type) : -1;
}
