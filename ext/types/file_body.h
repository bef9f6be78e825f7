/* The body of a Response that is a file: what Response.file() gives to be sent. */
#ifndef CL_EXT_FILE_BODY_H
#define CL_EXT_FILE_BODY_H

#include "module.h"

bool cl_file_body_check(PyObject *object);
/* The arguments are those of Response.file(); the last two may be NULL or None. NULL: TypeError, or
 * ValueError for a name that no header can carry. */
PyObject *cl_file_body_new(struct cl_ext *ext, PyObject *path, PyObject *root, PyObject *filename,
                           PyObject *disposition);
/* Answer with it; status, type and headers are set. -1, not answered: HTTPError(404) for a name
 * below a root that leads to no file, OSError for a path of the program's own, HTTPError(503)
 * without descriptors, MemoryError. GIL held, engine's thread. */
int cl_file_body_respond(struct cl_ext *ext, PyObject *body, struct cl_request *r);
/* What it will be sent as, by its name: a new str. */
PyObject *cl_file_body_type(PyObject *body);

#endif
