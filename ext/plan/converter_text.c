/* From text to values: the walk of a converter, once for each parameter of each request. */
#include <stdarg.h>

#include "plan/converter_internal.h"
#include "types/text.h"

/* ---- refusals ---- */

int cl_field_error_set(struct cl_field_error *error, const char *type, const char *msg) {
    return cl_field_refuse(error, type, "%s", msg);
}

int cl_field_refuse(struct cl_field_error *error, const char *type, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error->msg = PyUnicode_FromFormatV(format, args);
    va_end(args);
    error->type = error->msg ? PyUnicode_FromString(type) : NULL;
    error->index = -1;
    if (error->type)
        return 0;
    cl_field_error_clear(error);
    return -1;
}

/* ---- numbers ---- */

/* More than 64 bits. 0 without an exception: longer than the interpreter was told to take. */
static int new_big_int(const struct cello_int *big, PyObject **value) {
    char digits[CELLO_DIGITS_MAX + 2];
    char *p = digits;
    *p = '-';
    p += big->is_negative;
    memcpy(p, big->digits.ptr, big->digits.len);
    p[big->digits.len] = '\0';
    *value = PyLong_FromString(digits, NULL, 10);
    if (*value)
        return 1;
    if (!PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Clear();
    return 0;
}

static int refuse_int(int err, struct cl_field_error *error) {
    if (err == CELLO_ELIMIT)
        return cl_field_error_set(
            error, "int_parsing_size",
            "Unable to parse input string as an integer, exceeded maximum size");
    return cl_field_error_set(
        error, "int_parsing",
        "Input should be a valid integer, unable to parse string as an integer");
}

static int convert_int(struct cl_str text, PyObject **value, struct cl_field_error *error) {
    struct cello_int i;
    int err = cello_int_parse(text, &i);
    if (err)
        return refuse_int(err, error);
    if (i.is_big) {
        int made = new_big_int(&i, value);
        return made ? made : refuse_int(CELLO_ELIMIT, error);
    }
    *value = PyLong_FromLongLong(i.value);
    return *value ? 1 : -1;
}

static int convert_float(struct cl_str text, PyObject **value, struct cl_field_error *error) {
    double number;
    int err = cello_float_parse(text, &number);
    if (err == CELLO_EINVAL)
        return cl_field_error_set(
            error, "float_parsing",
            "Input should be a valid number, unable to parse string as a number");
    if (err)
        return cl_field_error_set(error, "finite_number", "Input should be a finite number");
    *value = PyFloat_FromDouble(number);
    return *value ? 1 : -1;
}

static int convert_bool(struct cl_str text, PyObject **value, struct cl_field_error *error) {
    bool truth;
    if (cello_bool_parse(text, &truth) < 0)
        return cl_field_error_set(error, "bool_parsing",
                                  "Input should be a valid boolean, unable to interpret input");
    *value = Py_NewRef(truth ? Py_True : Py_False);
    return 1;
}

/* ---- what is made of a str ---- */

static int convert_str(struct cl_str text, PyObject **value, struct cl_field_error *error) {
    *value = cl_text_new(text);
    if (*value)
        return 1;
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        return -1;
    PyErr_Clear();
    return cl_field_error_set(
        error, "string_unicode",
        "Input should be a valid string, unable to parse raw data as a unicode string");
}

static int choose(const struct cl_converter *c, PyObject *str, PyObject **value,
                  struct cl_field_error *error) {
    PyObject *chosen = PyDict_GetItemWithError(c->target, str);
    if (chosen) {
        *value = Py_NewRef(chosen);
        return 1;
    }
    if (PyErr_Occurred())
        return -1;
    return cl_field_refuse(error, c->is_enum ? "enum" : "literal_error", "%U", c->choices_msg);
}

static int convert_by_str(const struct cl_converter *c, struct cl_str text, PyObject **value,
                          struct cl_field_error *error) {
    PyObject *str;
    int made = convert_str(text, &str, error);
    if (made <= 0)
        return made;
    made = c->kind == CL_CONVERTER_CHOICE ? choose(c, str, value, error)
                                          : cl_converter_any(c, str, value, error);
    Py_DECREF(str);
    return made;
}

/* ---- several converters ---- */

/* `error` gets the other's words too. 0, or -1 with an exception. */
static int add_words(struct cl_field_error *error, struct cl_field_error *other) {
    PyObject *both = PyUnicode_FromFormat("%U; or: %U", error->msg, other->msg);
    cl_field_error_clear(other);
    if (both) {
        Py_SETREF(error->msg, both);
        return 0;
    }
    cl_field_error_clear(error);
    return -1;
}

/* The first member that takes the text. The refusal has the type of the first and all messages. */
static int convert_union(struct cl_ext *ext, const struct cl_converter *c, struct cl_str text,
                         PyObject **value, struct cl_field_error *error) {
    int made = cl_converter_text(ext, PyTuple_GET_ITEM(c->target, 0), text, value, error);
    for (Py_ssize_t i = 1; made == 0 && i < PyTuple_GET_SIZE(c->target); i++) {
        struct cl_field_error other = {.index = -1};
        made = cl_converter_text(ext, PyTuple_GET_ITEM(c->target, i), text, value, &other);
        if (made)
            cl_field_error_clear(error);
        else if (add_words(error, &other) < 0)
            return -1;
    }
    return made;
}

/* ---- one text ---- */

static int convert(struct cl_ext *ext, const struct cl_converter *c, struct cl_str text,
                   PyObject **value, struct cl_field_error *error) {
    switch (c->kind) {
    case CL_CONVERTER_STR: return convert_str(text, value, error);
    case CL_CONVERTER_INT: return convert_int(text, value, error);
    case CL_CONVERTER_FLOAT: return convert_float(text, value, error);
    case CL_CONVERTER_BOOL: return convert_bool(text, value, error);
    case CL_CONVERTER_UUID: return cl_converter_uuid(c, text, value, error);
    case CL_CONVERTER_DATE: return cl_converter_date(ext, text, value, error);
    case CL_CONVERTER_DATETIME: return cl_converter_datetime(ext, text, value, error);
    case CL_CONVERTER_TIME: return cl_converter_time(ext, text, value, error);
    case CL_CONVERTER_TIMEDELTA: return cl_converter_timedelta(ext, text, value, error);
    case CL_CONVERTER_DECIMAL: return cl_converter_decimal(c, text, value, error);
    case CL_CONVERTER_CHOICE:
    case CL_CONVERTER_ANY: return convert_by_str(c, text, value, error);
    case CL_CONVERTER_UNION: return convert_union(ext, c, text, value, error);
    default:
        return cl_converter_texts(ext, (PyObject *)(void *)(uintptr_t)c, &text, 1, value, error);
    }
}

int cl_converter_text(struct cl_ext *ext, PyObject *converter, struct cl_str text, PyObject **value,
                      struct cl_field_error *error) {
    const struct cl_converter *c = cl_converter_of(converter);
    int made = convert(ext, c, text, value, error);
    if (made <= 0 || !c->has_constraint)
        return made;
    made = cl_converter_check_value(c, *value, text, error);
    if (made <= 0)
        Py_CLEAR(*value);
    return made;
}

/* ---- several texts ---- */

/* A list of the values. */
static int convert_items(struct cl_ext *ext, const struct cl_converter *c,
                         const struct cl_str *items, size_t n, PyObject **list,
                         struct cl_field_error *error) {
    *list = PyList_New((Py_ssize_t)n);
    if (!*list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        PyObject *item;
        int made = cl_converter_text(ext, c->target, items[i], &item, error);
        if (made <= 0) {
            if (made == 0)
                error->index = (Py_ssize_t)i;
            Py_CLEAR(*list);
            return made;
        }
        PyList_SET_ITEM(*list, (Py_ssize_t)i, item);
    }
    return 1;
}

static PyObject *collected(enum cl_converter_kind kind, PyObject *list) {
    switch (kind) {
    case CL_CONVERTER_SET: return PySet_New(list);
    case CL_CONVERTER_FROZENSET: return PyFrozenSet_New(list);
    case CL_CONVERTER_TUPLE: return PyList_AsTuple(list);
    default: return Py_NewRef(list);
    }
}

int cl_converter_texts(struct cl_ext *ext, PyObject *converter, const struct cl_str *items,
                       size_t n, PyObject **value, struct cl_field_error *error) {
    const struct cl_converter *c = cl_converter_of(converter);
    bool drops_equals = c->kind == CL_CONVERTER_SET || c->kind == CL_CONVERTER_FROZENSET;
    if (c->has_constraint && !drops_equals) {
        int kept = cl_converter_check_count(c, (Py_ssize_t)n, error);
        if (kept <= 0)
            return kept;
    }
    PyObject *list;
    int made = convert_items(ext, c, items, n, &list, error);
    if (made <= 0)
        return made;
    *value = collected(c->kind, list);
    Py_DECREF(list);
    if (!*value)
        return -1;
    if (!c->has_constraint || !drops_equals)
        return 1;
    made = cl_converter_check_count(c, PySet_GET_SIZE(*value), error);
    if (made <= 0)
        Py_CLEAR(*value);
    return made;
}
