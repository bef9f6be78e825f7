/* `_cello.Converter`: the text of a parameter to the Python value its annotation asks for.
 *
 * A converter is made once, at registration, from an annotation; it is immutable and any number of
 * requests may use it. Text that does not fit is no exception but a refusal, with the type and the
 * message that pydantic 2 gives for it, so that clients see the same words for parameters and for
 * bodies.
 *
 * Thread: GIL held. References handed out are new. */
#ifndef CL_EXT_PLAN_CONVERTER_H
#define CL_EXT_PLAN_CONVERTER_H

#include "module.h"

/* Why a text was refused; filled only then. The caller takes the references over and gives them
 * back with cl_field_error_clear, or keeps them. */
struct cl_field_error {
    PyObject *type;   /* str, "int_parsing" */
    PyObject *msg;    /* str, a sentence */
    Py_ssize_t index; /* which text of a list, as the last part of `loc`; -1: none of them */
};

static inline void cl_field_error_clear(struct cl_field_error *error) {
    Py_CLEAR(error->type);
    Py_CLEAR(error->msg);
}

/* Whether `object` is a _cello.Converter, and so may be given to the functions below. */
bool cl_converter_check(struct cl_ext *ext, PyObject *object);
/* Whether it takes all texts of a name (list, set, tuple, frozenset) and not one. */
bool cl_converter_is_list(PyObject *converter);

/* Convert one text. 1: *value is set; 0: *error says why not; -1: exception set. A list kind takes
 * the text as its only item. */
int cl_converter_text(struct cl_ext *ext, PyObject *converter, struct cl_str text, PyObject **value,
                      struct cl_field_error *error);
/* The same for the `n` texts of one name, for list kinds only. It stops at the first text that is
 * refused. */
int cl_converter_texts(struct cl_ext *ext, PyObject *converter, const struct cl_str *items,
                       size_t n, PyObject **value, struct cl_field_error *error);

/* Fill `error` with a copy of two C strings. 0, the answer of the functions above for a refusal, or
 * -1 with an exception. */
int cl_field_error_set(struct cl_field_error *error, const char *type, const char *msg);

/* Adds Converter to the module; 0, or -1 with an exception. */
int cl_converter_setup_types(PyObject *module, struct cl_ext *ext);

#endif
