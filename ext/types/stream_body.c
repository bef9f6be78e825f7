#include "types/stream_body.h"

#include <math.h>
#include <stddef.h>

#include <structmember.h>

#include "types/response_internal.h"
#include "types/sse_stream.h"

struct stream_body {
    PyObject_HEAD PyObject *iterable;
    PyObject *trailers; /* NULL: none */
    PyObject *context;
    double heartbeat_s;
    bool sse;
};

static struct stream_body *body_of(PyObject *object) {
    return (struct stream_body *)(void *)object;
}

/* ---- the object ---- */

/* Immutable, and so never cleared; see plan/plan.h. */
static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(body_of(self)->iterable);
    Py_VISIT(body_of(self)->trailers);
    Py_VISIT(body_of(self)->context);
    return 0;
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(body_of(self)->iterable);
    Py_CLEAR(body_of(self)->trailers);
    Py_CLEAR(body_of(self)->context);
    type->tp_free(self);
    Py_DECREF(type);
}

bool cl_stream_is(PyObject *body) {
    return PyGen_CheckExact(body) || PyAsyncGen_CheckExact(body) ||
           Py_TYPE(body)->tp_dealloc == dealloc || cl_sse_stream_is(body);
}

void cl_stream_parts(PyObject *body, struct cl_stream_parts *out) {
    *out = (struct cl_stream_parts){.source = body, .heartbeat_s = CL_SSE_HEARTBEAT_S};
    if (cl_sse_stream_is(body)) {
        out->sse = true;
        out->heartbeat_s = cl_sse_stream_heartbeat(body);
    } else if (Py_TYPE(body)->tp_dealloc == dealloc) {
        const struct stream_body *self = body_of(body);
        *out = (struct cl_stream_parts){self->iterable, self->trailers, self->context, self->sse,
                                        self->heartbeat_s};
    }
}

static PyMemberDef members[] = {
    {"iterable", T_OBJECT, offsetof(struct stream_body, iterable), READONLY,
     "What gives the pieces."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(doc, "The body of a Response that is a stream.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.StreamBody",
    .basicsize = sizeof(struct stream_body),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int cl_stream_body_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->stream_body_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->stream_body_type ? PyModule_AddType(module, ext->stream_body_type) : -1;
}

/* ---- Response.stream() and Response.sse() ---- */

static int check_iterable(const char *function, PyObject *o) {
    const PyTypeObject *type = Py_TYPE(o);
    if (PyUnicode_Check(o) || cl_pyresponse_is_bytes(o)) {
        PyErr_Format(PyExc_TypeError,
                     "%s takes an iterable of pieces; a whole body goes to Response()", function);
        return -1;
    }
    if (type->tp_iter || (type->tp_as_async && type->tp_as_async->am_aiter) || cl_stream_is(o))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s takes an iterable or an async iterable, not %.100s", function,
                 type->tp_name);
    return -1;
}

static int check_trailers(PyObject *o) {
    if (!o || PyCallable_Check(o) || PyMapping_Check(o))
        return 0;
    PyErr_Format(PyExc_TypeError, "trailers must be a mapping or a callable, not %.100s",
                 Py_TYPE(o)->tp_name);
    return -1;
}

int cl_stream_heartbeat(PyObject *value, double *out) {
    if (!value)
        return 0;
    double seconds = value == Py_None ? 0 : PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (!(seconds >= 0) || isinf(seconds)) {
        PyErr_Format(PyExc_ValueError, "heartbeat is a number of seconds, not %R", value);
        return -1;
    }
    *out = seconds;
    return 0;
}

static PyObject *new_body(struct cl_ext *ext, PyObject *iterable, PyObject *trailers, bool sse,
                          double heartbeat_s) {
    PyObject *context = PyContext_CopyCurrent();
    struct stream_body *self =
        context ? body_of(ext->stream_body_type->tp_alloc(ext->stream_body_type, 0)) : NULL;
    if (!self) {
        Py_XDECREF(context);
        return NULL;
    }
    self->iterable = Py_NewRef(iterable);
    self->trailers = Py_XNewRef(trailers);
    self->context = context;
    self->sse = sse;
    self->heartbeat_s = heartbeat_s;
    return (PyObject *)self;
}

/* Status and headers to a Response around the body (stolen, may be NULL). */
static struct cl_pyresponse *respond(PyObject *cls, PyObject *body, PyObject *status,
                                     PyObject *headers) {
    struct cl_pyresponse *self = body ? cl_pyresponse_alloc((PyTypeObject *)cls) : NULL;
    if (self && (cl_pyresponse_set_body(self, body) < 0 ||
                 (status && cl_pyresponse_set_status(self, status) < 0) ||
                 cl_pyresponse_add_all(self, headers) < 0))
        Py_CLEAR(self);
    Py_XDECREF(body);
    return self;
}

PyObject *cl_pyresponse_stream(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                               PyObject *names) {
    enum { ITERABLE, STATUS, HEADERS, CONTENT_TYPE, TRAILERS, COUNT };
    static const struct cl_args_spec args_spec = {
        .function = "Response.stream",
        .required = 1,
        .positional = COUNT,
        .names = {"iterable", "status", "headers", "content_type", "trailers"}};
    PyObject *given[COUNT];
    struct cl_ext *ext = cl_ext_of_type((PyTypeObject *)cls);
    if (!ext || cl_args_parse(&args_spec, args, (size_t)n, names, given) < 0)
        return NULL;
    cl_args_none_is_absent(&given[TRAILERS]);
    if (check_iterable("Response.stream()", given[ITERABLE]) < 0 ||
        check_trailers(given[TRAILERS]) < 0)
        return NULL;
    PyObject *body = new_body(ext, given[ITERABLE], given[TRAILERS], false, CL_SSE_HEARTBEAT_S);
    struct cl_pyresponse *self = respond(cls, body, given[STATUS], given[HEADERS]);
    if (self && given[CONTENT_TYPE] && given[CONTENT_TYPE] != Py_None &&
        cl_pyresponse_set_content_type(self, given[CONTENT_TYPE]) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

PyObject *cl_pyresponse_sse(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    enum { ITERABLE, STATUS, HEADERS, HEARTBEAT, COUNT };
    static const struct cl_args_spec args_spec = {
        .function = "Response.sse",
        .required = 1,
        .positional = COUNT,
        .names = {"iterable", "status", "headers", "heartbeat"}};
    PyObject *given[COUNT];
    double heartbeat_s = CL_SSE_HEARTBEAT_S;
    struct cl_ext *ext = cl_ext_of_type((PyTypeObject *)cls);
    if (!ext || cl_args_parse(&args_spec, args, (size_t)n, names, given) < 0 ||
        check_iterable("Response.sse()", given[ITERABLE]) < 0)
        return NULL;
    if (cl_sse_stream_is(given[ITERABLE]))
        heartbeat_s = cl_sse_stream_heartbeat(given[ITERABLE]);
    if (cl_stream_heartbeat(given[HEARTBEAT], &heartbeat_s) < 0)
        return NULL;
    PyObject *body = new_body(ext, given[ITERABLE], NULL, true, heartbeat_s);
    return (PyObject *)respond(cls, body, given[STATUS], given[HEADERS]);
}
