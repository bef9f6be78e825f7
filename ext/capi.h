/* The PyCapsule cello._cello._C_API: include/cello/capi.h. */
#ifndef CL_EXT_CAPI_H
#define CL_EXT_CAPI_H

#include "module.h"

/* 0, or -1 with an exception set. */
int cl_capi_add(PyObject *module);

#endif
