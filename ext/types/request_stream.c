#include "types/request_stream.h"

#include <stddef.h>

#include "bridge/bridge.h"
#include "bridge/guest.h"
#include "bridge/pool.h"
#include "types/text.h"

struct stream {
    PyObject_HEAD struct cl_ext *ext; /* lives as long as the type */
    PyObject *request;                /* strong: what keeps r. References to r are not counted on
                                         the threads of the pool. */
    struct cl_request *r;             /* NULL: `body` is all */
    PyObject *body;                   /* bytes that were not given yet; may be NULL */
    PyObject *future;                 /* of the task that waits; NULL: none does */
    struct cello_reader reader;       /* with the engine while a task is `waiting` */
    struct cl_note note;
    size_t expected; /* of the next piece, on a thread of the pool; 0: it lies with the engine */
    bool waiting;    /* a task, which has a reference; or a thread of the pool */
};

/* What `await anext(stream)` awaits. */
struct step {
    PyObject_HEAD struct stream *stream; /* strong */
    PyObject *future;                    /* an iterator of stream->future; NULL: not waiting */
};

static struct stream *stream_of(PyObject *o) {
    return (struct stream *)(void *)o;
}

static struct step *step_of(PyObject *o) {
    return (struct step *)(void *)o;
}

/* ---- waiting ---- */

static void stop_waiting(struct stream *s) {
    if (!s->waiting)
        return;
    s->waiting = false;
    struct cl_bridge *b = cello_request_application(s->r);
    cello_request_unread(s->r);
    if (b)
        cl_bridge_unnote(b, &s->note);
    Py_CLEAR(s->future);
    Py_DECREF(s);
}

/* The task may have been cancelled, and its loop closed, in the meantime. */
static void wake_up(PyObject *future) {
    PyObject *done = PyObject_CallMethod(future, "done", NULL);
    PyObject *set =
        done == Py_False ? PyObject_CallMethod(future, "set_result", "O", Py_None) : NULL;
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(future);
    Py_XDECREF(set);
    Py_XDECREF(done);
}

static void run_note(struct cl_note *n, struct cl_bridge *b) {
    (void)b;
    struct stream *s = (struct stream *)(void *)((char *)n - offsetof(struct stream, note));
    PyObject *future = s->future;
    s->future = NULL;
    s->waiting = false;
    if (future)
        wake_up(future);
    Py_XDECREF(future);
    Py_DECREF(s);
}

static void on_ready(struct cello_reader *reader, struct cl_request *r) {
    struct stream *s = (struct stream *)(void *)((char *)reader - offsetof(struct stream, reader));
    cl_bridge_note(cello_request_application(r), &s->note);
}

/* The bridge of a request that is read on this thread. NULL: exception set. */
static struct cl_bridge *bridge_here(struct stream *s) {
    struct cl_bridge *b = cello_request_application(s->r);
    if (b && PyThreadState_Get() != b->thread) {
        PyErr_SetString(PyExc_RuntimeError, "req.stream() is read on the thread of the server");
        return NULL;
    }
    if (!b)
        PyErr_SetString(PyExc_RuntimeError, "the server of this request is closed");
    return b;
}

/* ---- reading ---- */

static PyObject *raise_disconnected(struct cl_ext *ext) {
    PyErr_SetString(ext->client_disconnected ? ext->client_disconnected : PyExc_RuntimeError,
                    "the client has gone, or was answered");
    return NULL;
}

static PyObject *raise_read(struct cl_ext *ext, int err) {
    if (err == CELLO_ECANCELED)
        return raise_disconnected(ext);
    if (err == CELLO_ENOMEM)
        return cl_text_raise_http(ext, 503, "The server has no memory to spare.");
    return cl_text_raise_http(ext, cello_error_status(err), "%s", cello_error_detail(err));
}

/* A bytes object of this size to be filled by the reader; NULL: there is none, and none is needed.
 */
static PyObject *lend_memory(struct cello_reader *reader, size_t size) {
    PyObject *memory = size ? PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size) : NULL;
    PyErr_Clear();
    reader->waiting = 0;
    reader->memory = memory ? PyBytes_AS_STRING(memory) : NULL;
    reader->room = memory ? size : 0;
    return memory;
}

/* The piece as an object: in the `memory` that it lies in, or copied. Takes over `memory`. */
static PyObject *object_of(struct cl_str piece, PyObject *memory) {
    if (memory && piece.ptr == PyBytes_AS_STRING(memory)) {
        if ((size_t)PyBytes_GET_SIZE(memory) != piece.len)
            (void)_PyBytes_Resize(&memory, (Py_ssize_t)piece.len);
        return memory;
    }
    Py_XDECREF(memory);
    return PyBytes_FromStringAndSize(piece.ptr, (Py_ssize_t)piece.len);
}

static int take_piece(struct stream *s, int err, struct cl_str piece, PyObject *memory,
                      PyObject **bytes) {
    if (err == CELLO_OK) {
        *bytes = object_of(piece, memory);
        return *bytes ? CELLO_OK : CELLO_ENOMEM;
    }
    Py_XDECREF(memory);
    if (err != CELLO_EAGAIN && err != CELLO_EOF)
        raise_read(s->ext, err);
    return err;
}

/* The next piece in *bytes: CELLO_OK, CELLO_EAGAIN (`reader` is told), CELLO_EOF; another error:
 * an exception is set. */
static int read_piece(struct stream *s, struct cello_reader *reader, PyObject **bytes) {
    if (!s->r) {
        *bytes = s->body;
        s->body = NULL;
        if (*bytes && PyBytes_GET_SIZE(*bytes) > 0)
            return CELLO_OK;
        Py_CLEAR(*bytes);
        return CELLO_EOF;
    }
    struct cl_str piece = {NULL, 0};
    PyObject *memory = reader ? lend_memory(reader, reader->waiting) : NULL;
    int err = cello_request_read(s->r, reader, &piece);
    if (reader && !err)
        reader->waiting = 0; /* the next is waited for, and told of */
    return take_piece(s, err, piece, memory, bytes);
}

/* ---- on a thread of the pool ---- */

struct wait {
    struct cl_errand errand; /* first */
    struct cello_reader reader;
    struct cl_request *r;
    struct cl_str piece;
    int result;
};

/* The engine's thread, without the GIL. */
static void try_to_read(struct wait *w) {
    w->result = cello_request_read(w->r, &w->reader, &w->piece);
    if (w->result != CELLO_EAGAIN)
        cl_errand_end(&w->errand);
}

static void on_wait_ready(struct cello_reader *reader, struct cl_request *r) {
    (void)r;
    try_to_read((struct wait *)(void *)((char *)reader - offsetof(struct wait, reader)));
}

static void run_wait(struct cl_errand *e) {
    try_to_read((struct wait *)(void *)e);
}

/* As read_piece, but the thread waits until there is something. A piece stays where it lies until
 * the next read, whatever the engine does meanwhile. */
static int wait_for_piece(struct stream *s, struct cl_pool *pool, PyObject **bytes) {
    struct wait w = {
        .errand.run = run_wait,
        .reader = {.on_ready = on_wait_ready, .has_memory = true},
        .r = s->r,
    };
    PyObject *memory = lend_memory(&w.reader, s->expected);
    s->waiting = true; /* a second reader would take the place of this one */
    int err = cl_errand_perform(pool, &w.errand);
    s->waiting = false;
    s->expected = w.reader.waiting;
    return take_piece(s, err ? err : w.result, w.piece, memory, bytes);
}

static bool is_free(struct stream *s) {
    if (!s->waiting)
        return true;
    PyErr_SetString(PyExc_RuntimeError, "another task or thread is waiting for this stream");
    return false;
}

static PyObject *stream_next(PyObject *o) {
    struct stream *s = stream_of(o);
    struct cl_pool *pool = s->r ? cl_pool_here() : NULL;
    PyObject *bytes = NULL;
    if (!is_free(s))
        return NULL;
    if (pool && cl_pool_bridge(pool) == cello_request_application(s->r)) {
        (void)wait_for_piece(s, pool, &bytes);
        return bytes;
    }
    if (s->r && !bridge_here(s))
        return NULL;
    if (read_piece(s, NULL, &bytes) == CELLO_EAGAIN)
        PyErr_SetString(PyExc_RuntimeError,
                        "the body has not come yet, and `for` cannot wait for it on the thread of "
                        "the server: leave blocking= out, or make the handler async and write "
                        "`async for`");
    return bytes;
}

/* ---- `async for` ---- */

/* Wait for the client: an iterator of a new future, or NULL with an exception set. */
static PyObject *begin_waiting(struct stream *s, struct cl_bridge *b) {
    s->future =
        b->guest ? PyObject_CallMethod(cl_guest_loop(b->guest), "create_future", NULL) : NULL;
    PyObject *steps = s->future ? Py_TYPE(s->future)->tp_as_async->am_await(s->future) : NULL;
    if (!b->guest)
        PyErr_SetString(PyExc_RuntimeError, "an async handler needs the server to run a loop");
    if (!steps) {
        cello_request_unread(s->r);
        Py_CLEAR(s->future);
        return NULL;
    }
    s->waiting = true;
    Py_INCREF(s);
    return steps;
}

/* Go on after the future; 0: it is over. */
static PySendResult resume(struct step *t, PyObject **result) {
    PySendResult how = PyIter_Send(t->future, Py_None, result);
    if (how == PYGEN_NEXT)
        return how;
    Py_CLEAR(t->future);
    if (how == PYGEN_ERROR)
        stop_waiting(t->stream);
    return how;
}

static PySendResult step_send(PyObject *o, PyObject *ignored, PyObject **result) {
    (void)ignored;
    struct step *t = step_of(o);
    struct stream *s = t->stream;
    *result = NULL;
    if (t->future) {
        PySendResult how = resume(t, result);
        if (how != PYGEN_RETURN)
            return how;
        Py_CLEAR(*result);
    }
    struct cl_bridge *b = NULL;
    if (!is_free(s) || (s->r && !(b = bridge_here(s))))
        return PYGEN_ERROR;
    switch (read_piece(s, &s->reader, result)) {
    case CELLO_OK: return PYGEN_RETURN;
    case CELLO_EOF: PyErr_SetNone(PyExc_StopAsyncIteration); return PYGEN_ERROR;
    case CELLO_EAGAIN: break;
    default: return PYGEN_ERROR;
    }
    t->future = begin_waiting(s, b);
    return t->future ? resume(t, result) : PYGEN_ERROR;
}

static PyObject *step_next(PyObject *o) {
    PyObject *result = NULL;
    PySendResult how = step_send(o, Py_None, &result);
    return cl_ext_from_send(how, result);
}

static PyObject *step_send_method(PyObject *o, PyObject *ignored) {
    (void)ignored;
    return step_next(o);
}

static PyObject *step_throw(PyObject *o, PyObject *args) {
    struct step *t = step_of(o);
    if (!t->future) {
        PyObject *exception = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL;
        if (exception && PyExceptionInstance_Check(exception))
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        else if (exception && PyExceptionClass_Check(exception))
            PyErr_SetNone(exception);
        else
            PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
        return NULL;
    }
    PyObject *throw = PyObject_GetAttrString(t->future, "throw");
    PyObject *result = throw ? PyObject_CallObject(throw, args) : NULL;
    Py_XDECREF(throw);
    if (!result) {
        Py_CLEAR(t->future);
        stop_waiting(t->stream);
    }
    return result;
}

static PyObject *step_close(PyObject *o, PyObject *ignored) {
    (void)ignored;
    struct step *t = step_of(o);
    if (t->future)
        stop_waiting(t->stream);
    Py_CLEAR(t->future);
    Py_RETURN_NONE;
}

static PyObject *stream_anext(PyObject *o) {
    struct stream *s = stream_of(o);
    PyTypeObject *type = s->ext->request_stream_step_type;
    struct step *t = (struct step *)(void *)type->tp_alloc(type, 0);
    if (t)
        t->stream = (struct stream *)(void *)Py_NewRef(o);
    return (PyObject *)t;
}

/* ---- the types ---- */

PyObject *cl_request_stream_new(struct cl_ext *ext, PyObject *request, struct cl_request *r,
                                PyObject *body) {
    PyTypeObject *type = ext->request_stream_type;
    struct stream *s = (struct stream *)(void *)type->tp_alloc(type, 0);
    if (!s)
        return NULL;
    s->ext = ext;
    s->request = Py_NewRef(request);
    s->r = r;
    s->body = r ? NULL : Py_NewRef(body);
    s->reader.on_ready = on_ready;
    s->reader.has_memory = true;
    s->note.run = run_note;
    return (PyObject *)s;
}

static int stream_traverse(PyObject *o, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(stream_of(o)->request);
    Py_VISIT(stream_of(o)->future);
    return 0;
}

static int stream_clear(PyObject *o) {
    Py_CLEAR(stream_of(o)->body);
    Py_CLEAR(stream_of(o)->future);
    stream_of(o)->r = NULL;
    Py_CLEAR(stream_of(o)->request);
    return 0;
}

static void stream_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    stream_clear(o);
    type->tp_free(o);
    Py_DECREF(type);
}

PyDoc_STRVAR(stream_doc, "What Request.stream() gives: the body as bytes, piece by piece, for "
                         "`async for` and `for`.");

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)stream_doc},
    {Py_tp_dealloc, (void *)stream_dealloc},
    {Py_tp_traverse, (void *)stream_traverse},
    {Py_tp_clear, (void *)stream_clear},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)stream_next},
    {Py_am_aiter, (void *)PyObject_SelfIter},
    {Py_am_anext, (void *)stream_anext},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "cello._cello.RequestStream",
    .basicsize = sizeof(struct stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

static int step_traverse(PyObject *o, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(step_of(o)->stream);
    Py_VISIT(step_of(o)->future);
    return 0;
}

static int step_clear(PyObject *o) {
    Py_CLEAR(step_of(o)->stream);
    Py_CLEAR(step_of(o)->future);
    return 0;
}

static void step_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    if (step_of(o)->future && step_of(o)->stream)
        stop_waiting(step_of(o)->stream);
    step_clear(o);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyMethodDef step_methods[] = {
    {"send", step_send_method, METH_O, NULL},
    {"throw", step_throw, METH_VARARGS, NULL},
    {"close", step_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot step_slots[] = {
    {Py_tp_dealloc, (void *)step_dealloc},
    {Py_tp_traverse, (void *)step_traverse},
    {Py_tp_clear, (void *)step_clear},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)step_next},
    {Py_am_await, (void *)PyObject_SelfIter},
    {Py_am_send, (void *)step_send},
    {Py_tp_methods, step_methods},
    {0, NULL},
};

static PyType_Spec step_spec = {
    .name = "cello._cello.RequestStreamStep",
    .basicsize = sizeof(struct step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = step_slots,
};

int cl_request_stream_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->request_stream_step_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &step_spec, NULL);
    ext->request_stream_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &stream_spec, NULL);
    return ext->request_stream_step_type && ext->request_stream_type
               ? PyModule_AddType(module, ext->request_stream_type)
               : -1;
}
