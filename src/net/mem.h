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

/* What the peer does. Ignored when the stream is closed; nothing comes behind an end but a reset.
 * push reports in pieces of at most `chunk` bytes (cl_mem_set_chunk), and stops reporting when the
 * protocol pauses or closes.
 * Errors of push: CELLO_ENOMEM; CELLO_ELIMIT: far too many bytes wait. */
int cl_mem_push(struct cl_stream *s, const void *bytes, size_t n) CL_MUST_USE;
void cl_mem_eof(struct cl_stream *s);
void cl_mem_reset(struct cl_stream *s);

/* What the protocol asked for last with cl_stream_gather; 0: nothing yet. A peer that is attached
 * (below) is not gathered from. */
size_t cl_mem_gathers(const struct cl_stream *s);

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

/* ---- a client at the other end ----
 *
 * The functions above act at once, as tests want it. A client in this process acts as one behind a
 * socket does: what it writes is reported in the next turn, both directions have a limit, and its
 * end lives until it lets go, however long ago the stream was closed. */

struct cl_mem_peer {
    /* More can be read or written than before, or the stream ended. Called in a turn, in the middle
     * of the protocol's work: it takes note, and acts later. */
    void (*on_ready)(struct cl_mem_peer *p);
};

/* `peer` is at the other end until cl_mem_release; at most `capacity` bytes wait each way. */
void cl_mem_attach(struct cl_stream *s, struct cl_mem_peer *peer, size_t capacity);
/* *written: how many bytes there was room for. Errors: CELLO_ENOMEM; CELLO_ESYS with errno EPIPE:
 * the stream is closed, or this direction was ended. */
int cl_mem_write(struct cl_stream *s, const void *bytes, size_t n, size_t *written) CL_MUST_USE;
/* The end of this direction, behind what was written. */
void cl_mem_write_end(struct cl_stream *s);
/* *got: at most n bytes. Errors: CELLO_EAGAIN: none have come; CELLO_EOF: none will; CELLO_ESYS
 * with errno ECONNRESET: the stream failed. */
int cl_mem_read(struct cl_stream *s, void *to, size_t n, size_t *got) CL_MUST_USE;
/* Whether cl_mem_read would say something else than CELLO_EAGAIN. */
bool cl_mem_is_readable(const struct cl_stream *s);
/* Hangs up. The protocol finds that in the next turn: an orderly end, or a reset when not all was
 * read that it sent. */
void cl_mem_release(struct cl_stream *s);

#endif
