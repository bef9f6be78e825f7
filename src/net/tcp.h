/* Streams over sockets: TCP and unix. */
#ifndef CL_NET_TCP_H
#define CL_NET_TCP_H

#include "net/stream.h"

/* Make a stream of a connected socket (from a listener's on_accept) and start receiving; the memory
 * comes from the loop's free list. The stream owns fd from now on, gives back its block and its own
 * memory after on_closed, and has `peer` filled in. Its in_max is one block's until the
 * protocol sets another.
 * Errors: CELLO_ENOMEM, CELLO_ESYS; fd is then still the caller's. */
int cl_tcp_open(struct cl_loop *l, int fd, const struct cl_stream_handler *handler, void *protocol,
                struct cl_stream **out) CL_MUST_USE;

#endif
