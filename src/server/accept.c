/* Connections: taken in, counted, turned away. */
#include <unistd.h>

#include "base/log.h"
#include "net/tcp.h"
#include "server/server_internal.h"

static void set_accepting(struct cl_server *s, bool on) {
    if (s->accepting_paused == !on)
        return;
    s->accepting_paused = !on;
    for (struct cl_server_listener *l = s->open; l; l = l->next) {
        if (on)
            cl_listener_resume(&l->super);
        else
            cl_listener_pause(&l->super);
    }
}

/* From when on there is room for a newcomer: at the limit, when the longest idle connection may be
 * closed; UINT64_MAX while none is idle. */
static uint64_t room_at(const struct cl_worker *w) {
    if (!cl_worker_is_full(w))
        return 0;
    const struct cl_conn *oldest = w->idle.idle_next;
    return oldest == &w->idle ? UINT64_MAX : oldest->idle_since_ns + CL_IDLE_GRACE_NS;
}

/* At the limit new clients go before idle ones. When none is idle for long they wait in the kernel;
 * the few that it had handed over before accepting was paused find no room. */
bool cl_server_make_room(struct cl_server *s) {
    struct cl_worker *w = &s->worker;
    if (room_at(w) > cl_loop_now_ns(w->loop))
        return false;
    if (cl_worker_is_full(w))
        w->idle.idle_next->ops->close(w->idle.idle_next);
    return true;
}

int cl_server_take_in(struct cl_server *s, struct cl_stream *stream) {
    uint32_t per_ip = s->worker.limits.max_connections_per_ip;
    int err = per_ip ? cl_ip_table_add(&s->per_ip, &stream->peer, per_ip) : CELLO_OK;
    if (err)
        return err;
    err = cl_server_open_protocol(s, stream);
    if (err)
        cl_server_leave(s, stream);
    return err;
}

void cl_server_leave(struct cl_server *s, const struct cl_stream *stream) {
    if (s->worker.limits.max_connections_per_ip)
        cl_ip_table_remove(&s->per_ip, &stream->peer);
}

int cl_server_begin(struct cl_server *s, struct cl_stream *stream) {
    return s->proxies ? cl_server_await_proxy(s, stream) : cl_server_take_in(s, stream);
}

/* Of a stream that becomes no connection. */
static void ignore_closed(struct cl_stream *stream) {
    (void)stream;
}

const struct cl_stream_handler cl_server_no_protocol = {.on_closed = ignore_closed};

void cl_server_on_accept(struct cl_listener *l, int fd) {
    const struct cl_server_listener *listener =
        CL_CONTAINER_OF(l, struct cl_server_listener, super);
    struct cl_server *s = listener->server;
    struct cl_stream *stream;
    /* While draining: one that the kernel had taken in before the listener was closed. */
    if (s->overdue || !cl_server_make_room(s) ||
        cl_tcp_open(s->worker.loop, fd, &cl_server_no_protocol, NULL, &stream) != CELLO_OK) {
        close(fd);
        return;
    }
    stream->redirected = listener->redirects;
    if (cl_server_begin(s, stream) != CELLO_OK)
        cl_stream_close(stream);
    if (CL_UNLIKELY(listener->closing) && cl_worker_is_full(&s->worker))
        cl_listener_pause(l); /* others who share the socket may have room */
}

void cl_server_on_conn_closed(struct cl_worker *w, struct cl_conn *c) {
    cl_server_leave(CL_CONTAINER_OF(w, struct cl_server, worker), c->stream);
    cl_server_review_accepting(w);
}

void cl_server_review_accepting(struct cl_worker *w) {
    struct cl_server *s = CL_CONTAINER_OF(w, struct cl_server, worker);
    if (s->draining)
        return;
    uint64_t at = room_at(w);
    bool room = at <= cl_loop_now_ns(w->loop);
    if (!room)
        cl_timer_set(cl_loop_timers(w->loop), &s->accept_timer, at);
    set_accepting(s, room);
}

void cl_server_on_accept_timer(struct cl_timer *t) {
    cl_server_review_accepting(&CL_CONTAINER_OF(t, struct cl_server, accept_timer)->worker);
}
