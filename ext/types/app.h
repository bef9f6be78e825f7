/* _cello.App: the engine's application with its handler registry; base of cello.App. */
#ifndef CL_EXT_APP_H
#define CL_EXT_APP_H

#include "module.h"
#include "registry.h"

struct cl_app_object {
    PyObject_HEAD struct cl_app *app;
    struct cl_registry handlers;
    PyObject *json_default;   /* callable for what the JSON encoder does not know; NULL */
    PyObject *exception_hook; /* asked about exceptions first; NULL */
    PyObject *debug_hook;     /* asked for a page instead of a bare 500; NULL */
};

/* Module functions that make a native step, as a capsule for _add_route and _add_step. */
PyObject *cl_app_request_id_step(PyObject *module, PyObject *header);
PyObject *cl_app_security_headers_step(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *cl_static_files(PyObject *module, PyObject *const *args, Py_ssize_t n);

#endif
