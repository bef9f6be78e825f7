/* Every limit and timeout of a worker, with its default and reason. The Python classes LimitsConfig
 * and TimeoutConfig carry the same names; SECURITY.md has the table with the answers. */
#ifndef CELLO_LIMITS_H
#define CELLO_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define CELLO_SECOND 1000000000ull /* nanoseconds */

struct cl_limits {
    size_t max_header_size;    /* bytes of the header section: 431. Browsers send up to 8 KB. */
    uint32_t max_headers;      /* field lines: 431 */
    size_t max_uri;            /* bytes of the request target: 414 */
    uint64_t max_body_size;    /* bytes of content: 413 */
    size_t max_buffered_bytes; /* bytes in blocks of one worker: 503 with Retry-After */
    uint32_t max_connections;  /* open connections of one worker: the longest idle is closed, or
                                  accepting pauses when none is idle for CL_IDLE_GRACE_NS */
    uint32_t max_connections_per_ip;      /* 0: no limit; beyond it: closed at accept */
    uint32_t max_inflight;                /* requests being handled; 0: no limit; beyond: 503 */
    uint64_t max_requests_per_connection; /* 0: no limit; the last answer says close */
    uint32_t max_json_depth;              /* nesting in both directions: 400 in, 500 out */
    uint32_t max_query_params;            /* 400 */
    uint32_t max_cookies;                 /* 400 */
    uint32_t max_form_parts;              /* parts of a multipart body, pairs of a form: 400 */
    size_t max_part_header;               /* bytes of the header of a part: 400 */
    size_t max_form_memory;   /* bytes of a form's fields and of all parts' headers: 413 */
    uint64_t max_file_size;   /* bytes of an uploaded file; 0: no limit but the body's: 413 */
    uint32_t max_pipelined;   /* answers waiting unsent on one connection: reading goes on after */
    size_t max_send_buffer;   /* bytes waiting unsent on one connection: likewise */
    size_t max_request_arena; /* bytes of decoded parameters, headers and the like of a request */
};

#define CL_LIMITS_DEFAULT                                                                          \
    {                                                                                              \
        .max_header_size = 16384, .max_headers = 100, .max_uri = 8192, .max_body_size = 10485760,  \
        .max_buffered_bytes = 268435456, .max_connections = 10000, .max_json_depth = 128,          \
        .max_query_params = 1000, .max_cookies = 100, .max_form_parts = 1000,                      \
        .max_part_header = 8192, .max_form_memory = 1048576, .max_pipelined = 64,                  \
        .max_send_buffer = 1048576, .max_request_arena = 1048576,                                  \
    }

/* What the method, two spaces, the version and leading empty lines may add to the target. */
enum { CL_REQUEST_LINE_SLACK = 64 };

/* At max_connections a connection is closed for a newcomer only when it has waited this long for a
 * request: whoever was just accepted or just answered has time to say something, so that a flood of
 * newcomers does not push everybody out before they are served. */
#define CL_IDLE_GRACE_NS CELLO_SECOND

/* Nanoseconds; 0: off. */
struct cl_timeouts {
    uint64_t read_header_ns; /* from the first byte of a head to its end: 408 */
    uint64_t read_body_ns;   /* without a byte of the body: 408 */
    uint64_t min_body_rate;  /* bytes/s on average once CL_BODY_RATE_GRACE_NS have passed: 408 */
    uint64_t write_ns;       /* without progress while answers wait: the connection is reset */
    uint64_t idle_ns;        /* between requests: closed */
    uint64_t handler_ns;     /* of the application, until the response head: 504 */
    uint64_t handshake_ns;   /* of TLS, from its beginning to its end: closed */
};

#define CL_BODY_RATE_GRACE_NS (5 * CELLO_SECOND)

#define CL_TIMEOUTS_DEFAULT                                                                        \
    {                                                                                              \
        .read_header_ns = 5 * CELLO_SECOND, .read_body_ns = 30 * CELLO_SECOND,                     \
        .min_body_rate = 240, .write_ns = 30 * CELLO_SECOND, .idle_ns = 60 * CELLO_SECOND,         \
        .handler_ns = 30 * CELLO_SECOND, .handshake_ns = 10 * CELLO_SECOND,                        \
    }

/* A body of known length that does not fit the block it begins in gets room for this much at once;
 * beyond it room doubles as bytes come, so that a length alone costs the server nothing. */
#define CL_BODY_FIRST_ROOM ((size_t)65536)

/* Most bytes of a body that wait on one connection for the handler that reads it; a sender that is
 * faster waits. Enough for a system call to be cheap by the byte, and to lie in a core's cache. */
#define CL_BODY_WINDOW ((size_t)524288)

/* Most bytes that are received with one call where they do not wait: into memory of the handler's,
 * or to be written to a file at once. */
#define CL_BODY_PIECE ((size_t)1048576)

/* While the client of a large body sends quickly the server wakes up for this many bytes of it, or
 * for fewer when they have waited this long (rounded up to a tick of the timers), and not for every
 * few packets. Less than the window, so that a block has room for it. */
#define CL_BODY_GATHER ((size_t)262144)
#define CL_BODY_GATHER_NS (20 * CELLO_SECOND / 1000)

/* After an early answer the rest of the request is read and dropped, so that the peer can read the
 * answer before a reset destroys it: this much at most, this long at most. */
#define CL_LINGER_BYTES ((size_t)1048576)
#define CL_LINGER_NS (2 * CELLO_SECOND)

/* A client that has ended its side may still read; but if it has to wait, it is taken to be gone
 * after this long. */
#define CL_EOF_GRACE_NS (500 * CELLO_SECOND / 1000)

/* A server that stops waits this long for the first request of a connection that it has accepted:
 * its client had no way to know, and would see a reset. */
#define CL_DRAIN_GRACE_NS (50 * CELLO_SECOND / 1000)

#endif
