/* `_cello.to_response(value, status=0, injected=None, /)`: the Response that a return value would
 * be answered as. */
#ifndef CL_EXT_PLAN_RESULT_H
#define CL_EXT_PLAN_RESULT_H

#include "module.h"

PyObject *cl_result_to_response(PyObject *module, PyObject *const *args, Py_ssize_t n);

#endif
