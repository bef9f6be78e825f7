/* The bridge: where the engine's thread meets Python. The only user of the GIL in the binding.
 *
 *      engine turn (no GIL) ----> batch: take the GIL once
 *                                  for each ready request: wrap, call, answer
 *                                  drop what was pinned
 *                                 give the GIL back ----> engine flushes (no GIL)
 *
 * One bridge belongs to one server. */
#ifndef CL_EXT_BRIDGE_H
#define CL_EXT_BRIDGE_H

#include <time.h>

#include "module.h"
#include "registry.h"

struct cl_after;
struct cl_call;
struct cl_guest;
struct cl_pool;
struct cl_pooled;

/* Objects whose bytes the engine was sending; their references are dropped in the next batch. */
struct cl_pinned;

/* Clients in this process: types/connection.c. */
struct cl_link;
struct cl_stream;
struct cl_topics_watch;

struct cl_bridge;

/* Something for Python to do, that the engine's thread finds out without the GIL. Lies in whoever
 * is to be told, zeroed but for `run`. */
struct cl_note {
    struct cl_note *next;
    bool queued;
    void (*run)(struct cl_note *n, struct cl_bridge *b); /* GIL held; it may free the note */
};

/* ThreadPoolConfig. */
struct cl_pool_config {
    uint32_t size;         /* threads at most */
    uint32_t queue;        /* requests that wait for one at most: 503 */
    uint64_t threshold_ns; /* a handler that waits longer is one for the pool; 0: never looked at */
};

struct cl_bridge {
    struct cl_ext *ext;
    PyObject *self;               /* the _cello.Server that this lies in; borrowed */
    PyObject *app;                /* the _cello.App; strong */
    struct cl_registry *handlers; /* the app's */
    struct cl_server *server;
    PyThreadState *thread;  /* that the engine turns on; other threads compare it, under the GIL */
    struct cl_guest *guest; /* NULL: no async handlers, or none used yet */
    struct cl_pool *pool;   /* NULL: nothing was blocking yet */
    struct cl_pool_config pool_config;
    struct cl_pooled *pooled; /* calls that are there, or on their way home */
    uint64_t handler_ns;      /* TimeoutConfig.handler; 0: off */
    uint64_t lap_ns;          /* when the last inline call ended */
    uint64_t slow_ns; /* inline calls that take longer are looked at: the least that matters */
    struct cl_stream *streams;           /* answers that go on */
    struct cl_pinned *dropped;           /* written without the GIL, by the engine's thread only */
    struct cl_note *notes, **notes_end;  /* touched within turns only */
    struct cl_after *after, **after_end; /* what is left to do when answers are out */
    struct cl_topics_watch *topics;      /* listens for messages of other processes; or NULL */
    struct cl_link *links;               /* of the server's Connections */
    bool wants_loop;                     /* a stream or a background task waits for one */
    bool news;            /* one of them has some; written in turns, without the GIL */
    PyObject *on_error;   /* called with what nothing handled; true: it is not logged */
    PyObject *on_settled; /* called when the last of these jobs is done: */
    size_t jobs;          /* for when answers are out, made and not freed yet */
    bool turning;         /* inside cl_bridge_turn: not to be entered again, or closed */
    bool slow;            /* few requests made the last batch as long as one may be */
    bool signalled;       /* a signal came: its Python handler is to run */
    PyObject *cluster;    /* that the server serves for; NULL: none */
    PyObject *fatal; /* raised in a handler, meant for the program: run() and turn() raise it */
    uint64_t gil_acquisitions;
    uint64_t gil_held_ns;
};

/* CLOCK_MONOTONIC. */
static inline uint64_t cl_bridge_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The application slot's run callback; ctx is the bridge. Called without the GIL. */
bool cl_bridge_run(void *ctx);

/* Have the note run in a batch, of this turn or of the next, which then does not wait; once,
 * however often it is asked. Engine's thread, with the GIL or without. */
void cl_bridge_note(struct cl_bridge *b, struct cl_note *n);
/* Off the list again, if it is on it: its memory is about to go. GIL held, engine's thread. */
void cl_bridge_unnote(struct cl_bridge *b, struct cl_note *n);

/* Run those that are left: the server is gone, and no batch will come. GIL held. */
void cl_bridge_run_notes(struct cl_bridge *b);

/* Give the GIL up for the engine's turns, which run on this thread from now on; until
 * PyEval_RestoreThread(b->thread). GIL held. */
void cl_bridge_give_up_gil(struct cl_bridge *b);
/* One engine turn with the GIL given up. Returns what cello_server_turn returns. GIL held. */
int cl_bridge_turn(struct cl_bridge *b, uint64_t timeout_ns);

/* Answer `r` with a handler's return value (reference stolen), or, when NULL, with the exception
 * that is set. `r` is only borrowed; what the call has open is closed, or goes to the queue. GIL
 * held, engine's thread. Never raises. */
void cl_bridge_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                      PyObject *value);
/* The handler was cancelled: not an error of the program, nothing is logged. Clears what is set. */
void cl_bridge_answer_cancelled(struct cl_bridge *b, struct cl_call *call, struct cl_request *r);

/* The request was answered already, or nobody waits for an answer: what the handler gave (as for
 * cl_bridge_answer) is dropped, and what the call has open is closed. An exception is logged, but
 * for one that is an answer, or `expected` (a type, or NULL). */
void cl_bridge_drop_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                           PyObject *value, PyObject *expected);
/* How long the handler has until the response head; 0: as long as it takes. */
uint64_t cl_bridge_timeout_of(const struct cl_bridge *b, const struct cl_entry *e);
/* 503 with Retry-After, before anything of the program has run. Needs no GIL. */
void cl_bridge_answer_busy(struct cl_request *r);
/* The 504 of a handler that takes too long, and a line in the log. */
void cl_bridge_answer_overdue(struct cl_bridge *b, const struct cl_entry *e, struct cl_request *r);

/* Where a line of the server log comes from. */
struct cl_origin {
    const struct cl_entry *entry;
    struct cl_str method, route, request_id;
};

/* Log `exception` (stolen, may be NULL) as "GET /items/{id}: <what> in <handler>". SystemExit and
 * the like are meant for the program, not for one request: they end the server. */
void cl_bridge_report(struct cl_bridge *b, const struct cl_origin *origin, const char *what,
                      PyObject *exception);
/* The same for a request that is being answered; unless whoever made the server takes care of the
 * exception. */
void cl_bridge_report_request(struct cl_bridge *b, const struct cl_entry *e, struct cl_request *r,
                              const char *what, PyObject *exception);

/* SystemExit and the like are meant for the program, not for one request: they end the server, and
 * run() raises them. Any other exception is nothing to it. */
void cl_bridge_end_server_for(struct cl_bridge *b, PyObject *exception);

/* A line about a request that is no error: "GET /items/{id}: <what> in <handler>". level: the name
 * of a function of cello._log. */
void cl_bridge_tell(const struct cl_entry *e, struct cl_request *r, const char *level,
                    const char *what);

/* What an exception of a handler came to before it is answered: the parts that call the program's
 * code, and can be done on the handler's own thread. All strong; said and raised: of the exception
 * hook, both NULL: it does not answer. */
struct cl_failure {
    PyObject *exception; /* the handler's; NULL: none */
    PyObject *left;      /* of it, when dependencies have seen it */
    PyObject *said, *raised;
};

/* Take the exception that is set, throw it into what the call has open, and ask the hook. */
void cl_bridge_meet_failure(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                            struct cl_failure *f);
/* Answer it; f is cleared. Server's thread. */
void cl_bridge_answer_failure(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                              struct cl_failure *f);
void cl_bridge_clear_failure(struct cl_failure *f);

/* ---- pool_call.c ---- */

/* The request's handler on a thread of the pool; or 503. r's reference is taken over. */
void cl_pool_call(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r);
/* The server's pool, made when there is none. NULL: exception set. */
struct cl_pool *cl_bridge_pool(struct cl_bridge *b);
/* Before the server is deleted: requests that are with the pool are let go. */
void cl_bridge_detach_pool(struct cl_bridge *b);

/* ---- between the files of the bridge ---- */

/* A context without variables, to be given back with cl_bridge_give_context. NULL: exception set.
 */
PyObject *cl_bridge_take_context(struct cl_ext *ext);
void cl_bridge_give_context(struct cl_ext *ext, PyObject *context);
/* The call of a handler is over, with `value` (borrowed, may be NULL): its context (stolen) stays
 * for what is to run in it. */
void cl_bridge_settle_context(struct cl_ext *ext, struct cl_call *call, PyObject *context,
                              PyObject *value);
/* Call the handler, `callable`, by the call's plan and in the context. Any thread. */
PyObject *cl_bridge_call_in_context(struct cl_bridge *b, PyObject *callable, struct cl_call *call,
                                    struct cl_request *r, PyObject *context);

/* Call the handler. True: *value is to be answered (NULL: the exception is). False: the guest will
 * answer, and has taken over what is in `call`. */
bool cl_bridge_call(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                    PyObject **value);
/* Drop the references of objects that were sent. GIL held. */
void cl_bridge_drop_pinned(struct cl_bridge *b);
/* Send bytes of `object` from where they are. False: out of memory, nothing was answered. */
bool cl_bridge_respond_pinned(struct cl_bridge *b, struct cl_request *r, PyObject *object,
                              struct cl_str bytes);
/* Keeps an object from now on; GIL held. NULL: out of memory. The other end without the GIL, on the
 * engine's thread: its reference is dropped in the next batch. */
void *cl_bridge_pin(struct cl_bridge *b, PyObject *object);
void cl_bridge_unpin(void *pinned);
/* The same as headers, behind the body of a stream. -1: exception set. */
int cl_bridge_add_trailers(struct cl_bridge *b, struct cl_request *r, PyObject *fields);
/* Headers of a mapping (a value may be a list of str), of pairs, or of None. -1: exception set. */
int cl_bridge_add_headers(struct cl_bridge *b, struct cl_request *r, PyObject *headers);
/* What a hook of the program says about an exception: None when there is no hook. NULL: the hook
 * has raised. */
PyObject *cl_bridge_ask(PyObject *hook, PyObject *request, PyObject *exception);
/* The status that goes with an exception: a problem's own, 400 for malformed JSON, else 500. */
int cl_bridge_status_of(struct cl_ext *ext, PyObject *exception);
/* _cello.error_response(request, exception, ask=True, /). */
PyObject *cl_bridge_error_response(PyObject *module, PyObject *const *args, Py_ssize_t n);
/* The document of a Problem, and its status. NULL: exception set. */
PyObject *cl_problem_document(struct cl_ext *ext, PyObject *exception, struct cl_request *r,
                              int *status);
/* A problem document (a dict); status and headers are set. -1: exception set, not answered. */
int cl_bridge_send_problem(struct cl_bridge *b, struct cl_request *r, PyObject *document);
/* The exception that is set, which is clear afterwards. */
void cl_bridge_answer_exception(struct cl_bridge *b, struct cl_call *call, struct cl_request *r);
/* `value` could not be sent, for the reason that is set. */
void cl_bridge_answer_unusable(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                               PyObject *value);
/* Send a value; status and headers may be set. -1: exception set, not answered. */
int cl_bridge_send_value(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                         PyObject *value);

#endif
