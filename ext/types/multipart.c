/* _cello.MultipartReader: a multipart body piece by piece, for req.multipart(). */
#include "types/args.h"
#include "types/request_internal.h"
#include "types/text.h"
#include "types/upload.h"

struct reader {
    PyObject_HEAD struct cl_ext *ext; /* lives as long as the type */
    struct cl_multipart_stream *stream;
    int failed; /* what is to be raised next */
};

static struct reader *reader_of(PyObject *object) {
    return (struct reader *)(void *)object;
}

/* MultipartReader(content_type, request, /) */
static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    struct cl_ext *ext = cl_ext_of_type(type);
    PyObject *text, *request;
    struct cl_str content_type = {NULL, 0};
    struct cello_form_limits limits;
    if (!ext || kwargs || !PyArg_UnpackTuple(args, "MultipartReader", 2, 2, &text, &request) ||
        cl_args_str("content_type", text, &content_type) < 0)
        return NULL;
    bool served = Py_IS_TYPE(request, ext->request_type);
    cl_form_limits(served ? cl_pyrequest_of(request)->r : NULL, &limits);
    if (!cello_media_is(content_type, CL_LITERAL("multipart/form-data")))
        return cl_text_raise_http(ext, 415, "The body must be multipart/form-data.");
    struct cl_multipart_stream *stream;
    int err = cello_multipart_new(&stream, content_type, &limits);
    if (err)
        return cl_form_raise(ext, err);
    struct reader *self = reader_of(type->tp_alloc(type, 0));
    if (!self) {
        cello_multipart_del(stream);
        return NULL;
    }
    self->ext = ext;
    self->stream = stream;
    return (PyObject *)self;
}

static void reader_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    cello_multipart_del(reader_of(object)->stream);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* (name, filename or None, content type or None, headers) */
static PyObject *describe(struct reader *self) {
    struct cello_part part;
    cello_multipart_part(self->stream, &part);
    PyObject *name = cl_text_new(part.name);
    PyObject *filename = part.is_file ? cl_text_new(part.filename) : Py_NewRef(Py_None);
    PyObject *content_type = cl_part_content_type(&part);
    PyObject *headers = cl_part_headers(self->ext, &part);
    PyObject *all = NULL;
    if (name && filename && content_type && headers)
        all = PyTuple_Pack(4, name, filename, content_type, headers);
    Py_XDECREF(name);
    Py_XDECREF(filename);
    Py_XDECREF(content_type);
    Py_XDECREF(headers);
    return all;
}

/* What an event is told as: a tuple, bytes, None. */
static PyObject *event_object(struct reader *self, int event, PyObject *piece, struct cl_str data) {
    if (event == CELLO_MULTIPART_PART)
        return describe(self);
    if (event == CELLO_MULTIPART_PART_END)
        return Py_NewRef(Py_None);
    if (PyBytes_CheckExact(piece) && PyBytes_AS_STRING(piece) == data.ptr &&
        (size_t)PyBytes_GET_SIZE(piece) == data.len)
        return Py_NewRef(piece); /* all of it is data */
    return PyBytes_FromStringAndSize(data.ptr, (Py_ssize_t)data.len);
}

static bool is_usable(const struct reader *self) {
    if (self->failed)
        cl_form_raise(self->ext, self->failed);
    return !self->failed;
}

static PyObject *read_events(struct reader *self, PyObject *piece, struct cl_str in) {
    PyObject *events = PyList_New(0);
    while (events) {
        struct cl_str data;
        int event = cello_multipart_next(self->stream, &in, &data);
        if (event == CELLO_EAGAIN)
            break;
        if (event < 0) {
            self->failed = event; /* said when what came before it was handed on */
            break;
        }
        PyObject *object = event_object(self, event, piece, data);
        if (!object || PyList_Append(events, object) < 0)
            Py_CLEAR(events);
        Py_XDECREF(object);
    }
    return events;
}

static PyObject *feed(PyObject *object, PyObject *piece) {
    struct reader *self = reader_of(object);
    Py_buffer view;
    if (!is_usable(self) || PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *events = read_events(self, piece, (struct cl_str){view.buf, (size_t)view.len});
    PyBuffer_Release(&view);
    if (events && PyList_GET_SIZE(events) == 0 && !is_usable(self))
        Py_CLEAR(events);
    return events;
}

static PyObject *finish(PyObject *object, PyObject *unused) {
    (void)unused;
    struct reader *self = reader_of(object);
    if (!is_usable(self))
        return NULL;
    self->failed = cello_multipart_finish(self->stream);
    return is_usable(self) ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef reader_methods[] = {
    {"feed", feed, METH_O,
     "feed($self, data, /)\n--\n\nWhat the next bytes of the body say, in order: a tuple (name, "
     "filename, content_type, headers) where a part begins, its bytes, None where it ends. "
     "HTTPError: malformed, or at a limit."},
    {"finish", finish, METH_NOARGS,
     "finish($self, /)\n--\n\nThe body has ended. HTTPError: before the form did."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "MultipartReader(content_type, request, /)\n--\n\n"
                "A multipart body piece by piece, within the limits of the request's server."},
    {Py_tp_new, (void *)reader_new},
    {Py_tp_dealloc, (void *)reader_dealloc},
    {Py_tp_methods, reader_methods},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "cello._cello.MultipartReader",
    .basicsize = sizeof(struct reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};

int cl_multipart_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->multipart_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &reader_spec, NULL);
    return ext->multipart_type ? PyModule_AddType(module, ext->multipart_type) : -1;
}
