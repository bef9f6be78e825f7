#include "types/timer_heap.h"

#include "types/handle.h"

int cl_timer_when(const struct cl_guest_state *s, PyObject *timer, double *when) {
    if (Py_IS_TYPE(timer, s->timer_type)) {
        *when = ((struct cl_handle *)(void *)timer)->when;
        return 0;
    }
    PyObject *value = PyObject_GetAttr(timer, s->str_when);
    if (!value)
        return -1;
    *when = PyFloat_AsDouble(value);
    Py_DECREF(value);
    return *when == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static void put(PyObject *list, Py_ssize_t i, PyObject *item) {
    PyList_SET_ITEM(list, i, item);
}

/* Move the item at `at` towards the root until its parent is not later. */
static int sift_up(const struct cl_guest_state *s, PyObject *list, Py_ssize_t at) {
    PyObject *item = PyList_GET_ITEM(list, at);
    double when, parent_when;
    if (cl_timer_when(s, item, &when) < 0)
        return -1;
    int err = 0;
    while (at > 0) {
        Py_ssize_t up = (at - 1) / 2;
        PyObject *parent = PyList_GET_ITEM(list, up);
        err = cl_timer_when(s, parent, &parent_when);
        if (err || parent_when <= when)
            break;
        put(list, at, parent);
        at = up;
    }
    put(list, at, item);
    return err;
}

/* Move the root towards the leaves until no child is earlier. */
static int sift_down(const struct cl_guest_state *s, PyObject *list) {
    Py_ssize_t n = PyList_GET_SIZE(list), at = 0;
    PyObject *item = PyList_GET_ITEM(list, 0);
    double when;
    int err = cl_timer_when(s, item, &when);
    for (Py_ssize_t child = 1; !err && child < n; child = 2 * at + 1) {
        double first, second;
        err = cl_timer_when(s, PyList_GET_ITEM(list, child), &first);
        if (!err && child + 1 < n) {
            err = cl_timer_when(s, PyList_GET_ITEM(list, child + 1), &second);
            if (!err && second < first) {
                first = second;
                child++;
            }
        }
        if (err || when <= first)
            break;
        put(list, at, PyList_GET_ITEM(list, child));
        at = child;
    }
    put(list, at, item);
    return err;
}

int cl_timer_heap_push(const struct cl_guest_state *s, PyObject *list, PyObject *timer) {
    if (PyList_Append(list, timer) < 0)
        return -1;
    return sift_up(s, list, PyList_GET_SIZE(list) - 1);
}

PyObject *cl_timer_heap_pop(const struct cl_guest_state *s, PyObject *list) {
    Py_ssize_t last = PyList_GET_SIZE(list) - 1;
    PyObject *first = Py_NewRef(PyList_GET_ITEM(list, 0));
    PyObject *tail = Py_NewRef(PyList_GET_ITEM(list, last));
    if (PyList_SetSlice(list, last, last + 1, NULL) < 0) {
        Py_DECREF(first);
        Py_DECREF(tail);
        return NULL;
    }
    if (last == 0) {
        Py_DECREF(tail);
        return first;
    }
    PyList_SetItem(list, 0, tail);
    if (sift_down(s, list) < 0)
        Py_CLEAR(first);
    return first;
}
