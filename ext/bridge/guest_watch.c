/* Suspended handlers whose clients leave, or whose time is over: their tasks are cancelled. */
#include "bridge/guest_internal.h"

#include <stddef.h>

/* The engine's thread, without the GIL. */
static void on_event(struct cello_observer *o, struct cl_request *request, enum cello_event event) {
    struct cl_runner *r = CL_OWNER_OF(o, struct cl_runner, observer);
    (void)request;
    if (event == CELLO_EVENT_DRAINING)
        return; /* it is waited for */
    if (event == CELLO_EVENT_LEFT)
        r->left = true;
    else
        r->overdue = true;
    cl_bridge_note(r->guest->bridge, &r->note);
}

/* In a turn, which the engine's clock and timers want. */
static void watch(struct cl_runner *r, struct cl_bridge *b) {
    r->unwatched = false;
    if (cello_request_has_left(r->request)) {
        r->left = true;
        return;
    }
    cello_request_observe(r->request, &r->observer);
    cello_request_set_deadline(r->request, cl_bridge_timeout_of(b, r->entry));
}

/* A task that swallows this goes on; its answer may still reach a client that has only ended its
 * side, but not one that got a 504. */
static void cancel(struct cl_runner *r) {
    PyObject *done = PyObject_CallMethodNoArgs(r->task, r->ext_state->str_cancel);
    if (!done)
        PyErr_WriteUnraisable(r->task);
    Py_XDECREF(done);
}

static void on_note(struct cl_note *n, struct cl_bridge *b) {
    struct cl_runner *r = CL_OWNER_OF(n, struct cl_runner, note);
    if (r->unwatched)
        watch(r, b);
    if (!r->left && !r->overdue)
        return;
    Py_INCREF(r);
    if (r->overdue && !r->answered) {
        r->answered = true;
        cl_bridge_answer_overdue(b, r->entry, r->request);
    }
    if (r->task)
        cancel(r);
    Py_DECREF(r);
}

void cl_runner_watch(struct cl_runner *r) {
    struct cl_bridge *b = r->guest->bridge;
    r->observer.on_event = on_event;
    r->note.run = on_note;
    r->left = r->overdue = r->answered = false;
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
