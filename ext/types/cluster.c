#include "types/cluster.h"

#include <errno.h>
#include <math.h>

#include "types/server.h"

/* The longest that a wait goes without a look at signals. */
#define WAIT_NS 1000000000ull

struct cluster {
    PyObject_HEAD struct cl_cluster *cluster;
    struct cello_health_server *health; /* NULL: none */
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
             "Cluster(text=None, store_size=0, ring_size=0, /)\n--\n\nThis process as one of those "
             "that serve an application together. text: what a supervisor left in CELLO_WORKER; "
             "None: it is alone, with memory of these sizes (0: the default). ValueError: text, or "
             "a size.");

static PyObject *cluster_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *text = NULL;
    unsigned long long store_size = 0, ring_size = 0;
    if (kwargs && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Cluster takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "|zKK", &text, &store_size, &ring_size))
        return NULL;
    struct cluster *o = (struct cluster *)type->tp_alloc(type, 0);
    if (!o)
        return NULL;
    const struct cello_store_config store = {.table_bytes = store_size, .ring_bytes = ring_size};
    int err =
        text ? cello_cluster_join(&o->cluster, text) : cello_cluster_alone(&o->cluster, &store);
    if (!err)
        return (PyObject *)o;
    if (!text && err == CELLO_EINVAL)
        PyErr_SetString(PyExc_ValueError, "the store cannot have that size");
    else
        raise_error(err);
    Py_DECREF(o);
    return NULL;
}

static void cluster_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    cello_health_end(((struct cluster *)self)->health);
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

PyDoc_STRVAR(announce_stop_doc,
             "announce_stop($self)\n--\n\nA stop is to follow: health endpoints say so.");

static PyObject *announce_stop(PyObject *self, PyObject *ignored) {
    (void)ignored;
    cello_cluster_announce_stop(self_of(self));
    Py_RETURN_NONE;
}

PyObject *cl_cluster_become(PyObject *module, PyObject *args) {
    (void)module;
    const char *user, *group;
    char why[160];
    if (!PyArg_ParseTuple(args, "zz", &user, &group))
        return NULL;
    if (cello_identity_take(user, group, why) == CELLO_OK)
        Py_RETURN_NONE;
    PyErr_SetString(PyExc_PermissionError, why);
    return NULL;
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

/* ---- health ---- */

PyDoc_STRVAR(
    publish_checks_doc,
    "publish_checks($self, checks, failing, /)\n--\n\nWhat the program's checks of its health gave "
    "just now.");

static PyObject *publish_checks(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    unsigned long checks = n == 2 ? PyLong_AsUnsignedLong(args[0]) : 0;
    unsigned long failing = n == 2 && !PyErr_Occurred() ? PyLong_AsUnsignedLong(args[1]) : 0;
    if (n != 2)
        PyErr_SetString(PyExc_TypeError, "publish_checks takes two numbers");
    if (PyErr_Occurred())
        return NULL;
    cello_cluster_publish_checks(self_of(self), (uint32_t)checks, (uint32_t)failing);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(serve_health_doc,
             "serve_health($self, address, path, heartbeat, /)\n--\n\nServe health endpoints below "
             "`path` on an address of their own, on a thread that needs neither the GIL nor the "
             "loop. heartbeat: seconds after which a loop that does not turn hangs; 0: never. "
             "Gives (host, port). ValueError: not an address, or a path. OSError: it is busy.");

static PyObject *serve_health(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cluster *o = (struct cluster *)self;
    const char *address = n == 3 ? PyUnicode_AsUTF8(args[0]) : NULL;
    const char *path = address ? PyUnicode_AsUTF8(args[1]) : NULL;
    double heartbeat_s = path ? PyFloat_AsDouble(args[2]) : 0;
    if (n != 3 || o->health)
        PyErr_SetString(PyExc_TypeError, "serve_health takes an address, a path and seconds; once");
    if (PyErr_Occurred())
        return NULL;
    const struct cello_health_config cfg = {
        .address = address,
        .path = path,
        .segment = cello_cluster_segment(o->cluster),
        .heartbeat_ns = (uint64_t)(fmin(fmax(heartbeat_s, 0), 1e9) * 1e9),
    };
    char host[128] = "";
    uint16_t port = 0;
    int err = cello_health_serve(&o->health, &cfg);
    if (!err)
        err = cello_health_address(o->health, host, &port);
    if (err == CELLO_ENOENT || err == CELLO_EINVAL) {
        PyErr_Format(PyExc_ValueError, "there is no such address: %s", address);
        return NULL;
    }
    return err ? raise_error(err) : Py_BuildValue("si", host, port);
}

PyDoc_STRVAR(end_health_doc, "end_health($self)\n--\n\nEnd what serve_health() began.");

static PyObject *end_health(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cluster *o = (struct cluster *)self;
    cello_health_end(o->health);
    o->health = NULL;
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static PyMethodDef cluster_methods[] = {
    {"announce_stop", announce_stop, METH_NOARGS, announce_stop_doc},
    {"await_end", await_end, METH_NOARGS, await_end_doc},
    {"await_start", await_start, METH_NOARGS, await_start_doc},
    {"end_health", end_health, METH_NOARGS, end_health_doc},
    {"publish_checks", (PyCFunction)(void (*)(void))publish_checks, METH_FASTCALL,
     publish_checks_doc},
    {"serve_health", (PyCFunction)(void (*)(void))serve_health, METH_FASTCALL, serve_health_doc},
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
    if (!ext->cluster_type || PyModule_AddType(module, ext->cluster_type) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "WORKER_VARIABLE", CELLO_WORKER_VARIABLE);
}
