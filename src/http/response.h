/* Answering a request. Exactly one of the cl_respond_* functions ends each request that a handler
 * was given; status, type and headers are set before it. All of them work when the peer has gone:
 * the bytes are dropped. Afterwards the request may be gone unless the caller holds a reference. */
#ifndef CL_HTTP_RESPONSE_H
#define CL_HTTP_RESPONSE_H

#include "base/sink.h"
#include "http/request.h"

/* What may be sent: CELLO_EINVAL when name is not a token, value has CR, LF, NUL or another control
 * character, or the field is one that the engine itself writes (Content-Length, Transfer-Encoding,
 * Connection, Keep-Alive, Date). What is known at start is checked once, then only added. */
int cl_response_header_check(struct cl_header *h, struct cl_str name,
                             struct cl_str value) CL_MUST_USE;
/* Add a checked header, whose name and value live as long as the request. Content-Type becomes
 * response.content_type. Errors: CELLO_ENOMEM, also beyond max_headers. */
int cl_response_add(struct cl_request *r, const struct cl_header *checked) CL_MUST_USE;
/* The same in place of every header of that name. */
int cl_response_put(struct cl_request *r, const struct cl_header *checked) CL_MUST_USE;
bool cl_response_has(const struct cl_request *r, const struct cl_header *like);
/* Check and add. Errors: CELLO_EINVAL, CELLO_ENOMEM. */
int cl_response_header(struct cl_request *r, struct cl_str name, struct cl_str value) CL_MUST_USE;
/* The same with copies in the arena. */
int cl_response_header_copy(struct cl_request *r, struct cl_str name,
                            struct cl_str value) CL_MUST_USE;

/* 103 Early Hints (RFC 8297), sent at once; any number of times before the answer. Nothing is sent
 * to HTTP/1.0, nor to a client that has gone or reads none of them. Errors: CELLO_EINVAL (as for
 * headers of an answer), CELLO_ESTATE (the answer has begun), CELLO_ELIMIT (more than max_headers),
 * CELLO_ENOMEM. */
int cl_response_hints(struct cl_request *r, const struct cello_field *fields,
                      size_t count) CL_MUST_USE;

/* The whole body, copied before this returns. */
void cl_respond_bytes(struct cl_request *r, struct cl_str body);
/* The whole body, sent from where it lies; release(ctx) is called once, on the worker's thread,
 * when the bytes are not needed any more. */
void cl_respond_pinned(struct cl_request *r, struct cl_str body, void (*release)(void *),
                       void *ctx);
/* The whole body, which lives as long as the process. */
void cl_respond_static(struct cl_request *r, struct cl_str body);
/* cello_respond_segments. offset + length of a file's part, and the sum of all lengths, are at most
 * INT64_MAX. Without memory for the copy the answer is a 503. */
void cl_respond_segments(struct cl_request *r, const struct cello_segment *segments, size_t count,
                         void (*release)(void *), void *ctx);
/* No body. */
void cl_respond_empty(struct cl_request *r);

/* Where to write a body: the connection's output block, with room in front for the head. `hint`:
 * how many bytes are expected. At most one sink is open per worker. NULL: out of memory, or the
 * peer is gone. Ends with cl_respond_sink, or cl_response_sink_drop to answer otherwise. */
struct cl_sink *cl_response_sink(struct cl_request *r, size_t hint) CL_MUST_USE;
void cl_respond_sink(struct cl_request *r);
void cl_response_sink_drop(struct cl_request *r);

/* A body that is pulled from g; length is known when has_length. */
void cl_respond_stream(struct cl_request *r, struct cl_generator *g, bool has_length,
                       uint64_t length);
/* A generator's answer to proceed(). `bytes` stay valid until the next proceed or stop. */
void cl_response_chunk(struct cl_request *r, struct cl_str bytes, bool last);
/* A field behind the body of a stream, copied; before its last chunk. It is left out where the body
 * is not chunked. Errors: CELLO_EINVAL (cl_response_header_check, or a field that frames, routes,
 * authenticates or says how to read the body: RFC 9110, 6.5.1), CELLO_ENOMEM, also beyond
 * max_headers. */
int cl_response_trailer(struct cl_request *r, struct cl_str name, struct cl_str value) CL_MUST_USE;
/* The generator failed midway: the peer must see that the body is not complete. */
void cl_response_abort(struct cl_request *r);
/* For protocols: whether a generator that said how much it has keeps to it with `len` bytes more.
 * It must: what the peer reads behind the body would be taken for the next answer. */
bool cl_response_keeps_length(const struct cl_response *s, size_t len, bool last);
/* For protocols: the body's source has done its part. A generator is stopped, bytes and segments
 * are released; once. */
void cl_response_end_body(struct cl_request *r);

/* application/problem+json (RFC 9457) with type, title, status, detail, instance; detail may be
 * empty. Headers set before are kept. */
void cl_respond_problem(struct cl_request *r, int status, struct cl_str detail);

#endif
