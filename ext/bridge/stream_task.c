/* Async sources: the stream is the coroutine of a task, which asks the source for one item after
 * the other, and waits with a future while the client is slow.
 *
 * Whatever ends it (the source, its client, a cancellation), the source is closed by aclose(), in
 * the task, where it may await. */
#include "bridge/guest_internal.h"
#include "bridge/stream_internal.h"

/* ---- awaitables ---- */

/* What drives an awaitable (stolen, may be NULL). */
static PyObject *steps_of(PyObject *awaitable) {
    if (!awaitable || PyCoro_CheckExact(awaitable))
        return awaitable;
    const PyAsyncMethods *async = Py_TYPE(awaitable)->tp_as_async;
    PyObject *steps = NULL;
    if (async && async->am_await)
        steps = async->am_await(awaitable);
    else
        PyErr_Format(PyExc_TypeError, "a stream's source gave %.100s, which cannot be awaited",
                     Py_TYPE(awaitable)->tp_name);
    Py_DECREF(awaitable);
    return steps;
}

/* ---- the source ---- */

/* Before its first item an async generator calls a hook of the loop's, which is to close it at the
 * loop's end: in asyncio as much work as a short stream. Ours are closed by their task. */
static PyObject *ask_generator(PyObject *generator) {
    PyThreadState *thread = PyThreadState_Get();
    PyObject *hook = thread->async_gen_firstiter, *finalizer = thread->async_gen_finalizer;
    thread->async_gen_firstiter = thread->async_gen_finalizer = NULL;
    PyObject *awaitable = Py_TYPE(generator)->tp_as_async->am_anext(generator);
    thread->async_gen_firstiter = hook;
    thread->async_gen_finalizer = finalizer;
    return awaitable;
}

static PyObject *next_item(struct cl_stream *s) {
    if (PyAsyncGen_CheckExact(s->source))
        return steps_of(ask_generator(s->source));
    return steps_of(Py_TYPE(s->source)->tp_as_async->am_anext(s->source));
}

/* What aclose() gives; NULL: there is none, or an exception is set. */
static PyObject *close_source(struct cl_stream *s) {
    PyObject *aclose = PyObject_GetAttrString(s->source, "aclose");
    if (!aclose) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *steps = steps_of(PyObject_CallNoArgs(aclose));
    Py_DECREF(aclose);
    return steps;
}

/* ---- steps ---- */

static void keep_error(struct cl_stream *s) {
    PyObject *error = cl_ext_fetch_exception();
    if (s->error) /* the first one says why; this came of it */
        Py_XDECREF(error);
    else
        s->error = error;
}

/* The source has said no more: all that is left is its aclose(). */
static void begin_closing(struct cl_stream *s) {
    s->supply = CL_SOURCE_CLOSING;
    s->pending = close_source(s);
    if (!s->pending && PyErr_Occurred())
        keep_error(s);
}

/* The end of what the task drove. */
static void take_result(struct cl_stream *s, PySendResult how, PyObject *value) {
    Py_CLEAR(s->pending);
    if (s->supply == CL_SOURCE_CLOSING) {
        if (how == PYGEN_ERROR && !PyErr_ExceptionMatches(PyExc_StopAsyncIteration))
            keep_error(s);
        PyErr_Clear();
    } else if (how == PYGEN_RETURN) {
        if (s->bridge && s->state < CL_STREAM_STOPPED && cl_stream_put(s, value) < 0) {
            keep_error(s);
            begin_closing(s);
        }
    } else {
        if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration))
            PyErr_Clear();
        else
            keep_error(s);
        begin_closing(s);
    }
    Py_XDECREF(value);
}

static PySendResult finish(struct cl_stream *s, PyObject **result) {
    PyObject *error = s->error;
    s->error = NULL;
    Py_INCREF(s);
    cl_stream_source_over(s, error);
    if (!s->starting)
        cl_stream_progress(s);
    Py_DECREF(s);
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* The task is to wait until the client has read. */
static PySendResult wait_for_client(struct cl_stream *s, PyObject **result) {
    struct cl_guest *g = s->bridge ? s->bridge->guest : NULL;
    s->waiter = g ? PyObject_CallMethod(g->loop, "create_future", NULL) : NULL;
    if (s->waiter && PyObject_SetAttrString(s->waiter, "_asyncio_future_blocking", Py_True) == 0) {
        *result = Py_NewRef(s->waiter);
        return PYGEN_NEXT;
    }
    Py_CLEAR(s->waiter);
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_RuntimeError, "the server of a stream is gone");
    keep_error(s);
    begin_closing(s);
    return PYGEN_RETURN; /* go on */
}

/* One await of the source's, or its end. PYGEN_RETURN: it is over. */
static PySendResult drive(struct cl_stream *s, PyObject *exception, PyObject **result) {
    PyObject *value = NULL;
    PySendResult how = exception ? cl_guest_throw(s->pending, exception, &value)
                                 : PyIter_Send(s->pending, Py_None, &value);
    if (how != PYGEN_NEXT) {
        take_result(s, how, value);
        return PYGEN_RETURN;
    }
    *result = value;
    if (!s->starting)
        cl_stream_progress(s);
    return PYGEN_NEXT;
}

PySendResult cl_stream_step_task(struct cl_stream *s, PyObject *exception, PyObject **result) {
    uint64_t deadline = cl_stream_deadline();
    Py_CLEAR(s->waiter);
    for (;;) { /* exception: of the task's cancellation, thrown into what runs */
        if (s->pending) {
            if (drive(s, exception, result) == PYGEN_NEXT)
                return PYGEN_NEXT;
            exception = NULL;
        } else if (cl_stream_is_over(s)) {
            *result = Py_NewRef(Py_None);
            return PYGEN_RETURN;
        } else if (s->supply == CL_SOURCE_CLOSING) {
            return finish(s, result);
        } else if (exception || cl_stream_is_unwanted(s) || !s->bridge) {
            s->error = Py_XNewRef(exception);
            exception = NULL;
            begin_closing(s);
        } else if (cl_stream_is_full(s)) {
            if (!s->starting)
                cl_stream_progress(s); /* the engine may take it */
            if (cl_stream_is_full(s) && s->state < CL_STREAM_STOPPED &&
                wait_for_client(s, result) == PYGEN_NEXT)
                return PYGEN_NEXT;
        } else if (cl_stream_has_items(s) && cl_stream_is_late(deadline)) {
            if (!s->starting)
                cl_stream_progress(s);
            *result = Py_NewRef(Py_None); /* the loop goes round, and what is there leaves */
            return PYGEN_NEXT;
        } else if (!(s->pending = next_item(s))) {
            keep_error(s);
            begin_closing(s);
        }
    }
}

/* ---- the task ---- */

int cl_stream_start_task(struct cl_stream *s) {
    struct cl_guest *g = s->bridge->guest;
    s->starting = true;
    s->task = cl_guest_task_apart(g, (PyObject *)s, s->context);
    s->starting = false;
    return s->task ? 0 : -1;
}

void cl_stream_resume_task(struct cl_stream *s) {
    PyObject *waiter = s->waiter;
    s->waiter = NULL;
    if (!waiter)
        return;
    PyObject *done = PyObject_CallMethod(waiter, "set_result", "O", Py_None);
    if (!done)
        PyErr_Clear(); /* it was cancelled meanwhile */
    Py_XDECREF(done);
    Py_DECREF(waiter);
}

void cl_stream_cancel_task(struct cl_stream *s) {
    if (s->cancelled || !s->task)
        return;
    s->cancelled = true;
    PyObject *done = PyObject_CallMethod(s->task, "cancel", NULL);
    if (!done)
        PyErr_WriteUnraisable(s->task); /* the loop is closed */
    Py_XDECREF(done);
}
