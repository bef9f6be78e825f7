/* Which protocol a connection speaks, once its stream carries what its client sends. */
#include "http1/conn.h"
#include "server/server_internal.h"

/* What has come before goes first. The stream may be closed afterwards. */
static int open_http1(struct cl_server *s, struct cl_stream *stream) {
    int err = cl_h1_open(&s->worker, stream);
    if (err)
        return err;
    stream->handler = &cl_h1_stream_handler;
    size_t waiting = stream->in ? cl_block_len(stream->in) : 0;
    if (waiting)
        stream->handler->on_recv(stream, (int)waiting);
    return CELLO_OK;
}

int cl_server_open_protocol(struct cl_server *s, struct cl_stream *stream) {
    return open_http1(s, stream);
}
