#include "types/connection.h"

#include <errno.h>

#include <cello/connection.h>

#include "types/server.h"

struct cl_link {
    struct cl_link *next;
    struct cl_bridge *bridge;
    struct cl_connection *connection;
    PyObject *object; /* borrowed; NULL: dropped, to be closed after the turn */
    bool ready;
};

struct connection {
    PyObject_HEAD PyObject *server; /* strong: the link is in its bridge */
    PyObject *on_ready;             /* NULL: none */
    struct cl_link *link;           /* NULL: closed */
};

static struct connection *self_of(PyObject *o) {
    return (struct connection *)(void *)o;
}

/* ---- links ---- */

/* In a turn, without the GIL. */
static void note_ready(void *ctx) {
    struct cl_link *link = ctx;
    link->ready = link->bridge->news = true;
}

static void del_link(struct cl_link *link) {
    struct cl_link **at = &link->bridge->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    cello_connection_close(link->connection);
    PyMem_Free(link);
}

static void close_connection(struct connection *o) {
    struct cl_link *link = o->link;
    o->link = NULL;
    if (!link)
        return;
    link->object = NULL;
    if (cl_server_turns_elsewhere(o->server))
        link->bridge->news = true;
    else
        del_link(link);
}

/* One that is dropped or has news; what it calls may change the list. */
static struct cl_link *find_news(struct cl_bridge *b) {
    struct cl_link *link = b->links;
    while (link && link->object && !link->ready)
        link = link->next;
    return link;
}

void cl_connection_after_turn(struct cl_bridge *b) {
    if (!b->news)
        return;
    b->news = false;
    struct cl_link *link;
    while ((link = find_news(b)) != NULL) {
        if (!link->object) {
            del_link(link);
            continue;
        }
        link->ready = false;
        PyObject *on_ready = Py_XNewRef(self_of(link->object)->on_ready);
        PyObject *done = on_ready ? PyObject_CallNoArgs(on_ready) : Py_NewRef(Py_None);
        if (!done)
            PyErr_WriteUnraisable(on_ready);
        Py_XDECREF(done);
        Py_XDECREF(on_ready);
    }
}

/* ---- made and gone ---- */

static PyObject *raise_connect(int err) {
    switch (err) {
    case CELLO_ENOMEM: return PyErr_NoMemory();
    case CELLO_ELIMIT:
    case CELLO_ESTATE: {
        const char *why =
            err == CELLO_ELIMIT ? "the server takes no more connections" : "the server is stopping";
        PyObject *args = Py_BuildValue("(is)", ECONNREFUSED, why);
        if (args)
            PyErr_SetObject(PyExc_ConnectionRefusedError, args);
        Py_XDECREF(args);
        return NULL;
    }
    default: PyErr_SetString(PyExc_ValueError, "host is not an address"); return NULL;
    }
}

PyObject *cl_connection_new(struct cl_ext *ext, PyObject *server, const char *host, uint16_t port) {
    struct cl_bridge *b = cl_server_bridge(ext, server);
    struct connection *o =
        (struct connection *)(void *)ext->connection_type->tp_alloc(ext->connection_type, 0);
    struct cl_link *link = o ? PyMem_Calloc(1, sizeof *link) : NULL;
    if (!link) {
        Py_XDECREF(o);
        return PyErr_NoMemory();
    }
    int err = cello_server_connect(b->server, host, port, &link->connection);
    if (err) {
        PyMem_Free(link);
        Py_DECREF(o);
        return raise_connect(err);
    }
    link->bridge = b;
    link->object = (PyObject *)o;
    link->next = b->links;
    b->links = link;
    cello_connection_on_ready(link->connection, note_ready, link);
    o->server = Py_NewRef(server);
    o->link = link;
    return (PyObject *)o;
}

static int connection_traverse(PyObject *self, visitproc visit, void *arg) {
    struct connection *o = self_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(o->server);
    Py_VISIT(o->on_ready);
    return 0;
}

static int connection_clear(PyObject *self) {
    struct connection *o = self_of(self);
    close_connection(o);
    Py_CLEAR(o->on_ready);
    Py_CLEAR(o->server);
    return 0;
}

static void connection_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    connection_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- methods ---- */

/* NULL: an exception is set. */
static struct cl_connection *usable(struct connection *o) {
    if (!o->link) {
        PyErr_SetString(PyExc_ValueError, "the connection is closed");
        return NULL;
    }
    if (cl_server_turns_elsewhere(o->server)) {
        PyErr_SetString(PyExc_RuntimeError, "the server runs on another thread");
        return NULL;
    }
    return o->link->connection;
}

static PyObject *raise_engine(int err) {
    return err == CELLO_ENOMEM ? PyErr_NoMemory() : PyErr_SetFromErrno(PyExc_OSError);
}

PyDoc_STRVAR(send_doc,
             "send($self, data, /)\n--\n\nHow many bytes of `data` there was room for; 0 until the "
             "server has read some. BrokenPipeError: the server has closed.");

static PyObject *send_method(PyObject *self, PyObject *data) {
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    /* Not before: the buffer may be anybody's code, which may close the connection. */
    struct cl_connection *c = usable(self_of(self));
    size_t sent = 0;
    int err = c ? cello_connection_send(c, (struct cl_str){view.buf, (size_t)view.len}, &sent) : 0;
    PyBuffer_Release(&view);
    if (!c)
        return NULL;
    return err ? raise_engine(err) : PyLong_FromSize_t(sent);
}

PyDoc_STRVAR(receive_doc,
             "receive($self, max_bytes, /)\n--\n\nWhat has come, b'' at the end, None while "
             "nothing has. ConnectionResetError: the server gave the connection up.");

static PyObject *receive_method(PyObject *self, PyObject *arg) {
    Py_ssize_t max = PyLong_AsSsize_t(arg);
    if (max == -1 && PyErr_Occurred())
        return NULL;
    if (max < 1) {
        PyErr_SetString(PyExc_ValueError, "max_bytes must be at least 1");
        return NULL;
    }
    struct cl_connection *c = usable(self_of(self));
    if (!c)
        return NULL;
    if (!cello_connection_is_readable(c))
        Py_RETURN_NONE;
    if (max > CELLO_CONNECTION_BUFFER_BYTES)
        max = CELLO_CONNECTION_BUFFER_BYTES;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, max);
    if (!bytes)
        return NULL;
    size_t n = 0;
    int err = cello_connection_receive(c, PyBytes_AS_STRING(bytes), (size_t)max, &n);
    if (err && err != CELLO_EOF) {
        Py_DECREF(bytes);
        return raise_engine(err);
    }
    _PyBytes_Resize(&bytes, (Py_ssize_t)n); /* NULL with MemoryError when it fails */
    return bytes;
}

PyDoc_STRVAR(secure_doc, "secure($self)\n--\n\nRequests from now on count as sent over TLS.");

static PyObject *secure_method(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_connection *c = usable(self_of(self));
    if (!c)
        return NULL;
    cello_connection_secure(c);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(end_doc, "end($self)\n--\n\nSend no more; answers still come.");

static PyObject *end_method(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cl_connection *c = usable(self_of(self));
    if (!c)
        return NULL;
    cello_connection_end(c);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(close_doc, "close($self)\n--\n\nHang up.");

static PyObject *close_method(PyObject *self, PyObject *ignored) {
    (void)ignored;
    close_connection(self_of(self));
    Py_RETURN_NONE;
}

static PyObject *get_readable(PyObject *self, void *closure) {
    (void)closure;
    struct cl_connection *c = usable(self_of(self));
    return c ? PyBool_FromLong(cello_connection_is_readable(c)) : NULL;
}

static PyObject *get_closed(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(self_of(self)->link == NULL);
}

static PyObject *get_on_ready(PyObject *self, void *closure) {
    (void)closure;
    PyObject *on_ready = self_of(self)->on_ready;
    return Py_NewRef(on_ready ? on_ready : Py_None);
}

static int set_on_ready(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    if (value && value != Py_None && !PyCallable_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "on_ready must be callable or None");
        return -1;
    }
    Py_XSETREF(self_of(self)->on_ready, value && value != Py_None ? Py_NewRef(value) : NULL);
    return 0;
}

static PyMethodDef connection_methods[] = {
    {"send", send_method, METH_O, send_doc},
    {"receive", receive_method, METH_O, receive_doc},
    {"secure", secure_method, METH_NOARGS, secure_doc},
    {"end", end_method, METH_NOARGS, end_doc},
    {"close", close_method, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef connection_getset[] = {
    {"readable", get_readable, NULL, "bool: receive() would not give None", NULL},
    {"closed", get_closed, NULL, "bool: close() was called", NULL},
    {"on_ready", get_on_ready, set_on_ready,
     "callable | None: called after a turn in which more can be received or sent than before, or "
     "in which the server closed",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(connection_doc,
             "A client of a server in the same process: made by Server.connect(). Nothing happens "
             "before the server's next turn; on the thread of those turns.");

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)connection_doc},
    {Py_tp_dealloc, (void *)connection_dealloc},
    {Py_tp_traverse, (void *)connection_traverse},
    {Py_tp_clear, (void *)connection_clear},
    {Py_tp_methods, connection_methods},
    {Py_tp_getset, connection_getset},
    {0, NULL},
};

static PyType_Spec connection_spec = {
    .name = "cello._cello.Connection",
    .basicsize = sizeof(struct connection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = connection_slots,
};

int cl_connection_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->connection_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &connection_spec, NULL);
    return ext->connection_type ? PyModule_AddType(module, ext->connection_type) : -1;
}
