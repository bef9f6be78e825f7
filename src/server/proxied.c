/* Connections that wait for what their proxy says of their client (net/proxy.h), before they become
 * connections of HTTP.
 *
 * Such a one is counted, may be closed for a newcomer and ends with a drain like any other that
 * waits for its first request; it has the time of a request's head. Then its stream shows the
 * client as its peer, and goes to HTTP with whatever came behind. */
#include "base/alloc.h"
#include "http1/conn.h"
#include "net/proxy.h"
#include "server/server_internal.h"

_Static_assert((size_t)CL_PROXY_MAX < (size_t)CL_BLOCK_SIZE,
               "a stream that nobody has set up takes a whole head");

struct proxied {
    struct cl_conn super;
    struct cl_timer timer;
};

static struct proxied *of_conn(struct cl_conn *c) {
    return CL_CONTAINER_OF(c, struct proxied, super);
}

/* The stream has no protocol afterwards. */
static struct cl_stream *leave(struct proxied *p) {
    struct cl_worker *w = p->super.worker;
    struct cl_stream *s = p->super.stream;
    cl_timer_stop(cl_loop_timers(w->loop), &p->timer);
    cl_conn_unlink(&p->super);
    s->protocol = NULL;
    s->handler = &cl_h1_stream_handler;
    cl_free(p);
    return s;
}

static void close_conn(struct cl_conn *c) {
    struct cl_worker *w = c->worker;
    cl_stream_close(leave(of_conn(c)));
    cl_server_review_accepting(w);
}

static void drain(struct cl_conn *c) {
    struct proxied *p = of_conn(c);
    uint64_t at = cl_loop_now_ns(c->worker->loop) + CL_DRAIN_GRACE_NS;
    if (at < p->timer.deadline_ns)
        cl_timer_set(cl_loop_timers(c->worker->loop), &p->timer, at);
}

static void on_timer(struct cl_timer *t) {
    close_conn(&CL_CONTAINER_OF(t, struct proxied, timer)->super);
}

/* It has no requests, so nothing else is asked of it. */
static const struct cl_conn_ops conn_ops = {
    .protocol = "PROXY",
    .drain = drain,
    .close = close_conn,
};

/* The head was `length` bytes of the input. */
static void become_http(struct proxied *p, const struct cl_addr *client, size_t length) {
    struct cl_server *server = CL_CONTAINER_OF(p->super.worker, struct cl_server, worker);
    struct cl_stream *s = leave(p);
    if (client->len)
        s->peer = *client;
    s->in->rd += length;
    size_t rest = cl_block_len(s->in);
    if (cl_server_take_in(server, s) != CELLO_OK) {
        cl_stream_close(s);
        cl_server_review_accepting(&server->worker);
    } else if (rest) {
        s->handler->on_recv(s, (int)rest);
    }
}

/* What comes instead of bytes (the end, an error, no memory) ends it: there is nobody to answer. */
static void on_recv(struct cl_stream *s, int result) {
    struct proxied *p = s->protocol;
    struct cl_addr client;
    size_t length;
    int err = result;
    if (result > 0)
        err = cl_proxy_parse(cl_str(cl_block_rd(s->in), cl_block_len(s->in)), &client, &length);
    if (err == CELLO_OK)
        become_http(p, &client, length);
    else if (err != CELLO_EAGAIN)
        close_conn(&p->super);
}

/* Nothing is sent, and a closed one has the handler of HTTP. */
static const struct cl_stream_handler stream_handler = {.on_recv = on_recv};

static bool is_trusted(const struct cl_server *s, const struct cl_addr *peer) {
    return (peer->len && peer->sa.sa_family == AF_UNIX) || cl_networks_have(s->proxies, peer);
}

int cl_server_await_proxy(struct cl_server *s, struct cl_stream *stream) {
    struct cl_worker *w = &s->worker;
    if (!is_trusted(s, &stream->peer))
        return CELLO_EINVAL;
    struct proxied *p = cl_calloc(1, sizeof *p);
    if (!p)
        return CELLO_ENOMEM;
    cl_conn_init(&p->super, &conn_ops, w, stream);
    cl_timer_init(&p->timer, on_timer);
    stream->protocol = p;
    stream->handler = &stream_handler;
    uint64_t ns = w->draining ? CL_DRAIN_GRACE_NS : w->timeouts.read_header_ns;
    if (ns)
        cl_timer_set(cl_loop_timers(w->loop), &p->timer, cl_loop_now_ns(w->loop) + ns);
    cl_conn_set_idle(&p->super, true);
    return CELLO_OK;
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
