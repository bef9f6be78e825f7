#include "types/cluster.h"

#include <errno.h>
#include <math.h>

#include "types/server.h"

/* The longest that a wait goes without a look at signals. */
#define WAIT_NS 1000000000ull

struct cluster {
    PyObject_HEAD struct cl_cluster *cluster;
};

static struct cl_cluster *self_of(PyObject *o) {
    return ((struct cluster *)o)->cluster;
}

struct cl_cluster *cl_cluster_of(struct cl_ext *ext, PyObject *object) {
    if (PyObject_TypeCheck(object, ext->cluster_type))
        return self_of(object);
    PyErr_Format(PyExc_TypeError, "a Cluster is needed, not %.100s", Py_TYPE(object)->tp_name);
    return NULL;
}

static PyObject *raise_error(int err) {
    switch (err) {
    case CELLO_ENOMEM: return PyErr_NoMemory();
    case CELLO_ESYS: return PyErr_SetFromErrno(PyExc_OSError);
    case CELLO_EOF: PyErr_SetString(PyExc_EOFError, "the supervisor is gone"); return NULL;
    case CELLO_ENOTSUP:
        PyErr_SetString(PyExc_ValueError, "the supervisor is of another version of Cello");
        return NULL;
    default:
        PyErr_SetString(PyExc_ValueError, CELLO_WORKER_VARIABLE " is not what a supervisor leaves");
        return NULL;
    }
}

PyDoc_STRVAR(cluster_doc,
             "Cluster(text=None, /)\n--\n\nThis process as one of those that serve an application "
             "together. text: what a supervisor left in CELLO_WORKER; None: it is alone. "
             "ValueError: text.");

static PyObject *cluster_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *text = NULL;
    if (kwargs && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Cluster takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "|z", &text))
        return NULL;
    struct cluster *o = (struct cluster *)type->tp_alloc(type, 0);
    if (!o)
        return NULL;
    int err = text ? cello_cluster_join(&o->cluster, text) : cello_cluster_alone(&o->cluster, NULL);
    if (!err)
        return (PyObject *)o;
    raise_error(err);
    Py_DECREF(o);
    return NULL;
}

static void cluster_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    cello_cluster_del(self_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- serving ---- */

PyDoc_STRVAR(serve_doc,
             "serve($self, server, drain=30.0, /)\n--\n\nFrom here on the Server serves for the "
             "cluster: a worker accepts on its sockets and is ready. drain: seconds in which it "
             "stops when the supervisor goes. EOFError: that is gone already. OSError.");

static PyObject *serve(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    double drain_s = n == 2 ? PyFloat_AsDouble(args[1]) : 30.0;
    if (n < 1 || n > 2 || PyErr_Occurred()) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "serve takes a Server and seconds");
        return NULL;
    }
    struct cl_bridge *b = ext ? cl_server_bridge(ext, args[0]) : NULL;
    if (!b)
        return NULL;
    if (!b->server || b->cluster) {
        PyErr_SetString(PyExc_RuntimeError, "the server is closed, or serves for a cluster");
        return NULL;
    }
    int err = cello_cluster_serve(self_of(self), b->server,
                                  (uint64_t)(fmin(fmax(drain_s, 0), 1e9) * 1e9));
    if (err)
        return raise_error(err);
    b->cluster = Py_NewRef(self);
    Py_RETURN_NONE;
}

/* ---- what runs once for all ---- */

/* True and false for CELLO_OK and CELLO_ECANCELED. */
static PyObject *wait_for(struct cl_cluster *c, int (*wait)(struct cl_cluster *, uint64_t)) {
    int err;
    do {
        Py_BEGIN_ALLOW_THREADS err = wait(c, WAIT_NS);
        Py_END_ALLOW_THREADS if (PyErr_CheckSignals() < 0) return NULL;
    } while (err == CELLO_EAGAIN);
    return PyBool_FromLong(err == CELLO_OK);
}

PyDoc_STRVAR(
    await_start_doc,
    "await_start($self)\n--\n\nWait until started() was called in some worker. False: this "
    "one is to end instead. Blocks; signals are handled.");

static PyObject *await_start(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return wait_for(self_of(self), cello_cluster_await_start);
}

PyDoc_STRVAR(await_end_doc,
             "await_end($self)\n--\n\nSay that this worker has ended. True: it is the one to do "
             "what is done after all workers, now. Blocks; signals are handled.");

static PyObject *await_end(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return wait_for(self_of(self), cello_cluster_await_end);
}

PyDoc_STRVAR(started_doc, "started($self)\n--\n\nWhat is done before all workers is done.");

static PyObject *started(PyObject *self, PyObject *ignored) {
    (void)ignored;
    cello_cluster_started(self_of(self));
    Py_RETURN_NONE;
}

static PyObject *get_starts(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(cello_cluster_starts(self_of(self)));
}

static PyObject *get_is_worker(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(cello_cluster_is_worker(self_of(self)));
}

static PyObject *get_worker_id(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(cello_cluster_worker_id(self_of(self)));
}

static PyObject *get_workers(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(cello_cluster_workers(self_of(self)));
}

/* ---- the type ---- */

static PyMethodDef cluster_methods[] = {
    {"await_end", await_end, METH_NOARGS, await_end_doc},
    {"await_start", await_start, METH_NOARGS, await_start_doc},
    {"serve", (PyCFunction)(void (*)(void))serve, METH_FASTCALL, serve_doc},
    {"started", started, METH_NOARGS, started_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cluster_getset[] = {
    {"is_worker", get_is_worker, NULL, "bool: there is a supervisor", NULL},
    {"starts", get_starts, NULL,
     "bool: this process is the one to do what is done before all workers, then calls started()",
     NULL},
    {"worker_id", get_worker_id, NULL, "int: from 0; a successor has that of its predecessor",
     NULL},
    {"workers", get_workers, NULL, "int: how many there are", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot cluster_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)cluster_doc},
    {Py_tp_new, (void *)cluster_new},
    {Py_tp_dealloc, (void *)cluster_dealloc},
    {Py_tp_methods, cluster_methods},
    {Py_tp_getset, cluster_getset},
    {0, NULL},
};

static PyType_Spec cluster_spec = {
    .name = "cello._cello.Cluster",
    .basicsize = sizeof(struct cluster),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = cluster_slots,
};

int cl_cluster_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->cluster_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &cluster_spec, NULL);
    return ext->cluster_type ? PyModule_AddType(module, ext->cluster_type) : -1;
}
