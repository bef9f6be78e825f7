/* A request: the meaning of a message, whatever protocol carried it.
 *
 * Every span points into blocks the request holds (head and body stay where they were received)
 * or into its arena; all of it is valid until the last reference is dropped, also after the
 * connection is gone.
 *
 * References: the connection holds one until the response is complete; whoever needs the request
 * longer (a suspended handler, a Python object that escaped) takes another. Thread: the worker's.
 */
#ifndef CL_HTTP_REQUEST_H
#define CL_HTTP_REQUEST_H

#include <cello/app.h>
#include <cello/request.h>

#include "base/arena.h"
#include "base/block.h"
#include "event/loop.h"
#include "http/body_sink.h"
#include "http/filter.h"
#include "http/generator.h"
#include "http/header.h"
#include "http/method.h"
#include "net/addr.h"

struct cl_conn;
struct cl_route;
struct cl_stream;
struct cl_worker;

/* Header fields that a request has room for; those of one with more go to its arena. */
enum { CL_MAX_PARAMS = 16, CL_REQUEST_HEADERS = 24 };

/* A path parameter: the raw span of the path, percent-decoded on use. */
struct cl_param {
    struct cl_str name;
    struct cl_str raw;
};

/* The last two come piece by piece. */
enum cl_body_kind {
    CL_BODY_NONE,
    CL_BODY_BYTES,    /* response.body: copied, or sent in place when pinned */
    CL_BODY_SINK,     /* written into the connection's own output block */
    CL_BODY_STREAM,   /* pulled from response.generator */
    CL_BODY_SEGMENTS, /* bytes and parts of files: response.segments */
};

/* In the request's arena; the empty ones are left out. */
struct cl_segments {
    size_t count;
    size_t at; /* the next to be sent */
    struct cello_segment items[];
};

struct cl_response {
    int status;
    enum cl_body_kind kind;
    struct cl_str content_type; /* empty: no such header */
    struct cl_header *headers;  /* others, in the arena */
    uint16_t header_count, header_cap;
    bool head_sent;
    bool close;              /* the connection must not be used again */
    bool has_length;         /* CL_BODY_STREAM, CL_BODY_SEGMENTS: `length` is known */
    struct cl_str body;      /* CL_BODY_BYTES */
    void (*release)(void *); /* body is pinned, or segments: called once when it may go */
    void *release_ctx;       /* with release NULL, a non-NULL ctx marks bytes that live forever */
    struct cl_sink *sink;    /* CL_BODY_SINK */
    struct cl_generator *generator;
    struct cl_header *trailers; /* CL_BODY_STREAM: fields behind the body; in the arena */
    uint16_t trailer_count, trailer_cap;
    struct cl_segments *segments;
    uint64_t length;
    uint64_t bytes_sent; /* of the body, for the log */
};

/* Who wants to know what happens to a request, and by when it is to be answered. */
struct cl_request_watch {
    struct cello_observer *observer;
    struct cl_timer deadline;
    uint64_t timeout_ns; /* of the deadline; 0: none, or it has passed */
};

struct cl_request {
    struct cl_request *next; /* the worker's free list or a handler's queue */
    struct cl_post drop;     /* carries references home from other threads, */
    uint32_t drops;          /* this many; under the server's lock */
    struct cl_worker *worker;
    struct cl_conn *conn; /* NULL once the peer is gone or the response complete */
    void *exchange;       /* what the protocol knows of it, while conn is; NULL: nothing */
    uint32_t refs;

    enum cl_method method;
    uint8_t version;   /* enum cello_http_version */
    uint8_t body_mode; /* enum cello_body, the route's */
    bool answered;     /* a response was given; later ones are programming errors */
    bool chain_ran;
    bool path_plain; /* no percent-encoding and no dot segment in `path` */
    bool counted;    /* in worker.inflight */
    bool watched;    /* `watch` is filled */
    bool secure;     /* its stream is, or was; from on_head on */
    bool left;       /* the client has gone, or ended its side; other threads may look */
    bool has_rest;   /* there is a body_rest */
    bool peer_known; /* the connection was asked for the peer, and is not again */
    struct cl_str method_name;
    struct cl_str target; /* as received */
    struct cl_str path;   /* raw: dot segments removed, still percent-encoded */
    struct cl_str query;  /* raw, without '?' */
    struct cl_str host;
    const struct cl_stream *stream; /* valid while conn is, and for the access log */
    struct cl_str peer_host;        /* its text, once asked for */
    uint16_t peer_port;
    struct cl_block *head_block;
    struct cl_block *body_block;
    struct cl_str body;
    struct cl_body_sink *body_sink; /* NULL: the body is collected */
    struct cello_reader *reader;    /* waits for more of the body */
    int body_end;                   /* what reading it ended with: CELLO_EOF or an error */
    uint64_t max_body;
    uint64_t start_ns;

    const struct cl_route *route;      /* NULL: no route matched */
    const struct cl_pair *query_pairs; /* parsed on first use */
    const struct cl_pair *cookie_pairs;
    uint32_t query_count, cookie_count;
    bool query_parsed, cookies_parsed;
    const struct cl_chain *chain;
    void *state; /* the handler's, from on_request to the last reference */
    struct cl_str request_id;

    struct cl_response response;
    struct cl_arena arena;                  /* what is in front of it is zeroed for each request */
    struct cl_credentials peer_credentials; /* valid with peer_host */
    struct cl_request_watch watch;
    struct cl_block *body_rest; /* of `body`, when body_block is of a piece before it */
    uint32_t param_count;
    uint32_t header_count;
    struct cl_param params[CL_MAX_PARAMS];
    struct cl_header *headers;
    struct cl_header few_headers[CL_REQUEST_HEADERS];
};

/* From the worker's free list, with one reference. NULL: out of memory. */
struct cl_request *cl_request_new(struct cl_worker *w) CL_MUST_USE;

CL_INLINE void cl_request_ref(struct cl_request *r) {
    r->refs++;
}
void cl_request_release(struct cl_request *r);
CL_INLINE void cl_request_unref(struct cl_request *r) {
    if (--r->refs == 0)
        cl_request_release(r);
}

/* Give back the block that the head was received in, unless the body lies there too: what was said
 * in it moves to the arena. For requests that stay for long. */
void cl_request_compact(struct cl_request *r);

/* As cello_request_observe and cello_request_set_deadline. */
void cl_request_observe(struct cl_request *r, struct cello_observer *o);
void cl_request_set_deadline(struct cl_request *r, uint64_t timeout_ns);
/* The client has ended its side. r may be gone afterwards unless the caller holds it. */
void cl_request_left(struct cl_request *r);
/* No new requests will come: r's observer is told. r may be answered and gone afterwards. */
CL_COLD void cl_request_draining(struct cl_request *r);
/* The connection has let go of r: its reader is told, or else its observer. Nobody is afterwards.
 * The caller holds r. */
CL_COLD void cl_request_given_up(struct cl_request *r);

/* As cello_request_read and cello_request_unread. */
int cl_request_read(struct cl_request *r, struct cello_reader *reader, struct cl_str *bytes);
void cl_request_unread(struct cl_request *r);
/* Tell r->reader. r may be gone afterwards unless the caller holds it. */
void cl_request_tell_reader(struct cl_request *r);
/* For protocols: what lies in b, whose reference is taken over, can be read once conn has gone, and
 * before the body's end. */
CL_COLD void cl_request_leave_rest(struct cl_request *r, struct cl_block *b);

/* The first header of that id or name (ASCII case-insensitive); NULL: none. */
const struct cl_header *cl_request_header(const struct cl_request *r, enum cl_header_id id);
const struct cl_header *cl_request_header_named(const struct cl_request *r, struct cl_str name);

/* A parameter, percent-decoded (in the arena when it had to change).
 * Errors: CELLO_ENOENT; CELLO_EPERCENT, CELLO_EUTF8; CELLO_ENOMEM. */
int cl_request_param(struct cl_request *r, struct cl_str name, struct cl_str *out) CL_MUST_USE;

#endif
