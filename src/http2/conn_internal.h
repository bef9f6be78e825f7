/* What the files of the HTTP/2 connection share. */
#ifndef CL_HTTP2_CONN_INTERNAL_H
#define CL_HTTP2_CONN_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/sink.h"
#include "http/body_watch.h"
#include "http/out.h"
#include "http/response.h"
#include "http/status.h"
#include "http/write_watch.h"
#include "http2/abuse.h"
#include "http2/conn.h"
#include "http2/memory.h"

struct cl_h2_context {
    struct cello_http2_config cfg;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct cl_h2_memory memory; /* of all sessions */
    struct cl_str connect;      /* the protocol of extended CONNECT; empty: there is none */
};

/* Without memory: until the next try. */
#define CL_H2_MEMORY_NS (20 * CL_NS_PER_MS)

enum {
    CL_H2_FRAME_HEAD = 9,          /* RFC 9113, 4.1 */
    CL_H2_SEND_HEAD_MAX = 1 << 20, /* bytes of an answer's head */
    CL_H2_RESETS = 16,             /* streams that the server has reset, and remembers */
};

enum cl_h2_state {
    CL_H2_OPEN,
    CL_H2_LINGER, /* all is said and sent; input is dropped until the peer closes */
    CL_H2_CLOSED,
};

/* What has a deadline; all share one timer. */
enum cl_h2_due {
    CL_H2_DUE_READ,   /* the client's SETTINGS, its next request, or its close */
    CL_H2_DUE_HEAD,   /* the end of a head that has begun */
    CL_H2_DUE_WRITE,  /* the client reads something of what is being sent */
    CL_H2_DUE_PING,   /* some sign of life */
    CL_H2_DUE_DRAIN,  /* the second GOAWAY */
    CL_H2_DUE_MEMORY, /* there was none: another try */
    CL_H2_DUES,
};

/* Lies in the arena of its request, to which it has the connection's reference. It goes when the
 * session has closed the stream and nothing that is being sent lies in memory of the request's. */
struct cl_h2_stream {
    struct cl_h2 *conn;
    struct cl_request *req;
    struct cl_h2_stream *next, *prev; /* all of the connection */
    struct cl_h2_stream *ready_next;  /* c->ready */
    struct cl_h2_stream *lent_next;   /* c->lent */
    int32_t id;

    /* the head */
    int head_err; /* what is wrong with it, to be answered when it is complete */
    bool has_authority, expect_continue, in_trailers;
    uint32_t fields;     /* of the section that is being read */
    size_t list_size;    /* of it, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    size_t section_size; /* of it, as max_header_size counts */
    size_t cookie_cap;
    uint32_t cookie; /* the field of all crumbs is headers[cookie - 1]; 0: none yet */

    /* the body */
    bool body_pending;  /* more of it may come */
    bool shares;        /* the client's link with other bodies: it counts in c->bodies_pending */
    bool discard;       /* nobody wants it */
    bool delivered;     /* the handler has the request */
    bool reading;       /* req->reader waits */
    bool ready;         /* on c->ready */
    bool continue_owed; /* 100 Continue goes out when the body is wanted */
    bool told, left;    /* its observer knows of the drain, of the client's end */
    uint64_t content_length;
    uint64_t received;        /* bytes of the body */
    uint64_t received_before; /* c->received when the head was complete */
    size_t lingered;          /* of them after the answer */
    struct cl_body_watch body_watch;
    struct cl_block *in; /* what is not read of it yet */

    /* the answer */
    bool submitted;    /* to the session */
    bool over;         /* the request has ended, answered or not */
    bool closed;       /* the session has forgotten the stream */
    bool lent;         /* what is being sent lies in memory of the request's, or of its source's */
    bool pulling;      /* proceed() is on the stack */
    bool asked;        /* the generator was, and has not answered */
    bool deferred;     /* the session does not ask for data until it is told */
    bool last;         /* nothing comes behind `out` */
    bool cut;          /* the body cannot be completed */
    bool blameless;    /* the server has reset it, for a reason of its own */
    bool tunnel;       /* extended CONNECT, and not refused: tunnel.c */
    bool half;         /* of it only the client's side is open */
    struct cl_str out; /* the next bytes of the body */
    struct cl_block *out_block; /* in which they lie; NULL: elsewhere */
    uint64_t sent_ns;           /* when some of it was sent last */
    char status[3];
    char length[20];

    struct cl_timer timer; /* the body comes, or is read by the client, too slowly */
};

/* Where frames begin in the input. */
struct cl_h2_frames {
    size_t left; /* bytes of this frame that are still to come */
    size_t have; /* of the next one's head */
    uint8_t head[CL_H2_FRAME_HEAD];
};

struct cl_h2 {
    struct cl_conn super;
    const struct cl_h2_context *context;
    nghttp2_session *session;
    struct cl_h2_pieces pieces;
    uint8_t state;  /* enum cl_h2_state */
    uint8_t inside; /* nghttp2's functions that call back, on the stack */
    bool greeted;   /* the client's SETTINGS have come */
    bool first;     /* no request yet */
    bool peer_eof;
    bool spoke; /* SETTINGS were sent */
    bool flushing;
    bool full;     /* the output has no room for the frame that is next */
    bool paused;   /* the transport had no memory */
    bool pinged;   /* nothing has been heard since */
    bool noticed;  /* GOAWAY has said that another one will follow */
    bool going;    /* which is said, or was not needed */
    bool dying;    /* the last words are still to be said */
    uint32_t doom; /* error of the client's that ends the connection once the session returns */
    uint32_t stream_count;
    uint32_t unfinished;    /* answers that are submitted and not all with the output */
    unsigned continuations; /* frames of the head that is being read */
    size_t data_length;     /* of the DATA frame that is being read, with its padding */
    struct cl_h2_stream *streams;
    struct cl_h2_stream *head;  /* whose header section is being read */
    struct cl_h2_stream *data;  /* of the DATA frame that is being read; NULL: gone */
    struct cl_h2_stream *ready; /* readers to be told, and generators to be asked again */
    struct cl_h2_stream *lent;  /* whose bytes the output refers to */
    struct cl_block *bodies;    /* where answers are written that are not sent from elsewhere */
    struct cl_out *out;         /* being filled or, when `sending`, sent */
    bool sending;
    struct cl_h2_frames frames;
    int32_t last_id; /* of the client's streams */
    int32_t reset_ids[CL_H2_RESETS];
    int32_t forgotten_id; /* the last of those that were in reset_ids */
    unsigned reset_count;
    struct cl_h2_work work;
    uint64_t sent_ns;        /* when some of an answer's body was sent last */
    uint64_t received;       /* bytes of bodies */
    uint64_t received_ns;    /* when the last of them came */
    uint32_t bodies_pending; /* of which more is waited for; not what goes through tunnels */
    uint64_t heard_ns;
    struct cl_write_watch write_watch;
    uint64_t ping_progress;
    uint64_t due_ns[CL_H2_DUES];
    size_t spent; /* of this turn's budget */
    struct cl_timer timer;
    struct cl_flush flush;
    struct cl_sink sink; /* in `bodies`; base is NULL: nobody writes */
    struct cl_h2_abuse abuse;
    struct iovec last_iov;
    uint8_t last_words[26]; /* frames that need no memory and no session */
};

CL_INLINE struct cl_h2 *cl_h2_of(struct cl_conn *c) {
    return CL_CONTAINER_OF(c, struct cl_h2, super);
}

CL_INLINE uint64_t cl_h2_now(const struct cl_h2 *c) {
    return cl_loop_now_ns(c->super.worker->loop);
}

CL_INLINE struct cl_timer_wheel *cl_h2_timers(const struct cl_h2 *c) {
    return cl_loop_timers(c->super.worker->loop);
}

CL_INLINE struct cl_block_pool *cl_h2_pool(const struct cl_h2 *c) {
    return cl_loop_pool(c->super.worker->loop);
}

/* Write what there is at the end of this turn. */
CL_INLINE void cl_h2_flush_later(struct cl_h2 *c) {
    cl_loop_flush_later(c->super.worker->loop, &c->flush);
}

/* conn.c */
/* 0 ns: never. */
void cl_h2_set_due(struct cl_h2 *c, enum cl_h2_due due, uint64_t timeout_ns);
void cl_h2_clear_due(struct cl_h2 *c, enum cl_h2_due due);
void cl_h2_watch_write(struct cl_h2 *c);
/* Now, whatever is in progress. Memory that callbacks on the stack look at stays: the connection's
 * own. */
void cl_h2_close(struct cl_h2 *c);
/* All requests are given up; a GOAWAY frame that needs neither the session nor memory is the last
 * word, and the peer may read it. Not while the session is on the stack: see c->doom. */
CL_COLD void cl_h2_die(struct cl_h2 *c, uint32_t code);
/* GOAWAY: no further requests; the end comes behind those that are in progress. */
CL_COLD void cl_h2_go(struct cl_h2 *c);
/* The same in two steps, so that no request on its way is refused. */
CL_COLD void cl_h2_go_gracefully(struct cl_h2 *c);
/* The client has answered the ping behind the first step. */
CL_COLD void cl_h2_on_ping_ack(struct cl_h2 *c);
/* Something ended or was sent: idle, or over? */
void cl_h2_settle(struct cl_h2 *c);

/* session.c */
int cl_h2_session_new(struct cl_h2 *c) CL_MUST_USE;
void cl_h2_session_free(struct cl_h2 *c);
/* What lies in the input goes through the session. */
void cl_h2_receive(struct cl_h2 *c);

/* head.c */
/* A request begins. NULL: it is refused. */
struct cl_h2_stream *cl_h2_stream_new(struct cl_h2 *c, int32_t id) CL_MUST_USE;
/* The session has forgotten it. */
void cl_h2_stream_closed(struct cl_h2_stream *st);
/* The last use of it. */
void cl_h2_stream_free(struct cl_h2_stream *st);
/* Nothing that is being sent refers to it any more. */
void cl_h2_stream_returned(struct cl_h2_stream *st);
/* The request has ended, answered or not. */
void cl_h2_end_request(struct cl_h2_stream *st);
/* Tell the client that the stream is over; the request is given up. */
void cl_h2_reset(struct cl_h2_stream *st, uint32_t code);
/* Of a header or trailer section. False: far beyond all limits. */
bool cl_h2_field(struct cl_h2_stream *st, nghttp2_rcbuf *name, nghttp2_rcbuf *value) CL_MUST_USE;
void cl_h2_head_complete(struct cl_h2_stream *st, bool has_body);
/* Answer a bad or slow request with a problem document, if it is not answered. */
void cl_h2_fail(struct cl_h2_stream *st, int status, const char *detail);
void cl_h2_fail_err(struct cl_h2_stream *st, int err);

/* body.c */
/* The head is routed, and a body follows. */
void cl_h2_body_begin(struct cl_h2_stream *st);
/* In the input. `whole`: nothing comes behind it. */
void cl_h2_body_data(struct cl_h2_stream *st, struct cl_str bytes, bool whole);
void cl_h2_body_complete(struct cl_h2_stream *st);
/* No more of it will come. */
void cl_h2_body_ended_early(struct cl_h2_stream *st);
/* Nobody wants the rest. */
/* Bytes of the body that nobody has read. */
CL_INLINE size_t cl_h2_body_waiting(const struct cl_h2_stream *st) {
    return st->in ? cl_block_len(st->in) : 0;
}
void cl_h2_body_discard(struct cl_h2_stream *st);
/* Our side of the stream is closed, and the client still sends. */
void cl_h2_body_linger(struct cl_h2_stream *st);
void cl_h2_body_timeout(struct cl_h2_stream *st);
void cl_h2_deliver(struct cl_h2_stream *st);
int cl_h2_read(struct cl_request *r, struct cl_str *bytes);
void cl_h2_unread(struct cl_request *r);
/* It is to be looked at when the input is read. */
void cl_h2_make_ready(struct cl_h2_stream *st);
void cl_h2_run_ready(struct cl_h2 *c);

/* As in struct cl_conn_ops. */
void cl_h2_drain(struct cl_conn *super);
void cl_h2_close_conn(struct cl_conn *super);

/* respond.c */
extern const struct cl_conn_ops cl_h2_conn_ops;
int cl_h2_send_continue(struct cl_h2_stream *st) CL_MUST_USE;
int cl_h2_send_trailers(struct cl_h2_stream *st) CL_MUST_USE;

/* tunnel.c */
/* False: it is an ordinary answer, and there is no tunnel any more. */
CL_COLD bool cl_h2_tunnel_answered(struct cl_h2_stream *st);
/* Our side has ended. */
CL_COLD void cl_h2_tunnel_said(struct cl_h2_stream *st);
/* Both have. What the client has said can still be read. */
CL_COLD void cl_h2_tunnel_complete(struct cl_h2_stream *st);
CL_COLD void cl_h2_tunnel_timeout(struct cl_h2_stream *st);
/* Nothing but data may stand on it: RFC 9113, 8.5. */
CL_COLD void cl_h2_tunnel_trailers(struct cl_h2_stream *st);

/* write.c */
void cl_h2_flush(struct cl_flush *f);
/* nghttp2_data_source_read_callback; the source is the stream. */
ssize_t cl_h2_pull(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                   uint32_t *flags, nghttp2_data_source *source, void *user);
/* nghttp2_send_data_callback. */
int cl_h2_put_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                   size_t length, nghttp2_data_source *source, void *user);
void cl_h2_chunk(struct cl_request *r, struct cl_str bytes, bool last);
void cl_h2_abort(struct cl_request *r);
/* It has something to send again. */
void cl_h2_resume(struct cl_h2_stream *st);
/* Nothing of the answer has left for write_ns: because of the client, or of the handler? */
CL_COLD void cl_h2_stalled(struct cl_h2_stream *st);
/* The output is with the transport, or never will be. */
void cl_h2_out_done(struct cl_h2 *c);

#endif
