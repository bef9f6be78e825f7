#include "cluster/member.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cluster/identity.h"
#include "store/store.h"

/* How often a worker looks whether another one has run what comes before all. */
#define START_POLL_NS (20 * CL_NS_PER_MS)

/* ---- made and gone ---- */

static int find_record(struct cl_cluster *c) {
    c->members = cl_members_of(c->segment, c->is_worker ? 0 : 1);
    if (!c->members || c->inherited.record >= c->members->count)
        return CELLO_EINVAL;
    c->member = &c->members->at[c->inherited.record];
    return atomic_load(&c->member->worker_id) < c->members->workers ? CELLO_OK : CELLO_EINVAL;
}

/* Programs that the worker starts are no workers. */
static int keep_to_ourselves(const struct cl_worker_text *t) {
    int type;
    socklen_t size = sizeof type;
    if (getsockopt(t->control, SOL_SOCKET, SO_TYPE, &type, &size))
        return CELLO_ESYS;
    if (type != SOCK_SEQPACKET)
        return CELLO_EINVAL;
    if (fcntl(t->control, F_SETFD, FD_CLOEXEC))
        return CELLO_ESYS;
    for (size_t i = 0; i < t->fd_count; i++)
        if (fcntl(t->fds[i], F_SETFD, FD_CLOEXEC))
            return CELLO_ESYS;
    return CELLO_OK;
}

/* An address has one socket for all workers, or one for each. */
static bool has_sockets(const struct cl_cluster *c) {
    const struct cl_worker_text *t = &c->inherited;
    for (size_t i = 0; i < t->address_count; i++)
        if (t->addresses[i].count != 1 && t->addresses[i].count != c->members->workers)
            return false;
    return true;
}

int cello_cluster_join(struct cl_cluster **out, const char *text) {
    struct cl_cluster *c = cl_calloc(1, sizeof *c);
    if (!c)
        return CELLO_ENOMEM;
    c->is_worker = true;
    int err = cl_worker_text_parse(&c->inherited, text);
    if (!err)
        err = keep_to_ourselves(&c->inherited);
    if (!err)
        err = cl_segment_attach(&c->segment, c->inherited.segment);
    if (err)
        goto fail;
    err = find_record(c);
    if (!err && !has_sockets(c))
        err = CELLO_EINVAL;
    if (err)
        goto fail;
    cl_store_keep_descriptors(c->segment, false);
    c->waits = cello_cluster_worker_id(c) == 0;
    *out = c;
    return CELLO_OK;

fail:
    cl_segment_del(c->segment);
    cl_free(c->inherited.fds);
    cl_free(c);
    return err;
}

static int make_segment(struct cl_cluster *c, const struct cello_store_config *store) {
    size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = cl_members_size(1)};
    uint32_t records = 2; /* of one worker */
    int err = cl_store_sizes(store, records, sizes);
    if (!err)
        err = cl_segment_new(&c->segment, sizes);
    if (!err)
        err = cl_store_make(c->segment, store, records);
    return err;
}

int cello_cluster_alone(struct cl_cluster **out, const struct cello_store_config *store) {
    static const struct cello_store_config standard;
    struct cl_cluster *c = cl_calloc(1, sizeof *c);
    if (!c)
        return CELLO_ENOMEM;
    int err = make_segment(c, store ? store : &standard);
    if (err) {
        cl_segment_del(c->segment);
        cl_free(c);
        return err;
    }
    err = find_record(c);
    assert(!err);
    atomic_store(&c->member->pid, (int32_t)getpid());
    atomic_store(&c->member->started_ns, cl_now_ns());
    atomic_store(&c->member->state, (uint32_t)CL_MEMBER_STARTING);
    *out = c;
    return CELLO_OK;
}

void cello_cluster_del(struct cl_cluster *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->inherited.fd_count; i++)
        close(c->inherited.fds[i]);
    if (c->is_worker)
        close(c->inherited.control);
    cl_store_close_descriptors(c->segment);
    cl_segment_del(c->segment);
    cl_free(c->inherited.fds);
    cl_free(c);
}

/* ---- who it is ---- */

bool cello_cluster_is_worker(const struct cl_cluster *c) {
    return c->is_worker;
}

uint32_t cello_cluster_worker_id(const struct cl_cluster *c) {
    return atomic_load_explicit(&c->member->worker_id, memory_order_relaxed);
}

uint32_t cello_cluster_workers(const struct cl_cluster *c) {
    return c->members->workers;
}

uint32_t cello_cluster_record(const struct cl_cluster *c) {
    return c->inherited.record;
}

struct cl_segment *cello_cluster_segment(const struct cl_cluster *c) {
    return c->segment;
}

/* ---- packets ---- */

static void take_note(struct cl_cluster *c, const struct cl_control *m) {
    if (m->kind == CL_CONTROL_RETIRE)
        c->retired = true;
    if (m->kind == CL_CONTROL_REOPEN)
        c->moved_logs = true;
    if (m->kind == CL_CONTROL_STOP || m->kind == CL_CONTROL_RETIRE) {
        c->ending = true;
        c->waits = c->waits || m->value == 1;
    }
}

int cl_cluster_receive(struct cl_cluster *c, struct cl_control *m) {
    ssize_t n;
    do {
        n = recv(c->inherited.control, m, sizeof *m, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return CELLO_EAGAIN;
    if (n <= 0) {
        c->ending = true;
        return CELLO_EOF;
    }
    if ((size_t)n < sizeof *m)
        *m = (struct cl_control){0};
    take_note(c, m);
    return CELLO_OK;
}

int cl_cluster_send(struct cl_cluster *c, enum cl_control_kind kind) {
    const struct cl_control m = {.kind = (uint32_t)kind};
    ssize_t n;
    do {
        n = send(c->inherited.control, &m, sizeof m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return CELLO_OK;
    return errno == EPIPE || errno == ECONNRESET ? CELLO_EOF : CELLO_ESYS;
}

/* Until a packet may have come. */
static void wait_packet(const struct cl_cluster *c, uint64_t timeout_ns) {
    uint64_t ms = (timeout_ns + CL_NS_PER_MS - 1) / CL_NS_PER_MS;
    (void)poll(&(struct pollfd){.fd = c->inherited.control, .events = POLLIN}, 1,
               (int)CL_MIN(ms, (uint64_t)INT32_MAX));
}

/* ---- what runs once for all ---- */

static bool has_started(const struct cl_cluster *c) {
    return atomic_load(&c->members->cluster_started) != 0;
}

bool cello_cluster_starts(const struct cl_cluster *c) {
    return cello_cluster_worker_id(c) == 0 && !has_started(c);
}

void cello_cluster_started(struct cl_cluster *c) {
    atomic_store(&c->members->cluster_started, 1);
}

int cello_cluster_await_start(struct cl_cluster *c, uint64_t timeout_ns) {
    uint64_t until_ns = cl_now_ns() + timeout_ns;
    while (!has_started(c)) {
        struct cl_control m;
        while (c->is_worker && !c->ending && cl_cluster_receive(c, &m) == CELLO_OK) {
        }
        uint64_t now_ns = cl_now_ns();
        if (c->ending)
            return CELLO_ECANCELED;
        if (!c->is_worker || now_ns >= until_ns)
            return CELLO_EAGAIN;
        wait_packet(c, CL_MIN(until_ns - now_ns, START_POLL_NS));
    }
    return CELLO_OK;
}

static void say_ended(struct cl_cluster *c) {
    if (c->said_ended)
        return;
    c->said_ended = true;
    if (!c->ending) /* by itself: the supervisor starts another one */
        c->retired = true;
    if (cl_cluster_send(c, CL_CONTROL_ENDED))
        c->ending = true; /* it is gone, as receiving shows */
}

int cello_cluster_await_end(struct cl_cluster *c, uint64_t timeout_ns) {
    if (!c->is_worker)
        return CELLO_OK;
    say_ended(c);
    if (!c->waits)
        return CELLO_ECANCELED;
    uint64_t until_ns = cl_now_ns() + timeout_ns;
    for (;;) {
        struct cl_control m;
        int err = cl_cluster_receive(c, &m);
        if (err == CELLO_OK && m.kind == CL_CONTROL_LAST)
            return CELLO_OK;
        if (err == CELLO_EOF)
            return c->retired ? CELLO_ECANCELED : CELLO_OK;
        uint64_t now_ns = cl_now_ns();
        if (err == CELLO_EAGAIN && now_ns >= until_ns)
            return CELLO_EAGAIN;
        if (err == CELLO_EAGAIN)
            wait_packet(c, until_ns - now_ns);
    }
}

void cello_cluster_announce_stop(struct cl_cluster *c) {
    atomic_store(&c->members->stopping, 1);
}

int cello_identity_take(const char *user, const char *group, char why[160]) {
    _Static_assert(CL_IDENTITY_ERROR_MAX == 160, "the public header says 160");
    struct cl_identity id;
    int err = cl_identity_find(&id, user, group, why);
    return err ? err : cl_identity_take(&id, why);
}
