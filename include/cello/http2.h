/* HTTP/2 (RFC 9113) of a server: what it tells its clients in SETTINGS, and the limits behind that.
 * Over TLS the client chooses it by ALPN; in clear (h2c) by beginning with its preface, which is
 * called prior knowledge. The Python class Http2Config carries the same names; SECURITY.md has the
 * table with the answers. */
#ifndef CELLO_HTTP2_H
#define CELLO_HTTP2_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/limits.h>

struct cl_server;

struct cello_http2_config {
    uint32_t max_concurrent_streams; /* requests of a connection at once; beyond: REFUSED_STREAM */
    uint32_t initial_window_size;    /* bytes of a body that come before somebody reads them */
    uint32_t max_frame_size;         /* bytes of a frame; beyond: FRAME_SIZE_ERROR */
    uint32_t max_header_list_size; /* bytes of a decoded header section, 32 more each field: 431 */
    uint64_t keepalive_ns; /* of silence, then a PING asks whether the client is there, and the
                              connection is closed when as much passes without a byte; 0: never */
    bool h2c;              /* also in clear */
};

#define CELLO_HTTP2_CONFIG_DEFAULT                                                                 \
    {                                                                                              \
        .max_concurrent_streams = 100, .initial_window_size = 1048576, .max_frame_size = 16384,    \
        .max_header_list_size = 16384, .keepalive_ns = 30 * CELLO_SECOND,                          \
    }

/* The smallest and largest values that SETTINGS can carry (RFC 9113, 6.5.2), and what a connection
 * may cost at most. */
enum {
    CELLO_HTTP2_MAX_STREAMS = 65535,
    CELLO_HTTP2_MIN_FRAME = 16384,
    CELLO_HTTP2_MAX_FRAME = 16777215,
};
#define CELLO_HTTP2_MAX_WINDOW 2147483647u

/* Speak HTTP/2 as cfg says; copied. Without this call a server speaks HTTP/1 only. Before the first
 * connection, and before cello_server_use_tls, which then offers it to clients. Errors:
 * CELLO_EINVAL (a value that SETTINGS cannot carry, no stream, no window), CELLO_ENOMEM. */
CELLO_API int cello_server_use_http2(struct cl_server *s, const struct cello_http2_config *cfg);

#endif
