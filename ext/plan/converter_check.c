/* The constraints of a parameter, in pydantic's words. */
#include "plan/converter_internal.h"

#include <math.h>

static const struct {
    int op;
    const char *type;
    const char *format;
} BOUNDS[] = {
    [CL_BOUND_GE] = {Py_GE, "greater_than_equal", "Input should be greater than or equal to %U"},
    [CL_BOUND_GT] = {Py_GT, "greater_than", "Input should be greater than %U"},
    [CL_BOUND_LE] = {Py_LE, "less_than_equal", "Input should be less than or equal to %U"},
    [CL_BOUND_LT] = {Py_LT, "less_than", "Input should be less than %U"},
    [CL_BOUND_MULTIPLE] = {0, "multiple_of", "Input should be a multiple of %U"},
};

/* ---- numbers and times ---- */

/* What cannot be compared does not keep the constraint: a time with an offset and one without, a
 * Decimal whose remainder has more digits than the context. */
static int incomparable_is_no(int answer) {
    if (answer >= 0 ||
        !(PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ArithmeticError)))
        return answer;
    PyErr_Clear();
    return 0;
}

/* Doubles are rarely exact multiples: 0.3 is one of 0.1. */
static bool is_float_multiple(double value, double factor) {
    double rest = fabs(fmod(value, factor));
    double tolerance = fabs(value) / 1e9;
    return rest <= tolerance || fabs(rest - fabs(factor)) <= tolerance;
}

static int is_multiple(PyObject *value, PyObject *factor) {
    if (PyFloat_Check(value) || PyFloat_Check(factor)) {
        double v = PyFloat_AsDouble(value);
        double f = PyErr_Occurred() ? 0 : PyFloat_AsDouble(factor);
        return PyErr_Occurred() ? -1 : is_float_multiple(v, f);
    }
    PyObject *rest = PyNumber_Remainder(value, factor);
    int some = rest ? PyObject_IsTrue(rest) : -1;
    Py_XDECREF(rest);
    return some < 0 ? -1 : !some;
}

static int check_bounds(const struct cl_converter *c, PyObject *value,
                        struct cl_field_error *error) {
    for (int i = 0; i < CL_BOUNDS; i++) {
        PyObject *bound = c->bounds[i];
        if (!bound)
            continue;
        int kept = i == CL_BOUND_MULTIPLE ? is_multiple(value, bound)
                                          : PyObject_RichCompareBool(value, bound, BOUNDS[i].op);
        kept = incomparable_is_no(kept);
        if (kept <= 0)
            return kept < 0 ? -1
                            : cl_field_refuse(error, BOUNDS[i].type, BOUNDS[i].format,
                                              c->bound_texts[i]);
    }
    return 1;
}

/* ---- text ---- */

static const char *plural(Py_ssize_t n) {
    return n == 1 ? "" : "s";
}

static int check_text(const struct cl_converter *c, PyObject *value, struct cl_str text,
                      struct cl_field_error *error) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(value);
    if (n < c->min_length)
        return cl_field_refuse(error, "string_too_short",
                               "String should have at least %zd character%s", c->min_length,
                               plural(c->min_length));
    if (c->max_length >= 0 && n > c->max_length)
        return cl_field_refuse(error, "string_too_long",
                               "String should have at most %zd character%s", c->max_length,
                               plural(c->max_length));
    /* A search that was given up has found nothing. */
    if (c->pattern && cello_pattern_match(c->pattern, text) <= 0)
        return cl_field_refuse(error, "string_pattern_mismatch", "String should match pattern '%U'",
                               c->pattern_text);
    return 1;
}

int cl_converter_check_value(const struct cl_converter *c, PyObject *value, struct cl_str text,
                             struct cl_field_error *error) {
    return c->kind == CL_CONVERTER_STR ? check_text(c, value, text, error)
                                       : check_bounds(c, value, error);
}

/* ---- lists ---- */

int cl_converter_check_count(const struct cl_converter *c, Py_ssize_t n,
                             struct cl_field_error *error) {
    static const char *const names[] = {"List", "Set", "Tuple", "Frozenset"};
    const char *name = names[c->kind - CL_CONVERTER_LIST];
    if (n < c->min_length)
        return cl_field_refuse(error, "too_short",
                               "%s should have at least %zd item%s after validation, not %zd", name,
                               c->min_length, plural(c->min_length), n);
    if (c->max_length >= 0 && n > c->max_length)
        return cl_field_refuse(error, "too_long",
                               "%s should have at most %zd item%s after validation, not %zd", name,
                               c->max_length, plural(c->max_length), n);
    return 1;
}

/* ---- what messages show ---- */

PyObject *cl_converter_bound_text(PyObject *bound) {
    double number = PyFloat_CheckExact(bound) ? PyFloat_AS_DOUBLE(bound) : 0.5;
    if (number == floor(number) && fabs(number) < 1e15)
        return PyUnicode_FromFormat("%lld", (long long)number);
    PyObject *isoformat = PyObject_GetAttrString(bound, "isoformat");
    if (!isoformat) {
        PyErr_Clear();
        return PyObject_Str(bound);
    }
    PyObject *text = PyObject_CallNoArgs(isoformat);
    Py_DECREF(isoformat);
    return text;
}
