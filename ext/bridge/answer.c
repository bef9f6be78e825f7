/* Return values to responses. */
#include "bridge/stream.h"
#include "convert/json_encode.h"
#include "plan/call.h"
#include "types/app.h"
#include "types/args.h"
#include "types/file_body.h"
#include "types/multimap.h"
#include "types/response.h"
#include "types/stream_body.h"

#define STR(literal) ((struct cl_str){(literal), sizeof(literal) - 1})

enum {
    /* Bodies above this are sent from where the object has them. */
    PIN_MIN = 4096,
    /* One large answer shall not make the next ones ask for as much. */
    SIZE_HINT_MAX = 256 * 1024,
};

/* A refused answer: the exception says why. */
static int send_json(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r, PyObject *value,
                     struct cl_str type) {
    const struct cl_app_object *app = (struct cl_app_object *)b->app;
    struct cl_json_options opt = {
        .state = &b->ext->convert,
        .max_depth = cello_request_max_json_depth(r),
    };
    struct cl_sink *sink = cello_response_sink(r, e ? e->size_hint : 0);
    if (!sink) {
        if (cello_request_is_disconnected(r))
            return 0;
        PyErr_NoMemory();
        return -1;
    }
    /* The hook may set another one. */
    opt.default_hook = Py_XNewRef(app->json_default);
    int err = cl_json_encode(value, sink, &opt);
    Py_XDECREF(opt.default_hook);
    if (err) {
        cello_response_sink_drop(r);
        return -1;
    }
    if (e)
        e->size_hint = (uint32_t)Py_MIN(sink->p - sink->base, SIZE_HINT_MAX);
    if (type.len)
        cello_response_type(r, type);
    cello_respond_sink(r);
    return 0;
}

static int send_bytes(struct cl_bridge *b, struct cl_request *r, PyObject *owner,
                      struct cl_str bytes) {
    if (bytes.len > PIN_MIN) {
        if (cl_bridge_respond_pinned(b, r, owner, bytes))
            return 0;
        PyErr_NoMemory();
        return -1;
    }
    cello_respond_bytes(r, bytes);
    return 0;
}

static int send_str(struct cl_bridge *b, struct cl_request *r, PyObject *str, struct cl_str type) {
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(str, &n);
    if (!p)
        return -1;
    if (type.len)
        cello_response_type(r, type);
    return send_bytes(b, r, str, (struct cl_str){p, (size_t)n});
}

static int send_buffer(struct cl_request *r, PyObject *object) {
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return -1;
    cello_respond_bytes(r, (struct cl_str){view.buf, (size_t)view.len});
    PyBuffer_Release(&view);
    return 0;
}

/* Of the items of a handler that says what it yields. */
static struct cl_str declared_type(const struct cl_entry *e) {
    switch ((enum cl_stream_item)e->items) {
    case CL_ITEMS_UNKNOWN: break;
    case CL_ITEMS_TEXT: return STR("text/plain; charset=utf-8");
    case CL_ITEMS_BYTES: return STR("application/octet-stream");
    case CL_ITEMS_EVENTS: return STR("text/event-stream");
    }
    return STR("");
}

/* An iterator of the program's own where one is declared. */
static bool is_declared_stream(const struct cl_entry *e, PyObject *body) {
    const PyAsyncMethods *async = Py_TYPE(body)->tp_as_async;
    return e->flags & CL_ENTRY_STREAMS && (PyIter_Check(body) || (async && async->am_anext));
}

/* A body without a status of its own. `type` empty: by the body's kind. */
static int send_body(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                     PyObject *body, struct cl_str type, bool json) {
    if (!json && PyUnicode_Check(body))
        return send_str(b, r, body, type.len ? type : STR("text/plain; charset=utf-8"));
    if (!json && PyBytes_Check(body)) {
        cello_response_type(r, type.len ? type : STR("application/octet-stream"));
        return send_bytes(b, r, body,
                          (struct cl_str){PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)});
    }
    if (!json && body == Py_None) {
        if (type.len)
            cello_response_type(r, type);
        cello_respond_empty(r);
        return 0;
    }
    if (!json && (PyByteArray_Check(body) || PyMemoryView_Check(body))) {
        cello_response_type(r, type.len ? type : STR("application/octet-stream"));
        return send_buffer(r, body);
    }
    if (!json && cl_file_body_check(body))
        return cl_file_body_respond(b->ext, body, r);
    if (!json && (cl_stream_is(body) || is_declared_stream(call->entry, body)))
        return cl_stream_answer(b, call, r, body, type.len ? type : declared_type(call->entry));
    return send_json(b, call->entry, r, body, type.len ? type : STR("application/json"));
}

/* What takes a field: cello_response_header, cello_response_trailer. */
typedef int field_adder(struct cl_request *r, struct cl_str name, struct cl_str value);

static int add_field(struct cl_request *r, PyObject *name, PyObject *value, field_adder *add) {
    Py_ssize_t n, v;
    const char *np = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &n) : NULL;
    const char *vp = np && PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &v) : NULL;
    if (!vp) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "header names and values must be str");
        return -1;
    }
    int err = add(r, (struct cl_str){np, (size_t)n}, (struct cl_str){vp, (size_t)v});
    if (err == CELLO_EINVAL)
        cl_args_refuse_pair(PyExc_ValueError, "the header %R: %R must not be %s", name, value,
                            add == cello_response_trailer ? "a trailer" : "sent");
    else if (err)
        PyErr_NoMemory();
    return err ? -1 : 0;
}

static int add_header(struct cl_request *r, PyObject *name, PyObject *value) {
    return add_field(r, name, value, cello_response_header);
}

/* Of a list or tuple of pairs. */
static int add_pairs(struct cl_request *r, PyObject *pairs) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(pairs); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(pairs, i);
        if (add_header(r, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)) < 0)
            return -1;
    }
    return 0;
}

/* A value of a mapping: one str, or several. */
static int add_values(struct cl_request *r, PyObject *name, PyObject *value) {
    if (!PyList_Check(value) && !PyTuple_Check(value))
        return add_header(r, name, value);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++)
        if (add_header(r, name, PySequence_Fast_GET_ITEM(value, i)) < 0)
            return -1;
    return 0;
}

static int add_dict(struct cl_request *r, PyObject *dict) {
    PyObject *name, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(dict, &pos, &name, &value))
        if (add_values(r, name, value) < 0)
            return -1;
    return 0;
}

int cl_bridge_add_headers(struct cl_bridge *b, struct cl_request *r, PyObject *headers) {
    if (PyDict_CheckExact(headers))
        return add_dict(r, headers);
    PyObject *map = cl_pymultimap_from_object(b->ext, CL_MAP_QUERY, headers, "headers");
    if (!map)
        return -1;
    int err = add_pairs(r, ((struct cl_pymultimap *)map)->pairs);
    Py_DECREF(map);
    return err;
}

int cl_bridge_add_trailers(struct cl_bridge *b, struct cl_request *r, PyObject *fields) {
    PyObject *map = cl_pymultimap_from_object(b->ext, CL_MAP_QUERY, fields, "trailers");
    PyObject *pairs = map ? ((struct cl_pymultimap *)map)->pairs : NULL;
    int err = map ? 0 : -1;
    for (Py_ssize_t i = 0; !err && i < PySequence_Fast_GET_SIZE(pairs); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(pairs, i);
        err = add_field(r, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1),
                        cello_response_trailer);
    }
    Py_XDECREF(map);
    return err;
}

static int send_response(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                         PyObject *response) {
    struct cl_pyresponse_parts parts;
    cl_pyresponse_parts(response, &parts);
    struct cl_str type = {NULL, 0};
    cello_response_status(r, parts.status);
    if (parts.content_type) {
        Py_ssize_t n;
        const char *p = PyUnicode_AsUTF8AndSize(parts.content_type, &n);
        if (!p)
            return -1;
        /* Through the header call, which copies: the response object may go before the bytes do. */
        if (cello_response_header(r, STR("Content-Type"), (struct cl_str){p, (size_t)n}) !=
            CELLO_OK) {
            PyErr_SetString(PyExc_ValueError, "the content type must not be sent");
            return -1;
        }
        type = cello_response_get_type(r);
    }
    if (parts.headers && add_pairs(r, parts.headers) < 0)
        return -1;
    /* An encoder's hook, or another thread, may set another body meanwhile. */
    PyObject *body = Py_NewRef(parts.body);
    int err = send_body(b, call, r, body, type, parts.json);
    Py_DECREF(body);
    return err;
}

/* (body, status) or (body, status, headers) */
static int send_tuple(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                      PyObject *tuple) {
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n < 2 || n > 3 || !PyLong_Check(PyTuple_GET_ITEM(tuple, 1))) {
        PyErr_SetString(PyExc_TypeError,
                        "a returned tuple must be (body, status) or (body, status, "
                        "headers); for a JSON array return a list");
        return -1;
    }
    int status = cl_args_status(PyTuple_GET_ITEM(tuple, 1));
    if (status < 0)
        return -1;
    cello_response_status(r, status);
    if (n == 3 && cl_bridge_add_headers(b, r, PyTuple_GET_ITEM(tuple, 2)) < 0)
        return -1;
    return send_body(b, call, r, PyTuple_GET_ITEM(tuple, 0), cello_response_get_type(r), false);
}

/* An error that was returned is answered as if it had been raised. */
static bool is_problem(struct cl_bridge *b, PyObject *value) {
    return b->ext->problem && PyObject_TypeCheck(value, (PyTypeObject *)b->ext->problem);
}

int cl_bridge_send_value(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                         PyObject *value) {
    struct cl_entry *e = call->entry;
    PyTypeObject *type = Py_TYPE(value);
    if (type == b->ext->response_type || PyType_IsSubtype(type, b->ext->response_type))
        return send_response(b, call, r, value);
    if (type == &PyTuple_Type)
        return send_tuple(b, call, r, value);
    if (PyType_FastSubclass(type, Py_TPFLAGS_BASE_EXC_SUBCLASS) && is_problem(b, value)) {
        PyErr_SetObject((PyObject *)type, value);
        cl_bridge_answer_exception(b, call, r);
        return 0;
    }
    int status = call->status ? call->status : e->status;
    cello_response_status(r, status ? status : value == Py_None ? 204 : 200);
    const struct cl_str none = {NULL, 0};
    return send_body(b, call, r, value, call->response ? cello_response_get_type(r) : none, false);
}

/* What the plan makes of the value (stolen) before it is sent. NULL: exception set. */
static PyObject *prepare(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                         PyObject *value) {
    if (Py_IS_TYPE(value, b->ext->after_type))
        value = cl_after_take(value, call);
    if (call->plan && call->plan->filter)
        value = cl_plan_filter(b->ext, call->plan, value);
    if (value && call->response && cl_call_merge_response(b, call, r) < 0)
        Py_CLEAR(value);
    return value;
}

/* A file that is not there is told like an exception of the handler's own. */
static bool is_file(struct cl_bridge *b, PyObject *value) {
    struct cl_pyresponse_parts parts;
    if (!PyObject_TypeCheck(value, b->ext->response_type))
        return false;
    cl_pyresponse_parts(value, &parts);
    return cl_file_body_check(parts.body);
}

void cl_bridge_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                      PyObject *value) {
    if (value && (call->plan || Py_IS_TYPE(value, b->ext->after_type)))
        value = prepare(b, call, r, value);
    if (!value) {
        cl_bridge_answer_exception(b, call, r);
    } else {
        if (cl_bridge_send_value(b, call, r, value) < 0) {
            if (is_file(b, value))
                cl_bridge_answer_exception(b, call, r);
            else
                cl_bridge_answer_unusable(b, call, r, value);
        }
        Py_DECREF(value);
    }
    if (cl_call_has_more(call))
        cl_after_answer(b, call, r);
}

int cl_bridge_send_problem(struct cl_bridge *b, struct cl_request *r, PyObject *document) {
    return send_json(b, NULL, r, document, STR("application/problem+json"));
}
