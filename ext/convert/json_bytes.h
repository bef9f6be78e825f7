/* JSON text as a bytes object, for callers that have no sink. */
#ifndef CL_CONVERT_JSON_BYTES_H
#define CL_CONVERT_JSON_BYTES_H

#include "convert/json_options.h"

/* A new bytes, or NULL with an exception set as json_encode.h says. `obj` is borrowed. GIL held. */
PyObject *cl_json_encode_bytes(PyObject *obj, const struct cl_json_options *opt);

#endif
