/* Request.early_hints(): 103 before the answer. */
#include "bridge/pool.h"
#include "types/args.h"
#include "types/multimap.h"
#include "types/request_internal.h"
#include "types/server.h"

/* As many as an answer may have by default; the engine knows the limit that is set. */
enum { HINTS_MAX = 100 };

struct hints {
    struct cl_errand errand; /* first */
    struct cl_request *r;
    struct cello_field fields[HINTS_MAX];
    size_t count;
    int err;
};

static void send_hints(struct hints *h) {
    h->err = cello_response_early_hints(h->r, h->fields, h->count);
}

static void run_errand(struct cl_errand *e) {
    send_hints((struct hints *)(void *)e);
    cl_errand_end(e);
}

/* The strs of `pairs` keep the bytes. */
static int fill(struct hints *h, PyObject *pairs) {
    Py_ssize_t count = PySequence_Fast_GET_SIZE(pairs);
    if (count > HINTS_MAX) {
        PyErr_Format(PyExc_ValueError, "early_hints() takes at most %d fields", HINTS_MAX);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(pairs, i);
        struct cello_field *f = &h->fields[i];
        if (cl_args_str("name", PyTuple_GET_ITEM(pair, 0), &f->name) < 0 ||
            cl_args_str("value", PyTuple_GET_ITEM(pair, 1), &f->value) < 0)
            return -1;
    }
    h->count = (size_t)count;
    return 0;
}

static PyObject *result_of(int err) {
    switch (err) {
    case CELLO_OK:
    case CELLO_ECANCELED: Py_RETURN_NONE; /* there is no server any more, or no client */
    case CELLO_EINVAL:
        PyErr_SetString(PyExc_ValueError, "early_hints(): a field that must not be sent");
        return NULL;
    case CELLO_ESTATE:
        PyErr_SetString(PyExc_RuntimeError, "early_hints() come before the answer");
        return NULL;
    case CELLO_ELIMIT:
        PyErr_SetString(PyExc_ValueError, "early_hints(): more fields than LimitsConfig allows");
        return NULL;
    default: return PyErr_NoMemory();
    }
}

/* The engine's thread sends; a handler on the thread pool asks it to. */
static int perform(struct hints *h, const struct cl_pyrequest *self) {
    struct cl_bridge *b = cello_request_application(self->r);
    if (!b)
        return CELLO_ECANCELED;
    if (!cl_server_turns_elsewhere(b->self)) {
        send_hints(h);
        return h->err;
    }
    struct cl_pool *pool = cl_pool_here(); /* which has a reference to it: others may not wait */
    if (!self->pooled || !pool || cl_pool_bridge(pool) != b) {
        PyErr_SetString(PyExc_RuntimeError, "early_hints() are for the request's own handler");
        return -1;
    }
    h->errand.run = run_errand;
    int err = cl_errand_perform(pool, &h->errand);
    return err ? err : h->err;
}

PyObject *cl_pyrequest_early_hints(PyObject *object, PyObject *headers) {
    const struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyObject *map = cl_pymultimap_from_object(self->ext, CL_MAP_QUERY, headers, "headers");
    if (!map)
        return NULL;
    struct hints h = {.r = self->r};
    int err = fill(&h, ((struct cl_pymultimap *)map)->pairs);
    if (!err && self->r)
        err = perform(&h, self);
    PyObject *result = PyErr_Occurred() ? NULL : result_of(err);
    Py_DECREF(map);
    return result;
}
