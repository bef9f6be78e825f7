/* cello.Response: what a handler returns when a plain value does not say it all. */
#ifndef CL_EXT_RESPONSE_H
#define CL_EXT_RESPONSE_H

#include "module.h"

/* The parts of a Response, borrowed. */
struct cl_pyresponse_parts {
    PyObject *body;         /* None, str, bytes-like, or what is to be JSON when `json` */
    bool json;              /* body goes through the JSON encoder */
    int status;             /* 200..599 */
    PyObject *content_type; /* str, or NULL: by the body's type */
    PyObject *headers; /* list of (str, str) tuples, checked; may be NULL when there are none */
};

void cl_pyresponse_parts(PyObject *response, struct cl_pyresponse_parts *out);

#endif
