/* What connections share within one worker, and how they reach the layers above them. */
#ifndef CL_HTTP_WORKER_H
#define CL_HTTP_WORKER_H

#include "event/loop.h"
#include "http/request.h"
#include "net/stream.h"
#include <cello/limits.h>

#include "base/clock.h"

/* The server's side of a connection: calls upwards. */
struct cl_service {
    /* The head of r is complete; body not yet. Routes it and runs the `before` steps. Sets
     * r->route, r->chain, r->max_body. CELLO_OK: read the body, then on_request. CELLO_ECANCELED: r
     * was answered already. */
    int (*on_head)(struct cl_worker *w, struct cl_request *r);
    /* The request is complete: hand it to its handler. */
    void (*on_request)(struct cl_worker *w, struct cl_request *r);
    /* The response is complete, or given up: counters, log. The last use of r by its connection. */
    void (*on_done)(struct cl_worker *w, struct cl_request *r);
    /* A connection was closed; its memory goes. */
    void (*on_conn_closed)(struct cl_worker *w, struct cl_conn *c);
    /* At max_connections, and a connection became idle or busy. */
    void (*on_crowded)(struct cl_worker *w);
};

/* Every protocol's connection begins with this. */
struct cl_conn {
    const struct cl_conn_ops *ops;
    struct cl_worker *worker;
    struct cl_stream *stream;
    struct cl_conn *next, *prev;           /* all connections */
    struct cl_conn *idle_next, *idle_prev; /* waiting for a request; idle_next NULL: not idle */
    uint64_t idle_since_ns;                /* valid while idle */
    size_t lingered;                       /* bytes that were dropped after the last answer */
};

/* What requests and responses need from the protocol below. */
struct cl_conn_ops {
    const char *protocol; /* for logs: "HTTP/1.1" */
    struct cl_sink *(*sink)(struct cl_request *r, size_t hint);
    void (*sink_drop)(struct cl_request *r);
    /* The next piece of the body, in r->body_block, to which r has a reference; the one to the
     * piece before is let go of. Results: as cello_request_read. r->reader waits when it is
     * CELLO_EAGAIN, until unread. */
    int (*read)(struct cl_request *r, struct cl_str *bytes);
    void (*unread)(struct cl_request *r);
    /* r->response is filled: send it. */
    void (*respond)(struct cl_request *r);
    /* 103 with these fields, now. The request is not answered, and no sink is open. */
    int (*hints)(struct cl_request *r, const struct cl_header *headers, size_t count);
    void (*chunk)(struct cl_request *r, struct cl_str bytes, bool last);
    void (*abort)(struct cl_request *r);
    /* No new requests: close when idle (not when the worker is retiring: one more may be on its
     * way), else after the requests in flight, whose observers are told. */
    void (*drain)(struct cl_conn *c);
    void (*close)(struct cl_conn *c);
};

struct cl_app_queue;
struct cl_file_cache;

struct cl_worker {
    struct cl_loop *loop;
    struct cl_app_queue *app_queue; /* requests that wait for the application slot */
    struct cl_file_cache *files;    /* NULL: none was asked for yet */
    const struct cl_service *service;
    struct cl_limits limits;
    struct cl_timeouts timeouts;
    struct cl_conn conns; /* ring head */
    struct cl_conn idle;  /* ring head, longest idle first */
    uint32_t conn_count;
    uint32_t inflight; /* requests given to on_head and not done */
    bool draining;
    bool retiring;   /* draining, and idle connections may send one more request */
    bool drain_told; /* observers of requests know of it */
    struct cl_request *free_requests;
    uint32_t request_count; /* live and free; for leak checks */
    uint32_t free_count;
    uint64_t date_s;    /* the second that date_line shows */
    char date_line[40]; /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */
    uint32_t head_hint; /* length of the last response head: where a body is likely to begin */
};

void cl_worker_init(struct cl_worker *w, struct cl_loop *loop, const struct cl_limits *limits,
                    const struct cl_timeouts *timeouts);
/* Every connection must be closed; requests that escaped keep the worker's memory alive until they
 * are released: the caller checks cl_worker_live_requests. */
void cl_worker_free(struct cl_worker *w);
uint32_t cl_worker_live_requests(const struct cl_worker *w);

void cl_conn_init(struct cl_conn *c, const struct cl_conn_ops *ops, struct cl_worker *w,
                  struct cl_stream *s);
void cl_conn_unlink(struct cl_conn *c);
/* Whether a connection waits for a request, with nothing left to send. */
void cl_conn_set_idle(struct cl_conn *c, bool idle);
/* Input after the last answer is dropped. False: it was more than CL_LINGER_BYTES. */
bool cl_conn_drop_input(struct cl_conn *c) CL_MUST_USE;
CL_INLINE bool cl_worker_is_full(const struct cl_worker *w) {
    return w->limits.max_connections && w->conn_count >= w->limits.max_connections;
}

/* r comes from c: its head was read, or is being read. */
CL_INLINE void cl_conn_take_request(struct cl_conn *c, struct cl_request *r) {
    r->conn = c;
    r->stream = c->stream;
    r->start_ns = cl_loop_now_ns(c->worker->loop);
    r->max_body = c->worker->limits.max_body_size;
}

/* The connection has done with r, answered or not: nothing of r's asks for it any more. */
CL_INLINE void cl_conn_leave_request(struct cl_request *r) {
    __atomic_store_n(&r->conn, NULL, __ATOMIC_RELAXED); /* other threads may look */
}

/* The last of it, behind cl_conn_leave_request and the end of the body: r is counted, logged, and
 * given up where somebody waits. The connection's reference stays. */
CL_INLINE void cl_conn_end_request(struct cl_worker *w, struct cl_request *r) {
    w->service->on_done(w, r);
    r->stream = NULL; /* the access log wanted it */
    if (CL_UNLIKELY(r->reader || r->watched))
        cl_request_given_up(r);
}

enum { CL_DATE_LINE_LEN = 37 };
void cl_worker_update_date(struct cl_worker *w, uint64_t wall_s);
/* The Date line of now. */
CL_INLINE const char *cl_worker_date_line(struct cl_worker *w) {
    uint64_t s = cl_wall_ns() / CL_NS_PER_S;
    if (CL_UNLIKELY(s != w->date_s))
        cl_worker_update_date(w, s);
    return w->date_line;
}

#endif
