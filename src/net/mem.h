/* A stream without a socket: tests and benchmarks push bytes in and look at what comes out.
 *
 *      cl_mem_stream_new(loop, &handler, protocol, &s);
 *      cl_mem_push(s, bytes, n);        on_recv runs before this returns
 *      cl_loop_turn(loop, 0);           batch and flush: the protocol answers
 *      cl_mem_output(s)                 everything it sent
 *
 * It behaves as a socket does: nothing is reported while paused (the bytes wait), on_closed and
 * what a resume brings come with a later turn of the loop, never inside the protocol's own call.
 *
 * Thread: the loop's. The stream's memory goes right after on_closed. */
#ifndef CL_NET_MEM_H
#define CL_NET_MEM_H

#include "net/stream.h"

/* Errors: CELLO_ENOMEM. */
int cl_mem_stream_new(struct cl_loop *l, const struct cl_stream_handler *handler, void *protocol,
                      struct cl_stream **out) CL_MUST_USE;

/* What the peer does. Ignored when the stream is closed. push reports in pieces of at most
 * `chunk` bytes (cl_mem_set_chunk), and stops reporting when the protocol pauses or closes.
 * Errors of push: CELLO_ENOMEM; CELLO_ELIMIT: far too many bytes wait. */
int cl_mem_push(struct cl_stream *s, const void *bytes, size_t n) CL_MUST_USE;
void cl_mem_eof(struct cl_stream *s);
void cl_mem_reset(struct cl_stream *s);

/* Bytes per on_recv; 0: as many as fit (the default). */
void cl_mem_set_chunk(struct cl_stream *s, size_t chunk);

/* Sends return CELLO_EAGAIN and stay in progress until cl_mem_finish_send takes the bytes and
 * reports on_sent(err); it returns false when no send is in progress. */
void cl_mem_hold_sends(struct cl_stream *s, bool hold);
bool cl_mem_finish_send(struct cl_stream *s, int err);

/* The peer takes something of the send in progress; only cl_stream_progress shows it. */
void cl_mem_read_some(struct cl_stream *s);

/* Everything sent since the start or the last clear; valid until the next send. */
struct cl_str cl_mem_output(const struct cl_stream *s);
void cl_mem_output_clear(struct cl_stream *s);
/* The protocol half-closed. */
bool cl_mem_was_shutdown(const struct cl_stream *s);
/* The protocol asked that its close look like a failure. */
bool cl_mem_was_reset(const struct cl_stream *s);

#endif
