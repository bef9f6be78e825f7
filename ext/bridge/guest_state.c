#include "bridge/guest_state.h"

#include <stddef.h>

#include "bridge/guest_internal.h"
#include "types/handle.h"

/* ---- the object ---- */

/* Every field that is a reference, for traverse and clear. */
#define FIELDS(X)                                                                                  \
    X(handle_type)                                                                                 \
    X(timer_type)                                                                                  \
    X(loop_type)                                                                                   \
    X(selector_type)                                                                               \
    X(runner_type)                                                                                 \
    X(base_loop)                                                                                   \
    X(future_type)                                                                                 \
    X(plain_task_type)                                                                             \
    X(cancelled_error)                                                                             \
    X(task_type)                                                                                   \
    X(enter_task)                                                                                  \
    X(leave_task)                                                                                  \
    X(base_cancel)                                                                                 \
    X(base_uncancel)                                                                               \
    X(base_set_name)                                                                               \
    X(base_add_done_callback)                                                                      \
    X(base_done)                                                                                   \
    X(base_get_coro)                                                                               \
    X(base_get_context)                                                                            \
    X(str_append)                                                                                  \
    X(str_appendleft)                                                                              \
    X(str_popleft)                                                                                 \
    X(str_cancel)                                                                                  \
    X(str_close)                                                                                   \
    X(str_call_soon)                                                                               \
    X(str_call_soon_threadsafe)                                                                    \
    X(str_call_later)                                                                              \
    X(str_call_at)                                                                                 \
    X(str_when)                                                                                    \
    X(str_write_to_self)                                                                           \
    X(str_report)                                                                                  \
    X(str_create_task)                                                                             \
    X(str_get_task_factory)                                                                        \
    X(str_qualname)                                                                                \
    X(kw_loop)                                                                                     \
    X(kw_eager)                                                                                    \
    X(kw_context)

static struct cl_guest_state *state_of(PyObject *o) {
    return (struct cl_guest_state *)(void *)o;
}

static int state_traverse(PyObject *o, visitproc visit, void *arg) {
    struct cl_guest_state *s = state_of(o);
    Py_VISIT(Py_TYPE(o));
#define VISIT(field) Py_VISIT(s->field);
    FIELDS(VISIT)
#undef VISIT
    return 0;
}

static int state_clear(PyObject *o) {
    struct cl_guest_state *s = state_of(o);
    cl_handle_free_spares(s);
#define CLEAR(field) Py_CLEAR(s->field);
    FIELDS(CLEAR)
#undef CLEAR
    return 0;
}

static void state_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    state_clear(o);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyType_Slot state_slots[] = {
    {Py_tp_dealloc, (void *)state_dealloc},
    {Py_tp_traverse, (void *)state_traverse},
    {Py_tp_clear, (void *)state_clear},
    {0, NULL},
};

static PyType_Spec state_spec = {
    .name = "cello._cello._GuestState",
    .basicsize = sizeof(struct cl_guest_state),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = state_slots,
};

/* ---- names ---- */

static const struct {
    const char *text;
    size_t offset;
} NAMES[] = {
    {"append", offsetof(struct cl_guest_state, str_append)},
    {"appendleft", offsetof(struct cl_guest_state, str_appendleft)},
    {"popleft", offsetof(struct cl_guest_state, str_popleft)},
    {"cancel", offsetof(struct cl_guest_state, str_cancel)},
    {"close", offsetof(struct cl_guest_state, str_close)},
    {"call_soon", offsetof(struct cl_guest_state, str_call_soon)},
    {"call_soon_threadsafe", offsetof(struct cl_guest_state, str_call_soon_threadsafe)},
    {"call_later", offsetof(struct cl_guest_state, str_call_later)},
    {"call_at", offsetof(struct cl_guest_state, str_call_at)},
    {"_when", offsetof(struct cl_guest_state, str_when)},
    {"_write_to_self", offsetof(struct cl_guest_state, str_write_to_self)},
    {"_report_failed_handle", offsetof(struct cl_guest_state, str_report)},
    {"create_task", offsetof(struct cl_guest_state, str_create_task)},
    {"get_task_factory", offsetof(struct cl_guest_state, str_get_task_factory)},
    {"__qualname__", offsetof(struct cl_guest_state, str_qualname)},
};

static int init_names(struct cl_guest_state *s) {
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        PyObject **slot = (PyObject **)(void *)((char *)s + NAMES[i].offset);
        *slot = PyUnicode_InternFromString(NAMES[i].text);
        if (!*slot)
            return -1;
    }
    s->kw_loop = Py_BuildValue("(s)", "loop");
    s->kw_eager = Py_BuildValue("(sss)", "loop", "context", "eager_start");
    s->kw_context = Py_BuildValue("(s)", "context");
    return s->kw_loop && s->kw_eager && s->kw_context ? 0 : -1;
}

struct cl_guest_state *cl_guest_state(struct cl_ext *ext, PyObject *module) {
    if (ext->guest_types)
        return cl_guest_state_of(ext);
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &state_spec, NULL);
    if (!type)
        return NULL;
    struct cl_guest_state *s = (struct cl_guest_state *)(void *)type->tp_alloc(type, 0);
    Py_DECREF(type);
    if (!s || init_names(s) < 0) {
        Py_XDECREF(s);
        return NULL;
    }
    ext->guest_types = (PyObject *)s;
    return s;
}

/* ---- asyncio's names ---- */

static int load_public(struct cl_guest_state *s, PyObject *asyncio) {
    s->base_loop = PyObject_GetAttrString(asyncio, "SelectorEventLoop");
    s->future_type = PyObject_GetAttrString(asyncio, "Future");
    s->plain_task_type = PyObject_GetAttrString(asyncio, "Task");
    s->cancelled_error = PyObject_GetAttrString(asyncio, "CancelledError");
    return s->base_loop && s->future_type && s->plain_task_type && s->cancelled_error ? 0 : -1;
}

static void load_private(struct cl_guest_state *s, PyObject *asyncio) {
    PyObject *tasks = PyObject_GetAttrString(asyncio, "tasks");
    if (tasks) {
        s->enter_task = PyObject_GetAttrString(tasks, "_enter_task");
        s->leave_task = s->enter_task ? PyObject_GetAttrString(tasks, "_leave_task") : NULL;
        Py_DECREF(tasks);
    }
    if (!s->leave_task) {
        PyErr_Clear();
        Py_CLEAR(s->enter_task);
    }
}

int cl_guest_state_load(struct cl_guest_state *s, PyObject *module) {
    if (s->loaded)
        return 0;
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    if (!asyncio)
        return -1;
    int err = load_public(s, asyncio);
    if (!err) {
        load_private(s, asyncio);
        if (cl_guest_task_load(s, module) < 0)
            PyErr_Clear(); /* ordinary tasks do, only slower */
        s->loaded = true;
    }
    Py_DECREF(asyncio);
    return err;
}

int cl_guest_setup_types(PyObject *module, struct cl_ext *ext) {
    struct cl_guest_state *s = cl_guest_state(ext, module);
    if (!s)
        return -1;
    if (cl_handle_setup_types(module, s) < 0 || cl_loop_setup_types(module, s) < 0 ||
        cl_selector_setup_types(module, s) < 0 || cl_runner_setup_types(module, s) < 0)
        return -1;
    return cl_guest_add_functions(module);
}
