/* Items to bytes, and sources that are stepped in the batch. */
#include "bridge/stream_internal.h"

#include <stddef.h>

#include "types/app.h"
#include "types/sse.h"
#include "types/text.h"

enum {
    PIN_MIN = 8192, /* larger items are sent from where they lie */
    BURST_MAX = 1024,
    GATHER_NS = 100000, /* of items that come at once; a slower one leaves alone */
};

uint64_t cl_stream_deadline(void) {
    return cl_bridge_now_ns() + GATHER_NS;
}

bool cl_stream_is_late(uint64_t deadline) {
    return cl_bridge_now_ns() >= deadline;
}

/* ---- items ---- */

/* `owner` keeps the bytes where they are, and does not change. */
static int put_bytes(struct cl_stream *s, PyObject *owner, const char *p, size_t n) {
    if (n < PIN_MIN)
        return cl_buffer_add(&s->fill, p, n);
    s->large = cl_bridge_pin(s->bridge, owner);
    if (!s->large) {
        PyErr_NoMemory();
        return -1;
    }
    s->large_bytes = (struct cl_str){p, n};
    return 0;
}

static int put_str(struct cl_stream *s, PyObject *item) {
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(item, &n);
    return p ? put_bytes(s, item, p, (size_t)n) : -1;
}

static int put_buffer(struct cl_stream *s, PyObject *item) {
    Py_buffer view;
    if (PyObject_GetBuffer(item, &view, PyBUF_SIMPLE) < 0)
        return -1;
    int err = cl_buffer_add(&s->fill, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return err;
}

static int put_event(struct cl_stream *s, PyObject *item) {
    PyObject *hook = cl_stream_json_default(s);
    int err = cl_sse_write(s->bridge->ext, &s->fill, item, hook);
    Py_XDECREF(hook);
    return err;
}

/* The first item says what the stream is, if nothing else does. */
static void take_type(struct cl_stream *s, struct cl_str type) {
    if (s->typed)
        return;
    s->typed = true;
    s->type = type;
}

int cl_stream_put(struct cl_stream *s, PyObject *item) {
    if (!s->bridge) {
        PyErr_SetString(PyExc_RuntimeError, "the server of a stream is gone");
        return -1;
    }
    bool is_str = PyUnicode_Check(item), is_buffer = !is_str && PyObject_CheckBuffer(item);
    if (Py_IS_TYPE(item, s->bridge->ext->sse_event_type) || (s->sse && !is_buffer)) {
        if (!s->typed) /* not once it has begun: the engine's thread looks then */
            s->sse = true;
        take_type(s, CL_LITERAL("text/event-stream"));
        return put_event(s, item);
    }
    if (is_str) {
        take_type(s, CL_LITERAL("text/plain; charset=utf-8"));
        return put_str(s, item);
    }
    if (is_buffer) {
        take_type(s, CL_LITERAL("application/octet-stream"));
        return PyBytes_CheckExact(item)
                   ? put_bytes(s, item, PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item))
                   : put_buffer(s, item);
    }
    PyErr_Format(PyExc_TypeError,
                 "a stream gives bytes, str or SseEvent, not %.100s: make text of it, with "
                 "json.dumps() for one, or an event, with SseEvent() or Response.sse()",
                 Py_TYPE(item)->tp_name);
    return -1;
}

/* ---- sync sources ---- */

/* 0: it has ended, or enough items are there; -1: exception set. How long the next item takes is
 * not known before it is there, and what was gathered waits for it: so a step gathers twice as many
 * as the one before as long as they come quickly, and one where they do not. */
static int gather(struct cl_stream *s, bool *ended) {
    uint64_t deadline = cl_stream_deadline();
    uint32_t left = s->burst = s->burst ? s->burst * 2 : 1;
    do {
        PyObject *item = PyIter_Next(s->source);
        if (!item) {
            *ended = true;
            return PyErr_Occurred() ? -1 : 0;
        }
        int err = cl_stream_put(s, item);
        Py_DECREF(item);
        if (err)
            return -1;
        if (cl_stream_is_late(deadline))
            s->burst = left = 0;
    } while (left && --left && !cl_stream_is_full(s));
    s->burst = Py_MIN(s->burst, (uint32_t)BURST_MAX);
    return 0;
}

/* Its close() is called at every end: of a generator it runs what is left, of a file it closes it.
 * 0, or -1 with an exception set. */
static int close_source(struct cl_stream *s) {
    PyObject *close = PyObject_GetAttrString(s->source, "close");
    if (!close) {
        PyErr_Clear();
        return 0;
    }
    PyObject *closed = PyObject_CallNoArgs(close);
    Py_DECREF(close);
    Py_XDECREF(closed);
    return closed ? 0 : -1;
}

/* A step without the engine, on any thread. What it found goes to s->ended and s->error. */
static void work(struct cl_stream *s) {
    bool entered = PyContext_Enter(s->context) == 0;
    if (!entered)
        PyErr_Clear();
    s->ended = cl_stream_is_unwanted(s);
    if (!s->ended && gather(s, &s->ended) < 0) {
        s->ended = true;
        s->error = cl_ext_fetch_exception();
    }
    if (s->ended && close_source(s) < 0) {
        PyObject *error = cl_ext_fetch_exception();
        if (s->error)
            Py_XDECREF(error);
        else
            s->error = error;
    }
    if (entered && PyContext_Exit(s->context) < 0)
        PyErr_WriteUnraisable(s->context);
}

static void settle(struct cl_stream *s) {
    if (!s->ended)
        return;
    PyObject *error = s->error;
    s->error = NULL;
    cl_stream_source_over(s, error);
}

/* ---- on the thread pool ---- */

static struct cl_stream *of_job(struct cl_job *j) {
    return CL_OWNER_OF(j, struct cl_stream, job);
}

static void job_work(struct cl_job *j) {
    work(of_job(j));
}

static void job_done(struct cl_job *j, struct cl_bridge *b) {
    struct cl_stream *s = of_job(j);
    (void)b;
    s->supply = CL_SOURCE_OPEN;
    settle(s);
    if (cl_stream_is_unwanted(s) && !cl_stream_is_over(s)) /* since a moment ago */
        cl_stream_step_sync(s);
    cl_stream_progress(s);
    Py_DECREF(s);
}

static void job_lost(struct cl_job *j) {
    struct cl_stream *s = of_job(j);
    s->supply = CL_SOURCE_OPEN;
    Py_DECREF(s);
}

/* False: no thread is to be had. */
static bool submit(struct cl_stream *s) {
    struct cl_pool *pool = cl_bridge_pool(s->bridge);
    s->job = (struct cl_job){.work = job_work, .done = job_done, .lost = job_lost};
    if (!pool || cl_pool_submit(pool, &s->job) < 0) {
        PyErr_Clear();
        return false;
    }
    Py_INCREF(s);
    s->supply = CL_SOURCE_BUSY;
    return true;
}

void cl_stream_step_sync(struct cl_stream *s) {
    if (s->supply != CL_SOURCE_OPEN || (s->pooled && submit(s)))
        return;
    work(s);
    settle(s);
}
