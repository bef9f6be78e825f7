/* What a Request's body says: bytes, text, JSON, a form. */
#include "convert/json_decode.h"
#include "types/request_internal.h"
#include "types/view.h"

/* A form with more fields is no form that a person filled in. */
enum { MAX_FORM_FIELDS = 1000 };

/* The body where it lies. False: exception set. */
static bool body_span(struct cl_pyrequest *self, struct cl_str *out) {
    if (self->r && !self->kept[CL_KEPT_BODY]) {
        *out = cello_request_body(self->r);
        return true;
    }
    PyObject *body = cl_pyrequest_body(self);
    if (body)
        *out = (struct cl_str){PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)};
    return body != NULL;
}

PyObject *cl_pyrequest_get_body(PyObject *self, PyObject *unused) {
    (void)unused;
    return Py_XNewRef(cl_pyrequest_body(cl_pyrequest_of(self)));
}

PyObject *cl_pyrequest_content_type(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *value = NULL;
    int found = cl_pyrequest_find_header(cl_pyrequest_of(self), CL_LITERAL("content-type"), &value);
    return found ? value : Py_NewRef(Py_None);
}

/* ---- text ---- */

/* What may stand in `charset`: a closed list, since some of Python's codecs take quadratic time. */
static const char *codec_of(struct cl_str charset) {
    static const struct {
        const char *charset, *codec;
    } known[] = {
        {"utf-8", "utf-8"},        {"utf8", "utf-8"},         {"us-ascii", "ascii"},
        {"iso-8859-1", "latin-1"}, {"latin1", "latin-1"},     {"windows-1252", "cp1252"},
        {"utf-16", "utf-16"},      {"utf-16le", "utf-16-le"}, {"utf-16be", "utf-16-be"},
    };
    if (!charset.len)
        return "utf-8";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (cl_text_ieq(charset, (struct cl_str){known[i].charset, strlen(known[i].charset)}))
            return known[i].codec;
    return NULL;
}

PyObject *cl_pyrequest_text(PyObject *object, PyObject *unused) {
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyObject *type = cl_pyrequest_content_type(object, unused), *text = NULL;
    struct cl_str body, type_span = {NULL, 0};
    if (!type)
        return NULL;
    if (type != Py_None)
        (void)cl_text_key(type, &type_span);
    const char *codec = codec_of(type_span.len ? cello_media_charset(type_span) : type_span);
    if (!codec) {
        cl_text_raise_http(self->ext, 415, "The charset of the body is not supported.");
    } else if (body_span(self, &body)) {
        text = PyUnicode_Decode(body.len ? body.ptr : "", (Py_ssize_t)body.len, codec, NULL);
        if (!text && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            PyErr_Clear();
            cl_text_raise_http(self->ext, 400, "The body is not %s text.", codec);
        }
    }
    Py_DECREF(type);
    return text;
}

/* ---- JSON ---- */

PyObject *cl_pyrequest_json(PyObject *object, PyObject *unused) {
    (void)unused;
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    struct cl_str body;
    if (!body_span(self, &body))
        return NULL;
    const struct cl_json_options opt = {
        .state = &self->ext->convert,
        .max_depth = self->r ? cello_request_max_json_depth(self->r) : 0,
    };
    struct cl_json_error error;
    PyObject *value = cl_json_decode(body.len ? body.ptr : "", body.len, &opt, &error);
    if (!value && error.err)
        return cl_json_raise(&error, self->ext->json_error);
    return value;
}

/* ---- forms ---- */

PyObject *cl_pyrequest_form(PyObject *object, PyObject *unused) {
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyObject *type = cl_pyrequest_content_type(object, unused);
    struct cl_str body, type_span = {NULL, 0};
    if (!type)
        return NULL;
    bool fits = type != Py_None && cl_text_key(type, &type_span) &&
                cello_media_is(type_span, CL_LITERAL("application/x-www-form-urlencoded"));
    Py_DECREF(type);
    if (!fits)
        return cl_text_raise_http(self->ext, 415,
                                  "The body must be application/x-www-form-urlencoded.");
    if (!body_span(self, &body))
        return NULL;
    struct cl_form *form;
    int err = cello_form_new(&form, body, MAX_FORM_FIELDS);
    if (err)
        return cl_text_raise(self->ext, err, "form");
    size_t count;
    const struct cl_pair *pairs = cello_form_pairs(form, &count);
    PyObject *map =
        cl_pymultimap_from_pairs(self->ext, CL_MAP_QUERY, cl_view_tuple_of(pairs, count));
    cello_form_del(form);
    return map;
}
