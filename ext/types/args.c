#include "types/args.h"

static int index_of(const struct cl_args_spec *spec, PyObject *name) {
    for (int i = 0; spec->names[i]; i++)
        if (PyUnicode_CompareWithASCIIString(name, spec->names[i]) == 0)
            return i;
    for (size_t i = 0; i < sizeof spec->aliases / sizeof spec->aliases[0]; i++)
        if (spec->aliases[i].name &&
            PyUnicode_CompareWithASCIIString(name, spec->aliases[i].name) == 0)
            return (int)spec->aliases[i].index;
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", spec->function,
                 name);
    return -1;
}

static int put_keyword(const struct cl_args_spec *spec, PyObject *name, PyObject *value,
                       PyObject **out) {
    int i = index_of(spec, name);
    if (i < 0)
        return -1;
    if (out[i]) {
        PyErr_Format(PyExc_TypeError, "%s() got '%s' twice", spec->function, spec->names[i]);
        return -1;
    }
    out[i] = value;
    return 0;
}

static int put_positional(const struct cl_args_spec *spec, PyObject *const *args, size_t n,
                          PyObject **out) {
    if (n > spec->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %u positional arguments, %zu were given",
                     spec->function, spec->positional, n);
        return -1;
    }
    size_t i = 0;
    for (; i < n; i++)
        out[i] = args[i];
    for (; spec->names[i]; i++)
        out[i] = NULL;
    return 0;
}

static int check_required(const struct cl_args_spec *spec, PyObject **out) {
    for (unsigned i = 0; i < spec->required; i++) {
        if (!out[i]) {
            PyErr_Format(PyExc_TypeError, "%s() needs the argument '%s'", spec->function,
                         spec->names[i]);
            return -1;
        }
    }
    return 0;
}

int cl_args_parse(const struct cl_args_spec *spec, PyObject *const *args, size_t nargs,
                  PyObject *kwnames, PyObject **out) {
    size_t n = (size_t)PyVectorcall_NARGS(nargs);
    if (put_positional(spec, args, n, out) < 0)
        return -1;
    Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < keywords; i++)
        if (put_keyword(spec, PyTuple_GET_ITEM(kwnames, i), args[n + (size_t)i], out) < 0)
            return -1;
    return check_required(spec, out);
}

int cl_args_parse_tuple(const struct cl_args_spec *spec, PyObject *args, PyObject *kwargs,
                        PyObject **out) {
    PyObject *const *items = ((PyTupleObject *)args)->ob_item;
    if (put_positional(spec, items, (size_t)PyTuple_GET_SIZE(args), out) < 0)
        return -1;
    PyObject *name, *value;
    Py_ssize_t pos = 0;
    while (kwargs && PyDict_Next(kwargs, &pos, &name, &value))
        if (put_keyword(spec, name, value, out) < 0)
            return -1;
    return check_required(spec, out);
}

/* ---- values ---- */

int cl_args_str(const char *name, PyObject *arg, struct cl_str *out) {
    if (!arg)
        return 0;
    if (!PyUnicode_Check(arg)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", name, Py_TYPE(arg)->tp_name);
        return -1;
    }
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(arg, &n);
    if (!p)
        return -1;
    *out = (struct cl_str){p, (size_t)n};
    return 0;
}

int cl_args_bool(const char *name, PyObject *arg, bool *out) {
    if (!arg)
        return 0;
    if (!PyBool_Check(arg)) {
        PyErr_Format(PyExc_TypeError, "%s must be bool, not %.100s", name, Py_TYPE(arg)->tp_name);
        return -1;
    }
    *out = arg == Py_True;
    return 0;
}

int cl_args_int64(const char *name, PyObject *arg, int64_t *out) {
    if (!arg)
        return 0;
    if (!PyLong_Check(arg) || PyBool_Check(arg)) {
        PyErr_Format(PyExc_TypeError, "%s must be int, not %.100s", name, Py_TYPE(arg)->tp_name);
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(arg, &overflow);
    if (overflow) {
        PyErr_Format(PyExc_ValueError, "%s is out of range", name);
        return -1;
    }
    *out = value;
    return 0;
}

int cl_args_status(PyObject *arg) {
    int overflow = 0;
    long value = 0;
    if (arg && PyLong_Check(arg) && !PyBool_Check(arg))
        value = PyLong_AsLongAndOverflow(arg, &overflow);
    if (!overflow && value >= 200 && value <= 599)
        return (int)value;
    PyErr_Format(PyExc_ValueError, "status must be an int from 200 to 599, not %R",
                 arg ? arg : Py_None);
    return -1;
}

void cl_args_refuse_pair(PyObject *type, const char *format, PyObject *name, PyObject *value,
                         const char *why) {
    Py_INCREF(name);
    Py_INCREF(value);
    PyErr_Format(type, format, name, value, why);
    Py_DECREF(value);
    Py_DECREF(name);
}
