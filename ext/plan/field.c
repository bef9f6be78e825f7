/* Fields: from the bytes of a request to values. */
#include "bridge/guest.h"
#include "plan/converter.h"
#include "plan/plan_internal.h"
#include "types/request_internal.h"
#include "types/response_internal.h"
#include "types/text.h"

/* What an engine error is about. */
static const char *const WHAT[CL_SOURCE_FORM + 1] = {
    [CL_SOURCE_PATH] = "path",      [CL_SOURCE_QUERY] = "query", [CL_SOURCE_HEADER] = "headers",
    [CL_SOURCE_COOKIE] = "cookies", [CL_SOURCE_FORM] = "form",
};

/* ---- errors ---- */

static PyObject *loc_of(const struct cl_field *f, Py_ssize_t index) {
    PyObject *loc = PySequence_List(f->loc);
    PyObject *position = loc && index >= 0 ? PyLong_FromSsize_t(index) : NULL;
    if (loc && index >= 0 && (!position || PyList_Append(loc, position) < 0))
        Py_CLEAR(loc);
    Py_XDECREF(position);
    return loc;
}

int cl_walk_refuse(struct cl_walk *w, const struct cl_field *f, PyObject *type, PyObject *msg,
                   Py_ssize_t index) {
    if (!w->errors && !(w->errors = PyList_New(0)))
        return -1;
    PyObject *loc = loc_of(f, index);
    PyObject *error = loc ? Py_BuildValue("{sNsOsO}", "loc", loc, "msg", msg, "type", type) : NULL;
    int err = error ? PyList_Append(w->errors, error) : -1;
    Py_XDECREF(error);
    return err;
}

static PyObject *copy_of(PyObject *value) {
    if (PyList_CheckExact(value))
        return PyList_GetSlice(value, 0, PyList_GET_SIZE(value));
    return PyDict_CheckExact(value) ? PyDict_Copy(value) : PySet_New(value);
}

int cl_walk_missing(struct cl_walk *w, const struct cl_field *f, PyObject **slot) {
    if (f->fallback) {
        *slot = f->copies ? copy_of(f->fallback) : Py_NewRef(f->fallback);
        return *slot ? 0 : -1;
    }
    struct cl_field_error error = {.index = -1};
    if (cl_field_error_set(&error, "missing", "Field required") < 0)
        return -1;
    int err = cl_walk_refuse(w, f, error.type, error.msg, -1);
    cl_field_error_clear(&error);
    return err;
}

/* What a converter answered. */
static int settle(struct cl_walk *w, const struct cl_field *f, int converted,
                  struct cl_field_error *error) {
    if (converted)
        return converted < 0 ? -1 : 0;
    int err = cl_walk_refuse(w, f, error->type, error->msg, error->index);
    cl_field_error_clear(error);
    return err;
}

/* All pairs of a source; not for paths and headers, which have none. */
static int pairs_of(struct cl_walk *w, enum cl_source source, const struct cl_pair **pairs,
                    size_t *count) {
    if (source == CL_SOURCE_FORM)
        return cl_walk_form_pairs(w, pairs, count);
    int err = source == CL_SOURCE_QUERY ? cello_request_query_pairs(w->r, pairs, count)
                                        : cello_request_cookie_pairs(w->r, pairs, count);
    if (err)
        cl_text_raise(w->ext, err, WHAT[source]);
    return err ? -1 : 0;
}

/* ---- one value ---- */

static int find_last(struct cl_walk *w, const struct cl_field *f, struct cl_str *text) {
    const struct cl_pair *pairs = NULL;
    size_t n;
    if (pairs_of(w, f->source, &pairs, &n) < 0)
        return -1;
    while (n-- > 0) {
        if (cl_text_eq(cello_pair_name(pairs, n), f->name)) {
            *text = cello_pair_value(pairs, n);
            return 1;
        }
    }
    return 0;
}

/* The value that a MultiMap's [] gives: 1, or 0: none, or -1: exception set. */
static int find_one(struct cl_walk *w, const struct cl_field *f, struct cl_str *text) {
    int err;
    switch (f->source) {
    case CL_SOURCE_PATH: err = cello_request_param(w->r, f->name, text); break;
    case CL_SOURCE_QUERY: err = cello_request_query_find(w->r, f->name, text); break;
    case CL_SOURCE_HEADER: return cello_request_header(w->r, f->name, text) ? 1 : 0;
    default: return find_last(w, f, text);
    }
    if (err && err != CELLO_ENOENT) {
        cl_text_raise(w->ext, err, WHAT[f->source]);
        return -1;
    }
    return err ? 0 : 1;
}

static int convert_one(struct cl_walk *w, const struct cl_field *f, PyObject **slot) {
    struct cl_str text = {NULL, 0};
    int found = find_one(w, f, &text);
    if (found <= 0)
        return found < 0 ? -1 : cl_walk_missing(w, f, slot);
    struct cl_field_error error = {.index = -1};
    return settle(w, f, cl_converter_text(w->ext, f->convert, text, slot, &error), &error);
}

/* ---- all values of a name ---- */

/* Texts of one name; more than a few move to the heap. */
struct texts {
    struct cl_str *items, few[16];
    size_t count, cap;
};

static int add_text(struct texts *t, struct cl_str text) {
    if (t->count == t->cap) {
        struct cl_str *items =
            PyMem_Realloc(t->items == t->few ? NULL : t->items, 2 * t->cap * sizeof *items);
        if (!items) {
            PyErr_NoMemory();
            return -1;
        }
        if (t->items == t->few)
            memcpy(items, t->few, sizeof t->few);
        t->items = items;
        t->cap *= 2;
    }
    t->items[t->count++] = text;
    return 0;
}

static int collect_headers(struct cl_walk *w, const struct cl_field *f, struct texts *t) {
    size_t n = cello_request_header_count(w->r);
    for (size_t i = 0; i < n; i++) {
        struct cl_str name, value;
        cello_request_header_at(w->r, i, &name, &value);
        if (cl_text_ieq(name, f->name) && add_text(t, value) < 0)
            return -1;
    }
    return 0;
}

static int collect(struct cl_walk *w, const struct cl_field *f, struct texts *t) {
    if (f->source == CL_SOURCE_HEADER)
        return collect_headers(w, f, t);
    if (f->source == CL_SOURCE_PATH) {
        struct cl_str text;
        int found = find_one(w, f, &text);
        return found == 1 ? add_text(t, text) : found;
    }
    const struct cl_pair *pairs = NULL;
    size_t n;
    if (pairs_of(w, f->source, &pairs, &n) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (cl_text_eq(cello_pair_name(pairs, i), f->name) &&
            add_text(t, cello_pair_value(pairs, i)) < 0)
            return -1;
    return 0;
}

static int convert_all(struct cl_walk *w, const struct cl_field *f, PyObject **slot) {
    struct texts t = {.cap = sizeof t.few / sizeof t.few[0]};
    struct cl_field_error error = {.index = -1};
    t.items = t.few;
    int err = collect(w, f, &t);
    if (!err && t.count == 0)
        err = cl_walk_missing(w, f, slot);
    else if (!err)
        err = settle(w, f, cl_converter_texts(w->ext, f->convert, t.items, t.count, slot, &error),
                     &error);
    if (t.items != t.few)
        PyMem_Free(t.items);
    return err;
}

/* ---- models ---- */

/* One more value of a name: a str, or a list when it is not the first. */
static int put_value(PyObject *dict, PyObject *name, PyObject *value) {
    PyObject *there = PyDict_GetItemWithError(dict, name);
    if (!there)
        return PyErr_Occurred() ? -1 : PyDict_SetItem(dict, name, value);
    if (PyList_CheckExact(there))
        return PyList_Append(there, value);
    PyObject *list = PyList_New(2);
    if (!list)
        return -1;
    PyList_SET_ITEM(list, 0, Py_NewRef(there));
    PyList_SET_ITEM(list, 1, Py_NewRef(value));
    int err = PyDict_SetItem(dict, name, list);
    Py_DECREF(list);
    return err;
}

/* The same; steals name and value, which may be NULL with an exception set. */
static int add_value(PyObject *dict, PyObject *name, PyObject *value) {
    int err = name && value ? put_value(dict, name, value) : -1;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return err;
}

static int add_headers(struct cl_walk *w, PyObject *dict) {
    size_t n = cello_request_header_count(w->r);
    for (size_t i = 0; i < n; i++) {
        struct cl_str name, value;
        cello_request_header_at(w->r, i, &name, &value);
        if (add_value(dict, cl_text_lower(name), cl_text_from_field(value)) < 0)
            return -1;
    }
    return 0;
}

static int add_pairs(struct cl_walk *w, enum cl_source source, PyObject *dict) {
    const struct cl_pair *pairs = NULL;
    size_t n;
    if (pairs_of(w, source, &pairs, &n) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (add_value(dict, cl_text_from_field(cello_pair_name(pairs, i)),
                      cl_text_from_field(cello_pair_value(pairs, i))) < 0)
            return -1;
    return 0;
}

static int convert_model(struct cl_walk *w, const struct cl_field *f, PyObject **slot) {
    PyObject *dict = PyDict_New();
    int err = -1;
    if (!dict)
        return -1;
    if (f->source == CL_SOURCE_HEADER_MODEL)
        err = add_headers(w, dict);
    else
        err = add_pairs(w, f->source - CL_SOURCE_QUERY_MODEL + CL_SOURCE_QUERY, dict);
    if (!err && f->fallback && PyDict_GET_SIZE(dict) == 0) {
        err = cl_walk_missing(w, f, slot);
    } else if (!err) {
        *slot = PyObject_CallOneArg(f->convert, dict);
        if (!*slot)
            err = cl_walk_validator_raised(w, f, true, NULL);
    }
    Py_DECREF(dict);
    return err;
}

/* ---- every source ---- */

static int give_request(struct cl_walk *w, PyObject **slot) {
    *slot = Py_XNewRef(cl_call_request(w->bridge, w->call, w->r));
    return *slot ? 0 : -1;
}

/* One for the whole call: a dependency and the handler share it. */
static int give_response(struct cl_walk *w, PyObject **slot) {
    struct cl_call *call = w->call;
    if (!call->response)
        call->response = (PyObject *)cl_pyresponse_alloc(w->ext->response_type);
    *slot = Py_XNewRef(call->response);
    return *slot ? 0 : -1;
}

/* The same. Tasks may ask for the peer when its connection has gone: it is read now. */
static int give_background(struct cl_walk *w, PyObject **slot) {
    struct cl_call *call = w->call;
    if (!call->background) {
        uint16_t port;
        (void)cello_request_peer(w->r, &port);
        call->background = PyObject_CallNoArgs(w->ext->background_type);
    }
    *slot = Py_XNewRef(call->background);
    return *slot ? 0 : -1;
}

int cl_walk_field(struct cl_walk *w, size_t i) {
    const struct cl_field *f = &w->plan->fields[i];
    PyObject **slot = &w->slots[i];
    switch (f->source) {
    case CL_SOURCE_PATH:
    case CL_SOURCE_QUERY:
    case CL_SOURCE_HEADER:
    case CL_SOURCE_COOKIE:
    case CL_SOURCE_FORM: return f->takes_all ? convert_all(w, f, slot) : convert_one(w, f, slot);
    case CL_SOURCE_QUERY_MODEL:
    case CL_SOURCE_HEADER_MODEL:
    case CL_SOURCE_COOKIE_MODEL:
    case CL_SOURCE_FORM_MODEL: return convert_model(w, f, slot);
    case CL_SOURCE_BODY:
    case CL_SOURCE_BODY_BYTES: return cl_walk_body(w, f, slot);
    case CL_SOURCE_FILE:
    case CL_SOURCE_FILES:
    case CL_SOURCE_FILE_BYTES:
    case CL_SOURCE_FILES_BYTES: return cl_walk_file(w, f, slot);
    case CL_SOURCE_REQUEST: return give_request(w, slot);
    case CL_SOURCE_RESPONSE: return give_response(w, slot);
    case CL_SOURCE_BACKGROUND: return give_background(w, slot);
    case CL_SOURCE_CONST: return cl_walk_missing(w, f, slot);
    case CL_SOURCE_COUNT: break;
    }
    Py_UNREACHABLE();
}
