/* Items to bytes, and sources that are stepped in the batch. */
#include "bridge/stream_internal.h"

#include <time.h>

#include "types/app.h"
#include "types/sse.h"
#include "types/text.h"

enum {
    PIN_MIN = 8192,     /* larger items are sent from where they lie */
    GATHER_NS = 100000, /* of items that come at once; a slower one leaves alone */
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t cl_stream_deadline(void) {
    return now_ns() + GATHER_NS;
}

bool cl_stream_is_late(uint64_t deadline) {
    return now_ns() >= deadline;
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
    cello_response_type(s->request, type);
}

int cl_stream_put(struct cl_stream *s, PyObject *item) {
    bool is_str = PyUnicode_Check(item), is_buffer = !is_str && PyObject_CheckBuffer(item);
    if (Py_IS_TYPE(item, s->bridge->ext->sse_event_type) || (s->sse && !is_buffer)) {
        s->sse = s->sse || !s->typed;
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
    PyErr_Format(PyExc_TypeError, "a stream gives bytes, str or SseEvent, not %.100s",
                 Py_TYPE(item)->tp_name);
    return -1;
}

/* ---- sync sources ---- */

/* 0: it has ended, or enough items are there; -1: exception set. */
static int gather(struct cl_stream *s, bool *ended) {
    uint64_t deadline = cl_stream_deadline();
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
    } while (!cl_stream_is_full(s) && !cl_stream_is_late(deadline));
    return 0;
}

/* What a source that is not exhausted has to clean up. */
static void close_source(struct cl_stream *s) {
    PyObject *close = PyObject_GetAttrString(s->source, "close");
    if (!close)
        PyErr_Clear();
    PyObject *closed = close ? PyObject_CallNoArgs(close) : NULL;
    if (close && !closed)
        cl_bridge_report_request(s->bridge, s->call.entry, s->request, "exception in the close()",
                                 cl_ext_fetch_exception());
    Py_XDECREF(closed);
    Py_XDECREF(close);
}

static bool enter(struct cl_stream *s) {
    if (PyContext_Enter(s->context) == 0)
        return true;
    PyErr_Clear(); /* a source that steps its own stream: there is no context to protect */
    return false;
}

static void leave(struct cl_stream *s, bool entered) {
    if (entered && PyContext_Exit(s->context) < 0)
        PyErr_WriteUnraisable(s->context);
}

void cl_stream_step_sync(struct cl_stream *s) {
    bool ended = false, entered = enter(s);
    int err = gather(s, &ended);
    PyObject *error = err ? cl_ext_fetch_exception() : NULL;
    if (ended || error) {
        close_source(s);
        cl_stream_source_over(s, error);
    }
    leave(s, entered);
}

void cl_stream_close_sync(struct cl_stream *s) {
    if (s->over)
        return;
    bool entered = enter(s);
    close_source(s);
    cl_stream_source_over(s, NULL);
    leave(s, entered);
}
