/* The life of a stream: the answer, what the engine calls, the end. */
#include "bridge/guest_internal.h"
#include "bridge/stream_internal.h"
#include "types/sse.h"
#include "types/sse_stream.h"
#include "types/text.h"

static struct cl_stream *of_generator(struct cl_generator *g) {
    return CL_OWNER_OF(g, struct cl_stream, generator);
}

static struct cl_stream *of_note(struct cl_note *n) {
    return CL_OWNER_OF(n, struct cl_stream, note);
}

static struct cl_stream *of_post(struct cl_post *p) {
    return CL_OWNER_OF(p, struct cl_stream, post);
}

static struct cl_stream *of_observer(struct cello_observer *o) {
    return CL_OWNER_OF(o, struct cl_stream, observer);
}

/* ---- the end ---- */

static void unlink_stream(struct cl_stream *s) {
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        s->bridge->streams = s->next;
    s->next = s->prev = NULL;
}

/* The source is over, and the engine has done with it: what was open for it closes. */
static void retire(struct cl_stream *s) {
    struct cl_bridge *b = s->bridge;
    struct cl_request *r = s->request;
    bool had_begun = cl_stream_has_begun(s);
    if (s->state == CL_STREAM_RETIRED)
        return;
    s->state = CL_STREAM_RETIRED;
    s->request = NULL;
    unlink_stream(s);
    if (cl_call_has_more(&s->call))
        cl_after_answer(b, &s->call, r);
    cl_call_clear(b->ext, &s->call);
    Py_CLEAR(s->context);
    Py_CLEAR(s->task); /* which has this object as its coroutine */
    cello_request_unref(r);
    if (had_begun && b->server)
        cello_server_release(b->server);
    if (s->waits) {
        s->waits = false;
        Py_DECREF(s);
    }
}

/* Trailers, for a body that is whole. -1: exception set. */
static int add_trailers(struct cl_stream *s) {
    PyObject *fields =
        PyCallable_Check(s->trailers) ? PyObject_CallNoArgs(s->trailers) : Py_NewRef(s->trailers);
    int err = fields ? cl_bridge_add_trailers(s->bridge, s->request, fields) : -1;
    Py_XDECREF(fields);
    return err;
}

/* Of the body that the same handler reads: nobody's mistake. */
static bool is_disconnect(const struct cl_ext *ext, PyObject *error) {
    PyTypeObject *type = (PyTypeObject *)(void *)ext->client_disconnected;
    return type && PyObject_TypeCheck(error, type);
}

/* What ended it before its time is thrown into the dependencies; what they leave of it is logged.
 * Steals `error`. */
static void fail(struct cl_stream *s, PyObject *error) {
    bool expected = cl_stream_is_unwanted(s);
    s->supply = CL_SOURCE_FAILED;
    if (!cl_stream_has_begun(s) && !cl_stream_has_items(s)) { /* it is answered as a handler's */
        s->error = error;
        return;
    }
    if (!expected)
        error = cl_call_unwind(&s->call, error, true);
    if (!error || expected || is_disconnect(s->bridge->ext, error)) {
        Py_XDECREF(error);
    } else if (cl_guest_is_cancellation(s->bridge->guest, error)) {
        if (!cello_request_is_disconnected(s->request))
            cl_bridge_tell(s->call.entry, s->request, "warning", "cancelled midway");
        Py_DECREF(error);
    } else {
        cl_bridge_report_request(s->bridge, s->call.entry, s->request, "exception midway", error);
    }
}

void cl_stream_source_over(struct cl_stream *s, PyObject *error) {
    if (s->kind == CL_STREAM_PUSHED)
        cl_sse_stream_detach(s->source);
    Py_CLEAR(s->source);
    s->supply = CL_SOURCE_OVER;
    if (!s->bridge) {
        Py_XDECREF(error);
        return;
    }
    if (!error && s->trailers && s->state < CL_STREAM_STOPPED && add_trailers(s) < 0)
        error = cl_ext_fetch_exception();
    if (error)
        fail(s, error);
}

/* ---- items to the engine ---- */

static void drop_given(struct cl_stream *s) {
    cl_buffer_free(&s->given);
    if (s->given_large)
        cl_bridge_unpin(s->given_large);
    s->given_large = NULL;
}

void cl_stream_forget(struct cl_stream *s) {
    cl_buffer_free(&s->fill);
    drop_given(s);
    if (s->large)
        cl_bridge_unpin(s->large);
    s->large = NULL;
    if (s->bridge)
        cl_bridge_unnote(s->bridge, &s->note);
}

void cl_stream_give(struct cl_stream *s) {
    struct cl_str bytes = {NULL, 0};
    bool leaving = s->state == CL_STREAM_LEAVING, busy = cl_stream_is_busy(s);
    if (!s->asked || s->state >= CL_STREAM_STOPPED || (busy && !leaving))
        return;
    if (busy) {
        /* It ends with what was given: the buffers are the step's. */
    } else if (s->fill.len) {
        s->given = s->fill;
        s->fill = (struct cl_buffer){0};
        bytes = (struct cl_str){s->given.data, s->given.len};
    } else if (s->large) {
        s->given_large = s->large;
        s->large = NULL;
        bytes = s->large_bytes;
    } else if (!cl_stream_is_over(s) && !leaving) {
        return;
    }
    s->asked = false;
    bool failed = s->supply == CL_SOURCE_FAILED;
    if (failed && !bytes.len) {
        cello_response_abort(s->request);
        return;
    }
    bool is_end = (cl_stream_is_over(s) || leaving) && !failed;
    cello_response_chunk(s->request, bytes, is_end && (busy || !cl_stream_has_items(s)));
}

/* Python has something to do for the items behind those that were given. */
static bool is_behind(const struct cl_stream *s) {
    if (s->state == CL_STREAM_LEAVING || s->supply != CL_SOURCE_OPEN || cl_stream_is_full(s))
        return false;
    switch ((enum cl_stream_kind)s->kind) {
    case CL_STREAM_SYNC: return true;
    case CL_STREAM_ASYNC: return s->waiter != NULL;
    case CL_STREAM_PUSHED: return !s->fill.len; /* there may be more in its queue */
    }
    return false;
}

static void proceed(struct cl_generator *g, struct cl_request *r) {
    struct cl_stream *s = of_generator(g);
    s->asked = true;
    drop_given(s);
    if (s->heartbeat_ns) /* all was sent: silence begins */
        cello_request_set_deadline(r, s->heartbeat_ns);
    bool gives = !cl_stream_is_busy(s) && cl_stream_has_items(s);
    cl_stream_give(s);
    if (is_behind(s) && (gives || s->kind == CL_STREAM_SYNC))
        cl_bridge_note(s->bridge, &s->note);
}

static void stop(struct cl_generator *g, struct cl_request *r) {
    struct cl_stream *s = of_generator(g);
    (void)r;
    s->state = CL_STREAM_STOPPED;
    drop_given(s);
    cl_bridge_note(s->bridge, &s->note);
}

/* An event stream has no end of its own, and an EventSource, which sends GET, comes back by itself:
 * nothing is lost when the engine ends it, and it then stops its source as that of any other. */
static bool leaves_at_drain(const struct cl_stream *s) {
    struct cl_str method = cello_request_method(s->request);
    return s->sse && method.len == 3 && memcmp(method.ptr, "GET", 3) == 0;
}

/* The client left before the head was given; nothing was sent for a heartbeat; the server drains.
 */
static void on_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    struct cl_stream *s = of_observer(o);
    if (event == CELLO_EVENT_DRAINING) {
        if (s->state == CL_STREAM_BEGUN && leaves_at_drain(s)) {
            s->state = CL_STREAM_LEAVING;
            cl_stream_give(s);
        }
    } else if (!cl_stream_has_begun(s)) {
        if (event == CELLO_EVENT_OVERDUE)
            s->state = CL_STREAM_OVERDUE;
        else if (s->state == CL_STREAM_OPENING)
            s->state = CL_STREAM_LEFT;
        cl_bridge_note(s->bridge, &s->note);
    } else if (event == CELLO_EVENT_OVERDUE && s->state < CL_STREAM_STOPPED) {
        if (s->asked && (cl_stream_is_busy(s) || !cl_stream_has_items(s))) {
            s->asked = false;
            cello_response_chunk(r, CL_LITERAL(CL_SSE_COMMENT), false);
        }
    }
}

/* ---- the head ---- */

/* What proxies and caches must know of an event stream, unless the program says it otherwise. */
static void add_event_headers(struct cl_request *r) {
    static const struct cello_field fields[] = {
        {{"Cache-Control", 13}, {"no-store", 8}},
        {{"X-Accel-Buffering", 17}, {"no", 2}},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!cello_response_has(r, fields[i].name))
            (void)cello_response_header(r, fields[i].name, fields[i].value); /* memory only */
}

/* The head goes out now, with the items that are there. */
static void begin(struct cl_stream *s) {
    struct cl_request *r = s->request;
    if (s->sse)
        add_event_headers(r);
    if (s->type.len)
        cello_response_type(r, s->type);
    bool leaves = s->state == CL_STREAM_LEFT ||
                  (cello_server_draining(s->bridge->server) && leaves_at_drain(s));
    s->state = leaves ? CL_STREAM_LEAVING : CL_STREAM_BEGUN;
    s->lent = true;
    Py_INCREF(s);
    cello_server_hold(s->bridge->server);
    cello_respond_stream(r, &s->generator, false, 0);
    if (!s->sse || s->state == CL_STREAM_STOPPED)
        s->heartbeat_ns = 0;
    if (s->sse && s->state != CL_STREAM_STOPPED)
        cello_request_observe(r, &s->observer);
}

/* It raised before there was anything to send: an answer like any other handler's. */
static void answer_error(struct cl_stream *s) {
    struct cl_bridge *b = s->bridge;
    PyObject *error = s->error;
    s->error = NULL;
    if (cl_stream_is_overdue(s)) { /* it was answered */
        Py_DECREF(error);
        return;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    if (s->state == CL_STREAM_LEFT || cl_guest_is_cancellation(b->guest, error))
        cl_bridge_answer_cancelled(b, &s->call, s->request);
    else
        cl_bridge_answer_exception(b, &s->call, s->request);
    Py_DECREF(error);
}

void cl_stream_progress(struct cl_stream *s) {
    bool over = cl_stream_is_over(s);
    if (!s->bridge || s->state == CL_STREAM_RETIRED)
        return;
    if (!cl_stream_has_begun(s) && over && (s->error || cl_stream_is_overdue(s))) {
        if (s->error)
            answer_error(s);
        retire(s);
        return;
    }
    if (s->state <= CL_STREAM_LEFT && (s->typed || over))
        begin(s);
    cl_stream_give(s);
    if (over && s->state == CL_STREAM_STOPPED)
        retire(s);
}

/* ---- before the head is given ---- */

/* Timers want a turn, and a note has one. */
void cl_stream_watch(struct cl_stream *s) {
    s->unwatched = true;
    cl_bridge_note(s->bridge, &s->note);
}

static void watch(struct cl_stream *s) {
    s->unwatched = false;
    if (cello_request_has_left(s->request)) {
        s->state = CL_STREAM_LEFT;
        return;
    }
    cello_request_observe(s->request, &s->observer);
    cello_request_set_deadline(s->request, cl_bridge_timeout_of(s->bridge, s->call.entry));
}

static void answer_overdue(struct cl_stream *s) {
    s->state = CL_STREAM_TOLD;
    cl_bridge_answer_overdue(s->bridge, s->call.entry, s->request);
}

/* ---- notes ---- */

/* The source of a stream that nobody reads any more. */
static void leave_source(struct cl_stream *s) {
    switch ((enum cl_stream_kind)s->kind) {
    case CL_STREAM_SYNC: cl_stream_step_sync(s); break;
    case CL_STREAM_PUSHED:
        if (!cl_stream_is_over(s))
            cl_stream_source_over(s, NULL);
        break;
    case CL_STREAM_ASYNC:
        if (cl_stream_is_over(s))
            break;
        if (!s->task && s->bridge->guest && !PyAsyncGen_CheckExact(s->source)) {
            if (cl_stream_start_task(s) < 0) /* for aclose() alone */
                PyErr_WriteUnraisable(s->source);
        }
        if (s->task && !cl_stream_is_over(s))
            cl_stream_cancel_task(s);
        else if (!cl_stream_is_over(s))
            cl_stream_source_over(s, NULL);
        break;
    }
}

void cl_stream_take_queue(struct cl_stream *s) {
    if (cl_stream_is_over(s) || s->fill.len)
        return;
    bool closed = cl_sse_stream_take(s->source, &s->fill);
    if (closed)
        cl_stream_source_over(s, NULL);
}

/* Of a stream that goes on. */
static void go_on(struct cl_stream *s) {
    if (s->kind == CL_STREAM_PUSHED)
        cl_stream_take_queue(s);
    else if (cl_stream_is_full(s) || (s->pooled && cl_stream_has_items(s)))
        return; /* the engine takes what there is first */
    else if (s->kind == CL_STREAM_SYNC)
        cl_stream_step_sync(s);
    else
        cl_stream_resume_task(s);
}

static void run_note(struct cl_note *n, struct cl_bridge *b) {
    struct cl_stream *s = of_note(n);
    bool arrived = s->arrived, ends = s->lent && s->state >= CL_STREAM_STOPPED;
    (void)b;
    Py_INCREF(s);
    if (arrived)
        s->arrived = s->posted = false;
    s->lent = s->lent && !ends;
    if (s->state != CL_STREAM_RETIRED) {
        if (s->unwatched && s->state == CL_STREAM_OPENING)
            watch(s);
        if (s->state == CL_STREAM_OVERDUE && !cello_request_is_disconnected(s->request))
            answer_overdue(s);
        if (cl_stream_is_unwanted(s))
            leave_source(s);
        else
            go_on(s);
        cl_stream_progress(s);
    }
    if (ends)
        Py_DECREF(s); /* the engine's */
    if (arrived)
        Py_DECREF(s);
    Py_DECREF(s);
}

/* A note may run for another reason while the message is still on its way, which needs the stream
 * until here. A server that is deleted runs its last messages, whose notes run before its streams
 * are orphans. */
static void run_post(struct cl_post *p) {
    struct cl_stream *s = of_post(p);
    s->arrived = true;
    cl_bridge_note(s->bridge, &s->note);
}

/* ---- all of a server ---- */

void cl_stream_link(struct cl_stream *s, struct cl_bridge *b) {
    s->bridge = b;
    s->generator = (struct cl_generator){proceed, stop};
    s->note.run = run_note;
    s->post.run = run_post;
    s->observer.on_event = on_event;
    s->next = b->streams;
    if (s->next)
        s->next->prev = s;
    b->streams = s;
}

/* What still runs belongs to the loop alone. */
void cl_stream_orphan_all(struct cl_bridge *b) {
    while (b->streams) {
        struct cl_stream *s = b->streams;
        struct cl_request *r = s->request;
        Py_INCREF(s);
        cl_stream_forget(s);
        unlink_stream(s);
        s->bridge = NULL;
        s->request = NULL;
        s->state = CL_STREAM_RETIRED;
        cl_call_clear(b->ext, &s->call);
        cello_request_unref(r);
        if (s->waits)
            Py_DECREF(s);
        Py_DECREF(s);
    }
}
