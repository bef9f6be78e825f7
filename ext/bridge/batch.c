/* The batch: all requests that are ready, under one hold of the GIL. */
#include <errno.h>
#include <time.h>

#include "bridge/bridge.h"
#include "bridge/guest.h"
#include "types/app.h"
#include "types/connection.h"
#include "types/request.h"

/* The GIL is given back after this long, so that other threads get their turn, even if requests are
 * left; the clock is read every few requests. */
enum { HOLD_NS = 1000000, CLOCK_EVERY = 4 };

struct cl_pinned {
    struct cl_pinned *next;
    struct cl_bridge *bridge;
    PyObject *object;
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- pinned objects ---- */

static void unpin(void *ctx) {
    struct cl_pinned *p = ctx;
    p->next = p->bridge->dropped;
    p->bridge->dropped = p;
}

void cl_bridge_drop_pinned(struct cl_bridge *b) {
    while (b->dropped) {
        struct cl_pinned *p = b->dropped;
        b->dropped = p->next;
        Py_DECREF(p->object);
        PyMem_RawFree(p);
    }
}

bool cl_bridge_respond_pinned(struct cl_bridge *b, struct cl_request *r, PyObject *object,
                              struct cl_str bytes) {
    struct cl_pinned *p = PyMem_RawMalloc(sizeof *p);
    if (!p)
        return false;
    *p = (struct cl_pinned){.bridge = b, .object = Py_NewRef(object)};
    cello_respond_pinned(r, bytes, unpin, p);
    return true;
}

/* ---- contexts ---- */

/* A context without variables. The one used before serves again unless its handler set something
 * in it or kept it. */
static PyObject *take_context(struct cl_ext *ext) {
    PyObject *context = ext->empty_context;
    if (context) {
        ext->empty_context = NULL;
        return context;
    }
    return PyContext_New();
}

static void give_context(struct cl_ext *ext, PyObject *context) {
    if (!ext->empty_context && Py_REFCNT(context) == 1 && PyObject_Size(context) == 0)
        ext->empty_context = context;
    else
        Py_DECREF(context);
}

/* ---- calls ---- */

static PyObject *call_plain(struct cl_bridge *b, struct cl_entry *e, PyObject *request) {
    PyObject *context = take_context(b->ext);
    if (!context || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return NULL;
    }
    PyObject *args[2] = {NULL, request};
    size_t n = request ? 1 : 0;
    PyObject *value =
        PyObject_Vectorcall(e->callable, args + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (PyContext_Exit(context) < 0)
        Py_CLEAR(value);
    give_context(b->ext, context);
    return value;
}

/* True: *value is to be answered (NULL: the exception is). False: the guest will answer. */
static bool call_async(struct cl_bridge *b, struct cl_entry *e, PyObject *request,
                       struct cl_request *r, PyObject **value) {
    PyObject *args[2] = {NULL, request};
    size_t n = request ? 1 : 0;
    *value = NULL;
    if (!b->guest) {
        PyErr_SetString(PyExc_RuntimeError, "an async handler needs the server to run a loop");
        return true;
    }
    PyObject *coro =
        PyObject_Vectorcall(e->callable, args + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (!coro)
        return true;
    PyObject *context = take_context(b->ext);
    if (!context) {
        Py_DECREF(coro);
        return true;
    }
    enum cl_guest_result result = cl_guest_start(b->guest, e, coro, context, r, value);
    give_context(b->ext, context);
    return result != CL_GUEST_SUSPENDED;
}

static void serve(struct cl_bridge *b, struct cl_request *r) {
    struct cl_entry *e = b->handlers->entries[cello_request_route_id(r)];
    PyObject *request = NULL, *value = NULL;
    bool answer = true;
    if (e->flags & CL_ENTRY_WANTS_REQUEST)
        request = cl_pyrequest_wrap(b->ext, r, b->app);
    if (request || !(e->flags & CL_ENTRY_WANTS_REQUEST)) {
        if (e->flags & CL_ENTRY_ASYNC)
            answer = call_async(b, e, request, r, &value);
        else
            value = call_plain(b, e, request);
    }
    if (answer)
        cl_bridge_answer(b, e, r, value);
    if (request)
        cl_pyrequest_release_object(b->ext, request);
    cello_request_unref(r);
}

bool cl_bridge_run(void *ctx) {
    struct cl_bridge *b = ctx;
    PyEval_RestoreThread(b->thread);
    uint64_t start_ns = now_ns(), held_ns = 0;
    struct cl_request *r;
    unsigned served = 0;
    cl_bridge_drop_pinned(b);
    while (held_ns < HOLD_NS && (r = cello_server_next(b->server)) != NULL) {
        serve(b, r);
        if (++served % CLOCK_EVERY == 0)
            held_ns = now_ns() - start_ns;
    }
    b->gil_acquisitions++;
    b->gil_held_ns += now_ns() - start_ns;
    b->thread = PyEval_SaveThread();
    return held_ns >= HOLD_NS;
}

int cl_bridge_turn(struct cl_bridge *b, uint64_t timeout_ns) {
    b->turning = true;
    b->thread = PyEval_SaveThread();
    int err = cello_server_turn(b->server, timeout_ns);
    int saved = errno;
    PyEval_RestoreThread(b->thread);
    b->turning = false;
    cl_bridge_drop_pinned(b);
    cl_connection_after_turn(b);
    errno = saved;
    return err;
}
