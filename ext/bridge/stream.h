/* Responses whose bodies are generators of the program: sync, async, or an SseStream.
 *
 *      engine                        stream                          Python
 *      proceed (no GIL) ---------->  bytes there: a chunk, at once
 *                                    none: a note  --- batch --->    the next items (sync), or the
 *                                                                    task goes on (async)
 *      chunk  <--------------------  items as bytes  <-------------
 *      stop   -------------------->  a note  -------- batch --->     closed, or cancelled
 *
 * At most about 16 KB of items wait for a slow client; then the source does until they are taken.
 * It is an object, since a stream of an async source is the coroutine of a task. References: the
 * engine until stop, the task, an SseStream.
 *
 * Thread: GIL held, the server's thread, where nothing else is said. */
#ifndef CL_EXT_STREAM_H
#define CL_EXT_STREAM_H

#include "bridge/bridge.h"

struct cl_stream;

/* Answer with `body`, of which cl_stream_is() is true; status and headers are set. `type`: the
 * declared one; empty: by the first item, for which the head waits. What is in `call` is taken
 * over: it stays open until the stream has ended. -1: exception set, not answered. */
int cl_stream_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                     PyObject *body, struct cl_str type);

/* A loop has been attached: streams that wait for one start. */
void cl_stream_loop_is_here(struct cl_bridge *b);
/* Appends the tasks of the streams. -1: exception set. */
int cl_stream_list_tasks(struct cl_bridge *b, PyObject *list);
/* The server is deleted: streams that have not ended are on their own. */
void cl_stream_orphan_all(struct cl_bridge *b);

/* ---- for SseStream ---- */

struct cl_stream *cl_stream_ref(struct cl_stream *s);
void cl_stream_unref(struct cl_stream *s); /* NULL is ignored */
/* Something was sent, or it was closed. Any thread. */
void cl_stream_wake(struct cl_stream *s);
/* The application's hook for values that JSON does not know; new reference or NULL. Any thread. */
PyObject *cl_stream_json_default(struct cl_stream *s);

#endif
