/* The chunked transfer coding, RFC 9112 section 7.1: an incremental decoder that copies nothing.
 *
 * Each call takes bytes from the front of the input and reports one event. Body bytes are spans
 * into the input. What is not used (`*in_used` < in_len after CELLO_EAGAIN: a trailer section that
 * is not complete) must be offered again in front of newer bytes; chunk heads may be cut anywhere.
 *
 * Strict: CRLF only, sizes of at most 15 hex digits, extensions must follow the grammar and are
 * ignored up to a bound. Framing is bounded by nature then: a chunk has at least one byte of data
 * for at most 19 bytes around it.
 *
 * Owner: whoever embeds it. Thread: one at a time. No allocation. */
#ifndef CL_HTTP1_CHUNKED_H
#define CL_HTTP1_CHUNKED_H

#include "http/header.h"

/* Bytes of extensions over the whole body. Nobody uses them in requests but attackers, who let
 * servers chew on them for ever. */
#define CL_CHUNKED_MAX_EXTENSIONS 16384

enum cl_chunked_event {
    CL_CHUNKED_DONE = 0, /* the body and its trailers have ended */
    CL_CHUNKED_DATA = 1, /* `data` holds the next run of body bytes, never empty */
};

struct cl_chunked {
    uint64_t remaining; /* data bytes left in this chunk; its size while that is read */
    uint32_t extension_bytes;
    uint32_t max_trailer_size;
    uint32_t max_trailers;
    uint32_t trailer_count; /* valid after CL_CHUNKED_DONE */
    size_t scanned;         /* how far the trailer section was offered before */
    struct cl_header *trailers;
    uint8_t state;
    uint8_t digits; /* of the chunk size */
};

/* `trailers` has room for max_trailers and may be NULL: trailers are then checked and dropped.
 * Their spans point into the input of the call that returned CL_CHUNKED_DONE. A trailer section of
 * more than max_trailer_size bytes or max_trailers fields is CELLO_EHEAD_TOO_LARGE. */
void cl_chunked_init(struct cl_chunked *c, size_t max_trailer_size, struct cl_header *trailers,
                     unsigned max_trailers);

/* An event, CELLO_EAGAIN, or an error: CELLO_ECHUNK, and for trailers EHEADER_NAME EHEADER_VALUE
 * EOBSFOLD EBARELF EHEAD_TOO_LARGE. Names that have an id are dropped from the trailers: Cello and
 * its middleware act on those, and a field that frames, routes or authorises a message or says how
 * to read it must not come late (RFC 9110 section 6.5.1). ETag alone is kept. After DONE or an
 * error the decoder must not be called again. */
int cl_chunked_decode(struct cl_chunked *c, const char *in, size_t in_len, size_t *in_used,
                      struct cl_str *data) CL_MUST_USE;

#endif
