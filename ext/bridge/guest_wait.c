/* The wait of an EngineLoop: engine turns, asyncio's callbacks and timers, in rounds.
 *
 *      round:  callbacks that are ready -> engine turn (waits for sockets; handlers run in it)
 *              -> timers that are due become ready
 *
 * It goes back to asyncio for what is asyncio's own: descriptors, handles of its own making,
 * stop(), and the clean-up of many cancelled timers. */
#include <errno.h>
#include <math.h>

#include "bridge/guest_internal.h"
#include "types/handle.h"
#include "types/timer_heap.h"

/* asyncio's limits: it rebuilds the heap when this many timers are in it, half of them cancelled.
 */
enum { CLEAN_MIN = 100 };

/* Callbacks of one round. With thousands ready (an event for every listener) the answers of the
 * first ones leave, in blocks that the next ones use again, and other clients are served, before
 * the last ones run. */
enum { CALLBACKS_MAX = 64 };

/* A quarter of what asyncio's own selectors wait in: a sleep of 1 ms is late by an eighth of it on
 * average, and a busy server still serves many timers a round. */
#define TIMER_TICK_S 250e-6

enum round { ROUND_FAILED = -1, ROUND_ON, ROUND_BACK };

/* ---- callbacks ---- */

static PyObject *pop_ready(struct cl_engine_loop *l) {
    return PyObject_CallMethodNoArgs(l->ready, l->state->str_popleft);
}

static int put_back(struct cl_engine_loop *l, PyObject *handle) {
    PyObject *done = PyObject_CallMethodOneArg(l->ready, l->state->str_appendleft, handle);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* The first of those that are ready now; what they add comes after them all, as in asyncio. */
static enum round run_ready(struct cl_guest *g) {
    struct cl_engine_loop *l = g->own;
    Py_ssize_t n = PyObject_Size(l->ready);
    if (n > CALLBACKS_MAX)
        n = CALLBACKS_MAX;
    for (; n > 0 && PyObject_Size(l->ready) > 0; n--) {
        PyObject *h = pop_ready(l);
        if (!h)
            return ROUND_FAILED;
        if (!cl_handle_check(l->state, h)) {
            int err = put_back(l, h);
            Py_DECREF(h);
            return err ? ROUND_FAILED : ROUND_BACK;
        }
        int err = cl_handle_run((struct cl_handle *)(void *)h);
        Py_DECREF(h);
        if (g->gone)
            return err ? ROUND_FAILED : ROUND_BACK;
        cl_guest_settle(g);
        if (err)
            return ROUND_FAILED;
        if (l->stopping == Py_True || cl_loop_is_plain(l))
            return ROUND_BACK;
    }
    return n < 0 ? ROUND_FAILED : ROUND_ON;
}

/* ---- timers ---- */

static void set_scheduled(PyObject *timer, const struct cl_guest_state *s) {
    if (Py_IS_TYPE(timer, s->timer_type))
        ((struct cl_handle *)(void *)timer)->scheduled = false;
}

static bool is_cancelled(PyObject *timer) {
    return ((struct cl_handle *)(void *)timer)->cancelled;
}

/* Timers that are due to the ready ones. */
static enum round move_due(struct cl_engine_loop *l) {
    double now = 0, when;
    while (PyList_GET_SIZE(l->scheduled) > 0) {
        PyObject *first = PyList_GET_ITEM(l->scheduled, 0);
        bool ours = Py_IS_TYPE(first, l->state->timer_type);
        if (cl_timer_when(l->state, first, &when) < 0)
            return ROUND_FAILED;
        bool cancelled = ours && is_cancelled(first);
        if (!cancelled) {
            if (now == 0)
                now = cl_loop_time();
            if (when > now)
                return ROUND_ON;
            if (!ours)
                return ROUND_BACK;
        }
        PyObject *timer = cl_timer_heap_pop(l->state, l->scheduled);
        if (!timer)
            return ROUND_FAILED;
        set_scheduled(timer, l->state);
        PyObject *done = Py_None;
        if (cancelled)
            l->timer_cancelled_count--;
        else
            done = PyObject_CallMethodOneArg(l->ready, l->state->str_append, timer);
        Py_DECREF(timer);
        if (!done)
            return ROUND_FAILED;
        if (!cancelled)
            Py_DECREF(done);
    }
    return ROUND_ON;
}

static bool needs_cleaning(const struct cl_engine_loop *l) {
    Py_ssize_t n = PyList_GET_SIZE(l->scheduled);
    return n > CLEAN_MIN && l->timer_cancelled_count > n / 2;
}

static uint64_t to_ns(double s) {
    return s <= 0 ? 0 : s >= 1e9 ? UINT64_MAX : (uint64_t)ceil(s * 1e9);
}

/* Until the first timer, or no time at all while callbacks are ready. A wait ends on a tick of the
 * clock, so that timers that are due about the same time share a round. */
static int wait_ns(struct cl_engine_loop *l, uint64_t *out) {
    double when;
    *out = UINT64_MAX;
    if (PyObject_Size(l->ready) > 0) {
        *out = 0;
    } else if (PyList_GET_SIZE(l->scheduled) > 0) {
        if (cl_timer_when(l->state, PyList_GET_ITEM(l->scheduled, 0), &when) < 0)
            return -1;
        *out = to_ns(ceil(when / TIMER_TICK_S) * TIMER_TICK_S - cl_loop_time());
    }
    return 0;
}

/* ---- rounds ---- */

static int call_on_done(struct cl_guest *g) {
    PyObject *on_done = g->on_done;
    if (!on_done || g->gone || !cello_server_done(g->bridge->server))
        return 0;
    g->on_done = NULL;
    PyObject *done = PyObject_CallNoArgs(on_done);
    Py_DECREF(on_done);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int turn(struct cl_guest *g, uint64_t timeout_ns) {
    g->own->waiting = true;
    int err = cl_bridge_turn(g->bridge, timeout_ns);
    g->own->waiting = false;
    if (err && !(err == CELLO_ESYS && errno == EINTR)) {
        if (err == CELLO_ESYS)
            PyErr_SetFromErrno(PyExc_OSError);
        else
            PyErr_SetString(PyExc_RuntimeError, cello_strerror(err));
        return -1;
    }
    return PyErr_CheckSignals() < 0 ? -1 : call_on_done(g);
}

static enum round one_round(struct cl_guest *g, bool poll) {
    struct cl_engine_loop *l = g->own;
    enum round next = l->stopping == Py_True ? ROUND_BACK : run_ready(g);
    uint64_t timeout_ns = 0;
    if (next == ROUND_FAILED || g->gone || cl_loop_is_plain(l))
        return next;
    if (next == ROUND_ON && !poll && wait_ns(l, &timeout_ns) < 0)
        return ROUND_FAILED;
    if (turn(g, timeout_ns) < 0)
        return ROUND_FAILED;
    if (g->gone || cl_loop_is_plain(l) || g->fds_ready || needs_cleaning(l))
        return ROUND_BACK;
    enum round due = move_due(l);
    return due == ROUND_ON && poll ? ROUND_BACK : due == ROUND_ON ? next : due;
}

/* asyncio's own code schedules: after each turn it looks at what was added. */
static int plain_wait(struct cl_guest *g, double timeout_s) {
    struct cl_engine_loop *l = g->own;
    double deadline = timeout_s < 0 ? HUGE_VAL : cl_loop_time() + timeout_s;
    l->touched = false;
    do {
        if (turn(g, to_ns(deadline - cl_loop_time())) < 0)
            return -1;
    } while (!g->gone && !l->touched && !g->fds_ready && cl_loop_time() < deadline);
    return 0;
}

static int rounds(struct cl_guest *g, bool poll) {
    enum round next;
    do
        next = one_round(g, poll);
    while (next == ROUND_ON);
    return next == ROUND_FAILED ? -1 : 0;
}

/* A timeout above 0 is asyncio's reading of its timers, which every round reads afresh. */
int cl_guest_wait(struct cl_guest *g, double timeout_s) {
    g->fds_ready = false;
    g->in_wait = true;
    cl_guest_settle(g);
    int err = cl_loop_is_plain(g->own) ? plain_wait(g, timeout_s) : rounds(g, timeout_s == 0);
    g->in_wait = false;
    if (!err && g->fds_ready && !g->gone)
        err = 1;
    if (g->gone)
        cl_guest_free(g);
    return err;
}
