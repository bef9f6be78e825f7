/* JSON bodies: from the bytes where they lie to what a validator makes of them. */
#include "convert/json_decode.h"
#include "plan/plan_internal.h"
#include "types/text.h"

/* ---- what is accepted ---- */

/* application/json and whatever has the suffix +json (RFC 6839); parameters aside. */
static bool is_json_type(struct cl_str type) {
    if (cello_media_is(type, CL_LITERAL("application/json")))
        return true;
    const char *end = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    size_t n = end ? (size_t)(end - type.ptr) : type.len;
    while (n && (type.ptr[n - 1] == ' ' || type.ptr[n - 1] == '\t'))
        n--;
    const struct cl_str suffix = CL_LITERAL("+json");
    return n > suffix.len &&
           cl_text_ieq((struct cl_str){type.ptr + n - suffix.len, suffix.len}, suffix) &&
           memchr(type.ptr, '/', n) != NULL;
}

static int check_type(struct cl_walk *w) {
    struct cl_str type;
    if (!cello_request_header(w->r, CL_LITERAL("content-type"), &type) || is_json_type(type))
        return 0;
    cl_text_raise_http(w->ext, 415, "The body must be JSON.");
    return -1;
}

/* ---- depth ---- */

/* No text has more levels than opening brackets: a loop that compilers make vector code of. */
static size_t count_openings(struct cl_str text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += (text.ptr[i] == '[') | (text.ptr[i] == '{');
    return n;
}

/* Of well-formed text; anything may be said of other text, which no validator accepts. */
static bool is_deeper(struct cl_str text, size_t max) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len && depth <= max; i++) {
        char c = text.ptr[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string)
            i += c == '\\'; /* what it escapes is no end */
        else if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && depth)
            depth--;
    }
    return depth > max;
}

/* ---- errors ---- */

/* What req.json() would raise. False: it would raise nothing, and nothing is set. */
static bool raise_as_json(struct cl_walk *w, struct cl_str body) {
    const struct cl_json_options opt = {
        .state = &w->ext->convert,
        .max_depth = cello_request_max_json_depth(w->r),
    };
    struct cl_json_error error;
    PyObject *value = cl_json_decode(body.ptr, body.len, &opt, &error);
    if (!value && error.err)
        cl_json_raise(&error, w->ext->json_error);
    bool raised = !value;
    Py_XDECREF(value);
    return raised;
}

/* The item's loc: as the validator gave it, or below the field's own. A new list. */
static PyObject *new_loc(const struct cl_field *f, bool is_model, PyObject *given) {
    PyObject *loc = PySequence_List(given);
    if (!loc || !is_model)
        return loc;
    PyObject *own = PySequence_List(f->loc);
    Py_ssize_t n = PyList_GET_SIZE(loc);
    PyObject *rest = own ? PyList_GetSlice(loc, n ? 1 : 0, n) : NULL;
    Py_DECREF(loc);
    loc = rest ? PySequence_InPlaceConcat(own, rest) : NULL;
    Py_XDECREF(rest);
    Py_XDECREF(own);
    return loc;
}

static int note_errors(struct cl_walk *w, const struct cl_field *f, bool is_model,
                       PyObject *errors) {
    if (!w->errors && !(w->errors = PyList_New(0)))
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(errors); i++) {
        PyObject *item = PyDict_Copy(PyList_GET_ITEM(errors, i));
        PyObject *given = item ? PyDict_GetItemString(item, "loc") : NULL;
        PyObject *loc = given ? new_loc(f, is_model, given) : NULL;
        int err = loc ? PyDict_SetItemString(item, "loc", loc) : item && !given ? 0 : -1;
        if (!err)
            err = PyList_Append(w->errors, item);
        Py_XDECREF(loc);
        Py_XDECREF(item);
        if (err)
            return -1;
    }
    return 0;
}

int cl_walk_validator_raised(struct cl_walk *w, const struct cl_field *f, bool is_model,
                             bool *malformed) {
    PyObject *exception = cl_ext_fetch_exception();
    PyObject *hook = w->ext->body_errors;
    bool ask = hook && PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception) &&
               !PyObject_TypeCheck(exception, (PyTypeObject *)w->ext->http_error);
    PyObject *errors = ask ? PyObject_CallOneArg(hook, exception) : Py_NewRef(Py_NotImplemented);
    int err = -1;
    if (errors == Py_None && malformed)
        *malformed = true;
    else if (errors && PyList_CheckExact(errors))
        err = note_errors(w, f, is_model, errors);
    else if (errors)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(errors);
    Py_DECREF(exception);
    return err;
}

/* The validator has raised: errors of the value are noted (0), malformed text is a 400 with the
 * words of req.json(), what else the program raises goes on. A validator may find a value of the
 * wrong type before it finds that the text is malformed. */
static int settle(struct cl_walk *w, const struct cl_field *f, struct cl_str body) {
    bool malformed = PyErr_ExceptionMatches(PyExc_RecursionError);
    if (malformed)
        PyErr_Clear();
    else if (cl_walk_validator_raised(w, f, false, &malformed) == 0)
        return raise_as_json(w, body) ? -1 : 0;
    if (malformed && !raise_as_json(w, body))
        cl_text_raise_http(w->ext, 400, "The body is no JSON that can be read.");
    return -1;
}

/* ---- the field ---- */

static PyObject *convert(struct cl_walk *w, const struct cl_field *f, struct cl_str body) {
    bool copy = f->source == CL_SOURCE_BODY_BYTES || w->pooled;
    PyObject *text = copy ? PyBytes_FromStringAndSize(body.ptr, (Py_ssize_t)body.len)
                          : cl_body_view_new(w->ext, w->r);
    PyObject *value = text ? PyObject_CallOneArg(f->convert, text) : NULL;
    if (copy)
        Py_XDECREF(text);
    else if (text)
        cl_body_view_release(w->ext, text);
    return value;
}

int cl_walk_body(struct cl_walk *w, const struct cl_field *f, PyObject **slot) {
    struct cl_str body = cello_request_body(w->r);
    size_t max_depth = cello_request_max_json_depth(w->r);
    if (!body.len)
        return cl_walk_missing(w, f, slot);
    if (check_type(w) < 0)
        return -1;
    if (!max_depth)
        max_depth = CL_JSON_MAX_DEPTH;
    if (body.len > max_depth && count_openings(body) > max_depth && is_deeper(body, max_depth) &&
        raise_as_json(w, body))
        return -1;
    *slot = convert(w, f, body);
    return *slot ? 0 : settle(w, f, body);
}
