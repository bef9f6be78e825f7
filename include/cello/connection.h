/* A client in the same process: a connection to a server without a port, for tests and for programs
 * that ask themselves. The bytes are those that a socket would carry, and the engine treats the
 * connection like any other: the same limits on connections and sizes, the same time limits, and
 * stopping waits for it.
 *
 *      cello_server_connect(server, "127.0.0.1", 50000, &c);
 *      cello_connection_send(c, request, &sent);
 *      cello_server_turn(server, timeout_ns);              until there is an answer
 *      cello_connection_receive(c, buffer, sizeof buffer, &received);
 *
 * Nothing is served before the server's next turn. Thread: the one that turns the server. */
#ifndef CELLO_CONNECTION_H
#define CELLO_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_server;
struct cl_connection;

/* What waits in each direction at most, as in a socket's buffers. */
enum { CELLO_CONNECTION_BUFFER_BYTES = 262144 };

/* `host` and `port` are the client's: what requests show as their peer. The caller closes *out,
 * which may outlive the server. Errors: CELLO_ELIMIT (as many connections as the server takes, or
 * takes of this address), CELLO_ESTATE (the server is stopping), CELLO_ENOMEM; CELLO_EINVAL and
 * CELLO_ENOENT (host). */
CELLO_API int cello_server_connect(struct cl_server *s, const char *host, uint16_t port,
                                   struct cl_connection **out);
/* *sent: how many bytes there was room for; 0 until the server has read some. Errors: CELLO_ENOMEM;
 * CELLO_ESYS with errno EPIPE: the server has closed, or cello_connection_end was called. */
CELLO_API int cello_connection_send(struct cl_connection *c, struct cl_str bytes, size_t *sent);
/* Requests that are sent from now on count as secure, as over TLS. */
CELLO_API void cello_connection_secure(struct cl_connection *c);
/* Nothing more is sent; answers still come. */
CELLO_API void cello_connection_end(struct cl_connection *c);
/* *received: at most `max` bytes. Errors: CELLO_EAGAIN: none have come; CELLO_EOF: none will;
 * CELLO_ESYS with errno ECONNRESET: the server gave the connection up. */
CELLO_API int cello_connection_receive(struct cl_connection *c, char *to, size_t max,
                                       size_t *received);
/* Whether cello_connection_receive would say something else than CELLO_EAGAIN. */
CELLO_API bool cello_connection_is_readable(const struct cl_connection *c);
/* on_ready(ctx) is called within a turn when more can be received or sent than before, or the
 * connection ended. It may call nothing of the server or the connection. NULL: no more. */
CELLO_API void cello_connection_on_ready(struct cl_connection *c, void (*on_ready)(void *ctx),
                                         void *ctx);
/* Hangs up; the connection's memory goes. NULL is ignored. */
CELLO_API void cello_connection_close(struct cl_connection *c);

#endif
