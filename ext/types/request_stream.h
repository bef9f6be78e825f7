/* Request.stream(): the body of a request, piece by piece, for `async for` and `for`.
 *
 * Over an engine request whose route reads its bodies the pieces come as the client sends them;
 * over any other Request the body is the one piece. Thread: the server's, or one of its pool, where
 * `for` waits for the client; GIL held. */
#ifndef CL_EXT_REQUEST_STREAM_H
#define CL_EXT_REQUEST_STREAM_H

#include "module.h"

/* Of `request`, a cello.Request over `r`; or, when that is NULL, of `body`, a bytes. NULL:
 * exception set. */
PyObject *cl_request_stream_new(struct cl_ext *ext, PyObject *request, struct cl_request *r,
                                PyObject *body);

#endif
