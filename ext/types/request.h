/* cello.Request: one Python object over an engine request.
 *
 * The batch makes one with cl_pyrequest_wrap, calls the handler, and gives it back with
 * cl_pyrequest_release. If nobody else holds it by then it is reset and used again, else it has
 * escaped: it keeps its engine request (and so every byte it may show) until it is collected, on
 * whatever thread. Attributes are made on first use and kept. */
#ifndef CL_EXT_REQUEST_H
#define CL_EXT_REQUEST_H

#include "module.h"

/* A Request for `r`, which gains a reference that belongs to the object. NULL: exception set. */
PyObject *cl_pyrequest_wrap(struct cl_ext *ext, struct cl_request *r, PyObject *app);
/* The same for a handler on a thread of the pool, made ready for it. */
PyObject *cl_pyrequest_wrap_pooled(struct cl_ext *ext, struct cl_request *r, PyObject *app);
/* Its handler has returned, and is answered now: whoever else holds it may ask for the client when
 * the connection has forgotten the request, and on another thread. No exception is set. */
void cl_pyrequest_answered_next(PyObject *request);
/* Drops the caller's reference; recycles the object when it was the last. */
void cl_pyrequest_release_object(struct cl_ext *ext, PyObject *request);

#endif
