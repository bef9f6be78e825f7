/* Request(...) as tests make it: everything is owned, nothing comes from an engine. */
#include "types/args.h"
#include "types/request_internal.h"
#include "types/view.h"

enum { METHOD, PATH, PARAMS, QUERY, HEADERS, BODY, ARG_COUNT };

static const struct cl_args_spec SPEC = {
    .function = "Request",
    .required = 2,
    .positional = ARG_COUNT,
    .names = {"method", "path", "params", "query", "headers", "body"},
};

/* The map of a form that was made with the result `err`. */
static PyObject *map_of_form(struct cl_ext *ext, enum cl_map_kind kind, struct cl_form *form,
                             int err) {
    if (err)
        return cl_text_raise(ext, err, kind == CL_MAP_QUERY ? "query" : "cookies");
    size_t count;
    const struct cl_pair *pairs = cello_form_pairs(form, &count);
    PyObject *map = cl_pymultimap_from_pairs(ext, kind, cl_view_tuple_of(pairs, count));
    cello_form_del(form);
    return map;
}

/* A mapping, pairs, or encoded text as in a URL. */
static PyObject *make_query(struct cl_ext *ext, PyObject *query) {
    if (!query || !PyUnicode_Check(query))
        return cl_pymultimap_from_object(ext, CL_MAP_QUERY, query, "query");
    struct cl_str raw = {NULL, 0};
    struct cl_form *form = NULL;
    if (cl_args_str("query", query, &raw) < 0)
        return NULL;
    return map_of_form(ext, CL_MAP_QUERY, form, cello_form_new(&form, raw, UINT32_MAX));
}

static PyObject *make_cookies(struct cl_ext *ext, PyObject *headers) {
    PyObject *name = PyUnicode_FromString("cookie"), *separator = PyUnicode_FromString("; ");
    PyObject *fields = name && separator ? cl_pymultimap_get_all(headers, name) : NULL;
    PyObject *joined = fields ? PyUnicode_Join(separator, fields) : NULL;
    struct cl_str raw = {NULL, 0};
    struct cl_form *form = NULL;
    PyObject *cookies = NULL;
    if (joined && cl_args_str("the header Cookie", joined, &raw) == 0)
        cookies =
            map_of_form(ext, CL_MAP_COOKIES, form, cello_form_new_cookies(&form, raw, UINT32_MAX));
    Py_XDECREF(name);
    Py_XDECREF(separator);
    Py_XDECREF(fields);
    Py_XDECREF(joined);
    return cookies;
}

static PyObject *make_body(PyObject *body) {
    if (!body || body == Py_None)
        return PyBytes_FromStringAndSize(NULL, 0);
    if (PyUnicode_Check(body))
        return PyUnicode_AsUTF8String(body);
    if (PyObject_CheckBuffer(body))
        return PyBytes_FromObject(body);
    PyErr_Format(PyExc_TypeError, "body must be bytes, str or None, not %.100s",
                 Py_TYPE(body)->tp_name);
    return NULL;
}

static int fill_maps(struct cl_pyrequest *self, PyObject **args) {
    struct cl_ext *ext = self->ext;
    PyObject **maps = self->maps;
    maps[CL_MAP_PARAMS] = cl_pymultimap_from_object(ext, CL_MAP_PARAMS, args[PARAMS], "params");
    if (!maps[CL_MAP_PARAMS])
        return -1;
    maps[CL_MAP_QUERY] = make_query(ext, args[QUERY]);
    if (!maps[CL_MAP_QUERY])
        return -1;
    maps[CL_MAP_HEADERS] = cl_pymultimap_from_object(ext, CL_MAP_HEADERS, args[HEADERS], "headers");
    if (!maps[CL_MAP_HEADERS])
        return -1;
    maps[CL_MAP_COOKIES] = make_cookies(ext, maps[CL_MAP_HEADERS]);
    return maps[CL_MAP_COOKIES] ? 0 : -1;
}

PyObject *cl_pyrequest_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *given[ARG_COUNT];
    struct cl_str method = {NULL, 0}, path = {NULL, 0};
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext || cl_args_parse_tuple(&SPEC, args, kwargs, given) < 0 ||
        cl_args_str("method", given[METHOD], &method) < 0 ||
        cl_args_str("path", given[PATH], &path) < 0)
        return NULL;
    struct cl_pyrequest *self = cl_pyrequest_alloc(ext);
    if (!self)
        return NULL;
    PyObject *body = make_body(given[BODY]);
    if (body)
        cl_pyrequest_keep(self, CL_KEPT_BODY, body);
    cl_pyrequest_keep(self, CL_KEPT_METHOD, Py_NewRef(given[METHOD]));
    cl_pyrequest_keep(self, CL_KEPT_PATH, Py_NewRef(given[PATH]));
    if (!body || fill_maps(self, given) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    cl_pyrequest_track(self);
    return (PyObject *)self;
}
