/* Answering a request: status and headers first, then exactly one cello_respond function, on the
 * worker's thread. The request may be gone afterwards unless the caller holds a reference. All of
 * them work when the client has gone: the bytes are dropped. */
#ifndef CELLO_RESPONSE_H
#define CELLO_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_request;
struct cl_sink;

/* 100 is not a final status: 200..599. */
CELLO_API void cello_response_status(struct cl_request *r, int status);
/* Must live as long as the request; empty: no Content-Type. Not checked, for constants of the
 * program: a type from elsewhere goes through cello_response_header. */
CELLO_API void cello_response_type(struct cl_request *r, struct cl_str content_type);
/* Copies both. Errors: CELLO_EINVAL (not a field name; a control character; a field the engine
 * writes itself: Content-Length, Transfer-Encoding, Connection, Date), CELLO_ENOMEM. */
CELLO_API int cello_response_header(struct cl_request *r, struct cl_str name, struct cl_str value);
/* As set so far; empty: none. */
CELLO_API struct cl_str cello_response_get_type(const struct cl_request *r);
/* Forget status, type and headers that were set. */
CELLO_API void cello_response_reset(struct cl_request *r);
/* Close the connection after this answer. */
CELLO_API void cello_response_close(struct cl_request *r);

CELLO_API void cello_respond_bytes(struct cl_request *r, struct cl_str body);
/* Sent from where it lies; release(ctx) is called once, on the worker's thread and without any lock
 * of the caller's, when the bytes are not needed any more. */
CELLO_API void cello_respond_pinned(struct cl_request *r, struct cl_str body,
                                    void (*release)(void *), void *ctx);
CELLO_API void cello_respond_static(struct cl_request *r, struct cl_str body);
CELLO_API void cello_respond_empty(struct cl_request *r);
/* application/problem+json, RFC 9457. detail may be empty. */
CELLO_API void cello_respond_problem(struct cl_request *r, int status, struct cl_str detail);

/* "Not Found"; empty for a status without a registered phrase. */
CELLO_API struct cl_str cello_status_reason(int status);

/* Write a body in place (base/sink.h): see http/response.h. NULL: out of memory or no client. */
CELLO_API struct cl_sink *cello_response_sink(struct cl_request *r, size_t hint);
CELLO_API void cello_respond_sink(struct cl_request *r);
CELLO_API void cello_response_sink_drop(struct cl_request *r);

/* A body that is pulled. proceed: send more, with one cello_response_chunk, now or later. stop:
 * always the last call, once. */
struct cl_generator;
CELLO_API void cello_respond_stream(struct cl_request *r, struct cl_generator *g, bool has_length,
                                    uint64_t length);
CELLO_API void cello_response_chunk(struct cl_request *r, struct cl_str bytes, bool last);
CELLO_API void cello_response_abort(struct cl_request *r);

struct cl_generator {
    void (*proceed)(struct cl_generator *g, struct cl_request *r);
    void (*stop)(struct cl_generator *g, struct cl_request *r);
};

#endif
