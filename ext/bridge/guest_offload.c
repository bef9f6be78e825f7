/* offload(): a coroutine hands a call to the thread pool and awaits it. */
#include "bridge/guest_internal.h"
#include "bridge/pool.h"

struct offload {
    struct cl_job job; /* first */
    PyObject *server;  /* strong: what the pool's bridge lies in */
    PyObject *future, *callable, *context;
    PyObject *value, *exception; /* one of them, once it was called */
};

static struct offload *offload_of(struct cl_job *j) {
    return (struct offload *)(void *)j;
}

static void del(struct offload *o) {
    Py_CLEAR(o->future);
    Py_CLEAR(o->callable);
    Py_CLEAR(o->context);
    Py_CLEAR(o->value);
    Py_CLEAR(o->exception);
    PyObject *server = o->server;
    PyMem_Free(o);
    Py_XDECREF(server);
}

static void work(struct cl_job *j) {
    struct offload *o = offload_of(j);
    if (PyContext_Enter(o->context) == 0) {
        o->value = PyObject_CallNoArgs(o->callable);
        if (PyContext_Exit(o->context) < 0)
            Py_CLEAR(o->value);
    }
    if (!o->value)
        o->exception = cl_ext_fetch_exception();
}

/* A future takes no StopIteration, which would end the coroutine that awaits it. */
static PyObject *settle(struct offload *o) {
    if (o->value)
        return PyObject_CallMethod(o->future, "set_result", "O", o->value);
    if (!PyErr_GivenExceptionMatches(o->exception, PyExc_StopIteration))
        return PyObject_CallMethod(o->future, "set_exception", "O", o->exception);
    PyObject *error =
        PyObject_CallFunction(PyExc_RuntimeError, "s", "the call raised StopIteration");
    PyObject *done = error ? PyObject_CallMethod(o->future, "set_exception", "O", error) : NULL;
    Py_XDECREF(error);
    return done;
}

static void done(struct cl_job *j, struct cl_bridge *b) {
    struct offload *o = offload_of(j);
    PyObject *is_done = PyObject_CallMethod(o->future, "done", NULL);
    PyObject *settled = is_done == Py_False ? settle(o) : Py_NewRef(Py_None);
    if (!is_done || !settled)
        PyErr_WriteUnraisable(o->callable);
    Py_XDECREF(settled);
    Py_XDECREF(is_done);
    cello_server_release(b->server);
    del(o);
}

static void lost(struct cl_job *j) {
    del(offload_of(j));
}

static struct cl_bridge *bridge_of_loop(struct cl_ext *ext, PyObject *loop) {
    struct cl_guest *g = ext->guests;
    while (g && g->loop != loop)
        g = g->next;
    if (!g)
        PyErr_SetString(PyExc_RuntimeError, "no server runs on this loop");
    return g ? g->bridge : NULL;
}

static struct offload *new_offload(struct cl_bridge *b, PyObject *loop, PyObject *callable) {
    struct offload *o = PyMem_Calloc(1, sizeof *o);
    if (!o) {
        PyErr_NoMemory();
        return NULL;
    }
    o->job = (struct cl_job){.work = work, .done = done, .lost = lost};
    o->server = Py_NewRef(b->self);
    o->callable = Py_NewRef(callable);
    o->context = PyContext_CopyCurrent();
    o->future = o->context ? PyObject_CallMethod(loop, "create_future", NULL) : NULL;
    if (o->future)
        return o;
    del(o);
    return NULL;
}

static PyObject *running_loop(void) {
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    PyObject *loop = asyncio ? PyObject_CallMethod(asyncio, "get_running_loop", NULL) : NULL;
    Py_XDECREF(asyncio);
    return loop;
}

PyObject *cl_guest_offload(PyObject *module, PyObject *callable) {
    struct cl_ext *ext = cl_ext_of_module(module);
    PyObject *loop = running_loop();
    struct cl_bridge *b = loop ? bridge_of_loop(ext, loop) : NULL;
    struct cl_pool *pool = b ? cl_bridge_pool(b) : NULL;
    struct offload *o = pool ? new_offload(b, loop, callable) : NULL;
    Py_XDECREF(loop);
    if (!o)
        return NULL;
    PyObject *future = Py_NewRef(o->future);
    cello_server_hold(b->server);
    if (cl_pool_submit(pool, &o->job) == 0)
        return future;
    cello_server_release(b->server);
    Py_DECREF(future);
    del(o);
    return NULL;
}
