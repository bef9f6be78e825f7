/* Between the files of streams.
 *
 *   stream.c         what the engine calls, the head, the end
 *   stream_source.c  items to bytes; sync sources
 *   stream_task.c    async sources
 *   stream_answer.c  the object: made for an answer
 *
 *      OPENING --first item, or the type is known--> begun --source is over, all taken--> retired
 *         | raised: an ordinary answer                 | raised: cut off, logged
 *                                                      | stop: the source is closed
 *
 * Flags that the engine's calls read are written by the engine's thread only, with or without the
 * GIL. */
#ifndef CL_EXT_STREAM_INTERNAL_H
#define CL_EXT_STREAM_INTERNAL_H

#include "bridge/pool.h"
#include "bridge/stream.h"
#include "plan/call.h"
#include "types/buffer.h"
#include "types/stream_body.h"

enum cl_stream_kind { CL_STREAM_SYNC, CL_STREAM_ASYNC, CL_STREAM_PUSHED };

/* Items wait up to this; a source that has given so much is not asked for more. */
enum { CL_STREAM_AHEAD = 16384 };

struct cl_stream {
    PyObject_HEAD struct cl_generator generator;
    struct cl_note note;
    struct cl_post post;
    struct cl_job job; /* a step on the thread pool */
    struct cello_observer
        observer; /* of the client while the head waits, then of the heartbeat and the drain */
    struct cl_bridge *bridge;     /* NULL: the server is gone */
    struct cl_request *request;   /* a reference; NULL once retired */
    struct cl_call call;          /* what stays open, and what an error's answer needs */
    PyObject *source;             /* the iterator; strong, NULL once it is over */
    PyObject *trailers;           /* NULL: none */
    PyObject *context;            /* that the source runs in */
    PyObject *task, *step;        /* async: the task */
    PyObject *pending;            /* async: what the task drives, an item's or aclose()'s */
    PyObject *waiter;             /* async: the future that it waits with for a slow client */
    PyObject *error;              /* that ended the source */
    struct cl_buffer fill, given; /* items to be sent; those being sent */
    void *large, *given_large;    /* pins of an item that is sent where it lies, after `fill` */
    struct cl_str large_bytes;
    uint32_t burst;                /* sync: items that the next step may gather */
    struct cl_str type;            /* by the first item, or said; lives as long as the request */
    struct cl_stream *next, *prev; /* of the bridge */
    uint64_t heartbeat_ns;
    uint8_t kind; /* enum cl_stream_kind */
    bool sse;     /* every item is an event */
    bool typed;   /* the content type is known */
    bool begun;   /* the head is given */
    bool asked;   /* by the engine, and not answered */
    bool over;    /* the source has ended, in whatever way */
    bool failed;  /* and not as it should: what is sent must not look whole */
    bool stopped; /* by the engine: all was taken, or the client has gone */
    bool leaving; /* the server drains: no item after those that are there */
    bool left;    /* the client has gone while the head waited */
    bool overdue; /* the head waited for too long: answered with 504 */
    bool pooled;  /* a sync source of a handler that runs on the thread pool */
    bool ended;   /* sync: as its last step found */
    bool busy;    /* a step is on its way there: the buffers are its own */
    bool closing; /* async: aclose() is next, or runs */
    bool starting, cancelled, posted, released, retired, unwatched, told;
    bool waits; /* for a loop, and has a reference until there is one */
};

static inline struct cl_stream *cl_stream_of(PyObject *object) {
    return (struct cl_stream *)(void *)object;
}

/* So much waits that the source does too. */
static inline bool cl_stream_is_full(const struct cl_stream *s) {
    return s->fill.len >= CL_STREAM_AHEAD || s->large;
}

/* Nobody waits for more of it. */
static inline bool cl_stream_is_unwanted(const struct cl_stream *s) {
    return s->stopped || s->left || s->overdue;
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
