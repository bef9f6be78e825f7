/* The headers of a Response: checked when they are set, so that sending them cannot fail. */
#include "types/multimap.h"
#include "types/response_internal.h"

static bool is_content_type(struct cl_str name) {
    return cl_text_ieq(name, CL_LITERAL("content-type"));
}

/* 0, or -1: not to be sent. */
static int check(PyObject *name, PyObject *value, struct cl_str *name_span) {
    struct cl_str value_span = {NULL, 0};
    if (cl_args_str("header name", name, name_span) < 0 ||
        cl_args_str("header value", value, &value_span) < 0)
        return -1;
    const char *why = NULL;
    if (!cello_header_name_valid(*name_span))
        why = "the name is not a token";
    else if (cello_header_is_framing(*name_span))
        why = "the engine writes it";
    else if (!cello_header_value_valid(value_span))
        why = "the value has a control character, or white space at an end";
    if (!why)
        return 0;
    cl_args_refuse_pair(PyExc_ValueError, "the header %R: %R cannot be set: %s", name, value, why);
    return -1;
}

static int append_checked(struct cl_pyresponse *self, PyObject *name, PyObject *value) {
    if (!self->headers && !(self->headers = PyList_New(0)))
        return -1;
    PyObject *pair = PyTuple_Pack(2, name, value);
    int err = pair ? PyList_Append(self->headers, pair) : -1;
    Py_XDECREF(pair);
    return err;
}

int cl_pyresponse_append(struct cl_pyresponse *self, PyObject *name, PyObject *value) {
    struct cl_str span = {NULL, 0};
    if (check(name, value, &span) < 0)
        return -1;
    return is_content_type(span) ? cl_pyresponse_set_content_type(self, value)
                                 : append_checked(self, name, value);
}

/* The list without a name: a new one, since what goes may run code that looks at the old one. */
static PyObject *without(PyObject *list, struct cl_str name) {
    PyObject *kept = PyList_New(0);
    for (Py_ssize_t i = 0; kept && i < PyList_GET_SIZE(list); i++) {
        struct cl_str other;
        PyObject *pair = PyList_GET_ITEM(list, i);
        bool same = cl_text_key(PyTuple_GET_ITEM(pair, 0), &other) && cl_text_ieq(other, name);
        if (!same && PyList_Append(kept, pair) < 0)
            Py_CLEAR(kept);
    }
    return kept;
}

int cl_pyresponse_replace_field(struct cl_pyresponse *self, PyObject *name, PyObject *value) {
    struct cl_str span = {NULL, 0};
    if (check(name, value, &span) < 0)
        return -1;
    if (is_content_type(span))
        return cl_pyresponse_set_content_type(self, value);
    PyObject *kept = self->headers ? without(self->headers, span) : NULL;
    if (self->headers && !kept)
        return -1;
    Py_XSETREF(self->headers, kept);
    return append_checked(self, name, value);
}

int cl_pyresponse_remove_field(struct cl_pyresponse *self, PyObject *name) {
    struct cl_str span = {NULL, 0};
    if (cl_args_str("header name", name, &span) < 0)
        return -1;
    if (is_content_type(span)) {
        int was_set = self->content_type != NULL;
        Py_CLEAR(self->content_type);
        return was_set;
    }
    PyObject *kept = self->headers ? without(self->headers, span) : NULL;
    if (!kept)
        return self->headers ? -1 : 0;
    int found = PyList_GET_SIZE(kept) < PyList_GET_SIZE(self->headers);
    Py_SETREF(self->headers, kept);
    return found;
}

/* ---- many at once ---- */

/* A value of a mapping: one str, or several. */
static int add_values(struct cl_pyresponse *self, PyObject *name, PyObject *value) {
    if (!PyList_Check(value) && !PyTuple_Check(value))
        return cl_pyresponse_append(self, name, value);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++)
        if (cl_pyresponse_append(self, name, PySequence_Fast_GET_ITEM(value, i)) < 0)
            return -1;
    return 0;
}

static int add_dict(struct cl_pyresponse *self, PyObject *dict) {
    PyObject *name, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(dict, &pos, &name, &value))
        if (add_values(self, name, value) < 0)
            return -1;
    return 0;
}

static int add_pairs(struct cl_pyresponse *self, PyObject *pairs) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        if (cl_pyresponse_append(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)) < 0)
            return -1;
    }
    return 0;
}

int cl_pyresponse_add_all(struct cl_pyresponse *self, PyObject *headers) {
    if (!headers || headers == Py_None)
        return 0;
    if (PyDict_CheckExact(headers))
        return add_dict(self, headers);
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    PyObject *map = ext ? cl_pymultimap_from_object(ext, CL_MAP_QUERY, headers, "headers") : NULL;
    if (!map)
        return -1;
    int err = add_pairs(self, ((struct cl_pymultimap *)map)->pairs);
    Py_DECREF(map);
    return err;
}

PyObject *cl_pyresponse_all_headers(PyObject *object) {
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(object));
    PyObject *type = ext ? PyObject_GetAttrString(object, "content_type") : NULL;
    PyObject *all = type ? PyList_New(0) : NULL;
    PyObject *pair = all && type != Py_None ? Py_BuildValue("(sO)", "content-type", type) : NULL;
    bool ok = all && (type == Py_None || (pair && PyList_Append(all, pair) == 0));
    PyObject *set = cl_pyresponse_of(object)->headers;
    if (ok && set)
        ok = PyList_SetSlice(all, PyList_GET_SIZE(all), PyList_GET_SIZE(all), set) == 0;
    PyObject *map = ok ? cl_pymultimap_from_object(ext, CL_MAP_HEADERS, all, "headers") : NULL;
    Py_XDECREF(pair);
    Py_XDECREF(all);
    Py_XDECREF(type);
    return map;
}

/* ---- methods ---- */

enum { NAME, VALUE, ARG_COUNT };

#define FIELD_SPEC(method)                                                                         \
    {                                                                                              \
        .function = "Response." method, .required = ARG_COUNT, .positional = ARG_COUNT,            \
        .names = {"name", "value"},                                                                \
    }

PyObject *cl_pyresponse_set_header(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                   PyObject *names) {
    static const struct cl_args_spec spec = FIELD_SPEC("set_header");
    PyObject *given[ARG_COUNT];
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0 ||
        cl_pyresponse_replace_field(cl_pyresponse_of(self), given[NAME], given[VALUE]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *cl_pyresponse_append_header(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                      PyObject *names) {
    static const struct cl_args_spec spec = FIELD_SPEC("append_header");
    PyObject *given[ARG_COUNT];
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0 ||
        cl_pyresponse_append(cl_pyresponse_of(self), given[NAME], given[VALUE]) < 0)
        return NULL;
    Py_RETURN_NONE;
}
