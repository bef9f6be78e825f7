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
/* Whether a header of that name was set. */
CELLO_API bool cello_response_has(const struct cl_request *r, struct cl_str name);
/* As set so far; empty: none. */
CELLO_API struct cl_str cello_response_get_type(const struct cl_request *r);
/* Forget status, type and headers that were set. */
CELLO_API void cello_response_reset(struct cl_request *r);

struct cello_field {
    struct cl_str name, value;
};
/* 103 Early Hints (RFC 8297) with these fields, sent at once; any number of times, before the
 * answer. Nothing is sent to HTTP/1.0, nor to a client that has gone or reads none of them. Errors:
 * CELLO_EINVAL (as for cello_response_header), CELLO_ESTATE (the answer has begun), CELLO_ELIMIT
 * (more than max_headers fields), CELLO_ENOMEM. */
CELLO_API int cello_response_early_hints(struct cl_request *r, const struct cello_field *fields,
                                         size_t count);
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

/* A piece of a body: `bytes`, or with fd >= 0 `length` bytes of that file from `offset` on. */
struct cello_segment {
    struct cl_str bytes;
    int fd; /* -1: bytes */
    uint64_t offset, length;
};
/* The segments one after the other, with the sum as Content-Length. They are copied; what they
 * point to stays until release(ctx), which is called once, on the worker's thread and without any
 * lock of the caller's, also when nothing of them was sent. Files are sent by the kernel where it
 * can; a file is not closed, its position not moved. One that has become shorter ends the
 * connection with a reset: the client never takes what it got for the whole. */
CELLO_API void cello_respond_segments(struct cl_request *r, const struct cello_segment *segments,
                                      size_t count, void (*release)(void *), void *ctx);

/* "Not Found"; empty for a status without a registered phrase. */
CELLO_API struct cl_str cello_status_reason(int status);

/* Write a body in place (base/sink.h): see http/response.h. NULL: out of memory or no client. */
CELLO_API struct cl_sink *cello_response_sink(struct cl_request *r, size_t hint);
CELLO_API void cello_respond_sink(struct cl_request *r);
CELLO_API void cello_response_sink_drop(struct cl_request *r);

/* A body that is pulled. proceed: send more, with one cello_response_chunk, now or later. stop:
 * always the last call, once: the body is complete, or the peer has gone. Both are called in a
 * turn.
 *
 * The bytes of a chunk stay valid until the next proceed or stop. What proceed gives at once leaves
 * in one write with what was given before, the head included; what comes later leaves at once. */
struct cl_generator;
/* has_length: `length` is the Content-Length, and what the chunks add up to; one that gives more,
 * or ends with less, ends the connection. */
CELLO_API void cello_respond_stream(struct cl_request *r, struct cl_generator *g, bool has_length,
                                    uint64_t length);
CELLO_API void cello_response_chunk(struct cl_request *r, struct cl_str bytes, bool last);
/* A field behind the body, copied; before the last chunk. Only bodies that are chunked have such
 * fields: without a length, over HTTP/1.1. Errors: CELLO_EINVAL (as for cello_response_header, or a
 * field that must stand before the body: RFC 9110, 6.5.1), CELLO_ENOMEM. */
CELLO_API int cello_response_trailer(struct cl_request *r, struct cl_str name, struct cl_str value);
/* The generator failed: the client must see that the body is not complete. stop follows. */
CELLO_API void cello_response_abort(struct cl_request *r);

struct cl_generator {
    void (*proceed)(struct cl_generator *g, struct cl_request *r);
    void (*stop)(struct cl_generator *g, struct cl_request *r);
};

#endif
