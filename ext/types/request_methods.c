/* The methods of a Request that look up one thing. */
#include <math.h>

#include <cello/tls.h>

#include "types/args.h"
#include "types/request_internal.h"

#define FASTCALL(f) ((PyCFunction)(void (*)(void))(f))

/* CPython's own limit for decimal text; beyond it conversion takes quadratic time. */
enum { MAX_INT_DIGITS = 4300 };

/* ---- conversions: NULL without an exception when the text does not fit ---- */

static PyObject *int_from(struct cl_str text) {
    char digits[MAX_INT_DIGITS + 2];
    size_t sign = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    if (text.len == sign || text.len - sign > MAX_INT_DIGITS)
        return NULL;
    for (size_t i = sign; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return NULL;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    PyObject *value = PyLong_FromString(digits, NULL, 10);
    if (!value && PyErr_ExceptionMatches(PyExc_ValueError)) /* the program set a lower limit */
        PyErr_Clear();
    return value;
}

static PyObject *float_from(struct cl_str text) {
    char copy[512];
    char *end;
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return NULL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    double value = PyOS_string_to_double(copy, &end, NULL);
    if (PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_Clear();
        return NULL;
    }
    return *end == '\0' && isfinite(value) ? PyFloat_FromDouble(value) : NULL;
}

static PyObject *bool_from(struct cl_str text) {
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"true", true},   {"1", true},  {"yes", true}, {"on", true},
        {"false", false}, {"0", false}, {"no", false}, {"off", false},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (cl_text_ieq(text, (struct cl_str){words[i].word, strlen(words[i].word)}))
            return PyBool_FromLong(words[i].value);
    return NULL;
}

/* ---- look-ups: (name, default=None) ---- */

enum { NAME, DEFAULT, LOOKUP_ARGS };

struct lookup {
    struct cl_args_spec spec;
    enum cl_map_kind kind;
    PyObject *(*from)(struct cl_str); /* NULL: the text as it is */
    const char *refusal;              /* what is answered when the text does not fit: 422 */
};

static PyObject *look_up(const struct lookup *l, PyObject *object, PyObject *const *args,
                         Py_ssize_t n, PyObject *names) {
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyObject *given[LOOKUP_ARGS], *value = NULL;
    if (cl_args_parse(&l->spec, args, (size_t)n, names, given) < 0)
        return NULL;
    int found = cl_pyrequest_find(self, l->kind, given[NAME], &value);
    if (found == 0)
        return Py_NewRef(given[DEFAULT] ? given[DEFAULT] : Py_None);
    if (found < 0 || !l->from)
        return value;
    struct cl_str text = {"", 0};
    PyObject *result = cl_text_key(value, &text) ? l->from(text) : NULL;
    Py_DECREF(value);
    if (!result && !PyErr_Occurred())
        cl_text_raise_http(self->ext, 422, l->refusal, given[NAME]);
    return result;
}

#define LOOKUP(method, map, convert, sentence)                                                     \
    static PyObject *method(PyObject *self, PyObject *const *args, Py_ssize_t n,                   \
                            PyObject *names) {                                                     \
        static const struct lookup lookup = {                                                      \
            .spec = {.function = "Request." #method,                                               \
                     .required = 1,                                                                \
                     .positional = LOOKUP_ARGS,                                                    \
                     .names = {"name", "default"}},                                                \
            .kind = map,                                                                           \
            .from = convert,                                                                       \
            .refusal = sentence,                                                                   \
        };                                                                                         \
        return look_up(&lookup, self, args, n, names);                                             \
    }

LOOKUP(get_header, CL_MAP_HEADERS, NULL, NULL)
LOOKUP(get_param, CL_MAP_PARAMS, NULL, NULL)
LOOKUP(get_query_param, CL_MAP_QUERY, NULL, NULL)
LOOKUP(get_param_int, CL_MAP_PARAMS, int_from, "The path parameter '%U' must be an integer.")
LOOKUP(get_query_int, CL_MAP_QUERY, int_from, "The query parameter '%U' must be an integer.")
LOOKUP(get_query_float, CL_MAP_QUERY, float_from,
       "The query parameter '%U' must be a finite number.")
LOOKUP(get_query_bool, CL_MAP_QUERY, bool_from, "The query parameter '%U' must be true or false.")

/* ---- the client ---- */

static PyObject *client_ip(PyObject *self, PyObject *unused) {
    (void)unused;
    return cl_pyrequest_remote_addr(cl_pyrequest_of(self));
}

static PyObject *user_agent(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *value = NULL;
    int found = cl_pyrequest_find_header(cl_pyrequest_of(self), CL_LITERAL("user-agent"), &value);
    return found ? value : Py_NewRef(Py_None);
}

static PyObject *is_secure(PyObject *self, PyObject *unused) {
    (void)unused;
    const struct cl_request *r = cl_pyrequest_of(self)->r;
    return PyBool_FromLong(r && cello_request_is_secure(r));
}

static PyObject *is_disconnected(PyObject *self, PyObject *unused) {
    (void)unused;
    struct cl_request *r = cl_pyrequest_of(self)->r;
    return PyBool_FromLong(r && cello_request_has_left(r));
}

/* All Accept fields as one; None without any. */
static PyObject *accept_of(struct cl_pyrequest *self) {
    PyObject *headers = cl_pyrequest_map(self, CL_MAP_HEADERS);
    PyObject *name = headers ? PyUnicode_FromString("accept") : NULL;
    PyObject *fields = name ? cl_pymultimap_get_all(headers, name) : NULL;
    PyObject *comma = fields ? PyUnicode_FromString(", ") : NULL, *joined = NULL;
    if (comma)
        joined = PyList_GET_SIZE(fields) ? PyUnicode_Join(comma, fields) : Py_NewRef(Py_None);
    Py_XDECREF(headers);
    Py_XDECREF(name);
    Py_XDECREF(fields);
    Py_XDECREF(comma);
    return joined;
}

static PyObject *accepts(PyObject *self, PyObject *media_type) {
    struct cl_str offer = {NULL, 0}, field = {NULL, 0};
    if (cl_args_str("media_type", media_type, &offer) < 0)
        return NULL;
    PyObject *accept = accept_of(cl_pyrequest_of(self));
    if (!accept)
        return NULL;
    bool any = accept == Py_None;
    if (!any)
        (void)cl_text_key(accept, &field);
    PyObject *result = PyBool_FromLong(any || cello_accept_media(field, offer) > 0);
    Py_DECREF(accept);
    return result;
}

/* ---- the table ---- */

#define LOOKUP_FLAGS (METH_FASTCALL | METH_KEYWORDS)

PyMethodDef cl_pyrequest_methods[] = {
    {"body", cl_pyrequest_get_body, METH_NOARGS, "body($self, /)\n--\n\nThe body, as bytes."},
    {"stream", cl_pyrequest_stream, METH_NOARGS,
     "stream($self, /)\n--\n\nThe body as bytes, piece by piece, for `async for` and `for`; once. "
     "Where the route is declared with body=\"stream\" pieces come as the client sends them, "
     "and ClientDisconnected is raised when it has gone; else the body is one piece."},
    {"multipart", cl_pyrequest_multipart, METH_NOARGS,
     "multipart($self, /)\n--\n\nThe parts of a multipart/form-data body, one after the other as "
     "they "
     "come, for `async for` and `for`; once, instead of stream(). HTTPError: 415 for another type, "
     "400 for a malformed body or too many parts, 413 for too large ones."},
    {"text", cl_pyrequest_text, METH_NOARGS,
     "text($self, /)\n--\n\nThe body as str, by the charset of its type (UTF-8 without one). "
     "HTTPError 400 when it is not that, 415 for a charset that is not supported."},
    {"json", cl_pyrequest_json, METH_NOARGS,
     "json($self, /)\n--\n\nThe value of the JSON body, whatever its type says. JSONDecodeError, a "
     "ValueError answered with 400, names the byte that is wrong."},
    {"form", cl_pyrequest_form, METH_NOARGS,
     "form($self, /)\n--\n\nThe fields of an application/x-www-form-urlencoded or "
     "multipart/form-data body, a FormData. HTTPError: 415 for another type, 400 for a malformed "
     "one "
     "or too many fields, 413 for too large ones."},
    {"files", cl_pyrequest_files, METH_NOARGS,
     "files($self, /)\n--\n\nThe files among the fields of form(), a FormData. HTTPError: as "
     "there."},
    {"content_type", cl_pyrequest_content_type, METH_NOARGS,
     "content_type($self, /)\n--\n\nThe header Content-Type, or None."},
    {"get_header", FASTCALL(get_header), LOOKUP_FLAGS,
     "get_header($self, name, default=None)\n--\n\nThe first header of that name."},
    {"get_param", FASTCALL(get_param), LOOKUP_FLAGS,
     "get_param($self, name, default=None)\n--\n\nA parameter of the path."},
    {"get_param_int", FASTCALL(get_param_int), LOOKUP_FLAGS,
     "get_param_int($self, name, default=None)\n--\n\nThe same as int; HTTPError 422 when it is "
     "none."},
    {"get_query_param", FASTCALL(get_query_param), LOOKUP_FLAGS,
     "get_query_param($self, name, default=None)\n--\n\nThe last value in the query."},
    {"get_query_int", FASTCALL(get_query_int), LOOKUP_FLAGS,
     "get_query_int($self, name, default=None)\n--\n\nThe same as int (decimal digits with an "
     "optional sign); HTTPError 422 when it is none."},
    {"get_query_float", FASTCALL(get_query_float), LOOKUP_FLAGS,
     "get_query_float($self, name, default=None)\n--\n\nThe same as a finite float; HTTPError 422 "
     "when it is none."},
    {"get_query_bool", FASTCALL(get_query_bool), LOOKUP_FLAGS,
     "get_query_bool($self, name, default=None)\n--\n\nThe same as bool (true 1 yes on, false 0 "
     "no off, in any case); HTTPError 422 when it is none."},
    {"client_ip", client_ip, METH_NOARGS,
     "client_ip($self, /)\n--\n\nThe address of the client, or None."},
    {"user_agent", user_agent, METH_NOARGS,
     "user_agent($self, /)\n--\n\nThe header User-Agent, or None."},
    {"accepts", accepts, METH_O,
     "accepts($self, media_type, /)\n--\n\nWhether the client wants that type (RFC 9110, Accept); "
     "one that says nothing wants all."},
    {"is_secure", is_secure, METH_NOARGS,
     "is_secure($self, /)\n--\n\nWhether the request came over TLS."},
    {"early_hints", cl_pyrequest_early_hints, METH_O,
     "early_hints($self, headers, /)\n--\n\nSend 103 with these fields, Link above all, before the "
     "answer: a browser begins to load what they name. A mapping (a value may be a list of str) or "
     "pairs. Not sent to HTTP/1.0. RuntimeError: the answer has begun. ValueError: what must not "
     "be sent."},
    {"is_disconnected", is_disconnected, METH_NOARGS,
     "is_disconnected($self, /)\n--\n\nWhether the client has gone, or was answered."},
    {NULL, NULL, 0, NULL},
};
