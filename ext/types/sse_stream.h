/* cello.SseStream: an event stream that is pushed to, from any task and any thread.
 *
 *      send(event) -> text in `queue` -> a post to the engine's thread -> a note -> the stream
 *
 * A handler returns it once. What was sent before waits in the queue. A client that reads too
 * slowly fills the queue and is dropped; it comes back by itself and says the last id that it saw.
 *
 * Thread: GIL held. */
#ifndef CL_EXT_SSE_STREAM_H
#define CL_EXT_SSE_STREAM_H

#include "types/buffer.h"

struct cl_stream;

bool cl_sse_stream_is(PyObject *object);
/* Seconds; 0: none. */
double cl_sse_stream_heartbeat(PyObject *object);
/* A response of this stream begins. -1: exception set (it has one already). */
int cl_sse_stream_attach(PyObject *object, struct cl_stream *stream);
/* It is over: send() gives False from now on. */
void cl_sse_stream_detach(PyObject *object);
/* What was sent, moved to `out`, which is empty. True: it was closed and nothing will follow. */
bool cl_sse_stream_take(PyObject *object, struct cl_buffer *out);

#endif
