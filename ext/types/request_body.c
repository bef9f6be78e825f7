/* What a Request's body says: bytes, text, JSON, a form. */
#include "convert/json_decode.h"
#include "types/request_internal.h"
#include "types/request_stream.h"
#include "types/upload.h"
#include "types/view.h"

/* By the handler. */
static bool is_read(const struct cl_pyrequest *self) {
    return self->r && cello_request_body_mode(self->r) == CELLO_BODY_STREAM;
}

/* The body where it lies. False: exception set. */
static bool body_span(struct cl_pyrequest *self, struct cl_str *out) {
    if (self->r && !self->kept[CL_KEPT_BODY]) {
        if (cl_pyrequest_body_is_taken(self))
            return false;
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

PyObject *cl_pyrequest_stream(PyObject *object, PyObject *unused) {
    (void)unused;
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    if (self->kept[CL_KEPT_STREAM]) {
        PyErr_SetString(PyExc_RuntimeError, "the body is read once: stream() was called before");
        return NULL;
    }
    PyObject *body = is_read(self) ? NULL : cl_pyrequest_body(self), *stream = NULL;
    if (body || !PyErr_Occurred())
        stream = cl_request_stream_new(self->ext, object, body ? NULL : self->r, body);
    if (stream) /* not the stream itself, which holds the request */
        cl_pyrequest_keep(self, CL_KEPT_STREAM, Py_NewRef(Py_True));
    return stream;
}

/* What waits for the pieces is Python. */
PyObject *cl_pyrequest_multipart(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *module = PyImport_ImportModule("cello._multipart");
    PyObject *parts = module ? PyObject_CallMethod(module, "MultipartStream", "O", self) : NULL;
    Py_XDECREF(module);
    return parts;
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

static PyObject *pairs_of_text(struct cl_pyrequest *self, struct cl_str body) {
    struct cello_form_limits limits;
    struct cl_form *form;
    cl_form_limits(self->r, &limits);
    int err = cello_form_new(&form, body, limits.max_form_parts);
    if (err)
        return cl_text_raise(self->ext, err, "form");
    size_t count;
    const struct cl_pair *pairs = cello_form_pairs(form, &count);
    PyObject *tuple = cl_view_tuple_of(pairs, count);
    cello_form_del(form);
    return tuple;
}

/* Append (name, value) to the list; steals the value, which may be NULL with an exception set. */
static int append_pair(PyObject *list, struct cl_str name, PyObject *value) {
    PyObject *key = value ? cl_text_new(name) : NULL;
    PyObject *pair = key ? PyTuple_Pack(2, key, value) : NULL;
    int err = pair ? PyList_Append(list, pair) : -1;
    Py_XDECREF(pair);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return err;
}

/* All parts in their order; of `form` come the values of those that are no files. */
static PyObject *list_parts(struct cl_ext *ext, PyObject *parts, const struct cl_form *form) {
    PyObject *list = PyList_New(0);
    size_t next = 0, count;
    const struct cl_pair *pairs = cello_form_pairs(form, &count);
    const struct cl_upload *u = list ? cl_form_parts_of(parts)->first : NULL;
    for (; u; u = cello_upload_next(u)) {
        struct cello_part part;
        PyObject *value;
        cello_upload_part(u, &part);
        if (cl_form_part_is_blank(u))
            continue;
        if (part.is_file)
            value = cl_pyupload_new(ext, parts, u);
        else
            value = cl_text_new(cello_pair_value(pairs, next++));
        if (append_pair(list, part.name, value) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *pairs_of_parts(struct cl_ext *ext, PyObject *parts) {
    struct cl_form *form;
    int err = cello_form_new_uploads(&form, cl_form_parts_of(parts)->first);
    if (err)
        return cl_form_raise(ext, err);
    PyObject *list = list_parts(ext, parts, form);
    PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    cello_form_del(form);
    return tuple;
}

static PyObject *parse_multipart(struct cl_pyrequest *self, struct cl_str type) {
    PyObject *parts = cl_form_parts_new(self->ext, (PyObject *)self, type);
    PyObject *pairs = parts ? pairs_of_parts(self->ext, parts) : NULL;
    Py_XDECREF(parts);
    return pairs;
}

static PyObject *parse_form(struct cl_pyrequest *self, PyObject *type) {
    struct cl_str span = {NULL, 0}, body;
    if (type != Py_None)
        (void)cl_text_key(type, &span);
    if (cello_media_is(span, CL_LITERAL("multipart/form-data")))
        return parse_multipart(self, span);
    if (!cello_media_is(span, CL_LITERAL("application/x-www-form-urlencoded")))
        return cl_text_raise_http(
            self->ext, 415,
            "The body must be application/x-www-form-urlencoded or multipart/form-data.");
    return body_span(self, &body) ? pairs_of_text(self, body) : NULL;
}

/* The pairs of the form. Not kept: files among them hold the Request. */
static PyObject *pairs_of_form(struct cl_pyrequest *self) {
    if (is_read(self) && cl_pyrequest_body_is_taken(self))
        return NULL;
    PyObject *type = cl_pyrequest_content_type((PyObject *)self, NULL);
    PyObject *pairs = type ? parse_form(self, type) : NULL;
    Py_XDECREF(type);
    return pairs;
}

PyObject *cl_pyrequest_form(PyObject *object, PyObject *unused) {
    (void)unused;
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    return cl_pymultimap_from_pairs(self->ext, CL_MAP_FORM, pairs_of_form(self));
}

PyObject *cl_pyrequest_files(PyObject *object, PyObject *unused) {
    (void)unused;
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyObject *all = pairs_of_form(self), *list = all ? PyList_New(0) : NULL;
    for (Py_ssize_t i = 0; list && i < PyTuple_GET_SIZE(all); i++) {
        PyObject *pair = PyTuple_GET_ITEM(all, i);
        if (Py_IS_TYPE(PyTuple_GET_ITEM(pair, 1), self->ext->upload_type) &&
            PyList_Append(list, pair) < 0)
            Py_CLEAR(list);
    }
    PyObject *pairs = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    Py_XDECREF(all);
    return cl_pymultimap_from_pairs(self->ext, CL_MAP_FORM, pairs);
}
