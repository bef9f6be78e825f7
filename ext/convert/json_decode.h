/* JSON text (RFC 8259) to Python objects: dict, list, str, int, float, bool, None.
 *
 * Integers are exact up to 4,300 digits, floats correctly rounded. Of equal keys the last one
 * counts. Not accepted: anything behind the value, a byte order mark, NaN, Infinity, numbers beyond
 * the largest double, text that is not UTF-8, escapes of lone surrogates, more than max_depth
 * levels. Iterative, so depth costs no C stack. */
#ifndef CL_CONVERT_JSON_DECODE_H
#define CL_CONVERT_JSON_DECODE_H

#include "base/common.h"
#include "convert/json_options.h"

enum { CL_JSON_MAX_INT_DIGITS = 4300 };

struct cl_json_error {
    int err;         /* CELLO_EJSON, CELLO_EJSON_DEPTH, CELLO_ELIMIT (digits); 0: see below */
    size_t pos;      /* byte offset of what is wrong */
    const char *msg; /* static */
};

/* A new reference. NULL with *error filled and no exception set if the text is at fault; with
 * error->err 0 and an exception set if memory is out. Nothing at or behind text + n is read.
 * Thread: GIL held; runs no user code except through a garbage collection. */
PyObject *cl_json_decode(const char *text, size_t n, const struct cl_json_options *opt,
                         struct cl_json_error *error) CL_MUST_USE;

/* Raise `type` (ValueError or a subclass of it) with "msg (byte pos)". Returns NULL. */
PyObject *cl_json_raise(const struct cl_json_error *error, PyObject *type);

#endif
