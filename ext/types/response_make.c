/* Response.json() and the others: class methods, so that a subclass makes its own kind. They do not
 * go through __init__, whose arguments a subclass may have changed. */
#include "types/file_body.h"
#include "types/response_internal.h"

/* The bodies a method takes. */
enum body_kind { BODY_ANY, BODY_TEXT, BODY_BYTES };

static int check_body(enum body_kind kind, PyObject *body) {
    bool bytes = cl_pyresponse_is_bytes(body);
    if (kind == BODY_ANY || bytes || (kind == BODY_TEXT && PyUnicode_Check(body)))
        return 0;
    PyErr_Format(PyExc_TypeError, "body must be %s, not %.100s",
                 kind == BODY_TEXT ? "str or bytes" : "bytes-like", Py_TYPE(body)->tp_name);
    return -1;
}

/* The arguments of all of them; what is NULL keeps the default. */
struct parts {
    PyObject *body, *status, *headers;
    int default_status;
    const char *content_type; /* NULL: by the body */
    bool json;
};

static int fill(struct cl_pyresponse *self, const struct parts *p) {
    self->status = p->default_status;
    if (p->body && cl_pyresponse_set_body(self, p->body) < 0)
        return -1;
    if (p->json)
        self->json = true;
    if (p->status && cl_pyresponse_set_status(self, p->status) < 0)
        return -1;
    if (p->content_type && !(self->content_type = PyUnicode_InternFromString(p->content_type)))
        return -1;
    return cl_pyresponse_add_all(self, p->headers);
}

static struct cl_pyresponse *make(PyObject *cls, const struct parts *p) {
    struct cl_pyresponse *self = cl_pyresponse_alloc((PyTypeObject *)cls);
    if (self && fill(self, p) < 0)
        Py_CLEAR(self);
    return self;
}

/* ---- (body, status=200, headers=None) ---- */

enum { BODY, STATUS, HEADERS, BODY_ARGS };

#define BODY_SPEC(method, body_name)                                                               \
    {                                                                                              \
        .function = "Response." method, .required = 1, .positional = BODY_ARGS,                    \
        .names = {body_name, "status", "headers"},                                                 \
    }

struct call {
    PyObject *cls, *const *args, *names;
    Py_ssize_t n;
};

static PyObject *make_body(const struct call *c, const struct cl_args_spec *spec,
                           enum body_kind kind, const char *content_type) {
    PyObject *given[BODY_ARGS];
    if (cl_args_parse(spec, c->args, (size_t)c->n, c->names, given) < 0 ||
        check_body(kind, given[BODY]) < 0)
        return NULL;
    const struct parts parts = {
        .body = given[BODY],
        .status = given[STATUS],
        .headers = given[HEADERS],
        .default_status = 200,
        .content_type = content_type,
        .json = kind == BODY_ANY,
    };
    return (PyObject *)make(c->cls, &parts);
}

PyObject *cl_pyresponse_json(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = BODY_SPEC("json", "data");
    return make_body(&(struct call){cls, args, names, n}, &spec, BODY_ANY, NULL);
}

PyObject *cl_pyresponse_text(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = BODY_SPEC("text", "body");
    return make_body(&(struct call){cls, args, names, n}, &spec, BODY_TEXT,
                     "text/plain; charset=utf-8");
}

PyObject *cl_pyresponse_html(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = BODY_SPEC("html", "body");
    return make_body(&(struct call){cls, args, names, n}, &spec, BODY_TEXT,
                     "text/html; charset=utf-8");
}

PyObject *cl_pyresponse_xml(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = BODY_SPEC("xml", "body");
    return make_body(&(struct call){cls, args, names, n}, &spec, BODY_TEXT, "application/xml");
}

PyObject *cl_pyresponse_binary(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                               PyObject *names) {
    static const struct cl_args_spec spec = BODY_SPEC("binary", "body");
    return make_body(&(struct call){cls, args, names, n}, &spec, BODY_BYTES, NULL);
}

/* ---- with Location ---- */

/* Steals `self`, which may be NULL. */
static PyObject *with_location(struct cl_pyresponse *self, PyObject *url, const char *argument) {
    struct cl_str span = {NULL, 0};
    PyObject *name = NULL, *value = NULL;
    bool ok = self && cl_args_str(argument, url, &span) == 0;
    for (size_t i = 0; ok && i < span.len; i++)
        ok = (unsigned char)span.ptr[i] >= ' ' && span.ptr[i] != 0x7f;
    if (!ok && self && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%s has a control character: %R", argument, url);
    if (ok) {
        name = PyUnicode_FromString("Location");
        value = cl_text_quote(span, "");
        ok = name && value && cl_pyresponse_replace_field(self, name, value) == 0;
    }
    Py_XDECREF(name);
    Py_XDECREF(value);
    if (!ok)
        Py_CLEAR(self);
    return (PyObject *)self;
}

PyObject *cl_pyresponse_redirect(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                                 PyObject *names) {
    enum { URL, REDIRECT_STATUS, REDIRECT_HEADERS, COUNT };
    static const struct cl_args_spec spec = {.function = "Response.redirect",
                                             .required = 1,
                                             .positional = COUNT,
                                             .names = {"url", "status", "headers"}};
    PyObject *given[COUNT];
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0)
        return NULL;
    struct cl_pyresponse *self = make(cls, &(struct parts){
                                               .status = given[REDIRECT_STATUS],
                                               .headers = given[REDIRECT_HEADERS],
                                               .default_status = 307,
                                           });
    int status = self ? self->status : 0;
    if (self && status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
        PyErr_Format(PyExc_ValueError, "status must be 301, 302, 303, 307 or 308, not %d", status);
        Py_CLEAR(self);
    }
    return with_location(self, given[URL], "url");
}

PyObject *cl_pyresponse_created(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                                PyObject *names) {
    enum { DATA, LOCATION, CREATED_HEADERS, COUNT };
    static const struct cl_args_spec spec = {.function = "Response.created",
                                             .positional = COUNT,
                                             .names = {"data", "location", "headers"}};
    PyObject *given[COUNT];
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0)
        return NULL;
    cl_args_none_is_absent(&given[DATA]);
    cl_args_none_is_absent(&given[LOCATION]);
    struct cl_pyresponse *self = make(cls, &(struct parts){
                                               .body = given[DATA],
                                               .headers = given[CREATED_HEADERS],
                                               .default_status = 201,
                                               .json = given[DATA] != NULL,
                                           });
    return given[LOCATION] ? with_location(self, given[LOCATION], "location") : (PyObject *)self;
}

PyObject *cl_pyresponse_no_content(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                                   PyObject *names) {
    static const struct cl_args_spec spec = {
        .function = "Response.no_content", .positional = 1, .names = {"headers"}};
    PyObject *headers;
    if (cl_args_parse(&spec, args, (size_t)n, names, &headers) < 0)
        return NULL;
    return (PyObject *)make(cls, &(struct parts){.headers = headers, .default_status = 204});
}

PyObject *cl_pyresponse_file(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    enum { PATH, ROOT, FILENAME, FILE_STATUS, FILE_HEADERS, CONTENT_TYPE, DISPOSITION, COUNT };
    static const struct cl_args_spec spec = {
        .function = "Response.file",
        .required = 1,
        .positional = FILE_STATUS,
        .names = {"path", "root", "filename", "status", "headers", "content_type",
                  "content_disposition_type"},
    };
    PyObject *given[COUNT];
    struct cl_ext *ext = cl_ext_of_type((PyTypeObject *)cls);
    if (!ext || cl_args_parse(&spec, args, (size_t)n, names, given) < 0)
        return NULL;
    PyObject *body =
        cl_file_body_new(ext, given[PATH], given[ROOT], given[FILENAME], given[DISPOSITION]);
    if (!body)
        return NULL;
    struct cl_pyresponse *self = make(cls, &(struct parts){
                                               .body = body,
                                               .status = given[FILE_STATUS],
                                               .headers = given[FILE_HEADERS],
                                               .default_status = 200,
                                           });
    Py_DECREF(body);
    if (self && given[CONTENT_TYPE] &&
        cl_pyresponse_set_content_type(self, given[CONTENT_TYPE]) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}
