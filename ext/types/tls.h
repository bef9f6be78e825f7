/* What Python says of TLS to the engine, and what that says of a client. GIL held. */
#ifndef CL_EXT_TLS_H
#define CL_EXT_TLS_H

#include <cello/tls.h>

#include "types/request_internal.h"

/* _cello.check_tls */
PyObject *cl_tls_check(PyObject *module, PyObject *tuple);
/* _cello.make_certificate */
PyObject *cl_tls_make_certificate(PyObject *module, PyObject *args);

/* Methods of Server. */
PyObject *cl_server_use_tls(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *cl_server_reload_tls(PyObject *self, PyObject *unused);
PyObject *cl_server_listen_redirect(PyObject *self, PyObject *args);

/* The ClientCertificate of a request, or None. New reference. Thread: the worker's. */
PyObject *cl_tls_client_cert_of(struct cl_pyrequest *self);
int cl_tls_setup_types(PyObject *module, struct cl_ext *ext);

#endif
