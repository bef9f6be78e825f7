/* _cello.LoopBase: the part of EngineLoop (cello/_loop.py) that is C.
 *
 * A mixin in front of asyncio.SelectorEventLoop: it has the methods that run once per callback, and
 * it is where the attributes lie that asyncio's own code sets in __init__ and reads (_ready,
 * _scheduled, ...), so that both sides see the same thing whenever either changes it. */
#ifndef CL_EXT_LOOP_H
#define CL_EXT_LOOP_H

#include <time.h>

#include "bridge/guest_state.h"

struct cl_guest;

/* A task asks call_soon for its next step; the guest runs some steps itself. A finalizer may call
 * call_soon first: what it asks for is no step and goes its way. */
enum cl_capture { CL_CAPTURE_OFF, CL_CAPTURE_KEEP, CL_CAPTURE_DROP };

struct cl_engine_loop {
    PyObject_HEAD struct cl_guest_state *state; /* strong */
    /* asyncio's attributes; NULL until asyncio sets them, or when it has them no more. */
    PyObject *ready;        /* _ready: deque of handles */
    PyObject *scheduled;    /* _scheduled: list of timers, a heap; replaced now and then */
    PyObject *closed;       /* _closed */
    PyObject *debug;        /* _debug */
    PyObject *stopping;     /* _stopping */
    PyObject *task_factory; /* _task_factory */
    Py_ssize_t timer_cancelled_count;

    struct cl_guest *guest;  /* borrowed; NULL: no server */
    bool waiting;            /* in an engine turn that may block: wake it */
    bool touched;            /* something was scheduled through asyncio's own code */
    enum cl_capture capture; /* what becomes of the next call_soon(step) */
    PyObject *captured;
    PyTypeObject *step_type; /* of captured steps; strong, NULL before the first */
};

/* asyncio's own code schedules callbacks: debug mode, or an asyncio without the attributes above.
 */
static inline bool cl_loop_is_plain(const struct cl_engine_loop *l) {
    return !l->ready || !l->scheduled || !PyList_CheckExact(l->scheduled) || l->debug != Py_False;
}

/* An EngineLoop that drives no server yet. */
static inline bool cl_loop_is_free(const struct cl_guest_state *s, PyObject *loop) {
    return PyObject_TypeCheck(loop, s->loop_type) &&
           ((struct cl_engine_loop *)(void *)loop)->guest == NULL;
}

static inline double cl_loop_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
