/* The object of a stream, and how it is made for an answer. */
#include <stddef.h>

#include "bridge/guest_internal.h"
#include "bridge/stream_internal.h"
#include "types/app.h"
#include "types/sse_stream.h"
#include "types/text.h"

/* ---- the coroutine of a task ---- */

static PySendResult stream_send(PyObject *o, PyObject *arg, PyObject **result) {
    (void)arg;
    return cl_stream_step_task(cl_stream_of(o), NULL, result);
}

static PyObject *to_object(PySendResult how, PyObject *result) {
    if (how == PYGEN_NEXT)
        return result;
    Py_XDECREF(result);
    PyErr_SetNone(PyExc_StopIteration); /* it never raises: its stream does the answering */
    return NULL;
}

static PyObject *send_method(PyObject *o, PyObject *arg) {
    PyObject *result = NULL;
    PySendResult how = stream_send(o, arg, &result);
    return to_object(how, result);
}

static PyObject *iternext(PyObject *o) {
    return send_method(o, Py_None);
}

static PyObject *throw_method(PyObject *o, PyObject *const *args, Py_ssize_t n) {
    PyObject *result = NULL, *exception = cl_runner_thrown(args, n);
    if (!exception)
        return NULL;
    PySendResult how = cl_stream_step_task(cl_stream_of(o), exception, &result);
    Py_DECREF(exception);
    return to_object(how, result);
}

static PyObject *close_method(PyObject *o, PyObject *ignored) {
    (void)o;
    (void)ignored; /* of a task that never ran; the source goes with the stream */
    Py_RETURN_NONE;
}

static PyObject *repr(PyObject *o) {
    const struct cl_stream *s = cl_stream_of(o);
    return s->source ? PyUnicode_FromFormat("<stream of %R>", s->source)
                     : PyUnicode_FromString("<stream>");
}

/* ---- the object ---- */

static int traverse(PyObject *o, visitproc visit, void *arg) {
    struct cl_stream *s = cl_stream_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(s->source);
    Py_VISIT(s->trailers);
    Py_VISIT(s->context);
    Py_VISIT(s->task);
    Py_VISIT(s->pending);
    Py_VISIT(s->waiter);
    Py_VISIT(s->error);
    return cl_call_traverse(&s->call, visit, arg);
}

static int clear(PyObject *o) {
    struct cl_stream *s = cl_stream_of(o);
    Py_CLEAR(s->source);
    Py_CLEAR(s->trailers);
    Py_CLEAR(s->context);
    Py_CLEAR(s->task);
    Py_CLEAR(s->pending);
    Py_CLEAR(s->waiter);
    Py_CLEAR(s->error);
    cl_call_clear(NULL, &s->call);
    return 0;
}

static void dealloc(PyObject *o) {
    struct cl_stream *s = cl_stream_of(o);
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    cl_stream_forget(s);
    clear(o);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"send", send_method, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))throw_method, METH_FASTCALL, NULL},
    {"close", close_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_clear, (void *)clear},
    {Py_tp_repr, (void *)repr},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)iternext},
    {Py_am_await, (void *)PyObject_SelfIter},
    {Py_am_send, (void *)stream_send},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.StreamCoroutine",
    .basicsize = sizeof(struct cl_stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int cl_stream_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->stream_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->stream_type ? 0 : -1;
}

/* ---- made for an answer ---- */

static int announce_trailers(struct cl_stream *s) {
    if (!s->trailers || PyCallable_Check(s->trailers))
        return 0;
    PyObject *separator = PyUnicode_FromString(", ");
    PyObject *names = separator ? PyUnicode_Join(separator, s->trailers) : NULL;
    Py_ssize_t n = 0;
    const char *p = names ? PyUnicode_AsUTF8AndSize(names, &n) : NULL;
    int err = p ? 0 : -1;
    if (p && n &&
        cello_response_header(s->request, CL_LITERAL("Trailer"), (struct cl_str){p, (size_t)n}) !=
            CELLO_OK) {
        PyErr_Format(PyExc_ValueError, "these cannot be names of trailers: %R", names);
        err = -1;
    }
    Py_XDECREF(names);
    Py_XDECREF(separator);
    return err;
}

/* The iterator, by the kind of the source. */
static int open_source(struct cl_stream *s, PyObject *source) {
    const PyAsyncMethods *async = Py_TYPE(source)->tp_as_async;
    if (cl_sse_stream_is(source)) {
        s->kind = CL_STREAM_PUSHED;
        if (cl_sse_stream_attach(source, s) < 0)
            return -1;
        s->source = Py_NewRef(source);
    } else if (async && async->am_aiter) {
        s->kind = CL_STREAM_ASYNC;
        s->source = async->am_aiter(source);
        async = s->source ? Py_TYPE(s->source)->tp_as_async : NULL;
        if (s->source && (!async || !async->am_anext)) {
            PyErr_Format(PyExc_TypeError, "%.100s.__aiter__() gave no async iterator",
                         Py_TYPE(source)->tp_name);
            Py_CLEAR(s->source);
        }
    } else {
        s->kind = CL_STREAM_SYNC;
        s->source = PyObject_GetIter(source);
    }
    return s->source ? 0 : -1;
}

static struct cl_stream *stream_new(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                                    PyObject *body) {
    struct cl_stream_parts parts;
    cl_stream_parts(body, &parts);
    PyObject *outer = parts.context ? parts.context : call->context;
    struct cl_stream *s = cl_stream_of(b->ext->stream_type->tp_alloc(b->ext->stream_type, 0));
    if (!s)
        return NULL;
    s->request = r;
    s->sse = parts.sse;
    s->heartbeat_ns = (uint64_t)(Py_MIN(parts.heartbeat_s, 1e9) * 1e9);
    s->context = outer ? PyContext_Copy(outer) : PyContext_New();
    s->trailers = Py_XNewRef(parts.trailers);
    if (!s->context || announce_trailers(s) < 0 || open_source(s, parts.source) < 0) {
        s->request = NULL;
        Py_CLEAR(s);
        return NULL;
    }
    cello_request_ref(r);
    cl_stream_link(s, b);
    s->pooled = call->pooled && s->kind == CL_STREAM_SYNC;
    cl_call_move(b, call, &s->call);
    return s;
}

/* The source's first step, so that its first items go with the head. */
static void first_step(struct cl_stream *s) {
    struct cl_bridge *b = s->bridge;
    if (s->kind == CL_STREAM_SYNC) {
        cl_stream_step_sync(s);
    } else if (s->kind == CL_STREAM_PUSHED) {
        cl_stream_take_queue(s);
    } else if (s->kind == CL_STREAM_ASYNC && !b->guest) {
        b->wants_loop = s->waits = true; /* cl_stream_loop_is_here goes on */
        Py_INCREF(s);
    } else if (s->kind == CL_STREAM_ASYNC && cl_stream_start_task(s) < 0) {
        if (cl_stream_is_over(s))
            PyErr_Clear();
        else
            cl_stream_source_over(s, cl_ext_fetch_exception());
    }
}

void cl_stream_loop_is_here(struct cl_bridge *b) {
    b->wants_loop = false;
    struct cl_stream *s = b->streams;
    while (s) {
        if (!s->waits) {
            s = s->next;
            continue;
        }
        s->waits = false;
        first_step(s);
        cl_stream_progress(s);
        Py_DECREF(s);
        s = b->streams; /* the program has run, and others may have ended */
    }
}

int cl_stream_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                     PyObject *body, struct cl_str type) {
    struct cl_str method = cello_request_method(r);
    bool is_head = method.len == 4 && memcmp(method.ptr, "HEAD", 4) == 0;
    struct cl_stream *s = stream_new(b, call, r, body);
    if (!s)
        return -1;
    s->sse = s->sse || s->call.entry->items == CL_ITEMS_EVENTS;
    s->type = type.len || !s->sse ? type : CL_LITERAL("text/event-stream");
    s->typed = s->type.len != 0;
    if (is_head || cello_request_is_disconnected(r))
        s->typed = true; /* nothing of it will be sent */
    else
        first_step(s);
    cl_stream_progress(s);
    if (s->bridge && !cl_stream_has_begun(s))
        cl_stream_watch(s);
    if (!cl_stream_is_over(s) &&
        s->kind != CL_STREAM_SYNC) /* it may last: thousands of them shall be small */
        cello_request_compact(r);
    Py_DECREF(s);
    return 0;
}

/* ---- what others ask ---- */

int cl_stream_list_tasks(struct cl_bridge *b, PyObject *list) {
    for (struct cl_stream *s = b->streams; s; s = s->next)
        if (s->task && PyList_Append(list, s->task) < 0)
            return -1;
    return 0;
}

struct cl_stream *cl_stream_ref(struct cl_stream *s) {
    Py_INCREF(s);
    return s;
}

void cl_stream_unref(struct cl_stream *s) {
    Py_XDECREF(s);
}

void cl_stream_wake(struct cl_stream *s) {
    if (s->posted || !s->request || !s->bridge || !s->bridge->server)
        return;
    s->posted = true;
    Py_INCREF(s);
    cello_server_post(s->bridge->server, &s->post);
}

PyObject *cl_stream_json_default(struct cl_stream *s) {
    return s->bridge ? Py_XNewRef(((struct cl_app_object *)s->bridge->app)->json_default) : NULL;
}
