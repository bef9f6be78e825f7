#include "convert/json_bytes.h"
#include "types/file_body.h"
#include "types/response_internal.h"
#include "types/stream_body.h"

#include <stddef.h>

#include <structmember.h>

/* ---- parts ---- */

void cl_pyresponse_parts(PyObject *response, struct cl_pyresponse_parts *out) {
    const struct cl_pyresponse *self = cl_pyresponse_of(response);
    *out = (struct cl_pyresponse_parts){
        .body = self->body,
        .json = self->json,
        .status = self->status,
        .content_type = self->content_type,
        .headers = self->headers,
    };
}

/* Bytes that can be sent from where they are; a memoryview with gaps is copied. New reference. */
static PyObject *without_gaps(PyObject *body) {
    if (PyMemoryView_Check(body) && !PyBuffer_IsContiguous(PyMemoryView_GET_BUFFER(body), 'C'))
        return PyBytes_FromObject(body);
    return Py_NewRef(body);
}

int cl_pyresponse_set_body(struct cl_pyresponse *self, PyObject *body) {
    if (!body) {
        PyErr_SetString(PyExc_AttributeError, "body cannot be deleted; set it to None");
        return -1;
    }
    PyObject *sendable = without_gaps(body);
    if (!sendable)
        return -1;
    self->json = body != Py_None && !PyUnicode_Check(body) && !cl_pyresponse_is_bytes(body) &&
                 !cl_stream_is(body) && !cl_file_body_check(body);
    Py_XSETREF(self->body, sendable);
    return 0;
}

int cl_pyresponse_set_status(struct cl_pyresponse *self, PyObject *status) {
    int value = cl_args_status(status);
    if (value < 0)
        return -1;
    self->status = value;
    self->status_is_set = true;
    return 0;
}

int cl_pyresponse_set_content_type(struct cl_pyresponse *self, PyObject *content_type) {
    struct cl_str span = {NULL, 0};
    if (!content_type || content_type == Py_None) {
        Py_CLEAR(self->content_type);
        return 0;
    }
    if (cl_args_str("content_type", content_type, &span) < 0)
        return -1;
    if (!span.len || !cello_header_value_valid(span)) {
        PyErr_Format(PyExc_ValueError, "content_type is not a valid media type: %R", content_type);
        return -1;
    }
    Py_XSETREF(self->content_type, Py_NewRef(content_type));
    return 0;
}

/* ---- life ---- */

struct cl_pyresponse *cl_pyresponse_alloc(PyTypeObject *type) {
    struct cl_pyresponse *self = cl_pyresponse_of(type->tp_alloc(type, 0));
    if (!self)
        return NULL;
    self->body = Py_NewRef(Py_None);
    self->status = 200;
    return self;
}

static PyObject *new (PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    return (PyObject *)cl_pyresponse_alloc(type);
}

enum { BODY, STATUS, HEADERS, CONTENT_TYPE, ARG_COUNT };

static const struct cl_args_spec SPEC = {
    .function = "Response",
    .positional = ARG_COUNT,
    .names = {"body", "status", "headers", "content_type"},
    .aliases = {{"content", BODY}, {"status_code", STATUS}, {"media_type", CONTENT_TYPE}},
};

static int fill(struct cl_pyresponse *self, PyObject **given) {
    Py_CLEAR(self->headers);
    Py_CLEAR(self->content_type);
    self->status = 200;
    if (cl_pyresponse_set_body(self, given[BODY] ? given[BODY] : Py_None) < 0)
        return -1;
    if (given[STATUS] && cl_pyresponse_set_status(self, given[STATUS]) < 0)
        return -1;
    if (given[HEADERS] && cl_pyresponse_add_all(self, given[HEADERS]) < 0)
        return -1;
    if (given[CONTENT_TYPE] && given[CONTENT_TYPE] != Py_None)
        return cl_pyresponse_set_content_type(self, given[CONTENT_TYPE]);
    return 0;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *given[ARG_COUNT];
    if (cl_args_parse_tuple(&SPEC, args, kwargs, given) < 0)
        return -1;
    return fill(cl_pyresponse_of(self), given);
}

/* Response(...) without the tuple and dict that __init__ needs; not for subclasses. */
static PyObject *vectorcall(PyObject *type, PyObject *const *args, size_t n, PyObject *names) {
    PyObject *given[ARG_COUNT];
    if (cl_args_parse(&SPEC, args, n, names, given) < 0)
        return NULL;
    struct cl_pyresponse *self = cl_pyresponse_alloc((PyTypeObject *)type);
    if (self && fill(self, given) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int clear(PyObject *object) {
    struct cl_pyresponse *self = cl_pyresponse_of(object);
    Py_XSETREF(self->body, Py_NewRef(Py_None));
    Py_CLEAR(self->headers);
    return 0;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
    struct cl_pyresponse *self = cl_pyresponse_of(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->body);
    Py_VISIT(self->headers);
    return 0;
}

static void dealloc(PyObject *object) {
    struct cl_pyresponse *self = cl_pyresponse_of(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs)
        PyObject_ClearWeakRefs(object);
    Py_CLEAR(self->body);
    Py_CLEAR(self->headers);
    Py_CLEAR(self->content_type);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- attributes ---- */

static PyObject *get_body(PyObject *self, void *unused) {
    (void)unused;
    return Py_NewRef(cl_pyresponse_of(self)->body);
}

static int set_body(PyObject *self, PyObject *body, void *unused) {
    (void)unused;
    return cl_pyresponse_set_body(cl_pyresponse_of(self), body);
}

static PyObject *get_status(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(cl_pyresponse_of(self)->status);
}

static int set_status(PyObject *self, PyObject *status, void *unused) {
    (void)unused;
    return cl_pyresponse_set_status(cl_pyresponse_of(self), status);
}

/* What will be sent. */
static PyObject *get_content_type(PyObject *object, void *unused) {
    (void)unused;
    struct cl_pyresponse *self = cl_pyresponse_of(object);
    if (self->content_type)
        return Py_NewRef(self->content_type);
    if (self->json)
        return PyUnicode_FromString("application/json");
    if (cl_stream_is(self->body)) {
        struct cl_stream_parts parts;
        cl_stream_parts(self->body, &parts);
        return parts.sse ? PyUnicode_FromString("text/event-stream") : Py_NewRef(Py_None);
    }
    if (self->body == Py_None)
        Py_RETURN_NONE;
    if (cl_file_body_check(self->body))
        return cl_file_body_type(self->body);
    return PyUnicode_FromString(PyUnicode_Check(self->body) ? "text/plain; charset=utf-8"
                                                            : "application/octet-stream");
}

static int set_content_type(PyObject *self, PyObject *content_type, void *unused) {
    (void)unused;
    return cl_pyresponse_set_content_type(cl_pyresponse_of(self), content_type);
}

static PyObject *repr(PyObject *object) {
    PyObject *type = get_content_type(object, NULL);
    PyObject *text = NULL;
    if (type) {
        const char *name = Py_TYPE(object)->tp_name, *dot = strrchr(name, '.');
        text = PyUnicode_FromFormat("<%s %d %S>", dot ? dot + 1 : name,
                                    cl_pyresponse_of(object)->status, type);
        Py_DECREF(type);
    }
    return text;
}

static PyGetSetDef attributes[] = {
    {"body", get_body, set_body, "str, bytes-like, None, or what is to be sent as JSON.", NULL},
    {"status", get_status, set_status, "The status, 200 to 599.", NULL},
    {"status_code", get_status, set_status, "The same as status.", NULL},
    {"content_type", get_content_type, set_content_type,
     "The Content-Type that will be sent; None: none. Set to None: by the body's type.", NULL},
    {"media_type", get_content_type, set_content_type, "The same as content_type.", NULL},
    {"headers", cl_pyresponse_get_headers, NULL,
     "The headers, Content-Type included, as a mapping that can be changed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct cl_pyresponse, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* ---- what is sent ---- */

/* For answers that never change; those of requests are written where they are sent from. */
static PyObject *render(PyObject *object, PyObject *hook) {
    const struct cl_pyresponse *self = cl_pyresponse_of(object);
    if (!self->json && PyUnicode_Check(self->body))
        return PyUnicode_AsUTF8String(self->body);
    if (!self->json && cl_pyresponse_is_bytes(self->body))
        return PyBytes_FromObject(self->body);
    if (!self->json && self->body == Py_None)
        return PyBytes_FromStringAndSize(NULL, 0);
    if (!self->json) {
        PyErr_Format(PyExc_TypeError, "%R cannot be a constant answer", self->body);
        return NULL;
    }
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(object));
    if (!ext)
        return NULL;
    const struct cl_json_options opt = {.state = &ext->convert, .default_hook = hook};
    return cl_json_encode_bytes(self->body, &opt);
}

/* ---- the type ---- */

PyDoc_STRVAR(
    doc,
    "Response(body=None, status=200, headers=None, content_type=None, *, content=..., "
    "status_code=..., media_type=...)\n--\n\n"
    "An answer in full. body: str, bytes-like or None; anything else is sent as JSON. headers: "
    "a mapping or pairs. content= status_code= media_type= are other names of the arguments. "
    "ValueError: a status outside 200..599; control characters; a header that only the engine "
    "writes (Content-Length, Transfer-Encoding, Connection, Date).");

#define CLASS_FLAGS (METH_CLASS | METH_FASTCALL | METH_KEYWORDS)
#define FASTCALL(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef methods[] = {
    {"set_header", FASTCALL(cl_pyresponse_set_header), METH_FASTCALL | METH_KEYWORDS,
     "set_header($self, name, value)\n--\n\nSet a header, instead of all of that name."},
    {"append_header", FASTCALL(cl_pyresponse_append_header), METH_FASTCALL | METH_KEYWORDS,
     "append_header($self, name, value)\n--\n\nAdd a header, beside others of that name."},
    {"set_cookie", FASTCALL(cl_pyresponse_set_cookie), METH_FASTCALL | METH_KEYWORDS,
     "set_cookie($self, key, value='', *, max_age=None, expires=None, path='/', domain=None, "
     "secure=False, httponly=False, samesite='lax', partitioned=False)\n--\n\n"
     "Add Set-Cookie (RFC 6265). max_age: seconds; expires: a datetime with a time zone; "
     "samesite: lax, strict, none or None. ValueError for what a browser would refuse."},
    {"delete_cookie", FASTCALL(cl_pyresponse_delete_cookie), METH_FASTCALL | METH_KEYWORDS,
     "delete_cookie($self, key, path='/', domain=None)\n--\n\nMake the client forget a cookie "
     "that was set with this path and domain."},
    {"_render", render, METH_O,
     "_render($self, default, /)\n--\n\nThe bytes of the body. default(object) gives what is "
     "encoded instead of one that JSON does not know."},
    {"json", FASTCALL(cl_pyresponse_json), CLASS_FLAGS,
     "json($type, data, status=200, headers=None)\n--\n\nAnything as JSON, also str and None."},
    {"text", FASTCALL(cl_pyresponse_text), CLASS_FLAGS,
     "text($type, body, status=200, headers=None)\n--\n\ntext/plain."},
    {"html", FASTCALL(cl_pyresponse_html), CLASS_FLAGS,
     "html($type, body, status=200, headers=None)\n--\n\ntext/html."},
    {"xml", FASTCALL(cl_pyresponse_xml), CLASS_FLAGS,
     "xml($type, body, status=200, headers=None)\n--\n\napplication/xml."},
    {"binary", FASTCALL(cl_pyresponse_binary), CLASS_FLAGS,
     "binary($type, body, status=200, headers=None)\n--\n\napplication/octet-stream."},
    {"redirect", FASTCALL(cl_pyresponse_redirect), CLASS_FLAGS,
     "redirect($type, url, status=307, headers=None)\n--\n\nSend the client to a URL; what a URL "
     "may not hold is percent-encoded. status: 301, 302, 303, 307 or 308."},
    {"stream", FASTCALL(cl_pyresponse_stream), CLASS_FLAGS,
     "stream($type, iterable, status=200, headers=None, content_type=None, trailers=None)\n--\n\n"
     "Bytes, str and SseEvent as an iterable or async iterable gives them. content_type: by the "
     "first item when it is not given. trailers: a mapping, or a callable that gives one at the "
     "end; fields behind the body."},
    {"sse", FASTCALL(cl_pyresponse_sse), CLASS_FLAGS,
     "sse($type, iterable, status=200, headers=None, heartbeat=15)\n--\n\n"
     "Server-sent events: SseEvents, or the data of events (a str, or what JSON knows), as an "
     "iterable or async iterable gives them. heartbeat: seconds of silence until a comment is "
     "sent, None for never."},
    {"no_content", FASTCALL(cl_pyresponse_no_content), CLASS_FLAGS,
     "no_content($type, headers=None)\n--\n\n204."},
    {"created", FASTCALL(cl_pyresponse_created), CLASS_FLAGS,
     "created($type, data=None, location=None, headers=None)\n--\n\n201, with data as JSON unless "
     "it is None, and with Location."},
    {"file", FASTCALL(cl_pyresponse_file), CLASS_FLAGS,
     "file($type, path, root=None, filename=None, *, status=200, headers=None, "
     "content_type=None, content_disposition_type='attachment')\n--\n\nA file, sent by the "
     "kernel, with its type, ETag and "
     "Last-Modified; conditions and ranges of the request are answered. root: a folder that the "
     "path, which may then come from a client, cannot leave; what is not there is 404. filename: "
     "what a browser saves it as, or with 'inline' calls what it shows."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, (void *)new},
    {Py_tp_init, (void *)init},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_clear, (void *)clear},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {Py_tp_repr, (void *)repr},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello.Response",
    .basicsize = sizeof(struct cl_pyresponse),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_response_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->response_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!ext->response_type)
        return -1;
    ext->response_type->tp_vectorcall = vectorcall;
    return PyModule_AddType(module, ext->response_type);
}
