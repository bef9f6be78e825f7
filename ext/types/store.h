/* cello.Store: keys and values that all workers share. Calls are plain: they wait for nothing but a
 * lock that others hold for less than a microsecond, and keep the GIL. */
#ifndef CL_EXT_STORE_H
#define CL_EXT_STORE_H

#include "module.h"

/* Of a Store, which it lives as long as; NULL with TypeError for anything else. */
struct cl_store *cl_pystore_of(struct cl_ext *ext, PyObject *object);

/* The bytes of a str, in UTF-8, or of what has a buffer. `what` is for the TypeError. 0, then
 * cl_bytes_release; or -1. */
struct cl_bytes_arg {
    struct cl_str bytes;
    Py_buffer view;
};
int cl_bytes_arg(struct cl_bytes_arg *out, PyObject *object, const char *what);
void cl_bytes_release(struct cl_bytes_arg *a);

#endif
