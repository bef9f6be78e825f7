/* A server: one application served by one worker, which is one loop on one thread. Nothing is per
 * process: any number of servers may live side by side.
 *
 * Thread: the one that runs it; any for cello_server_stop, cello_server_wake, cello_server_stats,
 * and once it listens for cello_server_address_count and cello_server_address. */
#ifndef CELLO_SERVER_H
#define CELLO_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/limits.h>
#include <cello/post.h>
#include <cello/str.h>

struct cl_app;
struct cl_request;
struct cl_server;

enum cello_backend { CELLO_BACKEND_AUTO, CELLO_BACKEND_EPOLL, CELLO_BACKEND_IO_URING };

/* The application slot: handlers of another world (the Python binding), called for a batch of ready
 * requests at once, at the end of a turn. Whatever lock it needs, it takes and gives back in run.
 */
struct cello_application {
    void *ctx;
    /* There are requests, to be taken with cello_server_next, or cello_server_need_batch was
     * called. Returns true when some are left for the next turn. */
    bool (*run)(void *ctx);
};

struct cello_server_config {
    struct cl_limits limits;
    struct cl_timeouts timeouts;
    enum cello_backend backend;
    struct cello_application application;
    int access_log_fd;               /* -1: no access log; the caller keeps the descriptor */
    struct cl_str access_log_format; /* "combined", "json" or a template; empty: combined */
    double access_log_sample;        /* share of the requests, 0 to 1; 500 and above always */
};

#define CELLO_SERVER_CONFIG_DEFAULT                                                                \
    {                                                                                              \
        .limits = CL_LIMITS_DEFAULT, .timeouts = CL_TIMEOUTS_DEFAULT, .access_log_fd = -1,         \
        .access_log_sample = 1                                                                     \
    }

/* Freezes the application and takes a reference. A process that has said nothing about SIGPIPE
 * ignores it from then on. Errors: CELLO_ENOMEM, CELLO_ESYS, CELLO_ENOTSUP, CELLO_EINVAL (log
 * format or sample). */
CELLO_API int cello_server_new(struct cl_server **out, struct cl_app *app,
                               const struct cello_server_config *cfg);
/* Listen; before the first turn. Port 0: any free one. Errors: CELLO_ESYS (errno: a busy port is
 * EADDRINUSE), CELLO_EINVAL and CELLO_ENOENT (host), CELLO_ELIMIT (more than 16 addresses),
 * CELLO_ENOMEM. */
CELLO_API int cello_server_listen(struct cl_server *s, const char *host, uint16_t port);
/* A unix socket with these permissions; who may write to it may connect. A file left behind by a
 * server that is gone is replaced. Errors: CELLO_EINVAL (empty or too long), CELLO_ESYS,
 * CELLO_ELIMIT, CELLO_ENOMEM. */
enum { CELLO_UNIX_MODE = 0666 }; /* the usual: its folder decides */
CELLO_API int cello_server_listen_unix(struct cl_server *s, const char *path, unsigned mode);
/* A listening socket made by somebody else; the server owns it on success. Errors: CELLO_ESYS
 * (errno: EINVAL, it does not listen), CELLO_ELIMIT, CELLO_ENOMEM. */
CELLO_API int cello_server_listen_fd(struct cl_server *s, int fd);
/* Every connection comes from a proxy and begins with a PROXY protocol head, version 1 or 2, that
 * says who the client is: from unix sockets, and from `networks`, "10.0.0.0/8, ::1" (64 at most).
 * Others are closed, as are those that begin with anything else, or not within the time of a
 * request's head. Before the first connection; copied. Errors: CELLO_EINVAL and CELLO_ELIMIT
 * (networks), CELLO_ENOMEM. */
CELLO_API int cello_server_expect_proxy(struct cl_server *s, struct cl_str networks);
/* Whether cello_server_expect_proxy takes them. Thread: any. */
CELLO_API bool cello_networks_valid(struct cl_str networks);
/* The access log goes to a file, opened for appending with the rights of the process as they are
 * now, and made where there is none (0640). Servers and processes may share it: none cuts another
 * one's lines. `path` is copied. Errors: CELLO_ESTATE (there is no access log), CELLO_ESYS (errno;
 * the log is as it was), CELLO_ENOMEM. */
CELLO_API int cello_server_log_to(struct cl_server *s, const char *path);
/* The file was moved away: open its path again. Where that fails, the log stays in the old one, and
 * the server log says so. Nothing without a file. */
CELLO_API void cello_server_reopen_log(struct cl_server *s);
CELLO_API size_t cello_server_address_count(const struct cl_server *s);
/* "127.0.0.1" and the port; "unix:PATH" and 0. NUL-terminated into `host`. */
CELLO_API void cello_server_address(const struct cl_server *s, size_t i, char host[128],
                                    uint16_t *port);

/* One turn of the loop. Errors: CELLO_ESYS (EINTR when a signal came). */
CELLO_API int cello_server_turn(struct cl_server *s, uint64_t timeout_ns);
/* Turns until stopped and drained. */
CELLO_API int cello_server_run(struct cl_server *s);
/* Stop: listeners close, idle connections close, requests in flight are finished within
 * `timeout_ns`, then what is left is closed. Any thread, any signal handler; a second call with a
 * shorter time shortens it. */
CELLO_API void cello_server_stop(struct cl_server *s, uint64_t timeout_ns);
/* The same for a server whose addresses another process serves as well: connections that are idle
 * stay, may send one more request within the time, and are told to close with its answer. A stop
 * afterwards closes them. Any thread, any signal handler. */
CELLO_API void cello_server_retire(struct cl_server *s, uint64_t timeout_ns);
/* Work that outlives its requests: a stop waits for it, within its time, as for requests in flight.
 * What was answered before a hold has left the process when the turn ends, so that the work can
 * begin. Each hold needs a release. Thread: the one that runs the server. */
CELLO_API void cello_server_hold(struct cl_server *s);
CELLO_API void cello_server_release(struct cl_server *s);
/* It was stopped: requests in flight are waited for. Thread: that of the turns. */
CELLO_API bool cello_server_draining(const struct cl_server *s);
/* Stopped and drained. */
CELLO_API bool cello_server_done(const struct cl_server *s);
CELLO_API void cello_server_wake(struct cl_server *s);
/* The application's run is called in this turn, or in the next one, which then does not wait. */
CELLO_API void cello_server_need_batch(struct cl_server *s);
/* Call p->run(p) in a turn. Any thread; the server must not be deleted before it has run. */
CELLO_API void cello_server_post(struct cl_server *s, struct cl_post *p);
/* Readable when a turn has something to do, for a foreign loop that drives this one with turns of
 * timeout 0. Time limits do not show there: see cello_server_next_ns. -1: errno. */
CELLO_API int cello_server_poll_fd(const struct cl_server *s);
/* When the next turn is due although nothing happens, in nanoseconds of CLOCK_MONOTONIC; 0: at
 * once; UINT64_MAX: never. It may be later or earlier after each turn. */
CELLO_API uint64_t cello_server_next_ns(const struct cl_server *s);
/* Closes what is open. Requests that somebody still holds are detached. */
CELLO_API void cello_server_del(struct cl_server *s);

/* The next request for the application, with a reference of its own; NULL: none. */
CELLO_API struct cl_request *cello_server_next(struct cl_server *s);
/* The `ctx` of the application slot of the request's server; NULL: the server is deleted. Thread:
 * the one that runs the server, or ran it. */
CELLO_API void *cello_request_application(const struct cl_request *r);
/* The handler for routes that the application slot answers. */
struct cello_handler;
CELLO_API struct cello_handler *cello_application_handler(void);

/* A foreign descriptor in the server's loop (asyncio's); on_ready while it is readable. The caller
 * keeps the descriptor. Errors: CELLO_ENOMEM, CELLO_ESYS. */
struct cl_watch;
CELLO_API int cello_server_watch(struct cl_server *s, struct cl_watch **out, int fd,
                                 void (*on_ready)(void *ctx), void *ctx);
CELLO_API void cello_server_unwatch(struct cl_watch *w);

struct cello_stats {
    uint64_t requests;          /* answered or given up */
    uint64_t application_calls; /* requests handed to the application slot */
    uint64_t batches;           /* runs of the application slot */
    uint64_t turns;
    uint32_t connections;
    uint32_t inflight;
    size_t buffered_bytes;
};
/* Any thread. The numbers of a server that is turning are a moment old, each for itself. */
CELLO_API void cello_server_stats(const struct cl_server *s, struct cello_stats *out);
CELLO_API const char *cello_server_backend(const struct cl_server *s);

#endif
