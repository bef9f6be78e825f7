/* What is left to do when a request was answered: callbacks of `_cello.After`, and generators of
 * dependencies. It waits in the bridge until the engine has flushed the answers of its turn, so
 * that no client waits for it; the server's drain does. */
#include "plan/after.h"
#include "bridge/guest.h"
#include "plan/call.h"

#include <stddef.h>
#include <structmember.h>

/* ---- one job ---- */

static struct cl_after *new_job(struct cl_bridge *b, struct cl_call *call) {
    struct cl_after *job = PyMem_Calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->bridge = b;
    job->call = (struct cl_call){
        .entry = call->entry,
        .context = call->context,
        .generators = call->generators,
        .callback = call->callback,
        .background = call->background,
        .pooled = call->pooled,
    };
    call->context = call->generators = call->callback = call->background = NULL;
    b->jobs++;
    if (b->server)
        cello_server_hold(b->server);
    return job;
}

static struct cl_str method_of(struct cl_after *job) {
    return (struct cl_str){job->method, job->method_len};
}

static void log_what(struct cl_after *job, const char *what, PyObject *exception) {
    const struct cl_origin origin = {
        .entry = job->call.entry,
        .method = method_of(job),
        .route = job->route,
    };
    cl_bridge_report(job->bridge, &origin, what, exception);
}

void cl_after_log(struct cl_after *job, PyObject *exception) {
    log_what(job, "exception after the answer", exception);
}

static void tell_settled(struct cl_bridge *b) {
    if (!b->on_settled)
        return;
    PyObject *raised = PyErr_Occurred() ? cl_ext_fetch_exception() : NULL;
    PyObject *on_settled = Py_NewRef(b->on_settled);
    PyObject *done = PyObject_CallNoArgs(on_settled);
    if (!done)
        PyErr_WriteUnraisable(on_settled);
    Py_XDECREF(done);
    Py_DECREF(on_settled);
    if (raised)
        PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    Py_XDECREF(raised);
}

void cl_after_del(struct cl_after *job) {
    struct cl_bridge *b = job->bridge;
    if (b && b->server)
        cello_server_release(b->server);
    PyObject *server = job->server;
    cl_call_clear(NULL, &job->call);
    PyMem_Free(job);
    if (b && --b->jobs == 0)
        tell_settled(b);
    Py_XDECREF(server);
}

/* True: the coroutine (borrowed) goes on, and the job with it. */
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

/* function(*args) in the job's context; what it raises is logged. */
static PyObject *call_in_context(struct cl_after *job, PyObject *function, PyObject *arg) {
    struct cl_call *call = &job->call;
    if (!call->context)
        call->context = PyContext_New();
    bool entered = call->context && PyContext_Enter(call->context) == 0;
    PyObject *result = NULL;
    if (entered)
        result = arg ? PyObject_CallOneArg(function, arg) : PyObject_CallNoArgs(function);
    if (entered && PyContext_Exit(call->context) < 0)
        Py_CLEAR(result);
    if (!result)
        cl_after_log(job, cl_ext_fetch_exception());
    return result;
}

static bool call_back(struct cl_after *job) {
    PyObject *callback = job->call.callback;
    job->call.callback = NULL;
    PyObject *result = call_in_context(job, callback, NULL);
    bool goes_on = result && PyCoro_CheckExact(result) && start_coroutine(job, result);
    Py_XDECREF(result);
    Py_DECREF(callback);
    return goes_on;
}

/* Callback and generators. True: a coroutine goes on, and the job with it. */
static bool close_all(struct cl_after *job) {
    bool goes_on = job->call.callback && call_back(job);
    PyObject *exception = cl_call_unwind(&job->call, NULL, true);
    if (exception)
        cl_after_log(job, exception);
    return goes_on;
}

/* ---- background tasks ---- */

/* What a method of BackgroundTasks gives, which gets "GET /path" for the log. */
static PyObject *call_background(struct cl_after *job, const char *name) {
    PyObject *method = PyObject_GetAttrString(job->call.background, name);
    struct cl_str m = method_of(job);
    PyObject *where = method ? cl_ext_str(m) : NULL;
    PyObject *route = where ? cl_ext_str(job->route) : NULL;
    PyObject *text = route ? PyUnicode_FromFormat("%U %U", where, route) : NULL;
    PyObject *result = text ? call_in_context(job, method, text) : NULL;
    if (!text)
        cl_after_log(job, cl_ext_fetch_exception());
    Py_XDECREF(text);
    Py_XDECREF(route);
    Py_XDECREF(where);
    Py_XDECREF(method);
    return result;
}

/* Whether there are tasks, and whether one of them is async. */
static bool ask_background(struct cl_after *job, const char *name) {
    PyObject *background = job->call.background;
    PyObject *value = background ? PyObject_GetAttrString(background, name) : NULL;
    int is_true = value ? PyObject_IsTrue(value) : 0;
    if (PyErr_Occurred())
        cl_after_log(job, cl_ext_fetch_exception());
    Py_XDECREF(value);
    return is_true > 0;
}

/* ---- on the thread pool ---- */

static struct cl_after *after_of_job(struct cl_job *j) {
    return CL_OWNER_OF(j, struct cl_after, job);
}

static void work(struct cl_job *j) {
    struct cl_after *job = after_of_job(j);
    (void)close_all(job); /* no coroutine: what is pooled has nothing async around it */
    if (!ask_background(job, "_tasks") || ask_background(job, "_is_async"))
        return;
    Py_XDECREF(call_background(job, "_run"));
    Py_CLEAR(job->call.background);
}

static void done(struct cl_job *j, struct cl_bridge *b) {
    (void)b;
    cl_after_rest(after_of_job(j));
}

static void lost(struct cl_job *j) {
    struct cl_after *job = after_of_job(j);
    if (ask_background(job, "_tasks"))
        log_what(job, "background tasks were not run before the server ended,", NULL);
    cl_after_del(job);
}

static bool run_pooled(struct cl_after *job) {
    struct cl_pool *pool = job->bridge->server ? cl_bridge_pool(job->bridge) : NULL;
    job->job = (struct cl_job){.work = work, .done = done, .lost = lost};
    if (!job->server)
        job->server = Py_NewRef(job->bridge->self);
    if (pool && cl_pool_submit(pool, &job->job) == 0)
        return true;
    PyErr_Clear();
    return false;
}

/* ---- in order ---- */

struct cl_after *cl_after_split(struct cl_after *job) {
    if (!job->call.background || !job->bridge)
        return NULL;
    struct cl_call call = {
        .entry = job->call.entry,
        .context = Py_XNewRef(job->call.context),
        .background = job->call.background,
    };
    struct cl_after *rest = new_job(job->bridge, &call);
    if (!rest) {
        Py_XDECREF(call.context);
        return NULL;
    }
    job->call.background = NULL;
    memcpy(rest->method, job->method, sizeof rest->method);
    rest->method_len = job->method_len;
    rest->route = job->route;
    return rest;
}

/* Async tasks, in one coroutine with the others; it is the last thing that the job does. */
static bool start_background(struct cl_after *job) {
    PyObject *coroutine = call_background(job, "_run_async");
    Py_CLEAR(job->call.background);
    bool goes_on = coroutine && start_coroutine(job, coroutine);
    Py_XDECREF(coroutine);
    return goes_on;
}

static void put(struct cl_bridge *b, struct cl_after *job) {
    *(b->after ? b->after_end : &b->after) = job;
    b->after_end = &job->next;
}

/* The server has run without a loop so far: one comes, and the job with the next turn. */
static bool wait_for_loop(struct cl_after *job) {
    struct cl_bridge *b = job->bridge;
    if (b->guest || !b->server)
        return false;
    b->wants_loop = true;
    put(b, job);
    return true;
}

void cl_after_rest(struct cl_after *job) {
    if (ask_background(job, "_tasks")) {
        if (ask_background(job, "_is_async")) {
            if (wait_for_loop(job) || start_background(job))
                return;
        } else {
            if (run_pooled(job))
                return;
            Py_XDECREF(call_background(job, "_run"));
        }
    }
    cl_after_del(job);
}

/* What a pooled handler opened is closed on the pool, too: it may wait. */
static void run(struct cl_after *job) {
    if (job->call.pooled && (job->call.callback || job->call.generators) && run_pooled(job))
        return;
    if (!close_all(job))
        cl_after_rest(job);
}

/* ---- the queue ---- */

void cl_after_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    struct cl_after *job = new_job(b, call);
    if (!job) { /* late is better than never: the client waits this once */
        Py_XDECREF(cl_call_unwind(call, NULL, true));
        return;
    }
    struct cl_str method = cello_request_method(r);
    job->method_len = Py_MIN(method.len, sizeof job->method);
    memcpy(job->method, method.ptr, job->method_len);
    job->route = cello_request_route(r);
    put(b, job);
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
    PyObject *callback;   /* NULL: none */
    PyObject *background; /* NULL: none */
};

static struct after_object *after_of(PyObject *object) {
    return (struct after_object *)(void *)object;
}

PyObject *cl_after_take(PyObject *object, struct cl_call *call) {
    PyObject *value = Py_NewRef(after_of(object)->value);
    Py_XSETREF(call->callback, Py_XNewRef(after_of(object)->callback));
    if (after_of(object)->background)
        Py_XSETREF(call->background, Py_NewRef(after_of(object)->background));
    Py_DECREF(object);
    return value;
}

static PyTypeObject *background_type(const struct cl_ext *ext) {
    return (PyTypeObject *)(void *)ext->background_type;
}

static PyObject *after_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *value, *callback, *background = Py_None;
    if ((kwargs && PyDict_GET_SIZE(kwargs)) ||
        !PyArg_ParseTuple(args, "OO|O", &value, &callback, &background))
        return NULL;
    struct cl_ext *ext = cl_ext_of_type(type);
    if ((callback != Py_None && !PyCallable_Check(callback)) ||
        (background != Py_None && (!ext || !Py_IS_TYPE(background, background_type(ext))))) {
        PyErr_SetString(PyExc_TypeError,
                        "After takes a value, a callable or None, and BackgroundTasks");
        return NULL;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self) {
        after_of(self)->value = Py_NewRef(value);
        after_of(self)->callback = callback == Py_None ? NULL : Py_NewRef(callback);
        after_of(self)->background = background == Py_None ? NULL : Py_NewRef(background);
    }
    return self;
}

/* Immutable, and so never cleared; see plan.h. */
static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(after_of(self)->value);
    Py_VISIT(after_of(self)->callback);
    Py_VISIT(after_of(self)->background);
    return 0;
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(after_of(self)->value);
    Py_CLEAR(after_of(self)->callback);
    Py_CLEAR(after_of(self)->background);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"value", T_OBJECT, offsetof(struct after_object, value), READONLY, NULL},
    {"callback", T_OBJECT, offsetof(struct after_object, callback), READONLY, NULL},
    {"background", T_OBJECT, offsetof(struct after_object, background), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(doc,
             "After(value, callback, background=None, /)\n--\n\nReturned by a handler, answers "
             "with `value` and calls `callback()`, unless it is None, when the answer was "
             "written. A coroutine that it returns runs on the server's loop. After that the "
             "BackgroundTasks run.");

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
