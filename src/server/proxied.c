/* Connections that wait for what their proxy says of their client (net/proxy.h). They have the time
 * of a request's head. Then the stream shows the client as its peer, and goes on with whatever came
 * behind. */
#include "base/alloc.h"
#include "net/proxy.h"
#include "server/waiting.h"

_Static_assert((size_t)CL_PROXY_MAX < (size_t)CL_BLOCK_SIZE,
               "a stream that nobody has set up takes a whole head");

/* The head was `length` bytes of the input. */
static void go_on(struct cl_waiting *w, const struct cl_addr *client, size_t length) {
    struct cl_server *server = cl_waiting_server(w);
    struct cl_stream *s = cl_waiting_end(w);
    if (client->len)
        s->peer = *client;
    s->in->rd += length;
    if (cl_server_take_in(server, s) != CELLO_OK) {
        s->handler = &cl_server_no_protocol;
        cl_stream_close(s);
        cl_server_review_accepting(&server->worker);
    }
}

/* What comes instead of bytes (the end, an error, no memory) ends it: there is nobody to answer. */
static void on_recv(struct cl_stream *s, int result) {
    struct cl_addr client;
    size_t length;
    int err = result;
    if (result > 0)
        err = cl_proxy_parse(cl_str(cl_block_rd(s->in), cl_block_len(s->in)), &client, &length);
    if (err == CELLO_OK)
        go_on(cl_waiting_of(s), &client, length);
    else if (err != CELLO_EAGAIN)
        cl_waiting_close(cl_waiting_of(s));
}

/* Nothing is sent, and a closed one has another handler. */
static const struct cl_stream_handler stream_handler = {.on_recv = on_recv};

static bool is_trusted(const struct cl_server *s, const struct cl_addr *peer) {
    return (peer->len && peer->sa.sa_family == AF_UNIX) || cl_networks_have(s->proxies, peer);
}

int cl_server_await_proxy(struct cl_server *s, struct cl_stream *stream) {
    struct cl_waiting *w;
    return is_trusted(s, &stream->peer)
               ? cl_waiting_begin(s, stream, &stream_handler, s->worker.timeouts.read_header_ns, &w)
               : CELLO_EINVAL;
}

int cello_server_expect_proxy(struct cl_server *s, struct cl_str networks) {
    struct cl_networks *n = cl_calloc(1, sizeof *n);
    int err = n ? cl_networks_parse(n, networks) : CELLO_ENOMEM;
    if (err) {
        cl_free(n);
        return err;
    }
    cl_free(s->proxies);
    s->proxies = n;
    return CELLO_OK;
}

bool cello_networks_valid(struct cl_str networks) {
    struct cl_networks n;
    return cl_networks_parse(&n, networks) == CELLO_OK;
}
