/* Listening sockets: made, bound and ready for cl_listener_open. All are close-on-exec.
 *
 * Thread: any. Every function gives the descriptor in *fd, which the caller owns. */
#ifndef CL_NET_LISTEN_H
#define CL_NET_LISTEN_H

#include "net/addr.h"

/* TCP. `reuseport`: several sockets share the port, one for each worker. Without it a port in use
 * is an error. IPv6 addresses mean IPv6 only. Accepted connections inherit TCP_NODELAY.
 * Errors: CELLO_EINVAL (not an IP address), CELLO_ESYS (errno EADDRINUSE, EACCES, ...). */
int cl_listen_tcp(const struct cl_addr *addr, int backlog, bool reuseport, int *fd) CL_MUST_USE;

/* The same, bound but not listening yet: nobody can connect before listen(). */
int cl_bind_tcp(const struct cl_addr *addr, bool reuseport, int *fd) CL_MUST_USE;

/* A unix socket at `path` with the permissions `mode`. A socket file that nobody listens on any
 * more is replaced; one in use is an error, and so is a file that is no socket.
 * Errors: CELLO_EINVAL (empty or too long), CELLO_ESYS (errno EADDRINUSE, ENOTSOCK, ...). */
int cl_listen_unix(const char *path, unsigned mode, int backlog, int *fd) CL_MUST_USE;

/* What accepted connections are to inherit, of a socket that was made elsewhere (systemd's have no
 * TCP_NODELAY unless asked): or an answer in small pieces waits for acknowledgements that clients
 * hold back. Unix sockets stay as they are. */
void cl_listen_tune(int fd);

/* The address a socket is bound to: port 0 becomes the real one. Errors: CELLO_ESYS. */
int cl_listen_addr(int fd, struct cl_addr *addr) CL_MUST_USE;

#endif
