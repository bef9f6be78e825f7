/* Between the bytes of a request and Python's str, and the errors of a request's text.
 *
 * Thread: GIL held. New references are the caller's; NULL or -1: exception set. */
#ifndef CL_EXT_TEXT_H
#define CL_EXT_TEXT_H

#include <string.h>

#include <cello/text.h>

#include "module.h"

#define CL_LITERAL(text) ((struct cl_str){(text), sizeof(text) - 1})

/* UTF-8, which the engine has checked, to str. Almost all of it is short ASCII. */
PyObject *cl_text_new(struct cl_str s);
/* A field value: UTF-8 if it is valid, else ISO-8859-1, so that any bytes can be shown. */
PyObject *cl_text_from_field(struct cl_str s);
/* Percent-decoded; what cannot be decoded stays as it is. */
PyObject *cl_text_from_path(struct cl_str raw);
/* Lower case, for field names: ASCII only. */
PyObject *cl_text_lower(struct cl_str s);

/* Everything that no URI may hold, and the characters in `also`, percent-encoded; what is encoded
 * already stays. */
PyObject *cl_text_quote(struct cl_str s, const char *also);

/* The UTF-8 bytes of a str, valid as long as it is. False, without an exception: it is no str, or
 * has a lone surrogate, so it equals nothing that a request holds. */
static inline bool cl_text_key(PyObject *key, struct cl_str *out) {
    if (!PyUnicode_Check(key))
        return false;
    if (PyUnicode_IS_COMPACT_ASCII(key)) {
        *out = (struct cl_str){PyUnicode_DATA(key), (size_t)PyUnicode_GET_LENGTH(key)};
        return true;
    }
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(key, &n);
    if (!p)
        PyErr_Clear();
    *out = (struct cl_str){p, p ? (size_t)n : 0};
    return p != NULL;
}

static inline bool cl_text_eq(struct cl_str a, struct cl_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case-insensitive. */
bool cl_text_ieq(struct cl_str a, struct cl_str b);

/* Raise cello.HTTPError(status, detail); the format is PyUnicode_FromFormat's. Returns NULL. */
PyObject *cl_text_raise_http(struct cl_ext *ext, int status, const char *format, ...);
/* An error of the engine's while it read `what` ("query", "cookies"): 400, or MemoryError. Returns
 * NULL. */
PyObject *cl_text_raise(struct cl_ext *ext, int err, const char *what);

#endif
