/* What the files of the server share. */
#ifndef CL_SERVER_INTERNAL_H
#define CL_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <cello/server.h>

#include "cluster/member.h"
#include "cluster/systemd.h"
#include "handler/application.h"
#include "http/worker.h"
#include "net/addr.h"
#include "net/network.h"
#include "observe/access_log.h"
#include "server/app.h"
#include "server/ip_table.h"

struct cl_h2_context;

enum { CL_MAX_LISTENERS = 16 };

struct cl_server_listener {
    struct cl_listener super;
    struct cl_server *server;
    struct cl_server_listener *next; /* of the open ones */
    struct cl_addr addr;
    bool adopted; /* the socket of worker id `owner`, who is gone; on the heap */
    uint32_t owner;
    bool closing;   /* it may still take in what is queued */
    bool owns_path; /* of a unix socket: the file goes with the listener */
    bool redirects; /* plain HTTP, to where the others are */
};

/* TLS, as far as the server calls it: through pointers, so that a program whose servers have none
 * needs no library for it. */
struct cl_server_tls {
    /* A handshake; then the stream goes to cl_server_open_secured. Errors: CELLO_ENOMEM; the stream
     * is then still the caller's. */
    int (*begin)(struct cl_server *s, struct cl_stream *stream);
    void (*del)(struct cl_server_tls *t);
};

/* What http2.c has set up; zero: HTTP/1 only. */
struct cl_server_http2 {
    struct cl_h2_context *context;
    bool h2c; /* in clear, too */
    /* As cl_server_open_protocol, of a client that begins with the preface. */
    int (*open)(struct cl_server *s, struct cl_stream *stream);
    void (*del)(struct cl_h2_context *context);
};

struct cl_server {
    struct cl_worker worker;
    struct cl_app *app;
    struct cello_application application;
    struct cl_app_queue queue;
    struct cl_server_http2 http2;
    struct cl_access_log *log; /* NULL: off */
    struct cl_ip_table per_ip;
    struct cl_server_tls *tls;   /* NULL: plain HTTP */
    bool secured;                /* requests may be secure */
    struct cl_networks *proxies; /* whose connections begin with a PROXY head; NULL: nobody's */
    size_t listener_count;
    size_t open_listeners; /* the kernel still accepts for them: io_uring closes by a completion */
    struct cl_server_listener listeners[CL_MAX_LISTENERS];
    struct cl_server_listener *open; /* of those and the adopted ones: what accepts */
    struct cl_cluster *cluster;      /* NULL: none */
    struct cl_watch *control;        /* packets of the supervisor */
    uint64_t orphan_drain_ns;        /* time to drain when that is gone */
    bool accepting_paused;           /* at max_connections, nothing idle to close */
    struct cl_timer accept_timer;    /* when there may be */
    bool draining;
    bool last_redirects; /* the last of the sockets that a worker inherits does */
    bool overdue;        /* the time to drain is over: holds count no more */
    bool hold_begun;     /* since the last turn */
    bool batch_asked;
    unsigned holds;
    struct cl_timer drain_timer;
    struct cl_timer log_timer;
    struct cl_timer trim_timer; /* after a burst */
    struct cl_notify notify;    /* who wants to hear of a service; closed: nobody */
    struct cl_timer watchdog_timer;
    bool said_stopping;
    size_t returned, trimmed; /* by the pool to the heap: at the last look, when it was trimmed */
    uint64_t big_uses;        /* of the pool: at the last look */
    uint64_t requests, batches, turns;
    char *upload_directory;    /* of unnamed files: TMPDIR when it was made; NULL: unset */
    _Atomic(pthread_t) thread; /* that ran the last turn */
    pthread_mutex_t lock;      /* guards `zombie` against drops from other threads */
    bool zombie;               /* deleted, but somebody holds a request */
    atomic_bool stop_asked, retire_asked;
    atomic_ullong stop_timeout_ns;
};

extern const struct cl_service cl_server_service;

/* diagnosis.c */
/* What this thread is handling, for reports of crashes. Read in handlers of signals, which is why
 * it must lie where no call is needed to find it. */
extern _Thread_local const struct cl_request *cl_request_entered
    __attribute__((tls_model("initial-exec")));

/* server.c */
/* There is an access log: a line for r. */
void cl_server_log_request(struct cl_server *s, const struct cl_request *r);
/* Unref, and finish what cello_server_del had to leave when r was the last request held. */
void cl_server_unref(struct cl_request *r);

/* listen.c */
/* As cello_server_listen_fd, but on failure, too, the socket is closed; errno stays. shared: other
 * workers accept from it, too. */
int cl_server_listen_own(struct cl_server *s, int fd, bool shared) CL_MUST_USE;
void cl_server_close_listeners(struct cl_server *s);
/* Also accept from `fd`, a socket of worker id `owner`; the server owns it on success. Errors: as
 * cello_server_listen_fd. */
int cl_server_adopt(struct cl_server *s, int fd, uint32_t owner, bool redirects) CL_MUST_USE;
/* No more from those of that worker. */
void cl_server_release(struct cl_server *s, uint32_t owner);

/* Accept what waits on any socket, also if the kernel has told somebody else of it. */
void cl_server_look(struct cl_server *s);
/* plain.c */
/* Whether r is secure. Where it has to be and is not, it is told where to go: CELLO_ECANCELED. */
int cl_server_look_at_stream(struct cl_server *s, struct cl_request *r);

/* service.c */
void cl_server_on_watchdog(struct cl_timer *t);

/* cluster.c */
/* The numbers of the server's record, as they are now. */
void cl_server_publish(struct cl_server *s);
/* The kernel may have told this server of connections that it has left in a socket: other workers
 * shall look. */
void cl_server_leave_to_others(const struct cl_server *s);

/* form.c */
/* The body of r goes to a CELLO_BODY_FORM route: when it is multipart/form-data it is parsed and
 * stored as it comes. Errors: those of cl_uploads_init, CELLO_ENOMEM. */
int cl_server_expect_form(struct cl_server *s, struct cl_request *r) CL_MUST_USE;

/* accept.c */
void cl_server_on_accept(struct cl_listener *l, int fd);
/* Whether one more may come; at the limit, by closing the one that has been idle for longest. */
bool cl_server_make_room(struct cl_server *s);
/* Of streams that were just opened, and have no protocol yet. */
extern const struct cl_stream_handler cl_server_no_protocol;
/* A stream that was just opened: waits for its proxy's word where one is
 * expected, else becomes a connection. Errors: CELLO_EINVAL (no trusted proxy), those of
 * cl_server_take_in; the stream is then still the caller's. */
int cl_server_begin(struct cl_server *s, struct cl_stream *stream) CL_MUST_USE;
/* It becomes a connection. Errors: CELLO_ELIMIT (too many of this address), CELLO_ENOMEM; the
 * stream is then still the caller's. */
int cl_server_take_in(struct cl_server *s, struct cl_stream *stream) CL_MUST_USE;
/* One that was taken in is not counted with those of its address any more. */
void cl_server_leave(struct cl_server *s, const struct cl_stream *stream);
/* A connection went: room for others. */
void cl_server_on_conn_closed(struct cl_worker *w, struct cl_conn *c);
/* Accept while there is room, or a connection to close for a new one: one that has been idle for
 * CL_IDLE_GRACE_NS. */
void cl_server_review_accepting(struct cl_worker *w);
void cl_server_on_accept_timer(struct cl_timer *t);

/* protocol.c */
/* The stream becomes a connection of the protocol that its client speaks, after a handshake where
 * there is one; bytes that have come already lie in its input. Errors: CELLO_ENOMEM; the stream is
 * then still the caller's. */
int cl_server_open_protocol(struct cl_server *s, struct cl_stream *stream) CL_MUST_USE;
/* The same of HTTP/1, in clear. */
int cl_server_open_plain(struct cl_server *s, struct cl_stream *stream) CL_MUST_USE;
/* The same after a handshake; alpn: what was agreed upon; empty: nothing, which is HTTP/1.1. */
int cl_server_open_secured(struct cl_server *s, struct cl_stream *stream,
                           struct cl_str alpn) CL_MUST_USE;
/* A protocol has been opened: what has come before goes to its handler. The stream may be closed
 * afterwards. */
void cl_server_hand_over(struct cl_stream *stream, const struct cl_stream_handler *handler);

/* proxied.c */
/* Wait for a PROXY head, then take the stream in. Errors: CELLO_EINVAL (its peer is not trusted),
 * CELLO_ENOMEM; the stream is then still the caller's. */
int cl_server_await_proxy(struct cl_server *s, struct cl_stream *stream) CL_MUST_USE;

#endif
