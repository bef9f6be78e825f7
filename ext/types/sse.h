/* cello.SseEvent, and events as text: the event stream format of the WHATWG HTML standard, 9.2.
 *
 *      id: 7
 *      event: price
 *      retry: 3000
 *      data: {"eur":1}
 *      (an empty line)
 *
 * Data is a str, or anything else as JSON; of a str with several lines, each is a data line. What
 * would end a line early stands in no other field: SseEvent refuses it.
 *
 * Thread: GIL held. */
#ifndef CL_EXT_SSE_H
#define CL_EXT_SSE_H

#include "types/buffer.h"

/* A comment, which clients skip: what is sent when there is nothing to send. */
#define CL_SSE_COMMENT ":\n\n"

/* Append an SseEvent, or any other object as the data of an event. json_default: what is asked for
 * values that JSON does not know; NULL: nobody. -1: exception set, `out` is as it was. */
int cl_sse_write(struct cl_ext *ext, struct cl_buffer *out, PyObject *event,
                 PyObject *json_default);

#endif
