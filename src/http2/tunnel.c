/* Extended CONNECT (RFC 8441): a stream whose sides both talk as they like. How a protocol takes
 * one over stands in conn.h; here is what makes it differ from other exchanges.
 *
 * The limits of bodies do not hold: size, rate, silence. Those of connections do: what the client
 * does not read (write_ns), signs of life (keepalive_ns), the end of a drain.
 *
 * The end of one side is not the end of the other. `half`: ours is sent, and the request stays with
 * the connection until the client's has come, or until nobody is there to read it. */
#include "http2/conn_internal.h"

/* How often it is asked whether somebody still reads what the client says. */
#define HALF_NS CL_LINGER_NS

bool cl_h2_tunnel_answered(struct cl_h2_stream *st) {
    struct cl_response *s = &st->req->response;
    if (s->status / 100 == 2) {
        s->has_length = false; /* RFC 9110, 8.6 */
        return true;
    }
    st->tunnel = false;
    cl_h2_body_discard(st);
    return false;
}

/* Only the connection has the request left. */
static bool is_unheard(const struct cl_h2_stream *st) {
    return st->discard || st->req->refs == 1;
}

static void watch_half(struct cl_h2_stream *st) {
    cl_timer_set(cl_h2_timers(st->conn), &st->timer, cl_h2_now(st->conn) + HALF_NS);
}

void cl_h2_tunnel_said(struct cl_h2_stream *st) {
    if (!st->lent)
        cl_response_end_body(st->req);
    if (!st->body_pending) {
        cl_h2_tunnel_complete(st);
    } else if (is_unheard(st)) {
        cl_h2_end_request(st);
    } else {
        st->half = true;
        watch_half(st);
    }
}

void cl_h2_tunnel_complete(struct cl_h2_stream *st) {
    struct cl_h2 *c = st->conn;
    struct cl_request *r = st->req;
    if (!r->body_end)
        r->body_end = CELLO_EOF;
    size_t waiting = cl_h2_body_waiting(st);
    if (waiting) {
        if (nghttp2_session_consume_connection(c->session, waiting))
            c->doom = NGHTTP2_INTERNAL_ERROR;
        cl_request_leave_rest(r, st->in);
        st->in = NULL;
    }
    cl_h2_end_request(st);
}

void cl_h2_tunnel_timeout(struct cl_h2_stream *st) {
    if (!st->half)
        cl_h2_stalled(st);
    else if (is_unheard(st))
        cl_h2_end_request(st);
    else
        watch_half(st);
}

void cl_h2_tunnel_trailers(struct cl_h2_stream *st) {
    cl_h2_reset(st, NGHTTP2_PROTOCOL_ERROR);
    st->blameless = false;
}
