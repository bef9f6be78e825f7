/* Clients in the same process: include/cello/connection.h, on the memory transport. */
#include <cello/connection.h>

#include "base/alloc.h"
#include "net/mem.h"
#include "server/server_internal.h"

struct cl_connection {
    struct cl_mem_peer super;
    struct cl_stream *stream;
    void (*on_ready)(void *ctx);
    void *ctx;
};

static void tell(struct cl_mem_peer *p) {
    struct cl_connection *c = CL_CONTAINER_OF(p, struct cl_connection, super);
    if (c->on_ready)
        c->on_ready(c->ctx);
}

static int open_stream(struct cl_server *s, const struct cl_addr *peer, struct cl_stream **out) {
    struct cl_stream *stream;
    int err = cl_mem_stream_new(s->worker.loop, &cl_server_no_protocol, NULL, &stream);
    if (err)
        return err;
    stream->peer = *peer;
    s->secured = true; /* it may be: cello_connection_secure */
    err = cl_server_begin(s, stream);
    if (err)
        cl_stream_close(stream);
    else
        *out = stream;
    return err;
}

int cello_server_connect(struct cl_server *s, const char *host, uint16_t port,
                         struct cl_connection **out) {
    struct cl_addr peer;
    int err = cl_addr_parse(&peer, host, port);
    if (err)
        return err;
    if (s->draining)
        return CELLO_ESTATE;
    if (!cl_server_make_room(s))
        return CELLO_ELIMIT;
    struct cl_connection *c = cl_calloc(1, sizeof *c);
    if (!c)
        return CELLO_ENOMEM;
    err = open_stream(s, &peer, &c->stream);
    if (err) {
        cl_free(c);
        return err;
    }
    c->super.on_ready = tell;
    cl_mem_attach(c->stream, &c->super, CELLO_CONNECTION_BUFFER_BYTES);
    *out = c;
    return CELLO_OK;
}

int cello_connection_send(struct cl_connection *c, struct cl_str bytes, size_t *sent) {
    return cl_mem_write(c->stream, bytes.ptr, bytes.len, sent);
}

void cello_connection_secure(struct cl_connection *c) {
    c->stream->secure = true;
}

void cello_connection_end(struct cl_connection *c) {
    cl_mem_write_end(c->stream);
}

int cello_connection_receive(struct cl_connection *c, char *to, size_t max, size_t *received) {
    return cl_mem_read(c->stream, to, max, received);
}

bool cello_connection_is_readable(const struct cl_connection *c) {
    return cl_mem_is_readable(c->stream);
}

void cello_connection_on_ready(struct cl_connection *c, void (*on_ready)(void *ctx), void *ctx) {
    c->on_ready = on_ready;
    c->ctx = ctx;
}

void cello_connection_close(struct cl_connection *c) {
    if (!c)
        return;
    cl_mem_release(c->stream);
    cl_free(c);
}
