/* What the five files of the HTTP/1 connection share. */
#ifndef CL_HTTP1_CONN_INTERNAL_H
#define CL_HTTP1_CONN_INTERNAL_H

#include "base/sink.h"
#include "http/body_watch.h"
#include "http/out.h"
#include "http/response.h"
#include "http/status.h"
#include "http/write_watch.h"
#include "http1/chunked.h"
#include "http1/conn.h"
#include "http1/parser.h"
#include "http1/segments.h"

enum cl_h1_state {
    CL_H1_IDLE,    /* no byte of the next request has come */
    CL_H1_HEAD,    /* part of a head has come */
    CL_H1_BODY,    /* routed; the body is being collected */
    CL_H1_HANDLER, /* a handler has the request */
    CL_H1_STREAM,  /* the head of the answer is out, a generator makes the body */
    CL_H1_LINGER,  /* all answers are sent; input is dropped until the peer closes */
    CL_H1_CLOSED,
};

enum { CL_H1_HEAD_ROOM = 512 };

struct cl_h1 {
    struct cl_conn super;
    uint8_t state; /* enum cl_h1_state */
    bool running;  /* inside cl_h1_run: answers must not start it again */
    bool keep_alive;
    bool peer_eof;    /* the peer will send nothing more */
    bool paused;      /* the transport stopped reading: `in` was full */
    bool close_after; /* no request is read any more; close when all is sent */
    bool chunked;     /* request body */
    bool body_pending;
    bool reading;        /* req->reader waits */
    bool continue_owed;  /* 100 Continue goes out when the body is wanted */
    bool stream_chunked; /* response body */
    bool stream_asked;   /* the generator was asked and has not answered */
    bool stream_done;
    bool stream_cut;      /* it failed: the connection closes once all is sent */
    bool stream_in_place; /* `fill` refers to bytes of the generator's */
    bool first;           /* no request yet on this connection */
    bool speaking;        /* last_words is being sent */
    bool fast;            /* the body comes quickly */
    bool by_hand;         /* it is received into memory of who reads it */
    bool arrived;         /* and there is something to receive */
    bool gathering; /* the transport reports CL_BODY_GATHER bytes of it at once; read_by_ns is when
                       fewer will do */
    struct cl_request *req;
    struct cl_request *unstopped; /* closed while bytes lent to it were being sent */
    struct cl_out *fill;          /* being filled */
    struct cl_out *fly;           /* being sent */
    struct cl_timer timer;
    struct cl_flush flush;
    size_t scanned; /* the head parser's */
    uint64_t content_length;
    uint64_t body_taken; /* bytes of it that were fed to a sink or read */
    struct cl_body_watch body_watch;
    uint64_t body_heard_ns; /* when bytes of it came last */
    uint64_t body_by_ns;    /* while gathering: what read_by_ns is otherwise */
    struct cl_str piece;    /* of the body, in req->body_block: the next that is read */
    uint64_t read_by_ns;    /* the peer must send something until then; UINT64_MAX: never */
    uint64_t write_by_ns;   /* the peer must read something until then; UINT64_MAX: never */
    struct cl_write_watch write_watch;
    uint64_t requests;
    struct cl_chunked decoder;
    struct cl_sink sink;
    struct iovec last_words; /* an answer that needs no memory */
};

CL_INLINE struct cl_h1 *cl_h1_of(struct cl_conn *c) {
    return CL_CONTAINER_OF(c, struct cl_h1, super);
}

CL_INLINE uint64_t cl_h1_now(const struct cl_h1 *c) {
    return cl_loop_now_ns(c->super.worker->loop);
}

CL_INLINE uint64_t cl_h1_after(const struct cl_h1 *c, uint64_t timeout_ns) {
    return timeout_ns ? cl_h1_now(c) + timeout_ns : UINT64_MAX;
}

/* The two deadlines share one timer. */
CL_INLINE void cl_h1_read_by(struct cl_h1 *c, uint64_t deadline_ns) {
    c->read_by_ns = deadline_ns;
    cl_timer_set(cl_loop_timers(c->super.worker->loop), &c->timer,
                 CL_MIN(deadline_ns, c->write_by_ns));
}

CL_INLINE void cl_h1_write_by(struct cl_h1 *c, uint64_t deadline_ns) {
    c->write_by_ns = deadline_ns;
    cl_timer_set(cl_loop_timers(c->super.worker->loop), &c->timer,
                 CL_MIN(deadline_ns, c->read_by_ns));
}

/* conn.c */
size_t cl_h1_head_max(const struct cl_worker *w);
/* A send is in progress: the write timeout starts. */
void cl_h1_watch_write(struct cl_h1 *c);
void cl_h1_close(struct cl_h1 *c);
/* Nothing more will be written: let the peer read the last answer, then close. */
void cl_h1_linger(struct cl_h1 *c);
/* All is answered and sent: wait for the next request, as one of those that may be closed when
 * others need the place. */
void cl_h1_idle(struct cl_h1 *c);
/* The connection has done with its request, answered or not. */
void cl_h1_end_request(struct cl_h1 *c);

/* conn_read.c: serve what lies in the input until more bytes, a handler or the peer's reading is
 * needed. */
void cl_h1_run(struct cl_h1 *c);
/* Answer a bad or slow request with a problem document and close. */
void cl_h1_fail(struct cl_h1 *c, int status, const char *detail);

/* conn_body.c: the body of c->req, of which body_pending says that there is more. */

/* Of a request whose head was just read. */
void cl_h1_init_body(struct cl_h1 *c);
/* Before it is collected, fed or read. Errors: CELLO_ENOMEM, CELLO_ELIMIT. */
int cl_h1_begin_body(struct cl_h1 *c) CL_MUST_USE;
/* Bytes of it have come into the input: receive more with one call, or less. */
CL_NOINLINE void cl_h1_size_reads(struct cl_h1 *c, size_t received);
/* Nobody has received it by hand for a while: it waits in the input, as that of slow readers. */
CL_NOINLINE void cl_h1_end_by_hand(struct cl_h1 *c);
/* The transport is to report all bytes again. */
CL_NOINLINE void cl_h1_stop_gathering(struct cl_h1 *c);
/* The same, and receive a block with one call again: for bodies that made in_room more than 0. */
CL_NOINLINE void cl_h1_end_large_body(struct cl_h1 *c);
/* Collect it, or feed it to its sink. CELLO_OK: it is whole. Errors: CELLO_EAGAIN, CELLO_ENOMEM,
 * CELLO_ELIMIT, CELLO_ETIMEOUT, CELLO_EBODY_TOO_LARGE, those of chunks, those of a sink. */
int cl_h1_collect_body(struct cl_h1 *c) CL_MUST_USE;
/* Tell the reader if there is something for it. Returns true when it was told. */
bool cl_h1_step_reader(struct cl_h1 *c);
/* Stop the transport when what nobody reads has filled its block, and let it go on when there is
 * room. */
void cl_h1_throttle(struct cl_h1 *c);
/* The same, and give the input block back when it is empty. */
CL_INLINE void cl_h1_settle_input(struct cl_h1 *c) {
    struct cl_stream *s = c->super.stream;
    cl_block_drop_empty(&s->in);
    if (CL_UNLIKELY(s->in || c->paused))
        cl_h1_throttle(c);
}
/* The request is answered: skip what is left of the body if it lies here. False: it does not, and
 * the connection cannot be used again. */
bool cl_h1_skip_body(struct cl_h1 *c);
int cl_h1_read(struct cl_request *r, struct cl_str *bytes);
void cl_h1_unread(struct cl_request *r);

CL_INLINE char *cl_h1_put(char *p, const char *bytes, size_t n) {
    memcpy(p, bytes, n);
    return p + n;
}

/* A field line; the room for it is there. */
CL_INLINE char *cl_h1_put_field(char *p, const struct cl_header *h) {
    p = cl_h1_put(p, h->name.ptr, h->name.len);
    p = cl_h1_put(p, ": ", 2);
    p = cl_h1_put(p, h->value.ptr, h->value.len);
    return cl_h1_put(p, "\r\n", 2);
}

/* What is being filled; NULL: out of memory. */
CL_INLINE CL_MUST_USE struct cl_out *cl_h1_out_get(struct cl_h1 *c) {
    if (!c->fill)
        c->fill = cl_out_new(cl_loop_pool(c->super.worker->loop));
    return c->fill;
}

/* conn_stream.c: ask the generator, or end when it has given all. */
void cl_h1_pull(struct cl_h1 *c);
void cl_h1_chunk(struct cl_request *r, struct cl_str bytes, bool last);
void cl_h1_abort(struct cl_request *r);
/* The peer has ended its side, or had: a generator that makes it wait now waits for nobody. */
void cl_h1_stream_eof(struct cl_h1 *c);

/* conn_write.c */
extern const struct cl_conn_ops cl_h1_conn_ops;
void cl_h1_flush(struct cl_flush *f);
/* Write what there is at the end of this turn. */
CL_INLINE void cl_h1_flush_later(struct cl_h1 *c) {
    cl_loop_flush_later(c->super.worker->loop, &c->flush);
}
int cl_h1_write_continue(struct cl_h1 *c) CL_MUST_USE;
/* 503 from static memory, when there is no memory for anything else; then close. Gives up the
 * request, if there is one. */
void cl_h1_last_words(struct cl_h1 *c);
/* The answer is complete: on to the next request. */
void cl_h1_finish(struct cl_h1 *c);
/* The same for one whose handler may have read the request's body while it was answering. */
void cl_h1_finish_stream(struct cl_h1 *c);

#endif
