/* An HTTP/1 connection on a stream: the state machine between bytes and requests.
 *
 *            bytes                       complete           answered
 *      IDLE ------> HEAD ----> BODY ---------------> HANDLER --------> IDLE (keep-alive)
 *       ^            |  bad     |  too slow, too big   |  generator      |
 *       |            v          v                      v                 v  close
 *       +-----     [ error answer: close ]           STREAM ----->    LINGER -> closed
 *
 * Requests of one connection are served one after the other; what is pipelined behind waits in the
 * input block. Answers of a batch gather in one output and leave with one write at the end of the
 * loop's turn.
 *
 * conn.c: life, timers, callbacks. conn_read.c: bytes to requests. conn_body.c: their bodies.
 * conn_write.c: responses to bytes. conn_stream.c: those that are pulled. Thread: the worker's. */
#ifndef CL_HTTP1_CONN_H
#define CL_HTTP1_CONN_H

#include "http/worker.h"

/* The protocol of a stream that was just opened with `cl_h1_stream_handler`. Errors:
 * CELLO_ENOMEM; the stream is then still the caller's. */
int cl_h1_open(struct cl_worker *w, struct cl_stream *s) CL_MUST_USE;

extern const struct cl_stream_handler cl_h1_stream_handler;

#endif
