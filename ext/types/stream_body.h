/* `_cello.StreamBody`: the body of a Response that is a stream, and Response.stream() and .sse(),
 * which make one.
 *
 * Thread: GIL held. */
#ifndef CL_EXT_STREAM_BODY_H
#define CL_EXT_STREAM_BODY_H

#include "module.h"

/* Seconds between comments of an event stream that has nothing else to say. */
#define CL_SSE_HEARTBEAT_S 15.0

/* What a handler says of a stream, borrowed. */
struct cl_stream_parts {
    PyObject *source;   /* an iterable, an async iterable, or an SseStream */
    PyObject *trailers; /* a mapping, or a callable that gives one; NULL: none */
    PyObject *context;  /* that of who made it; NULL: not known */
    bool sse;           /* all items are events */
    double heartbeat_s; /* of event streams; 0: none */
};

/* Whether a body is sent as a stream: a generator, an async generator, an SseStream, a StreamBody.
 */
bool cl_stream_is(PyObject *body);
void cl_stream_parts(PyObject *body, struct cl_stream_parts *out);

/* A number of seconds, None for 0, NULL for what *out is. -1: exception set. */
int cl_stream_heartbeat(PyObject *value, double *out);

PyObject *cl_pyresponse_stream(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_sse(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);

#endif
