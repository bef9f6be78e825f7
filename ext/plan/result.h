/* Return values as Response objects. */
#ifndef CL_EXT_PLAN_RESULT_H
#define CL_EXT_PLAN_RESULT_H

#include "module.h"

/* The Response that a value is answered as. status: of a bare value; 0: 200, or 204 for None. New
 * reference; NULL: exception set. */
PyObject *cl_result_response(struct cl_ext *ext, PyObject *value, int status);
/* _cello.to_response(value, status=0, injected=None, /). */
PyObject *cl_result_to_response(PyObject *module, PyObject *const *args, Py_ssize_t n);

#endif
