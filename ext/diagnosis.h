/* Reports of crashes and stacks on request, with Python's part. */
#ifndef CL_EXT_DIAGNOSIS_H
#define CL_EXT_DIAGNOSIS_H

#include "module.h"

/* Functions of the module; what they do stands in their docs in module.c. */
PyObject *cl_diagnosis_start(PyObject *module, PyObject *worker_id);
PyObject *cl_diagnosis_end(PyObject *module, PyObject *ignored);
PyObject *cl_diagnosis_log_as(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *cl_diagnosis_stacks(PyObject *module, PyObject *const *args, Py_ssize_t n);

#endif
