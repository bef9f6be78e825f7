/* Types of which C knows nothing: a Python function makes the value, and its complaints become the
 * field's. */
#include "plan/converter_internal.h"

/* Whether `exception` is of a class that somebody has imported already. -1: exception set. */
static int is_of_imported(PyObject *exception, const char *module_name, const char *name) {
    PyObject *key = PyUnicode_FromString(module_name);
    PyObject *module = key ? PyImport_GetModule(key) : NULL;
    Py_XDECREF(key);
    PyObject *type = module ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    if (!type)
        return PyErr_Occurred() ? -1 : 0;
    int is = PyObject_IsInstance(exception, type);
    Py_DECREF(type);
    return is;
}

/* The first of pydantic's errors: {"type": ..., "msg": ...}. */
static int take_pydantic(PyObject *exception, struct cl_field_error *error) {
    PyObject *errors = PyObject_CallMethod(exception, "errors", NULL);
    PyObject *first = errors ? PySequence_GetItem(errors, 0) : NULL;
    Py_XDECREF(errors);
    error->type = first ? PyMapping_GetItemString(first, "type") : NULL;
    error->msg = error->type ? PyMapping_GetItemString(first, "msg") : NULL;
    Py_XDECREF(first);
    if (error->msg)
        return 0;
    cl_field_error_clear(error);
    return -1;
}

static int take_message(PyObject *exception, const char *type, const char *format,
                        struct cl_field_error *error) {
    PyObject *text = PyObject_Str(exception);
    if (!text)
        return -1;
    int result = cl_field_refuse(error, type, format, text);
    Py_DECREF(text);
    return result;
}

/* 0: the exception is a refusal; -1: it is something else, or another is set. */
static int explain(PyObject *exception, struct cl_field_error *error) {
    int is = is_of_imported(exception, "pydantic_core", "ValidationError");
    if (is)
        return is < 0 ? -1 : take_pydantic(exception, error);
    is = is_of_imported(exception, "msgspec", "ValidationError");
    if (is)
        return is < 0 ? -1 : take_message(exception, "value_error", "%U", error);
    if (PyErr_GivenExceptionMatches(exception, PyExc_ValueError))
        return take_message(exception, "value_error", "Value error, %U", error);
    if (PyErr_GivenExceptionMatches(exception, PyExc_AssertionError))
        return take_message(exception, "assertion_error", "Assertion failed, %U", error);
    return -1;
}

int cl_converter_any(const struct cl_converter *c, PyObject *str, PyObject **value,
                     struct cl_field_error *error) {
    *value = PyObject_CallOneArg(c->target, str);
    if (*value)
        return 1;
    PyObject *exception = cl_ext_fetch_exception();
    int result = explain(exception, error);
    if (result < 0 && !PyErr_Occurred())
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
    return result;
}
