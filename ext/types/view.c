#include "types/view.h"

#include "types/text.h"

static const char *const WHAT[CL_MAP_KINDS] = {
    [CL_MAP_QUERY] = "query",
    [CL_MAP_PARAMS] = "path",
    [CL_MAP_COOKIES] = "cookies",
    [CL_MAP_HEADERS] = "headers",
};

/* ---- one value ---- */

static int find_cookie(struct cl_request *r, struct cl_str name, struct cl_str *value) {
    const struct cl_pair *pairs;
    size_t n;
    int err = cello_request_cookie_pairs(r, &pairs, &n);
    if (err)
        return err;
    while (n-- > 0) {
        if (cl_text_eq(cello_pair_name(pairs, n), name)) {
            *value = cello_pair_value(pairs, n);
            return CELLO_OK;
        }
    }
    return CELLO_ENOENT;
}

static int find(enum cl_map_kind kind, struct cl_request *r, struct cl_str name,
                struct cl_str *value) {
    switch (kind) {
    case CL_MAP_QUERY: return cello_request_query_find(r, name, value);
    case CL_MAP_PARAMS: return cello_request_param(r, name, value);
    case CL_MAP_COOKIES: return find_cookie(r, name, value);
    case CL_MAP_HEADERS: return cello_request_header(r, name, value) ? CELLO_OK : CELLO_ENOENT;
    case CL_MAP_FORM: break; /* never a view */
    }
    return CELLO_ENOENT;
}

int cl_view_find(struct cl_ext *ext, enum cl_map_kind kind, struct cl_request *r, PyObject *name,
                 PyObject **value) {
    struct cl_str key, found;
    if (!cl_text_key(name, &key))
        return 0;
    int err = find(kind, r, key, &found);
    if (err == CELLO_ENOENT)
        return 0;
    if (err) {
        cl_text_raise(ext, err, WHAT[kind]);
        return -1;
    }
    *value = cl_text_from_field(found);
    return *value ? 1 : -1;
}

/* ---- all ---- */

/* (name, value); steals both, which may be NULL after an error. */
static PyObject *pair_of(PyObject *name, PyObject *value) {
    PyObject *pair = name && value ? PyTuple_New(2) : NULL;
    if (!pair) {
        Py_XDECREF(name);
        Py_XDECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, name);
    PyTuple_SET_ITEM(pair, 1, value);
    return pair;
}

PyObject *cl_view_tuple_of(const struct cl_pair *pairs, size_t count) {
    PyObject *all = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; all && i < count; i++) {
        PyObject *pair = pair_of(cl_text_from_field(cello_pair_name(pairs, i)),
                                 cl_text_from_field(cello_pair_value(pairs, i)));
        if (!pair)
            Py_CLEAR(all);
        else
            PyTuple_SET_ITEM(all, (Py_ssize_t)i, pair);
    }
    return all;
}

static PyObject *all_headers(struct cl_request *r) {
    size_t count = cello_request_header_count(r);
    PyObject *all = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; all && i < count; i++) {
        struct cl_str name, value;
        cello_request_header_at(r, i, &name, &value);
        PyObject *pair = pair_of(cl_text_lower(name), cl_text_from_field(value));
        if (!pair)
            Py_CLEAR(all);
        else
            PyTuple_SET_ITEM(all, (Py_ssize_t)i, pair);
    }
    return all;
}

static PyObject *all_params(struct cl_ext *ext, struct cl_request *r) {
    size_t count = cello_request_param_count(r);
    PyObject *all = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; all && i < count; i++) {
        struct cl_str name, value;
        int err = cello_request_param_at(r, i, &name, &value);
        PyObject *pair = err ? cl_text_raise(ext, err, WHAT[CL_MAP_PARAMS])
                             : pair_of(cl_text_new(name), cl_text_from_field(value));
        if (!pair)
            Py_CLEAR(all);
        else
            PyTuple_SET_ITEM(all, (Py_ssize_t)i, pair);
    }
    return all;
}

PyObject *cl_view_pairs(struct cl_ext *ext, enum cl_map_kind kind, struct cl_request *r) {
    if (kind == CL_MAP_HEADERS)
        return all_headers(r);
    if (kind == CL_MAP_PARAMS)
        return all_params(ext, r);
    const struct cl_pair *pairs;
    size_t count;
    int err = kind == CL_MAP_QUERY ? cello_request_query_pairs(r, &pairs, &count)
                                   : cello_request_cookie_pairs(r, &pairs, &count);
    return err ? cl_text_raise(ext, err, WHAT[kind]) : cl_view_tuple_of(pairs, count);
}
