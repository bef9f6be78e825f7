/* Between the files of streams.
 *
 *   stream.c         what the engine calls, the head, the end
 *   stream_source.c  items to bytes; sync sources
 *   stream_task.c    async sources
 *   stream_answer.c  the object: made for an answer
 *
 * A stream is an answer and a source, each with a state.
 *
 *   the answer
 *      OPENING  -> BEGUN     the first item is there, or the type is known
 *               -> LEFT      the client has gone, or ended its side: the source is closed
 *      OPENING, LEFT
 *               -> OVERDUE   no item came in time; -> TOLD: 504 is given, the source is closed
 *      LEFT     -> LEAVING   the source ended all the same, and a client may still read
 *      BEGUN    -> LEAVING   the server drains, and it is an event stream
 *      BEGUN, LEAVING
 *               -> STOPPED   all was taken, or the client has gone: the source is closed
 *      STOPPED  -> RETIRED   the source is over
 *      OPENING, LEFT, OVERDUE, TOLD
 *               -> RETIRED   the source has raised (an ordinary answer), or is over after a 504
 *
 *   the source
 *      OPEN    <-> BUSY      sync, pooled: a step on a thread
 *      OPEN     -> CLOSING   async: no more items, it raised, or nobody wants more
 *      OPEN, CLOSING
 *               -> OVER, or FAILED when it raised: the body is cut off
 *
 * The states, and flags that the engine's calls read, are written by the engine's thread only, with
 * or without the GIL; a step on a thread of the pool looks at the state of the answer meanwhile. */
#ifndef CL_EXT_STREAM_INTERNAL_H
#define CL_EXT_STREAM_INTERNAL_H

#include "bridge/pool.h"
#include "bridge/stream.h"
#include "plan/call.h"
#include "types/buffer.h"
#include "types/stream_body.h"

enum cl_stream_kind { CL_STREAM_SYNC, CL_STREAM_ASYNC, CL_STREAM_PUSHED };

enum cl_stream_state {
    CL_STREAM_OPENING, /* the head waits for the first item */
    CL_STREAM_LEFT,    /* and the client has gone, or ended its side */
    CL_STREAM_OVERDUE, /* for too long */
    CL_STREAM_TOLD,    /* which was answered */
    CL_STREAM_BEGUN,   /* the head is given */
    CL_STREAM_LEAVING, /* no item will come after those that are there */
    CL_STREAM_STOPPED, /* the engine has done with it */
    CL_STREAM_RETIRED, /* the source, too */
};

enum cl_source_state {
    CL_SOURCE_OPEN,
    CL_SOURCE_BUSY,    /* a step is on its way on a thread: the buffers are its own */
    CL_SOURCE_CLOSING, /* async: aclose() is next, or runs */
    CL_SOURCE_OVER,
    CL_SOURCE_FAILED, /* what is sent must not look whole */
};

/* Items wait up to this; a source that has given so much is not asked for more. */
enum { CL_STREAM_AHEAD = 16384 };

struct cl_stream {
    PyObject_HEAD struct cl_generator generator;
    struct cl_note note;
    struct cl_post post;
    struct cl_job job;              /* a step on the thread pool */
    struct cello_observer observer; /* of the client and time; begun: of silence and the drain */
    struct cl_bridge *bridge;       /* NULL: the server is gone */
    struct cl_request *request;     /* a reference; NULL once retired */
    struct cl_call call;            /* what stays open, and what an error's answer needs */
    PyObject *source;               /* the iterator; strong, NULL once it is over */
    PyObject *trailers;             /* NULL: none */
    PyObject *context;              /* that the source runs in */
    PyObject *task;                 /* async */
    PyObject *pending;              /* async: what the task drives, an item's or aclose()'s */
    PyObject *waiter;               /* async: the future that it waits with for a slow client */
    PyObject *error;                /* that ended the source */
    struct cl_buffer fill, given;   /* items to be sent; those being sent */
    void *large, *given_large;      /* pins of an item that is sent where it lies, after `fill` */
    struct cl_str large_bytes;
    uint32_t burst;                /* sync: items that the next step may gather */
    struct cl_str type;            /* by the first item, or said; lives as long as the request */
    struct cl_stream *next, *prev; /* of the bridge */
    uint64_t heartbeat_ns;
    uint8_t kind;          /* enum cl_stream_kind */
    _Atomic uint8_t state; /* enum cl_stream_state */
    uint8_t supply;        /* enum cl_source_state */
    bool sse;              /* every item is an event */
    bool typed;            /* the content type is known */
    bool pooled;           /* a sync source of a handler that runs on the thread pool */
    bool asked;            /* by the engine, and not answered */
    bool lent;             /* the engine has a reference */
    bool waits;            /* for a loop, and has a reference until there is one */
    bool posted;           /* a message is on its way, and has a reference */
    bool arrived;          /* it is here: its reference goes with the next note */
    bool unwatched;        /* the head waits, and the observer is to be set in a turn */
    bool starting;         /* async: in the task's first step */
    bool cancelled;        /* async: the task was told */
    bool ended;            /* sync: as its last step found */
};

static inline struct cl_stream *cl_stream_of(PyObject *object) {
    return (struct cl_stream *)(void *)object;
}

/* So much waits that the source does too. */
static inline bool cl_stream_is_full(const struct cl_stream *s) {
    return s->fill.len >= CL_STREAM_AHEAD || s->large;
}

static inline bool cl_stream_has_begun(const struct cl_stream *s) {
    return s->state >= CL_STREAM_BEGUN;
}

static inline bool cl_stream_is_overdue(const struct cl_stream *s) {
    return s->state == CL_STREAM_OVERDUE || s->state == CL_STREAM_TOLD;
}

/* Nobody waits for more of it. */
static inline bool cl_stream_is_unwanted(const struct cl_stream *s) {
    return s->state == CL_STREAM_LEFT || cl_stream_is_overdue(s) || s->state >= CL_STREAM_STOPPED;
}

static inline bool cl_stream_is_busy(const struct cl_stream *s) {
    return s->supply == CL_SOURCE_BUSY;
}

static inline bool cl_stream_is_over(const struct cl_stream *s) {
    return s->supply >= CL_SOURCE_OVER;
}

static inline bool cl_stream_has_items(const struct cl_stream *s) {
    return s->fill.len || s->large;
}

/* ---- stream.c ---- */

/* Its callbacks, and a place among the streams of the bridge. */
void cl_stream_link(struct cl_stream *s, struct cl_bridge *b);

/* What the object holds besides references goes. */
void cl_stream_forget(struct cl_stream *s);
/* After a step of the source: begin, give what the engine asks for, end. */
void cl_stream_progress(struct cl_stream *s);
/* The client may leave before the head is given, and there is a time limit. */
void cl_stream_watch(struct cl_stream *s);
/* What an SseStream was sent. */
void cl_stream_take_queue(struct cl_stream *s);
/* Give what waits, if the engine asks. GIL or not. */
void cl_stream_give(struct cl_stream *s);
/* The source is over; `error` (stolen) NULL: as it should be. */
void cl_stream_source_over(struct cl_stream *s, PyObject *error);

/* ---- stream_source.c ---- */

/* An item behind the others. -1: exception set. */
int cl_stream_put(struct cl_stream *s, PyObject *item);
/* How long one step may gather items: what a slow source gave shall leave. */
uint64_t cl_stream_deadline(void);
bool cl_stream_is_late(uint64_t deadline);
/* Items of a sync source, until enough wait or time is up, and what comes of its end; of one that
 * nobody reads any more, close(). Where its handler runs on the thread pool, so does this, and
 * cl_stream_progress() follows when it has come home. */
void cl_stream_step_sync(struct cl_stream *s);

/* ---- stream_task.c ---- */

/* A task for the source; where it can be, its first step is made at once. -1: exception set. */
int cl_stream_start_task(struct cl_stream *s);
/* The client reads again: a task that waits for that goes on. */
void cl_stream_resume_task(struct cl_stream *s);
void cl_stream_cancel_task(struct cl_stream *s);
PySendResult cl_stream_step_task(struct cl_stream *s, PyObject *exception, PyObject **result);

#endif
