/* An HTTP/2 connection on a stream (RFC 9113): between bytes and requests stands a session of
 * nghttp2, which knows frames, HPACK, the states of streams, windows and priorities (RFC 9218).
 *
 *     bytes -> session -> head.c -> the service       one struct cl_h2_stream for each stream,
 *                      -> body.c -> collected,        in the arena of its request: what the
 *                                   fed or read       connection knows of it; request->exchange
 *     send  <- write.c <- session <- respond.c <- answers
 *                                    tunnel.c: both at once, as long as they like
 *
 * What is said in a turn leaves with one send at its end (write.c): the session is asked for frames
 * while the output has room, and it asks for bytes of bodies while the windows have. Payload of any
 * size is sent from where it lies.
 *
 * conn.c: life, timers, the transport. session.c: nghttp2's callbacks, memory.c: its memory.
 * abuse.c: what a client may do for free. Thread: the worker's. */
#ifndef CL_HTTP2_CONN_H
#define CL_HTTP2_CONN_H

#include <cello/http2.h>

#include "http/worker.h"

/* What all HTTP/2 connections of a server share: the configuration, and how nghttp2 is set up. */
struct cl_h2_context;

/* cfg is copied; its values are those that cello_server_use_http2 allows. NULL: out of memory. */
struct cl_h2_context *cl_h2_context_new(const struct cello_http2_config *cfg) CL_MUST_USE;
/* No connection may be left. NULL is ignored. */
void cl_h2_context_del(struct cl_h2_context *x);

/* Extended CONNECT (RFC 8441) of this protocol, which outlives x, becomes a request of the method
 * CONNECT; clients are told that they may. Of other protocols it is answered 501 (RFC 9220, 3).
 * Without this call it is malformed. Before the first connection.
 *
 * How a protocol takes such a stream over:
 *   - A route of the method CONNECT, with CELLO_BODY_STREAM, has it like any other path. Fields are
 *     those of the client, and `upgrade`, which is the protocol: HTTP/1.1 says it with that.
 *   - Any answer but 2xx refuses it. cello_respond_stream with 2xx opens the tunnel: what the
 *     generator gives goes to the client, what the client sends is read with cello_request_read, at
 *     the same time, each as far as the reader at its other end allows. Frames mean nothing.
 *   - The last chunk ends our side, CELLO_EOF is the end of the client's; the other goes on. Who
 *     holds a reference reads to the end, also when the stream has gone meanwhile. Without one what
 *     the client sends behind the last chunk is dropped.
 *   - cello_response_abort resets the stream (CANCEL), as the client may: stop() is called, and the
 *     reader, or the next read, is told CELLO_ECANCELED.
 *   - Its own deadlines (cello_request_set_deadline) and the drain are told to the observer.
 * Limits of bodies do not hold; what still ends the stream stands in tunnel.c. */
void cl_h2_context_offer_connect(struct cl_h2_context *x, struct cl_str protocol);

/* What a client sends first: RFC 9113, 3.4. It is the connection's to read. */
#define CL_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum { CL_H2_PREFACE_LEN = sizeof CL_H2_PREFACE - 1 };

/* The protocol of a stream whose handler is cl_h2_stream_handler, or becomes it right afterwards;
 * what has come already lies in s->in, and is reported to the handler by the caller. SETTINGS leave
 * at the end of the turn. Errors: CELLO_ENOMEM; the stream is then still the caller's. */
int cl_h2_open(const struct cl_h2_context *x, struct cl_worker *w, struct cl_stream *s) CL_MUST_USE;

extern const struct cl_stream_handler cl_h2_stream_handler;

#endif
