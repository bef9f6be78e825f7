/* A server and a loop joined, and handlers started. */
#include "bridge/guest_internal.h"

#include "bridge/stream.h"
#include "types/selector.h"
#include "types/server.h"

/* Slots kept for the next handlers; more are in use only while more handlers wait at once. */
enum { IDLE_MAX = 1024 };

/* ---- made and gone ---- */

static void on_fds_ready(void *ctx) {
    ((struct cl_guest *)ctx)->fds_ready = true;
}

/* The engine watches asyncio's descriptors, and select() drives the engine. */
static int join_selector(struct cl_guest *g) {
    g->selector = cl_selector_of_loop(g->state, g->loop);
    if (!g->selector)
        return -1;
    int err = cello_server_watch(g->bridge->server, &g->watch, cl_selector_fd(g->selector),
                                 on_fds_ready, g);
    if (err) {
        PyErr_SetString(PyExc_OSError, cello_strerror(err));
        return -1;
    }
    g->own->guest = g;
    cl_selector_set_guest(g->selector, g);
    return 0;
}

/* Tasks are pooled when a first one can be made. */
static void try_pooling(struct cl_guest *g) {
    if (!g->own || !g->state->task_type || cl_loop_is_plain(g->own))
        return;
    g->pool_context = PyContext_New();
    g->pooling = g->pool_context != NULL;
    struct cl_runner *r = g->pooling ? cl_runner_new(g, true) : NULL;
    if (r && cl_guest_task_new(g, r) == 0) {
        r->next = g->idle;
        g->idle = r;
        g->idle_count++;
        return;
    }
    PyErr_Clear();
    Py_XDECREF(r);
    g->pooling = false;
}

struct cl_guest *cl_guest_new(struct cl_bridge *b, PyObject *loop) {
    struct cl_guest_state *s = cl_guest_state_of(b->ext);
    if (cl_guest_state_load(s, PyType_GetModule(s->loop_type)) < 0)
        return NULL;
    struct cl_guest *g = PyMem_Calloc(1, sizeof *g);
    if (!g) {
        PyErr_NoMemory();
        return NULL;
    }
    g->bridge = b;
    g->state = (struct cl_guest_state *)(void *)Py_NewRef((PyObject *)s);
    g->loop = Py_NewRef(loop);
    g->eager = PY_VERSION_HEX >= 0x030C0000;
    if (cl_loop_is_free(s, loop)) {
        g->own = (struct cl_engine_loop *)(void *)loop;
        if (join_selector(g) < 0) {
            cl_guest_del(g);
            return NULL;
        }
    }
    try_pooling(g);
    return g;
}

/* The slot's task is forgotten: asyncio sees it end, or nobody sees it any more. */
static void drop_runner(struct cl_runner *r) {
    if (r->request) {
        cl_runner_unwatch(r);
        cello_request_unref(r->request);
    }
    r->request = NULL;
    r->guest = NULL;
    if (r->state == CL_RUNNER_IDLE)
        cl_runner_forget(r);
    Py_DECREF(r);
}

static void unlink_guest(struct cl_guest *g) {
    struct cl_guest **at = &g->bridge->ext->guests;
    while (*at && *at != g)
        at = &(*at)->next;
    if (*at)
        *at = g->next;
}

void cl_guest_del(struct cl_guest *g) {
    if (!g)
        return;
    unlink_guest(g);
    cl_guest_settle(g);
    cl_guest_forget_spawned(g);
    while (g->active) {
        struct cl_runner *r = g->active;
        Py_INCREF(r);
        cl_runner_unlist(r);
        drop_runner(r);
    }
    while (g->idle) {
        struct cl_runner *r = g->idle;
        g->idle = r->next;
        r->next = NULL;
        drop_runner(r);
    }
    if (g->own && g->own->guest == g) { /* else the loop has another server's */
        g->own->guest = NULL;
        cl_selector_set_guest(g->selector, NULL);
    }
    cello_server_unwatch(g->watch);
    g->watch = NULL;
    g->gone = true;
    if (!g->in_wait)
        cl_guest_free(g);
}

void cl_guest_free(struct cl_guest *g) {
    Py_XDECREF(g->selector);
    Py_XDECREF(g->pool_context);
    Py_XDECREF(g->on_done);
    Py_XDECREF(g->loop);
    Py_XDECREF(g->state);
    PyMem_Free(g);
}

int cl_guest_traverse(struct cl_guest *g, visitproc visit, void *arg) {
    Py_VISIT(g->loop);
    Py_VISIT(g->selector);
    Py_VISIT(g->pool_context);
    Py_VISIT(g->on_done);
    for (struct cl_runner *r = g->active; r; r = r->next)
        Py_VISIT(r);
    for (struct cl_runner *r = g->idle; r; r = r->next)
        Py_VISIT(r);
    int err = cl_after_traverse(g->spawned, visit, arg);
    if (err)
        return err;
    for (struct cl_runner *r = g->parked; r; r = r->next)
        Py_VISIT(r);
    return 0;
}

bool cl_guest_wake(struct cl_engine_loop *l) {
    if (!l->guest)
        return false;
        /* Under the GIL the flag cannot change between the look and the wait; without one, it can.
         */
#ifndef Py_GIL_DISABLED
    if (l->waiting)
#endif
        cello_server_wake(l->guest->bridge->server);
    return true;
}

/* A loop of ours turns anyway; another one looks at the engine's descriptor. */
PyObject *cl_guest_loop(const struct cl_guest *g) {
    return g->loop;
}

void cl_guest_need_turn(const struct cl_guest *g) {
    if (!g->own)
        cello_server_wake(g->bridge->server);
}

/* ---- slots ---- */

static struct cl_runner *take_idle(struct cl_guest *g) {
    struct cl_runner *r = g->idle;
    if (r) {
        g->idle = r->next;
        g->idle_count--;
        r->next = NULL;
        return r;
    }
    r = cl_runner_new(g, true);
    if (r && cl_guest_task_new(g, r) < 0)
        Py_CLEAR(r);
    return r;
}

/* The task ends now, with the outcome. Nobody may be inside a task. */
static void end_now(struct cl_runner *r) {
    r->state = CL_RUNNER_ENDING;
    PyObject *done = PyObject_CallNoArgs(r->step);
    if (!done)
        PyErr_Clear(); /* SystemExit and the like, answered already */
    Py_XDECREF(done);
    cl_runner_forget(r);
    Py_DECREF(r);
}

/* A slot whose handler has ended, outside of any step: to the pool if its task may serve again. */
static void give_idle(struct cl_guest *g, struct cl_runner *r) {
    if (!cl_guest_task_is_clean(r) || g->idle_count >= IDLE_MAX) {
        end_now(r);
        return;
    }
    Py_CLEAR(r->outcome);
    Py_CLEAR(r->exception);
    r->state = CL_RUNNER_IDLE;
    r->next = g->idle;
    g->idle = r;
    g->idle_count++;
}

void cl_guest_settle(struct cl_guest *g) {
    while (g->parked) {
        struct cl_runner *r = g->parked;
        g->parked = r->next;
        r->next = NULL;
        give_idle(g, r);
    }
}

bool cl_guest_is_cancellation(const struct cl_guest *g, PyObject *exception) {
    return g && PyErr_GivenExceptionMatches(exception, g->state->cancelled_error);
}

/* ---- first steps ---- */

static PyObject *current_task(struct cl_guest *g, PyObject *function, struct cl_runner *r) {
    PyObject *args[] = {g->loop, r->task};
    return PyObject_Vectorcall(function, args, 2, NULL);
}

/* The handler has ended in its first step: what it gave is cl_guest_start's result. The slot is let
 * go first, since that may run code, which must not find an exception set. */
static enum cl_guest_result hand_out(struct cl_guest *g, struct cl_runner *r, struct cl_call *call,
                                     struct cl_request *request, PyObject **value) {
    PyObject *outcome = Py_XNewRef(r->outcome), *exception = Py_XNewRef(r->exception);
    enum cl_guest_result result = CL_GUEST_RAISED;
    if (r->state == CL_RUNNER_RUNNING) {
        give_idle(g, r);
    } else {
        if (r->state == CL_RUNNER_ENDED)
            cl_runner_forget(r);
        cl_guest_settle(g);
        Py_DECREF(r);
    }
    if (outcome) {
        *value = outcome;
        result = CL_GUEST_RETURNED;
    } else if (!exception) {
        PyErr_SetString(PyExc_RuntimeError, "the task of a handler ended without a result");
    } else if (cl_guest_is_cancellation(g, exception)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        cl_bridge_answer_cancelled(g->bridge, call, request);
        result = CL_GUEST_SUSPENDED;
    } else {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    }
    Py_XDECREF(exception);
    return result;
}

/* The handler has suspended: its runner answers. */
static void take_over(struct cl_runner *r, struct cl_call *call, struct cl_request *request) {
    cello_request_ref(request);
    r->request = request;
    cl_call_move(r->guest->bridge, call, &r->call);
    cl_runner_watch(r);
}

/* By the task's own step: for handlers that are expected to suspend. */
static enum cl_guest_result start_by_step(struct cl_guest *g, struct cl_runner *r,
                                          struct cl_call *call, struct cl_request *request,
                                          PyObject **value) {
    r->starting = true;
    PyObject *done = PyObject_CallNoArgs(r->step);
    r->starting = false;
    if (!done)
        PyErr_Clear(); /* what a handler raised is in r->exception */
    Py_XDECREF(done);
    if (r->listed) {
        take_over(r, call, request);
        Py_DECREF(r); /* the list has its own */
        return CL_GUEST_SUSPENDED;
    }
    return hand_out(g, r, call, request, value);
}

/* By ourselves, with the task entered: cheapest while nothing suspends. */
static enum cl_guest_result start_inline(struct cl_guest *g, struct cl_runner *r,
                                         struct cl_call *call, struct cl_request *request,
                                         PyObject **value) {
    PyObject *result = NULL, *entered = current_task(g, g->state->enter_task, r);
    PySendResult how = entered ? cl_runner_advance(r, &result) : PYGEN_ERROR;
    if (how == PYGEN_ERROR)
        r->exception = cl_ext_fetch_exception();
    PyObject *left = entered ? current_task(g, g->state->leave_task, r) : NULL;
    if (entered && !left)
        PyErr_Clear();
    Py_XDECREF(entered);
    Py_XDECREF(left);
    if (how == PYGEN_NEXT) {
        r->entry->suspends = true;
        r->state = CL_RUNNER_HANDOVER;
        r->yielded = result;
        cl_runner_list(r);
        return start_by_step(g, r, call, request, value);
    }
    cl_runner_unload(r);
    r->outcome = result;
    return hand_out(g, r, call, request, value);
}

/* A Task of its own, on any loop. It may run at once, and even end, or start later. */
static enum cl_guest_result start_ordinary(struct cl_guest *g, struct cl_runner *r,
                                           struct cl_call *call, struct cl_request *request,
                                           PyObject **value) {
    r->starting = true;
    int err = cl_guest_task_new(g, r);
    r->starting = false;
    enum cl_guest_result result = CL_GUEST_SUSPENDED;
    if (r->state == CL_RUNNER_ENDED) {
        if (err)
            PyErr_Clear(); /* SystemExit and the like come back out of a task's step */
        else if (r->exception)
            cl_guest_task_silence(r);
        return hand_out(g, r, call, request, value);
    } else if (err) {
        result = CL_GUEST_RAISED;
    } else {
        if (!r->listed)
            cl_runner_list(r);
        take_over(r, call, request);
    }
    Py_DECREF(r);
    return result;
}

enum cl_guest_result cl_guest_start_apart(struct cl_guest *g, struct cl_call *call, PyObject *coro,
                                          PyObject *context, struct cl_request *request,
                                          PyObject **value) {
    struct cl_runner *r = cl_runner_new(g, false);
    *value = NULL;
    if (!r) {
        Py_DECREF(coro);
        return CL_GUEST_RAISED;
    }
    if (cl_runner_load(r, call->entry, coro, context) < 0) {
        Py_DECREF(r);
        return CL_GUEST_RAISED;
    }
    return start_ordinary(g, r, call, request, value);
}

enum cl_guest_result cl_guest_start(struct cl_guest *g, struct cl_call *call, PyObject *coro,
                                    PyObject *context, struct cl_request *request,
                                    PyObject **value) {
    if (!g->pooling || cl_loop_is_plain(g->own) || g->own->task_factory != Py_None)
        return cl_guest_start_apart(g, call, coro, context, request, value);
    struct cl_runner *r = take_idle(g);
    *value = NULL;
    if (!r) {
        Py_DECREF(coro);
        return CL_GUEST_RAISED;
    }
    if (cl_runner_load(r, call->entry, coro, context) < 0) {
        give_idle(g, r);
        return CL_GUEST_RAISED;
    }
    if (call->entry->suspends || !g->state->enter_task)
        return start_by_step(g, r, call, request, value);
    return start_inline(g, r, call, request, value);
}

/* ---- what Python calls ---- */

PyDoc_STRVAR(
    attach_doc,
    "attach_loop(server, loop, on_done=None, /)\n--\n\nRun the server's async handlers on "
    "an asyncio loop, which is running or about to. An EngineLoop that has no server drives "
    "this one from its select(), and calls on_done() once when the server is done; another "
    "loop calls server.turn() when server.poll_fd is readable, and in "
    "server.next_turn_in.");

static PyObject *attach_loop(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    if (n < 2 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "attach_loop takes a server, a loop and a callback");
        return NULL;
    }
    struct cl_bridge *b = cl_server_bridge(cl_ext_of_module(module), args[0]);
    if (!b)
        return NULL;
    if (b->guest || !b->server) {
        PyErr_SetString(PyExc_RuntimeError,
                        b->guest ? "the server has a loop already" : "the server is closed");
        return NULL;
    }
    struct cl_guest *g = cl_guest_new(b, args[1]);
    if (!g)
        return NULL;
    g->on_done = n == 3 && args[2] != Py_None ? Py_NewRef(args[2]) : NULL;
    b->guest = g;
    g->next = b->ext->guests;
    b->ext->guests = g;
    cl_stream_loop_is_here(b);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(detach_doc, "detach_loop(server, /)\n--\n\nThe end of attach_loop(). Handlers that "
                         "have not ended lose their requests.");

static PyObject *detach_loop(PyObject *module, PyObject *server) {
    struct cl_bridge *b = cl_server_bridge(cl_ext_of_module(module), server);
    if (!b)
        return NULL;
    struct cl_guest *g = b->guest;
    b->guest = NULL;
    cl_guest_del(g);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(handler_tasks_doc,
             "handler_tasks(server, /)\n--\n\nThe tasks of handlers that wait for something.");

static PyObject *handler_tasks(PyObject *module, PyObject *server) {
    struct cl_bridge *b = cl_server_bridge(cl_ext_of_module(module), server);
    PyObject *list = b ? PyList_New(0) : NULL;
    for (struct cl_runner *r = list && b->guest ? b->guest->active : NULL; r && list; r = r->next)
        if (r->task && PyList_Append(list, r->task) < 0)
            Py_CLEAR(list);
    for (struct cl_after *job = list && b->guest ? b->guest->spawned : NULL; job && list;
         job = job->next)
        if (PyList_Append(list, job->task) < 0)
            Py_CLEAR(list);
    if (list && cl_stream_list_tasks(b, list) < 0)
        Py_CLEAR(list);
    return list;
}

PyDoc_STRVAR(offload_doc,
             "offload(callable, /)\n--\n\nCall it without arguments on a thread of the pool, in a "
             "copy of the context; a future of the running loop, which a server runs on.");

static PyMethodDef functions[] = {
    {"attach_loop", (PyCFunction)(void (*)(void))attach_loop, METH_FASTCALL, attach_doc},
    {"detach_loop", detach_loop, METH_O, detach_doc},
    {"offload", cl_guest_offload, METH_O, offload_doc},
    {"handler_tasks", handler_tasks, METH_O, handler_tasks_doc},
    {NULL, NULL, 0, NULL},
};

int cl_guest_add_functions(PyObject *module) {
    return PyModule_AddFunctions(module, functions);
}
