/* Connections that do not speak HTTP yet: they wait for what their proxy says, for the end of a
 * handshake, for the bytes that tell which protocol begins.
 *
 * Such a one is counted, may be closed for a newcomer and ends with a drain like any other that
 * waits for its first request; it has a time limit, whatever comes. It has no requests. */
#ifndef CL_SERVER_WAITING_H
#define CL_SERVER_WAITING_H

#include "server/server_internal.h"

struct cl_waiting {
    struct cl_conn super;
    struct cl_timer timer;
    bool counted; /* with the others of its address: cl_server_take_in did */
    bool plain;   /* no TLS is to follow */
};

/* `stream` has no protocol yet; its handler is told from now on, and finds this with
 * cl_waiting_of. limit_ns: 0: none. Errors: CELLO_ENOMEM; the stream is then still the caller's. */
int cl_waiting_begin(struct cl_server *s, struct cl_stream *stream,
                     const struct cl_stream_handler *handler, uint64_t limit_ns,
                     struct cl_waiting **out) CL_MUST_USE;
CL_INLINE struct cl_waiting *cl_waiting_of(const struct cl_stream *stream) {
    return stream->protocol;
}
CL_INLINE struct cl_server *cl_waiting_server(const struct cl_waiting *w) {
    return CL_CONTAINER_OF(w->super.worker, struct cl_server, worker);
}
/* It waits no more, and is gone: the stream, which is the caller's again, has no protocol. */
struct cl_stream *cl_waiting_end(struct cl_waiting *w);
/* It came to nothing. */
void cl_waiting_close(struct cl_waiting *w);

#endif
