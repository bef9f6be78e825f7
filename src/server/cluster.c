/* A server as a worker: its sockets, its record, what its supervisor says. */
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "server/server_internal.h"

/* One writer, so that plain stores are enough. */
#define PUT(word, value) atomic_store_explicit(&(word), (value), memory_order_relaxed)

void cl_server_publish(struct cl_server *s) {
    struct cl_member *m = s->cluster->member;
    PUT(m->requests, s->requests);
    PUT(m->buffered_bytes, cl_loop_pool(s->worker.loop)->used);
    PUT(m->connections, s->worker.conn_count);
    PUT(m->inflight, s->worker.inflight);
}

/* ---- sockets ---- */

/* Of worker `id`; -1: the address has one for all. */
static int socket_of(const struct cl_worker_address *a, uint32_t id) {
    return a->count > id && a->count > 1 ? a->fds[id] : -1;
}

/* A server closes its own, while the cluster keeps all. */
static int copy_of(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static bool redirects(const struct cl_server *s, size_t address) {
    return s->last_redirects && address + 1 == s->cluster->inherited.address_count;
}

static int listen_at(struct cl_server *s, size_t address) {
    const struct cl_worker_address *a = &s->cluster->inherited.addresses[address];
    int own = socket_of(a, cello_cluster_worker_id(s->cluster));
    int copy = copy_of(own >= 0 ? own : a->fds[0]);
    bool shared = own < 0 && cello_cluster_workers(s->cluster) > 1;
    int err = copy < 0 ? CELLO_ESYS : cl_server_listen_own(s, copy, shared);
    if (!err)
        s->listeners[s->listener_count - 1].redirects = redirects(s, address);
    return err;
}

static int listen_on_all(struct cl_server *s) {
    int err = CELLO_OK;
    for (size_t i = 0; !err && i < s->cluster->inherited.address_count; i++)
        err = listen_at(s, i);
    return err;
}

static void adopt_sockets(struct cl_server *s, uint32_t id) {
    const struct cl_worker_text *t = &s->cluster->inherited;
    if (s->draining || id == cello_cluster_worker_id(s->cluster))
        return;
    cl_server_release(s, id); /* told twice: once is enough */
    for (size_t i = 0; i < t->address_count; i++) {
        int fd = socket_of(&t->addresses[i], id);
        int copy = fd >= 0 ? copy_of(fd) : -1;
        if (fd < 0 || (copy >= 0 && cl_server_adopt(s, copy, id, redirects(s, i)) == CELLO_OK))
            continue;
        if (copy >= 0)
            close(copy);
        cl_log(CL_LOG_WARNING, "cannot accept for worker %u until it is back", id);
    }
}

/* ---- what the supervisor says ---- */

static void obey(struct cl_server *s, const struct cl_control *m) {
    switch (m->kind) {
    case CL_CONTROL_STOP: cello_server_stop(s, m->ns); break;
    case CL_CONTROL_RETIRE: cello_server_retire(s, m->ns); break;
    case CL_CONTROL_ADOPT: adopt_sockets(s, m->value); break;
    case CL_CONTROL_RELEASE: cl_server_release(s, m->value); break;
    case CL_CONTROL_LOOK: cl_server_look(s); break;
    case CL_CONTROL_REOPEN: cello_server_reopen_log(s); break;
    default: break;
    }
}

void cl_server_leave_to_others(const struct cl_server *s) {
    if (s->cluster && s->cluster->is_worker && cl_cluster_send(s->cluster, CL_CONTROL_LOOK))
        cl_log(CL_LOG_DEBUG, "the supervisor is gone"); /* as on_packets hears, too */
}

static void on_packets(void *ctx) {
    struct cl_server *s = ctx;
    struct cl_control m;
    int err;
    while ((err = cl_cluster_receive(s->cluster, &m)) == CELLO_OK)
        obey(s, &m);
    if (err != CELLO_EOF)
        return;
    cello_server_unwatch(s->control); /* it would stay readable */
    s->control = NULL;
    cl_log(CL_LOG_WARNING, "the supervisor is gone; this worker ends");
    cello_server_stop(s, s->orphan_drain_ns);
}

static void begin_log(struct cl_server *s) {
    if (s->log)
        cl_access_log_set_worker(s->log, cello_cluster_worker_id(s->cluster));
    if (s->cluster->moved_logs)
        cello_server_reopen_log(s);
}

int cello_cluster_serve(struct cl_cluster *c, struct cl_server *s, uint64_t orphan_drain_ns) {
    s->cluster = c;
    s->orphan_drain_ns = orphan_drain_ns;
    int err = CELLO_OK;
    if (c->is_worker)
        err = cello_server_watch(s, &s->control, c->inherited.control, on_packets, s);
    if (!err && c->is_worker)
        err = listen_on_all(s);
    if (err) {
        cello_cluster_leave(c, s);
        return err;
    }
    cl_loop_set_heartbeat(s->worker.loop, &c->member->busy_since_ns);
    begin_log(s);
    atomic_store(&c->member->state, (uint32_t)CL_MEMBER_READY);
    err = c->is_worker ? cl_cluster_send(c, CL_CONTROL_READY) : CELLO_OK;
    if (err)
        cello_cluster_leave(c, s);
    return err;
}

void cello_cluster_leave(struct cl_cluster *c, struct cl_server *s) {
    if (!c || s->cluster != c)
        return;
    cello_server_unwatch(s->control);
    s->control = NULL;
    cl_loop_set_heartbeat(s->worker.loop, NULL);
    PUT(c->member->busy_since_ns, 0);
    cl_server_publish(s);
    s->cluster = NULL;
}
