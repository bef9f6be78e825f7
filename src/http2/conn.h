/* An HTTP/2 connection on a stream (RFC 9113): between bytes and requests stands a session of
 * nghttp2, which knows frames, HPACK, the states of streams, windows and priorities (RFC 9218).
 *
 *     bytes -> session -> head.c -> the service       one struct cl_h2_stream for each stream,
 *                      -> body.c -> collected,        in the arena of its request: what the
 *                                   fed or read       connection knows of it; request->exchange
 *     send  <- write.c <- session <- respond.c <- answers
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

/* What a client sends first: RFC 9113, 3.4. It is the connection's to read. */
#define CL_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum { CL_H2_PREFACE_LEN = sizeof CL_H2_PREFACE - 1 };

/* The protocol of a stream whose handler is cl_h2_stream_handler, or becomes it right afterwards;
 * what has come already lies in s->in, and is reported to the handler by the caller. SETTINGS leave
 * at the end of the turn. Errors: CELLO_ENOMEM; the stream is then still the caller's. */
int cl_h2_open(const struct cl_h2_context *x, struct cl_worker *w, struct cl_stream *s) CL_MUST_USE;

extern const struct cl_stream_handler cl_h2_stream_handler;

#endif
