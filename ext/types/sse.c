#include "types/sse.h"

#include <structmember.h>

#include "convert/json_bytes.h"
#include "convert/json_options.h"
#include "types/args.h"
#include "types/text.h"

struct event {
    PyObject_HEAD PyObject *data;
    PyObject *event; /* str or None */
    PyObject *id;    /* str or None */
    PyObject *retry; /* int or None */
};

static struct event *event_of(PyObject *object) {
    return (struct event *)(void *)object;
}

/* ---- text ---- */

static int add_field(struct cl_buffer *out, const char *name, struct cl_str value) {
    size_t n = strlen(name);
    char *p = cl_buffer_room(out, n + value.len + 3);
    if (!p)
        return -1;
    memcpy(p, name, n);
    memcpy(p + n, ": ", 2);
    if (value.len)
        memcpy(p + n + 2, value.ptr, value.len);
    p[n + 2 + value.len] = '\n';
    out->len += n + value.len + 3;
    return 0;
}

static int add_str(struct cl_buffer *out, const char *name, PyObject *value) {
    struct cl_str text;
    if (value == Py_None)
        return 0;
    return cl_args_str(name, value, &text) < 0 ? -1 : add_field(out, name, text);
}

static int add_retry(struct cl_buffer *out, PyObject *retry) {
    PyObject *text = retry == Py_None ? NULL : PyObject_Str(retry);
    int err = text ? add_str(out, "retry", text) : retry == Py_None ? 0 : -1;
    Py_XDECREF(text);
    return err;
}

/* Where the first line ends: at CR LF, LF or CR. */
static size_t line_length(struct cl_str s) {
    const char *lf = memchr(s.ptr, '\n', s.len);
    size_t n = lf ? (size_t)(lf - s.ptr) : s.len;
    const char *cr = memchr(s.ptr, '\r', n);
    return cr ? (size_t)(cr - s.ptr) : n;
}

/* A line for each line; text that ends in a line end has an empty one behind it. */
static int add_lines(struct cl_buffer *out, struct cl_str text) {
    for (;;) {
        size_t n = text.len ? line_length(text) : 0;
        if (add_field(out, "data", (struct cl_str){text.ptr, n}) < 0)
            return -1;
        if (n == text.len)
            return 0;
        n += text.ptr[n] == '\r' && n + 1 < text.len && text.ptr[n + 1] == '\n' ? 2 : 1;
        text = (struct cl_str){text.ptr + n, text.len - n};
    }
}

static int add_json(struct cl_ext *ext, struct cl_buffer *out, PyObject *data,
                    PyObject *json_default) {
    const struct cl_json_options opt = {.state = &ext->convert, .default_hook = json_default};
    PyObject *json = cl_json_encode_bytes(data, &opt);
    if (!json)
        return -1;
    int err = add_field(out, "data", /* JSON has no line ends outside of strings, and none inside */
                        (struct cl_str){PyBytes_AS_STRING(json), (size_t)PyBytes_GET_SIZE(json)});
    Py_DECREF(json);
    return err;
}

static int add_data(struct cl_ext *ext, struct cl_buffer *out, PyObject *data,
                    PyObject *json_default) {
    if (!PyUnicode_Check(data))
        return add_json(ext, out, data, json_default);
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(data, &n);
    return p ? add_lines(out, (struct cl_str){p, (size_t)n}) : -1;
}

int cl_sse_write(struct cl_ext *ext, struct cl_buffer *out, PyObject *value,
                 PyObject *json_default) {
    size_t before = out->len;
    int err = 0;
    PyObject *data = value;
    if (Py_IS_TYPE(value, ext->sse_event_type)) {
        const struct event *e = event_of(value);
        data = e->data;
        if (add_str(out, "id", e->id) < 0 || add_str(out, "event", e->event) < 0 ||
            add_retry(out, e->retry) < 0)
            err = -1;
    }
    if (!err && add_data(ext, out, data, json_default) == 0 && cl_buffer_add(out, "\n", 1) == 0)
        return 0;
    out->len = before;
    return -1;
}

/* ---- the object ---- */

enum { DATA, EVENT, ID, RETRY, ARG_COUNT };

static const struct cl_args_spec SPEC = {
    .function = "SseEvent",
    .required = 1,
    .positional = ARG_COUNT,
    .names = {"data", "event", "id", "retry"},
};

/* A field of one line. */
static int check_line(const char *name, PyObject *value) {
    struct cl_str text;
    if (!value || value == Py_None)
        return 0;
    if (cl_args_str(name, value, &text) < 0)
        return -1;
    if (!memchr(text.ptr, '\n', text.len) && !memchr(text.ptr, '\r', text.len) &&
        !memchr(text.ptr, '\0', text.len))
        return 0;
    PyErr_Format(PyExc_ValueError, "%s has a line end or a NUL: %R", name, value);
    return -1;
}

static int check_retry(PyObject *value) {
    if (!value || value == Py_None)
        return 0;
    int64_t ms;
    if (cl_args_int64("retry", value, &ms) < 0)
        return -1;
    if (ms >= 0)
        return 0;
    PyErr_Format(PyExc_ValueError, "retry is a number of milliseconds, not %R", value);
    return -1;
}

static PyObject *make(PyTypeObject *type, PyObject **given) {
    if (check_line("event", given[EVENT]) < 0 || check_line("id", given[ID]) < 0 ||
        check_retry(given[RETRY]) < 0)
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self) {
        struct event *e = event_of(self);
        e->data = Py_NewRef(given[DATA]);
        e->event = Py_NewRef(given[EVENT] ? given[EVENT] : Py_None);
        e->id = Py_NewRef(given[ID] ? given[ID] : Py_None);
        e->retry = Py_NewRef(given[RETRY] ? given[RETRY] : Py_None);
    }
    return self;
}

static PyObject *event_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *given[ARG_COUNT];
    return cl_args_parse_tuple(&SPEC, args, kwargs, given) < 0 ? NULL : make(type, given);
}

static PyObject *vectorcall(PyObject *type, PyObject *const *args, size_t n, PyObject *names) {
    PyObject *given[ARG_COUNT];
    return cl_args_parse(&SPEC, args, n, names, given) < 0 ? NULL
                                                           : make((PyTypeObject *)type, given);
}

static PyObject *repr(PyObject *self) {
    const struct event *e = event_of(self);
    return PyUnicode_FromFormat("SseEvent(%R, event=%R, id=%R, retry=%R)", e->data, e->event, e->id,
                                e->retry);
}

/* Immutable, and so never cleared; see plan/plan.h. */
static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(event_of(self)->data);
    return 0;
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(event_of(self)->data);
    Py_CLEAR(event_of(self)->event);
    Py_CLEAR(event_of(self)->id);
    Py_CLEAR(event_of(self)->retry);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"data", T_OBJECT, offsetof(struct event, data), READONLY, "str, or what is sent as JSON."},
    {"event", T_OBJECT, offsetof(struct event, event), READONLY, "The event's type, or None."},
    {"id", T_OBJECT, offsetof(struct event, id), READONLY,
     "What a client that comes back sends as Last-Event-ID, or None."},
    {"retry", T_OBJECT, offsetof(struct event, retry), READONLY,
     "Milliseconds until a client comes back, or None."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(doc, "SseEvent(data, event=None, id=None, retry=None)\n--\n\n"
                  "An event of a stream of server-sent events. data: a str, which may have several "
                  "lines, or anything that JSON knows. retry: milliseconds. ValueError: a line end "
                  "or NUL in event or id.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, (void *)event_new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_members, members},
    {Py_tp_repr, (void *)repr},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello.SseEvent",
    .basicsize = sizeof(struct event),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_sse_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->sse_event_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!ext->sse_event_type)
        return -1;
    ext->sse_event_type->tp_vectorcall = vectorcall;
    return PyModule_AddType(module, ext->sse_event_type);
}
