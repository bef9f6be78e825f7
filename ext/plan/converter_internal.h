/* Between the files of the converter. */
#ifndef CL_EXT_PLAN_CONVERTER_INTERNAL_H
#define CL_EXT_PLAN_CONVERTER_INTERNAL_H

#include <cello/pattern.h>
#include <cello/scalar.h>

#include "plan/converter.h"

enum cl_converter_kind {
    CL_CONVERTER_STR,
    CL_CONVERTER_INT,
    CL_CONVERTER_FLOAT,
    CL_CONVERTER_BOOL,
    CL_CONVERTER_UUID,
    CL_CONVERTER_DATE,
    CL_CONVERTER_DATETIME,
    CL_CONVERTER_TIME,
    CL_CONVERTER_TIMEDELTA,
    CL_CONVERTER_DECIMAL,
    CL_CONVERTER_CHOICE,
    CL_CONVERTER_LIST,
    CL_CONVERTER_SET,
    CL_CONVERTER_TUPLE,
    CL_CONVERTER_FROZENSET,
    CL_CONVERTER_UNION,
    CL_CONVERTER_ANY,
    CL_CONVERTER_KIND_COUNT
};

/* The constraints that compare, in the order they are checked: pydantic's. */
enum cl_bound { CL_BOUND_MULTIPLE, CL_BOUND_LE, CL_BOUND_LT, CL_BOUND_GE, CL_BOUND_GT, CL_BOUNDS };

struct cl_converter {
    PyObject_HEAD enum cl_converter_kind kind;
    bool has_constraint;
    /* What the kind needs: uuid.UUID, decimal.Decimal, the dict of choices, the tuple of a union's
     * converters, the function, the converter of a list's items; NULL for the others. */
    PyObject *target;
    /* Of a UUID: the descriptors of its two slots and what goes into the second. */
    PyObject *uuid_int, *uuid_is_safe, *uuid_unknown;
    PyObject *choices_msg; /* "Input should be 'a' or 'b'" */
    bool is_enum;          /* the choices are an Enum's members */
    PyObject *bounds[CL_BOUNDS];
    PyObject *bound_texts[CL_BOUNDS];  /* as a message has them */
    Py_ssize_t min_length, max_length; /* -1: none */
    struct cl_regex *pattern;
    PyObject *pattern_text;
};

static inline struct cl_converter *cl_converter_of(PyObject *o) {
    return (struct cl_converter *)(void *)o;
}

static inline bool cl_converter_kind_is_list(enum cl_converter_kind kind) {
    return kind >= CL_CONVERTER_LIST && kind <= CL_CONVERTER_FROZENSET;
}

/* Refuse: fill `error`; the format is PyUnicode_FromFormat's. 0, or -1 with an exception. */
int cl_field_refuse(struct cl_field_error *error, const char *type, const char *format, ...);

/* ---- converter_check.c ---- */

/* Whether `value`, made of `text`, keeps the constraints: 1, 0 with *error, -1 with an exception.
 */
int cl_converter_check_value(const struct cl_converter *c, PyObject *value, struct cl_str text,
                             struct cl_field_error *error);
/* Whether a list may have `n` items; the same results. */
int cl_converter_check_count(const struct cl_converter *c, Py_ssize_t n,
                             struct cl_field_error *error);
/* How a message shows a constraint's value: a new str, NULL with an exception. */
PyObject *cl_converter_bound_text(PyObject *bound);

/* ---- converter_library.c: values of the standard library's types ---- */

/* Look up what the kind needs. 0, or -1 with an exception. */
int cl_converter_find_types(struct cl_ext *ext, struct cl_converter *c);
/* Each converts like cl_converter_text. */
int cl_converter_uuid(const struct cl_converter *c, struct cl_str text, PyObject **value,
                      struct cl_field_error *error);
int cl_converter_decimal(const struct cl_converter *c, struct cl_str text, PyObject **value,
                         struct cl_field_error *error);
int cl_converter_date(struct cl_ext *ext, struct cl_str text, PyObject **value,
                      struct cl_field_error *error);
int cl_converter_datetime(struct cl_ext *ext, struct cl_str text, PyObject **value,
                          struct cl_field_error *error);
int cl_converter_time(struct cl_ext *ext, struct cl_str text, PyObject **value,
                      struct cl_field_error *error);
int cl_converter_timedelta(struct cl_ext *ext, struct cl_str text, PyObject **value,
                           struct cl_field_error *error);

/* ---- converter_any.c ---- */

/* What a Python function makes of a text. */
int cl_converter_any(const struct cl_converter *c, PyObject *str, PyObject **value,
                     struct cl_field_error *error);

#endif
