#include "types/sse_stream.h"

#include <stddef.h>

#include <structmember.h>

#include "bridge/stream.h"
#include "types/args.h"
#include "types/request_internal.h"
#include "types/sse.h"
#include "types/stream_body.h"
#include "types/text.h"

/* Of text that waits: some hundred events of ordinary size. */
enum { MAX_BUFFER = 65536 };

struct sse_stream {
    PyObject_HEAD struct cl_buffer queue;
    size_t max_buffer;
    struct cl_stream *stream; /* strong, while a response has it */
    PyObject *last_event_id;  /* str or None */
    PyObject *weakrefs;
    double heartbeat_s;
    bool used;   /* by a response */
    bool closed; /* no more is taken */
};

static struct sse_stream *self_of(PyObject *object) {
    return (struct sse_stream *)(void *)object;
}

/* ---- between it and the response ---- */

int cl_sse_stream_attach(PyObject *object, struct cl_stream *stream) {
    struct sse_stream *self = self_of(object);
    if (self->used) {
        PyErr_SetString(PyExc_RuntimeError, "an SseStream is returned once: make one per request");
        return -1;
    }
    self->used = true;
    self->stream = cl_stream_ref(stream);
    return 0;
}

void cl_sse_stream_detach(PyObject *object) {
    struct sse_stream *self = self_of(object);
    struct cl_stream *stream = self->stream;
    self->stream = NULL;
    self->closed = true;
    cl_buffer_free(&self->queue);
    cl_stream_unref(stream);
}

bool cl_sse_stream_take(PyObject *object, struct cl_buffer *out) {
    struct sse_stream *self = self_of(object);
    *out = self->queue;
    self->queue = (struct cl_buffer){0};
    return self->closed;
}

double cl_sse_stream_heartbeat(PyObject *object) {
    return self_of(object)->heartbeat_s;
}

/* ---- methods ---- */

static void close_it(struct sse_stream *self) {
    self->closed = true;
    if (self->stream)
        cl_stream_wake(self->stream);
}

PyDoc_STRVAR(send_doc,
             "send($self, event, /)\n--\n\nSend an SseEvent, or the data of one: a str, or what "
             "JSON knows. From any task and any thread; it waits for nothing. False: the stream is "
             "over, since the client has gone, has not read for too long, or close() was called.");

static PyObject *send_method(PyObject *object, PyObject *event) {
    struct sse_stream *self = self_of(object);
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(object));
    if (!ext)
        return NULL;
    if (self->closed)
        Py_RETURN_FALSE;
    struct cl_buffer text = {0};
    PyObject *hook = self->stream ? cl_stream_json_default(self->stream) : NULL;
    int err = cl_sse_write(ext, &text, event, hook);
    Py_XDECREF(hook);
    if (!err && !self->closed && self->queue.len + text.len > self->max_buffer)
        close_it(self);
    bool taken = !err && !self->closed;
    if (taken) {
        err = cl_buffer_add(&self->queue, text.data, text.len);
        if (!err && self->stream)
            cl_stream_wake(self->stream);
    }
    cl_buffer_free(&text);
    return err ? NULL : PyBool_FromLong(taken);
}

PyDoc_STRVAR(close_doc, "close($self)\n--\n\nEnd the stream, once what was sent is out.");

static PyObject *close_method(PyObject *object, PyObject *ignored) {
    (void)ignored;
    close_it(self_of(object));
    Py_RETURN_NONE;
}

static PyObject *get_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(self_of(object)->closed);
}

/* ---- the type ---- */

enum { REQ, HEARTBEAT, MAX_BUFFER_ARG, ARG_COUNT };

static const struct cl_args_spec SPEC = {
    .function = "SseStream",
    .positional = 1,
    .names = {"req", "heartbeat", "max_buffer"},
};

static PyObject *last_id_of(struct cl_ext *ext, PyObject *request) {
    struct cl_str value;
    if (!Py_IS_TYPE(request, ext->request_type)) {
        PyErr_Format(PyExc_TypeError, "req must be a Request, not %.100s",
                     Py_TYPE(request)->tp_name);
        return NULL;
    }
    const struct cl_pyrequest *self = cl_pyrequest_of(request);
    if (!self->r)
        return PyObject_CallMethod(request, "get_header", "s", "Last-Event-ID");
    return cello_request_header(self->r, CL_LITERAL("Last-Event-ID"), &value)
               ? cl_text_from_field(value)
               : Py_NewRef(Py_None);
}

static int fill(struct sse_stream *self, struct cl_ext *ext, PyObject **given) {
    int64_t max_buffer = MAX_BUFFER;
    self->heartbeat_s = CL_SSE_HEARTBEAT_S;
    if (cl_stream_heartbeat(given[HEARTBEAT], &self->heartbeat_s) < 0 ||
        cl_args_int64("max_buffer", given[MAX_BUFFER_ARG], &max_buffer) < 0)
        return -1;
    if (max_buffer < 1) {
        PyErr_SetString(PyExc_ValueError, "max_buffer is a number of bytes, 1 or more");
        return -1;
    }
    self->max_buffer = (size_t)max_buffer;
    cl_args_none_is_absent(&given[REQ]);
    self->last_event_id = given[REQ] ? last_id_of(ext, given[REQ]) : Py_NewRef(Py_None);
    return self->last_event_id ? 0 : -1;
}

static PyObject *sse_stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *given[ARG_COUNT];
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext || cl_args_parse_tuple(&SPEC, args, kwargs, given) < 0)
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self && fill(self_of(self), ext, given) < 0)
        Py_CLEAR(self);
    return self;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self_of(object)->stream);
    return 0;
}

static int clear(PyObject *object) {
    cl_sse_stream_detach(object);
    return 0;
}

static void dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self_of(object)->weakrefs)
        PyObject_ClearWeakRefs(object);
    clear(object);
    Py_CLEAR(self_of(object)->last_event_id);
    type->tp_free(object);
    Py_DECREF(type);
}

bool cl_sse_stream_is(PyObject *object) {
    return Py_TYPE(object)->tp_dealloc == dealloc;
}

static PyMethodDef methods[] = {
    {"send", send_method, METH_O, send_doc},
    {"close", close_method, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"closed", get_closed, NULL, "bool: send() takes no more.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"last_event_id", T_OBJECT, offsetof(struct sse_stream, last_event_id), READONLY,
     "The id of the last event that the client saw before it came back, or None."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct sse_stream, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(doc,
             "SseStream(req=None, *, heartbeat=15, max_buffer=65536)\n--\n\n"
             "A stream of server-sent events that a handler returns, and that anybody sends to: "
             "other tasks, other threads. req: for last_event_id. heartbeat: seconds until a "
             "comment keeps a silent connection alive, None for never. max_buffer: bytes that wait "
             "for a slow client; with more it is dropped, and comes back with Last-Event-ID.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, (void *)sse_stream_new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_clear, (void *)clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello.SseStream",
    .basicsize = sizeof(struct sse_stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_sse_stream_setup_types(PyObject *module, struct cl_ext *ext) {
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    int err = type ? PyModule_AddType(module, type) : -1;
    (void)ext;
    Py_XDECREF(type);
    return err;
}
