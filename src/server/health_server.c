/* The listener for health: a server of this library with native handlers, on a thread of its own.
 * It reads the records of workers and nothing else, so that nothing they do can hold it up. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cluster/stacks.h"
#include "http/response.h"
#include "server/health.h"
#include "server/health_view.h"
#include "json/writer.h"

enum { PATH_MAX_BYTES = 256, ANSWER_HINT = 512, RETRY_MS = 200 };
enum { UNIX_MODE = 0600 }; /* nobody else should reach it */

enum page { PAGE_LIVE, PAGE_READY, PAGE_STARTUP, PAGE_WORKERS, PAGES };
static const char *const NAMES[PAGES] = {"live", "ready", "startup", "workers"};

struct endpoint {
    struct cello_handler super;
    struct cello_health_server *owner;
    enum page page;
};

struct cello_health_server {
    struct cl_server *server;
    const struct cl_members *members;
    uint32_t records; /* in `members` */
    uint64_t heartbeat_ns;
    bool has_started; /* some worker has served; the server's thread */
    char *host;       /* of the address; NULL: a unix socket at `path` */
    char *path;
    uint16_t port;
    atomic_bool ending;
    atomic_bool listening;
    bool has_thread;
    pthread_t thread;
    struct endpoint endpoints[PAGES];
};

/* ---- answers ---- */

static void put_seconds(struct cl_json_writer *w, struct cl_str key, uint64_t ns) {
    cl_json_writer_key(w, key);
    cl_json_writer_double(w, (double)(ns / CL_NS_PER_MS) / 1e3);
}

static void put_count(struct cl_json_writer *w, struct cl_str key, uint64_t n) {
    cl_json_writer_key(w, key);
    cl_json_writer_uint(w, n);
}

static struct cl_str state_of(uint32_t state) {
    switch (state) {
    case CL_MEMBER_READY: return CL_STR("ready");
    case CL_MEMBER_DRAINING: return CL_STR("draining");
    default: return CL_STR("starting");
    }
}

static void put_checks(struct cl_json_writer *w, const struct cl_member *m, uint64_t now_ns) {
    uint64_t at_ns = atomic_load(&m->checked_ns);
    cl_json_writer_key(w, CL_STR("checks"));
    cl_json_writer_begin_object(w);
    put_count(w, CL_STR("count"), atomic_load(&m->checks));
    put_count(w, CL_STR("failing"), atomic_load(&m->failing));
    put_seconds(w, CL_STR("age"), now_ns > at_ns ? now_ns - at_ns : 0);
    cl_json_writer_end_object(w);
}

static void put_worker(struct cl_json_writer *w, const struct cello_health_server *h,
                       const struct cl_member *m, uint32_t state, uint64_t now_ns) {
    uint64_t started_ns = atomic_load(&m->started_ns);
    cl_json_writer_begin_object(w);
    put_count(w, CL_STR("id"), atomic_load(&m->worker_id));
    put_count(w, CL_STR("pid"), (uint32_t)atomic_load(&m->pid));
    cl_json_writer_key(w, CL_STR("state"));
    cl_json_writer_string(w, state_of(state));
    cl_json_writer_key(w, CL_STR("hung"));
    cl_json_writer_bool(w, cl_member_is_hung(m, h->heartbeat_ns, now_ns));
    put_seconds(w, CL_STR("uptime"), now_ns > started_ns ? now_ns - started_ns : 0);
    put_seconds(w, CL_STR("busy"), cl_member_busy_ns(m, now_ns));
    put_count(w, CL_STR("requests"), atomic_load(&m->requests));
    put_count(w, CL_STR("connections"), atomic_load(&m->connections));
    put_count(w, CL_STR("inflight"), atomic_load(&m->inflight));
    put_count(w, CL_STR("buffered_bytes"), atomic_load(&m->buffered_bytes));
    if (atomic_load(&m->checks))
        put_checks(w, m, now_ns);
    cl_json_writer_end_object(w);
}

static void put_workers(struct cl_json_writer *w, const struct cello_health_server *h,
                        uint64_t now_ns) {
    cl_json_writer_key(w, CL_STR("workers"));
    cl_json_writer_begin_array(w);
    for (uint32_t i = 0; i < h->records; i++) {
        uint32_t state = atomic_load(&h->members->at[i].state);
        if (state != CL_MEMBER_FREE)
            put_worker(w, h, &h->members->at[i], state, now_ns);
    }
    cl_json_writer_end_array(w);
}

static struct cl_str status_of(const struct cl_health_view *v, enum page page, bool good) {
    if (good)
        return CL_STR("ok");
    if (page == PAGE_STARTUP)
        return CL_STR("starting");
    if (v->stopping && page == PAGE_READY)
        return CL_STR("stopping");
    return v->serving && v->hung == v->serving ? CL_STR("hung") : CL_STR("not ready");
}

static bool is_good(const struct cello_health_server *h, const struct cl_health_view *v,
                    enum page page) {
    switch (page) {
    case PAGE_LIVE: return cl_health_is_live(v);
    case PAGE_READY: return cl_health_is_ready(v);
    case PAGE_STARTUP: return h->has_started;
    default: return true;
    }
}

static void on_request(const struct cello_handler *handler, struct cl_request *r) {
    const struct endpoint *e = CL_CONTAINER_OF(handler, struct endpoint, super);
    struct cello_health_server *h = e->owner;
    uint64_t now_ns = cl_now_ns();
    struct cl_health_view view;
    cl_health_view(&view, h->members, h->records, h->heartbeat_ns, now_ns);
    h->has_started = h->has_started || view.serving;
    bool good = is_good(h, &view, e->page);
    cl_health_head(r, good ? 200 : 503);
    struct cl_sink *sink = cl_response_sink(r, ANSWER_HINT);
    if (!sink) {
        cl_respond_empty(r);
        return;
    }
    struct cl_json_writer w;
    cl_json_writer_init(&w, sink);
    cl_json_writer_begin_object(&w);
    if (e->page == PAGE_WORKERS) {
        put_workers(&w, h, now_ns);
    } else {
        cl_json_writer_key(&w, CL_STR("status"));
        cl_json_writer_string(&w, status_of(&view, e->page, good));
        put_count(&w, CL_STR("serving"), view.serving);
        put_count(&w, CL_STR("ready"), view.ready);
        put_count(&w, CL_STR("hung"), view.hung);
    }
    cl_json_writer_end_object(&w);
    if (cl_json_writer_finish(&w) == CELLO_OK) {
        cl_respond_sink(r);
        return;
    }
    cl_response_sink_drop(r);
    cl_respond_problem(r, 503, CL_STR("There is no memory for the answer."));
}

/* ---- the thread ---- */

static int listen_now(struct cello_health_server *h) {
    int err = h->host ? cello_server_listen(h->server, h->host, h->port)
                      : cello_server_listen_unix(h->server, h->path, UNIX_MODE);
    if (!err)
        atomic_store(&h->listening, true);
    return err;
}

static bool is_taken(int err) {
    return err == CELLO_ESYS && errno == EADDRINUSE;
}

static void *serve(void *arg) {
    struct cello_health_server *h = arg;
    const struct timespec pause = {.tv_nsec = RETRY_MS * (long)CL_NS_PER_MS};
    while (!atomic_load(&h->listening) && !atomic_load(&h->ending)) {
        int err = listen_now(h);
        if (err && !is_taken(err))
            cl_log(CL_LOG_ERROR, "health endpoints: %s", cello_strerror(err));
        if (err)
            nanosleep(&pause, NULL);
    }
    int err = cello_server_run(h->server);
    if (err)
        cl_log(CL_LOG_ERROR, "health endpoints ended: %s", cello_strerror(err));
    return NULL;
}

/* No signal of the program's comes to it but faults and the question for its stack. */
static int start_thread(struct cello_health_server *h) {
    sigset_t mask, before;
    sigfillset(&mask);
    const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, CL_STACKS_SIGNAL};
    for (size_t i = 0; i < CL_ARRAY_LEN(kept); i++)
        sigdelset(&mask, kept[i]);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    int failed = pthread_create(&h->thread, NULL, serve, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        errno = failed;
        return CELLO_ESYS;
    }
    h->has_thread = true;
    return CELLO_OK;
}

/* ---- made and gone ---- */

static int parse_address(struct cello_health_server *h, const char *address) {
    if (strncmp(address, "unix:", 5) == 0) {
        h->path = cl_strndup(address + 5, strlen(address + 5));
        return h->path ? CELLO_OK : CELLO_ENOMEM;
    }
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1])
        return CELLO_EINVAL;
    char *end;
    errno = 0;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || errno || port > UINT16_MAX || colon[1] < '0' || colon[1] > '9')
        return CELLO_EINVAL;
    h->port = (uint16_t)port;
    h->host = cl_strndup(address, (size_t)(colon - address));
    return h->host ? CELLO_OK : CELLO_ENOMEM;
}

static int add_routes(struct cello_health_server *h, struct cl_app *app, const char *prefix) {
    size_t n = strlen(prefix);
    if (n > PATH_MAX_BYTES || prefix[0] != '/')
        return CELLO_EINVAL;
    for (int i = 0; i < PAGES; i++) {
        char path[PATH_MAX_BYTES + 16], why[128];
        memcpy(path, prefix, n);
        path[n] = '/';
        memcpy(path + n + 1, NAMES[i], strlen(NAMES[i]) + 1);
        h->endpoints[i] = (struct endpoint){
            .super = {.on_request = on_request}, .owner = h, .page = (enum page)i};
        const struct cello_route route = {.methods = CELLO_GET | CELLO_HEAD,
                                          .path = {path, strlen(path)},
                                          .handler = &h->endpoints[i].super};
        int err = cello_app_route(app, &route, why, sizeof why);
        if (err)
            return err;
    }
    return CELLO_OK;
}

/* For probes: few connections, small heads, no bodies. */
static int make_server(struct cello_health_server *h, const char *prefix) {
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    cfg.backend = CELLO_BACKEND_EPOLL;
    cfg.limits.max_connections = 64;
    cfg.limits.max_header_size = 4096;
    cfg.limits.max_headers = 32;
    cfg.limits.max_uri = 512;
    cfg.limits.max_body_size = 1024;
    cfg.limits.max_buffered_bytes = (size_t)4 << 20;
    cfg.timeouts.idle_ns = 15 * CELLO_SECOND;
    struct cl_app *app = cello_app_new();
    if (!app)
        return CELLO_ENOMEM;
    int err = add_routes(h, app, prefix);
    if (!err)
        err = cello_server_new(&h->server, app, &cfg);
    cello_app_del(app);
    return err;
}

int cello_health_serve(struct cello_health_server **out, const struct cello_health_config *cfg) {
    struct cello_health_server *h = cl_calloc(1, sizeof *h);
    if (!h)
        return CELLO_ENOMEM;
    h->members = cl_members_of(cfg->segment, 0);
    h->records = h->members ? h->members->count : 0;
    h->heartbeat_ns = cfg->heartbeat_ns;
    int err = h->members ? parse_address(h, cfg->address) : CELLO_EINVAL;
    if (!err)
        err = make_server(h, cfg->path);
    if (!err)
        err = listen_now(h);
    if (cfg->waits && is_taken(err)) {
        cl_log(CL_LOG_WARNING, "health endpoints wait until %s is free", cfg->address);
        err = CELLO_OK;
    }
    if (!err)
        err = start_thread(h);
    if (!err) {
        *out = h;
        return CELLO_OK;
    }
    int saved = errno;
    cello_health_end(h);
    errno = saved;
    return err;
}

int cello_health_address(struct cello_health_server *h, char host[128], uint16_t *port) {
    if (!atomic_load(&h->listening))
        return CELLO_EAGAIN;
    cello_server_address(h->server, 0, host, port);
    return CELLO_OK;
}

void cello_health_end(struct cello_health_server *h) {
    if (!h)
        return;
    atomic_store(&h->ending, true);
    if (h->has_thread) {
        cello_server_stop(h->server, 0);
        pthread_join(h->thread, NULL);
    }
    cello_server_del(h->server);
    cl_free(h->host);
    cl_free(h->path);
    cl_free(h);
}
