/* Suspended handlers whose clients leave, or whose time is over: their tasks are cancelled. Those
 * that wait for long become small. */
#include "bridge/guest_internal.h"

#include <stddef.h>

/* Who waits for as long as this gives back the block that the request was received in. Thousands
 * may wait, and those that come later use the same blocks. What is shorter pays nothing. */
#define LONG_NS UINT64_C(100000000)

/* The engine's thread, without the GIL. */
static void on_event(struct cello_observer *o, struct cl_request *request, enum cello_event event) {
    struct cl_runner *r = CL_OWNER_OF(o, struct cl_runner, observer);
    (void)request;
    if (event == CELLO_EVENT_DRAINING)
        return; /* it is waited for */
    if (event == CELLO_EVENT_LEFT)
        r->left = true;
    else if (r->brief)
        r->slow = true;
    else
        r->overdue = true;
    cl_bridge_note(r->guest->bridge, &r->note);
}

static bool reads_body(const struct cl_runner *r) {
    return cello_request_body_mode(r->request) == CELLO_BODY_STREAM;
}

/* In a turn, which the engine's clock and timers want. */
static void watch(struct cl_runner *r, struct cl_bridge *b) {
    r->unwatched = false;
    if (cello_request_has_left(r->request)) {
        r->left = true;
        return;
    }
    cello_request_observe(r->request, &r->observer);
    uint64_t timeout_ns = cl_bridge_timeout_of(b, r->entry);
    /* Reading a body starts the time again, all of it: it is not to be divided. */
    r->brief = (timeout_ns == 0 || timeout_ns > LONG_NS) && !reads_body(r);
    cello_request_set_deadline(r->request, r->brief ? LONG_NS : timeout_ns);
}

/* Other threads may read the request too, with the GIL, which is held here. */
static void shrink(struct cl_runner *r, struct cl_bridge *b) {
    r->brief = r->slow = false;
    uint64_t timeout_ns = cl_bridge_timeout_of(b, r->entry);
    cello_request_compact(r->request);
    cello_request_set_deadline(r->request, timeout_ns ? timeout_ns - LONG_NS : 0);
}

/* Once: what the handler does then, its clean-up above all, is not interrupted by whatever is told
 * later. A task that swallows this goes on; its answer may still reach a client that has only ended
 * its side, but not one that got a 504. */
static void cancel(struct cl_runner *r) {
    r->cancelled = true;
    PyObject *done = PyObject_CallMethodNoArgs(r->task, r->ext_state->str_cancel);
    if (!done)
        PyErr_WriteUnraisable(r->task);
    Py_XDECREF(done);
}

static void on_note(struct cl_note *n, struct cl_bridge *b) {
    struct cl_runner *r = CL_OWNER_OF(n, struct cl_runner, note);
    if (r->unwatched)
        watch(r, b);
    if (r->slow)
        shrink(r, b);
    if (!r->left && !r->overdue)
        return;
    Py_INCREF(r);
    if (r->overdue && !r->answered) {
        r->answered = true;
        cl_bridge_answer_overdue(b, r->entry, r->request);
    }
    if (r->task && !r->cancelled)
        cancel(r);
    Py_DECREF(r);
}

void cl_runner_watch(struct cl_runner *r) {
    struct cl_bridge *b = r->guest->bridge;
    r->observer.on_event = on_event;
    r->note.run = on_note;
    r->left = r->overdue = r->answered = r->cancelled = r->slow = false;
    if (b->turning)
        watch(r, b);
    else
        r->unwatched = true;
    if (!r->unwatched && !r->left)
        return;
    cl_bridge_note(b, &r->note);
    if (!b->turning)
        cl_guest_need_turn(r->guest);
}

void cl_runner_unwatch(struct cl_runner *r) {
    cello_request_observe(r->request, NULL);
    cl_bridge_unnote(r->guest->bridge, &r->note);
    r->unwatched = false;
}
