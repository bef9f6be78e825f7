/* Generators of dependencies: resumed in reverse order, errors thrown into them, as
 * contextlib.ExitStack does with context managers. */
#include "plan/call.h"

/* The call's context, entered. False: there is none, or it is entered already, as it is inside a
 * step of a task that has it. */
static bool enter(const struct cl_call *call) {
    if (call->context && PyContext_Enter(call->context) == 0)
        return true;
    PyErr_Clear();
    return false;
}

static void leave(const struct cl_call *call, bool entered) {
    if (entered && PyContext_Exit(call->context) < 0)
        PyErr_WriteUnraisable(call->context);
}

/* What is left after one generator: an exception, or NULL. Steals `exception`. */
static PyObject *finish(PyObject *generator, PyObject *exception) {
    PyObject *item = exception ? PyObject_CallMethod(generator, "throw", "O", exception)
                               : PyIter_Next(generator);
    if (item) {
        PyErr_Format(PyExc_RuntimeError, "the dependency %R yielded a second time", generator);
        Py_DECREF(item);
    } else if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyErr_Clear();
    }
    Py_XDECREF(exception);
    return cl_ext_fetch_exception();
}

/* The last one, which is not in the list any more. */
static PyObject *pop(PyObject *list) {
    Py_ssize_t last = PyList_GET_SIZE(list) - 1;
    PyObject *generator = Py_NewRef(PyList_GET_ITEM(list, last));
    if (PyList_SetSlice(list, last, last + 1, NULL) < 0)
        PyErr_Clear();
    return generator;
}

PyObject *cl_call_unwind(struct cl_call *call, PyObject *exception, bool all) {
    if (!call->generators)
        return exception;
    bool entered = enter(call);
    while (PyList_GET_SIZE(call->generators) && (all || exception)) {
        PyObject *generator = pop(call->generators);
        exception = finish(generator, exception);
        Py_DECREF(generator);
    }
    leave(call, entered);
    if (PyList_GET_SIZE(call->generators) == 0)
        Py_CLEAR(call->generators);
    return exception;
}
