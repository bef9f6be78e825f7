#include "types/selector.h"

#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bridge/guest_internal.h"

enum { READ = 1, WRITE = 2, EVENTS_MAX = 64 }; /* selectors.EVENT_READ, EVENT_WRITE */

struct cl_selector {
    PyObject_HEAD int fd; /* the epoll set; -1: closed */
    PyObject *keys;       /* dict: descriptor -> SelectorKey */
    PyObject *key_type;   /* selectors.SelectorKey */
    struct cl_guest *guest;
};

static struct cl_selector *selector_of(PyObject *o) {
    return (struct cl_selector *)(void *)o;
}

struct cl_selector *cl_selector_of_loop(struct cl_guest_state *s, PyObject *loop) {
    PyObject *o = PyObject_GetAttrString(loop, "_selector");
    if (o && !Py_IS_TYPE(o, s->selector_type)) {
        PyErr_SetString(PyExc_TypeError, "the loop has another selector than its own");
        Py_CLEAR(o);
    }
    return o ? selector_of(o) : NULL;
}

int cl_selector_fd(const struct cl_selector *sel) {
    return sel->fd;
}

void cl_selector_set_guest(struct cl_selector *sel, struct cl_guest *g) {
    sel->guest = g;
}

/* ---- keys ---- */

static int check_open(const struct cl_selector *sel) {
    if (sel->fd >= 0)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "Selector is closed");
    return -1;
}

/* The key of a file object that has no descriptor any more: it was closed before unregister(). */
static PyObject *find_closed(const struct cl_selector *sel, PyObject *fileobj) {
    PyObject *fd, *key;
    Py_ssize_t pos = 0;
    while (PyDict_Next(sel->keys, &pos, &fd, &key))
        if (PyTuple_GET_ITEM(key, 0) == fileobj)
            return Py_NewRef(key);
    return NULL;
}

/* New reference; NULL: KeyError (not registered), or what fileno() raised. */
static PyObject *find(const struct cl_selector *sel, PyObject *fileobj) {
    if (check_open(sel) < 0)
        return NULL;
    int fd = PyObject_AsFileDescriptor(fileobj);
    if (fd < 0) {
        PyObject *key = PyErr_ExceptionMatches(PyExc_ValueError) ? find_closed(sel, fileobj) : NULL;
        if (key)
            PyErr_Clear();
        return key;
    }
    PyObject *number = PyLong_FromLong(fd);
    PyObject *key = number ? PyDict_GetItemWithError(sel->keys, number) : NULL;
    Py_XINCREF(key);
    Py_XDECREF(number);
    if (!key && !PyErr_Occurred())
        PyErr_Format(PyExc_KeyError, "%R is not registered", fileobj);
    return key;
}

static int fd_of(PyObject *key) {
    return (int)PyLong_AsLong(PyTuple_GET_ITEM(key, 1));
}

static int check_events(PyObject *o, uint32_t *out) {
    long events = PyLong_AsLong(o);
    if (events == -1 && PyErr_Occurred())
        return -1;
    if (events <= 0 || events & ~(long)(READ | WRITE)) {
        PyErr_Format(PyExc_ValueError, "Invalid events: %R", o);
        return -1;
    }
    *out = (events & READ ? (uint32_t)EPOLLIN : 0) | (events & WRITE ? (uint32_t)EPOLLOUT : 0);
    return 0;
}

/* fileobj, events, data=None: positional or by name. */
static int parse(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, PyObject *out[3]) {
    static const char *const names[] = {"fileobj", "events", "data"};
    Py_ssize_t total = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    out[0] = out[1] = NULL;
    out[2] = Py_None;
    for (Py_ssize_t i = 0; i < total; i++) {
        Py_ssize_t at = i;
        if (i >= n)
            for (at = 0; at < 3; at++)
                if (!PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i - n), names[at]))
                    break;
        if (at < 3)
            out[at] = args[i];
    }
    if (out[0] && out[1] && total <= 3)
        return 0;
    PyErr_SetString(PyExc_TypeError, "a file object, events and data are needed");
    return -1;
}

static PyObject *new_key(const struct cl_selector *sel, PyObject *fileobj, int fd, PyObject *events,
                         PyObject *data) {
    PyObject *key = PyObject_CallFunction(sel->key_type, "OiOO", fileobj, fd, events, data);
    PyObject *number = key ? PyLong_FromLong(fd) : NULL;
    if (!number || PyDict_SetItem(sel->keys, number, key) < 0)
        Py_CLEAR(key);
    Py_XDECREF(number);
    return key;
}

static int control(const struct cl_selector *sel, int op, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(sel->fd, op, fd, &e) == 0)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* ---- methods ---- */

PyDoc_STRVAR(register_doc, "register($self, fileobj, events, data=None)\n--\n\nAs in selectors.");

static PyObject *register_method(PyObject *o, PyObject *const *args, Py_ssize_t n,
                                 PyObject *kwnames) {
    struct cl_selector *sel = selector_of(o);
    PyObject *p[3];
    uint32_t events;
    if (check_open(sel) < 0 || parse(args, n, kwnames, p) < 0 || check_events(p[1], &events) < 0)
        return NULL;
    int fd = PyObject_AsFileDescriptor(p[0]);
    if (fd < 0)
        return NULL;
    PyObject *number = PyLong_FromLong(fd);
    int known = number ? PyDict_Contains(sel->keys, number) : -1;
    Py_XDECREF(number);
    if (known > 0)
        PyErr_Format(PyExc_KeyError, "%R (FD %d) is already registered", p[0], fd);
    if (known || control(sel, EPOLL_CTL_ADD, fd, events) < 0)
        return NULL;
    return new_key(sel, p[0], fd, p[1], p[2]);
}

PyDoc_STRVAR(unregister_doc, "unregister($self, fileobj, /)\n--\n\nAs in selectors.");

static PyObject *unregister_method(PyObject *o, PyObject *fileobj) {
    struct cl_selector *sel = selector_of(o);
    PyObject *key = find(sel, fileobj);
    if (!key)
        return NULL;
    if (control(sel, EPOLL_CTL_DEL, fd_of(key), 0) < 0)
        PyErr_Clear(); /* closed since */
    if (PyDict_DelItem(sel->keys, PyTuple_GET_ITEM(key, 1)) < 0)
        Py_CLEAR(key);
    return key;
}

PyDoc_STRVAR(modify_doc, "modify($self, fileobj, events, data=None)\n--\n\nAs in selectors.");

static PyObject *modify_method(PyObject *o, PyObject *const *args, Py_ssize_t n,
                               PyObject *kwnames) {
    struct cl_selector *sel = selector_of(o);
    PyObject *p[3];
    uint32_t events;
    if (parse(args, n, kwnames, p) < 0 || check_events(p[1], &events) < 0)
        return NULL;
    PyObject *old = find(sel, p[0]);
    if (!old)
        return NULL;
    PyObject *key = NULL;
    if (control(sel, EPOLL_CTL_MOD, fd_of(old), events) < 0) {
        PyObject *error = cl_ext_fetch_exception();
        if (PyDict_DelItem(sel->keys, PyTuple_GET_ITEM(old, 1)) < 0)
            PyErr_Clear();
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    } else {
        key = new_key(sel, PyTuple_GET_ITEM(old, 0), fd_of(old), p[1], p[2]);
    }
    Py_DECREF(old);
    return key;
}

PyDoc_STRVAR(get_key_doc, "get_key($self, fileobj, /)\n--\n\nAs in selectors.");

static PyObject *get_key(PyObject *o, PyObject *fileobj) {
    return find(selector_of(o), fileobj);
}

PyDoc_STRVAR(get_map_doc,
             "get_map($self)\n--\n\nA read-only view: descriptor to SelectorKey. None when "
             "closed.");

static PyObject *get_map(PyObject *o, PyObject *ignored) {
    (void)ignored;
    struct cl_selector *sel = selector_of(o);
    return sel->fd < 0 ? Py_NewRef(Py_None) : PyDictProxy_New(sel->keys);
}

PyDoc_STRVAR(fileno_doc, "fileno($self)\n--\n\nThe descriptor of the epoll set.");

static PyObject *fileno_method(PyObject *o, PyObject *ignored) {
    (void)ignored;
    return PyLong_FromLong(selector_of(o)->fd);
}

PyDoc_STRVAR(close_doc, "close($self)\n--\n\nAs in selectors.");

static PyObject *close_method(PyObject *o, PyObject *ignored) {
    (void)ignored;
    struct cl_selector *sel = selector_of(o);
    if (sel->fd >= 0)
        close(sel->fd);
    sel->fd = -1;
    PyDict_Clear(sel->keys);
    Py_RETURN_NONE;
}

/* ---- select ---- */

static int add_ready(const struct cl_selector *sel, PyObject *list, const struct epoll_event *e) {
    PyObject *number = PyLong_FromLong(e->data.fd);
    PyObject *key = number ? PyDict_GetItemWithError(sel->keys, number) : NULL;
    Py_XDECREF(number);
    if (!key)
        return PyErr_Occurred() ? -1 : 0;
    /* An error or a hang-up shows in whatever is waited for. */
    long events =
        (e->events & ~(uint32_t)EPOLLIN ? WRITE : 0) | (e->events & ~(uint32_t)EPOLLOUT ? READ : 0);
    events &= PyLong_AsLong(PyTuple_GET_ITEM(key, 2));
    PyObject *item = Py_BuildValue("(Ol)", key, events);
    int err = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return err;
}

static PyObject *collect(const struct cl_selector *sel, const struct epoll_event *events, int n) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < n; i++)
        if (add_ready(sel, list, &events[i]) < 0)
            Py_CLEAR(list);
    return list;
}

/* timeout_s < 0: none. */
static int timeout_ms(double timeout_s) {
    if (timeout_s < 0)
        return -1;
    double ms = ceil(timeout_s * 1e3);
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static PyObject *wait_alone(const struct cl_selector *sel, double timeout_s) {
    struct epoll_event events[EVENTS_MAX];
    double deadline = timeout_s > 0 ? cl_loop_time() + timeout_s : 0;
    int n;
    for (;;) {
        Py_BEGIN_ALLOW_THREADS n = epoll_wait(sel->fd, events, EVENTS_MAX, timeout_ms(timeout_s));
        Py_END_ALLOW_THREADS if (n >= 0) return collect(sel, events, n);
        if (errno != EINTR)
            return PyErr_SetFromErrno(PyExc_OSError);
        if (PyErr_CheckSignals() < 0 || check_open(sel) < 0)
            return NULL;
        if (timeout_s > 0)
            timeout_s = fmax(deadline - cl_loop_time(), 0);
    }
}

static PyObject *wait_with_engine(const struct cl_selector *sel, double timeout_s) {
    struct epoll_event events[EVENTS_MAX];
    int ready = cl_guest_wait(sel->guest, timeout_s);
    if (ready < 0)
        return NULL;
    return collect(sel, events, ready ? epoll_wait(sel->fd, events, EVENTS_MAX, 0) : 0);
}

PyDoc_STRVAR(select_doc,
             "select($self, timeout=None, /)\n--\n\nAs in selectors; with a server attached, the "
             "engine runs meanwhile.");

static PyObject *select_method(PyObject *o, PyObject *const *args, Py_ssize_t n) {
    struct cl_selector *sel = selector_of(o);
    double timeout_s = -1;
    if (check_open(sel) < 0)
        return NULL;
    if (n > 0 && args[0] != Py_None) {
        timeout_s = PyFloat_AsDouble(args[0]);
        if (timeout_s == -1.0 && PyErr_Occurred())
            return NULL;
        timeout_s = fmax(timeout_s, 0);
    }
    return sel->guest ? wait_with_engine(sel, timeout_s) : wait_alone(sel, timeout_s);
}

/* ---- the type ---- */

static PyObject *selector_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) || (kwargs && PyDict_GET_SIZE(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "Selector takes no arguments");
        return NULL;
    }
    PyObject *selectors = PyImport_ImportModule("selectors");
    struct cl_selector *sel = selectors ? selector_of(type->tp_alloc(type, 0)) : NULL;
    if (sel) {
        sel->fd = epoll_create1(EPOLL_CLOEXEC);
        if (sel->fd < 0)
            PyErr_SetFromErrno(PyExc_OSError);
        sel->keys = PyDict_New();
        sel->key_type = PyObject_GetAttrString(selectors, "SelectorKey");
        if (sel->fd < 0 || !sel->keys || !sel->key_type)
            Py_CLEAR(sel);
    }
    Py_XDECREF(selectors);
    return (PyObject *)sel;
}

static int selector_traverse(PyObject *o, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(selector_of(o)->keys);
    Py_VISIT(selector_of(o)->key_type);
    return 0;
}

static int selector_clear(PyObject *o) {
    Py_CLEAR(selector_of(o)->keys);
    Py_CLEAR(selector_of(o)->key_type);
    return 0;
}

static void selector_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    selector_clear(o);
    if (selector_of(o)->fd >= 0)
        close(selector_of(o)->fd);
    type->tp_free(o);
    Py_DECREF(type);
}

#define WITH_KEYWORDS(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef selector_methods[] = {
    {"register", WITH_KEYWORDS(register_method), register_doc},
    {"unregister", unregister_method, METH_O, unregister_doc},
    {"modify", WITH_KEYWORDS(modify_method), modify_doc},
    {"get_key", get_key, METH_O, get_key_doc},
    {"get_map", get_map, METH_NOARGS, get_map_doc},
    {"fileno", fileno_method, METH_NOARGS, fileno_doc},
    {"close", close_method, METH_NOARGS, close_doc},
    {"select", (PyCFunction)(void (*)(void))select_method, METH_FASTCALL, select_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(selector_doc, "The selector of EngineLoop; selectors.BaseSelector's methods.");

static PyType_Slot selector_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)selector_doc},
    {Py_tp_new, (void *)selector_new},
    {Py_tp_dealloc, (void *)selector_dealloc},
    {Py_tp_traverse, (void *)selector_traverse},
    {Py_tp_clear, (void *)selector_clear},
    {Py_tp_methods, selector_methods},
    {0, NULL},
};

static PyType_Spec selector_spec = {
    .name = "cello._cello.Selector",
    .basicsize = sizeof(struct cl_selector),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = selector_slots,
};

int cl_selector_setup_types(PyObject *module, struct cl_guest_state *s) {
    s->selector_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &selector_spec, NULL);
    return s->selector_type ? PyModule_AddType(module, s->selector_type) : -1;
}
