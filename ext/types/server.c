#include "types/server.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <unistd.h>

#include <cello/http2.h>
#include <cello/service.h>

#include "bridge/guest.h"
#include "bridge/stream.h"
#include "plan/after.h"
#include "types/app.h"
#include "types/connection.h"
#include "types/loop.h"
#include "types/tls.h"
#include "types/topics.h"

struct server {
    PyObject_HEAD struct cl_bridge bridge;
    struct cl_watch *signal_watch;
    int signal_fd;
    bool running;
};

static struct server *self_of(PyObject *o) {
    return (struct server *)o;
}

struct cl_bridge *cl_server_bridge(struct cl_ext *ext, PyObject *server) {
    if (!PyObject_TypeCheck(server, ext->server_type)) {
        PyErr_Format(PyExc_TypeError, "a Server is needed, not %.100s", Py_TYPE(server)->tp_name);
        return NULL;
    }
    return &self_of(server)->bridge;
}

bool cl_server_turns_elsewhere(PyObject *server) {
    const struct server *o = self_of(server);
    return (o->running || o->bridge.turning) && PyThreadState_Get() != o->bridge.thread;
}

static PyObject *raise_engine(int err) {
    switch (err) {
    case CELLO_ENOMEM: return PyErr_NoMemory();
    case CELLO_ESYS: return PyErr_SetFromErrno(PyExc_OSError);
    default: PyErr_SetString(PyExc_ValueError, cello_strerror(err)); return NULL;
    }
}

static bool is_open(struct server *o) {
    if (o->bridge.server)
        return true;
    PyErr_SetString(PyExc_RuntimeError, "the server is closed");
    return false;
}

/* ---- configuration: attributes of LimitsConfig, TimeoutConfig and Http2Config ---- */

enum kind { KIND_U32, KIND_U64, KIND_SIZE, KIND_SECONDS, KIND_BOOL };

struct field {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define LIMIT(name, kind)                                                                          \
    { #name, kind, offsetof(struct cl_limits, name) }
#define TIMEOUT(name, field, kind)                                                                 \
    { #name, kind, offsetof(struct cl_timeouts, field) }

static const struct field LIMITS[] = {
    LIMIT(max_header_size, KIND_SIZE),
    LIMIT(max_headers, KIND_U32),
    LIMIT(max_uri, KIND_SIZE),
    LIMIT(max_body_size, KIND_U64),
    LIMIT(max_buffered_bytes, KIND_SIZE),
    LIMIT(max_connections, KIND_U32),
    LIMIT(max_connections_per_ip, KIND_U32),
    LIMIT(max_inflight, KIND_U32),
    LIMIT(max_requests_per_connection, KIND_U64),
    LIMIT(max_json_depth, KIND_U32),
    LIMIT(max_query_params, KIND_U32),
    LIMIT(max_cookies, KIND_U32),
    LIMIT(max_form_parts, KIND_U32),
    LIMIT(max_part_header, KIND_SIZE),
    LIMIT(max_form_memory, KIND_SIZE),
    LIMIT(max_file_size, KIND_U64),
    LIMIT(max_pipelined, KIND_U32),
    LIMIT(max_send_buffer, KIND_SIZE),
    {NULL, KIND_U32, 0},
};

static const struct field TIMEOUTS[] = {
    TIMEOUT(read_header, read_header_ns, KIND_SECONDS),
    TIMEOUT(read_body, read_body_ns, KIND_SECONDS),
    TIMEOUT(min_body_rate, min_body_rate, KIND_U64),
    TIMEOUT(write, write_ns, KIND_SECONDS),
    TIMEOUT(idle, idle_ns, KIND_SECONDS),
    TIMEOUT(handler, handler_ns, KIND_SECONDS),
    TIMEOUT(handshake, handshake_ns, KIND_SECONDS),
    {NULL, KIND_U32, 0},
};

#define HTTP2(name, field, kind)                                                                   \
    { #name, kind, offsetof(struct cello_http2_config, field) }

static const struct field HTTP2_FIELDS[] = {
    HTTP2(max_concurrent_streams, max_concurrent_streams, KIND_U32),
    HTTP2(initial_window_size, initial_window_size, KIND_U32),
    HTTP2(max_frame_size, max_frame_size, KIND_U32),
    HTTP2(max_header_list_size, max_header_list_size, KIND_U32),
    HTTP2(keepalive, keepalive_ns, KIND_SECONDS),
    HTTP2(h2c, h2c, KIND_BOOL),
    {NULL, KIND_U32, 0},
};

static int read_field(const struct field *f, PyObject *value, char *to) {
    if (f->kind == KIND_SECONDS) {
        double seconds = PyFloat_AsDouble(value);
        if (seconds == -1.0 && PyErr_Occurred())
            return -1;
        *(uint64_t *)(void *)to = (uint64_t)(fmin(fmax(seconds, 0), 1e9) * 1e9);
        return 0;
    }
    if (f->kind == KIND_BOOL) {
        int truth = PyObject_IsTrue(value);
        *(bool *)(void *)to = truth > 0;
        return truth < 0 ? -1 : 0;
    }
    unsigned long long v = value == Py_None ? 0 : PyLong_AsUnsignedLongLong(value);
    if (v == (unsigned long long)-1 && PyErr_Occurred())
        return -1;
    if (f->kind == KIND_U32)
        *(uint32_t *)(void *)to = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    else if (f->kind == KIND_SIZE)
        *(size_t *)(void *)to = (size_t)v;
    else
        *(uint64_t *)(void *)to = v;
    return 0;
}

static int read_config(PyObject *config, const struct field *fields, void *to) {
    for (; fields->name; fields++) {
        PyObject *value = PyObject_GetAttrString(config, fields->name);
        int err = value ? read_field(fields, value, (char *)to + fields->offset) : -1;
        Py_XDECREF(value);
        if (err)
            return err;
    }
    return 0;
}

static int read_backend(PyObject *name, enum cello_backend *out) {
    static const char *const names[] = {"auto", "epoll", "io_uring"};
    for (int i = 0; i < 3; i++) {
        if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, names[i]) == 0) {
            *out = (enum cello_backend)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "backend must be auto, epoll or io_uring, not %R", name);
    return -1;
}

/* ---- made and gone ---- */

PyDoc_STRVAR(server_doc,
             "Server(app, limits, timeouts, backend, access_log_fd, access_log_format, "
             "access_log_sample, threadpool, /)\n--\n\n"
             "One engine serving one application on the thread that runs it. backend: 'auto', "
             "'epoll' or 'io_uring'; access_log_fd: a descriptor, or -1 for no access log; "
             "access_log_sample: share of the requests in it, 0 to 1.");

/* Which inline calls are looked at: those that last longer than any of the times that matter. */
static uint64_t slow_ns(const struct cl_bridge *b) {
    uint64_t least = b->pool_config.threshold_ns ? b->pool_config.threshold_ns : UINT64_MAX;
    for (uint32_t i = 1; i < b->handlers->count; i++) {
        const struct cl_entry *e = b->handlers->entries[i];
        uint64_t timeout_ns = cl_bridge_timeout_of(b, e);
        if (timeout_ns && timeout_ns < least)
            least = timeout_ns;
    }
    return least;
}

/* (threads, queue, threshold in ms) */
static int open_pool(struct server *o, PyObject *config, uint64_t handler_ns) {
    unsigned long long size, queue, threshold_ms;
    if (!PyTuple_Check(config) || !PyArg_ParseTuple(config, "KKK", &size, &queue, &threshold_ms)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "threadpool must be a tuple");
        return -1;
    }
    o->bridge.pool_config = (struct cl_pool_config){
        .size = (uint32_t)Py_MIN(size, UINT32_MAX),
        .queue = (uint32_t)Py_MIN(queue, UINT32_MAX),
        .threshold_ns = Py_MIN(threshold_ms, 1000000000) * 1000000,
    };
    o->bridge.handler_ns = handler_ns;
    o->bridge.slow_ns = slow_ns(&o->bridge);
    return 0;
}

static int open_server(struct server *o, struct cl_app_object *app, PyObject *const *args) {
    struct cello_server_config cfg = CELLO_SERVER_CONFIG_DEFAULT;
    if (read_config(args[1], LIMITS, &cfg.limits) < 0 ||
        read_config(args[2], TIMEOUTS, &cfg.timeouts) < 0 ||
        read_backend(args[3], &cfg.backend) < 0)
        return -1;
    cfg.access_log_fd = (int)PyLong_AsLong(args[4]);
    if (PyErr_Occurred())
        return -1;
    Py_ssize_t n;
    const char *format = PyUnicode_AsUTF8AndSize(args[5], &n);
    if (!format)
        return -1;
    cfg.access_log_format = (struct cl_str){format, (size_t)n};
    cfg.access_log_sample = PyFloat_AsDouble(args[6]);
    if (cfg.access_log_sample == -1.0 && PyErr_Occurred())
        return -1;
    cfg.application = (struct cello_application){.ctx = &o->bridge, .run = cl_bridge_run};
    if (open_pool(o, args[7], cfg.timeouts.handler_ns) < 0)
        return -1;
    int err = cello_server_new(&o->bridge.server, app->app, &cfg);
    if (err)
        raise_engine(err);
    return err ? -1 : 0;
}

static PyObject *server_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext)
        return NULL;
    if (PyTuple_GET_SIZE(args) != 8 || (kwargs && PyDict_GET_SIZE(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "Server takes 8 positional arguments");
        return NULL;
    }
    PyObject *app = PyTuple_GET_ITEM(args, 0);
    if (!PyObject_TypeCheck(app, ext->app_type)) {
        PyErr_Format(PyExc_TypeError, "app must be an App, not %.100s", Py_TYPE(app)->tp_name);
        return NULL;
    }
    struct server *o = (struct server *)type->tp_alloc(type, 0);
    if (!o)
        return NULL;
    o->bridge.ext = ext;
    o->bridge.self = (PyObject *)o;
    o->bridge.app = Py_NewRef(app);
    o->bridge.handlers = &((struct cl_app_object *)app)->handlers;
    if (open_server(o, (struct cl_app_object *)app, &PyTuple_GET_ITEM(args, 0)) < 0) {
        Py_DECREF(o);
        return NULL;
    }
    return (PyObject *)o;
}

static void close_server(struct server *o) {
    struct cl_guest *guest = o->bridge.guest;
    o->bridge.guest = NULL;
    cl_guest_del(guest);
    struct cl_server *server = o->bridge.server;
    struct cl_pool *pool = o->bridge.pool;
    cl_bridge_detach_pool(&o->bridge);
    o->bridge.pool = NULL;
    cello_server_unwatch(o->signal_watch);
    o->signal_watch = NULL;
    cl_topics_unwatch(&o->bridge);
    o->bridge.server = NULL;
    if (server) {
        cl_bridge_give_up_gil(&o->bridge);
        cello_server_del(server);
        PyEval_RestoreThread(o->bridge.thread);
    }
    Py_CLEAR(o->bridge.cluster);
    cl_pool_close(pool);
    cl_bridge_run_notes(&o->bridge);
    cl_stream_orphan_all(&o->bridge);
    cl_after_run(&o->bridge);
    cl_bridge_drop_pinned(&o->bridge);
}

static int server_traverse(PyObject *self, visitproc visit, void *arg) {
    struct server *o = self_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(o->bridge.app);
    Py_VISIT(o->bridge.fatal);
    int err = cl_after_traverse(o->bridge.after, visit, arg);
    if (err)
        return err;
    Py_VISIT(o->bridge.on_error);
    Py_VISIT(o->bridge.on_settled);
    return o->bridge.guest ? cl_guest_traverse(o->bridge.guest, visit, arg) : 0;
}

static int server_clear(PyObject *self) {
    struct server *o = self_of(self);
    if (!o->running)
        close_server(o);
    Py_CLEAR(o->bridge.app);
    Py_CLEAR(o->bridge.fatal);
    Py_CLEAR(o->bridge.on_error);
    Py_CLEAR(o->bridge.on_settled);
    return 0;
}

static void server_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    server_clear(self);
    cl_connection_after_turn(&self_of(self)->bridge); /* those that were dropped on other threads */
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- the access log ---- */

PyDoc_STRVAR(log_to_doc, "log_to($self, path, /)\n--\n\nThe access log goes to this file, opened "
                         "for appending. OSError: it cannot. ValueError: there is no access log.");

static PyObject *log_to(PyObject *self, PyObject *arg) {
    struct server *o = self_of(self);
    PyObject *path;
    if (!is_open(o) || !PyUnicode_FSConverter(arg, &path))
        return NULL;
    int err = cello_server_log_to(o->bridge.server, PyBytes_AS_STRING(path));
    Py_DECREF(path);
    if (err == CELLO_ESYS)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, arg);
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(reopen_log_doc,
             "reopen_log($self)\n--\n\nThe file of the access log was moved away: open its path "
             "again. For the thread that runs the server.");

static PyObject *reopen_log(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct server *o = self_of(self);
    if (!is_open(o))
        return NULL;
    cello_server_reopen_log(o->bridge.server);
    Py_RETURN_NONE;
}

/* ---- listening ---- */

PyDoc_STRVAR(listen_doc,
             "listen($self, host, port, /)\n--\n\nListen on TCP; port 0 takes any free one. "
             "OSError: the port is busy or not allowed. ValueError: host.");

static PyObject *listen_tcp(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct server *o = self_of(self);
    Py_ssize_t length;
    const char *host =
        n == 2 && PyUnicode_Check(args[0]) ? PyUnicode_AsUTF8AndSize(args[0], &length) : NULL;
    if (host && strlen(host) != (size_t)length)
        host = NULL;
    long port = host ? PyLong_AsLong(args[1]) : -1;
    if (port < 0 || port > 65535) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "listen takes a host and a port from 0 to 65535");
        return NULL;
    }
    if (!is_open(o))
        return NULL;
    int err = cello_server_listen(o->bridge.server, host, (uint16_t)port);
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(listen_unix_doc,
             "listen_unix($self, path, mode=0o666, /)\n--\n\nListen on a unix socket with these "
             "permissions.");

static PyObject *listen_unix(PyObject *self, PyObject *args) {
    struct server *o = self_of(self);
    PyObject *path;
    unsigned mode = CELLO_UNIX_MODE;
    if (!is_open(o) ||
        !PyArg_ParseTuple(args, "O&|I:listen_unix", PyUnicode_FSConverter, &path, &mode))
        return NULL;
    int err = cello_server_listen_unix(o->bridge.server, PyBytes_AS_STRING(path), mode);
    Py_DECREF(path);
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(listen_fd_doc,
             "listen_fd($self, fd, /)\n--\n\nListen on a socket that is bound and listening "
             "already; the server owns it afterwards.");

static PyObject *listen_fd(PyObject *self, PyObject *arg) {
    struct server *o = self_of(self);
    long fd = PyLong_AsLong(arg);
    if ((fd == -1 && PyErr_Occurred()) || !is_open(o))
        return NULL;
    if (fd < 0 || fd > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "fd is not a file descriptor");
        return NULL;
    }
    int err = cello_server_listen_fd(o->bridge.server, (int)fd);
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(
    expect_proxy_doc,
    "expect_proxy($self, networks, /)\n--\n\nConnections over unix sockets and from these networks "
    "('10.0.0.0/8,::1') begin with a PROXY protocol head; others are closed. ValueError: "
    "networks.");

static PyObject *expect_proxy(PyObject *self, PyObject *arg) {
    struct server *o = self_of(self);
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(arg, &n);
    if (!text || !is_open(o))
        return NULL;
    int err = cello_server_expect_proxy(o->bridge.server, (struct cl_str){text, (size_t)n});
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

PyObject *cl_server_are_networks(PyObject *module, PyObject *arg) {
    (void)module;
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(arg, &n);
    if (!text)
        return NULL;
    return PyBool_FromLong(cello_networks_valid((struct cl_str){text, (size_t)n}));
}

static PyObject *get_addresses(PyObject *self, void *closure) {
    (void)closure;
    struct server *o = self_of(self);
    if (!is_open(o))
        return NULL;
    size_t count = cello_server_address_count(o->bridge.server);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        char host[128];
        uint16_t port;
        cello_server_address(o->bridge.server, i, host, &port);
        PyObject *item = Py_BuildValue("(Ni)", PyUnicode_DecodeFSDefault(host), (int)port);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

PyDoc_STRVAR(
    connect_doc,
    "connect($self, host='127.0.0.1', port=50000, /)\n--\n\nA Connection without a port, for the "
    "thread that turns the server; requests show `host` and `port` as their client. "
    "ConnectionRefusedError: too many, or the server is stopping. ValueError: host, port.");

static PyObject *connect_method(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct server *o = self_of(self);
    struct cl_ext *ext = o->bridge.ext;
    Py_ssize_t length = 0;
    const char *host = "127.0.0.1";
    if (n > 0)
        host = PyUnicode_Check(args[0]) ? PyUnicode_AsUTF8AndSize(args[0], &length) : NULL;
    if (host && n > 0 && strlen(host) != (size_t)length)
        host = NULL;
    long port = host && n > 1 ? PyLong_AsLong(args[1]) : 50000;
    if (!host || n > 2 || port < 0 || port > 65535) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "connect takes a host and a port from 0 to 65535");
        return NULL;
    }
    if (!is_open(o))
        return NULL;
    if (cl_server_turns_elsewhere(self)) {
        PyErr_SetString(PyExc_RuntimeError, "the server runs on another thread");
        return NULL;
    }
    return cl_connection_new(ext, self, host, (uint16_t)port);
}

/* ---- running ---- */

static bool has_async(const struct cl_registry *handlers) {
    for (uint32_t i = 1; i < handlers->count; i++)
        if (handlers->entries[i]->flags & (CL_ENTRY_ASYNC | CL_ENTRY_STREAMS_ASYNC))
            return true;
    return false;
}

/* What needs the GIL between turns: signals, what is left to do when requests were answered, and
 * objects whose bytes were sent. */
static int look_after_python(struct server *o, int result) {
    int saved = errno;
    PyEval_RestoreThread(o->bridge.thread);
    o->bridge.signalled = false;
    cl_after_run(&o->bridge);
    cl_bridge_drop_pinned(&o->bridge);
    errno = saved;
    int err = 0;
    if (result && !(result == CELLO_ESYS && errno == EINTR)) {
        raise_engine(result);
        err = -1;
    } else if (PyErr_CheckSignals() < 0) {
        err = -1;
    }
    (void)PyEval_SaveThread();
    return err;
}

/* Not twice, and not inside itself. */
static bool may_turn(struct server *o) {
    if (!is_open(o))
        return false;
    if (!o->running && !o->bridge.turning)
        return true;
    PyErr_SetString(PyExc_RuntimeError, "the server runs already");
    return false;
}

/* What a handler raised for the program, after an end without an error. */
static PyObject *raise_fatal(struct server *o) {
    PyObject *fatal = o->bridge.fatal;
    if (!fatal)
        Py_RETURN_NONE;
    o->bridge.fatal = NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(fatal), fatal);
    Py_DECREF(fatal);
    return NULL;
}

/* Turns without the GIL until the server is done, or needs a loop after all; or until a signal
 * handler of the program raises. */
static int run_turns(struct server *o) {
    struct cl_bridge *b = &o->bridge;
    int err = 0;
    cl_bridge_give_up_gil(b);
    while (!err && !b->wants_loop && !cello_server_done(b->server)) {
        int result = cello_server_turn(b->server, UINT64_MAX);
        if (result || b->signalled || b->dropped || b->after)
            err = look_after_python(o, result);
    }
    PyEval_RestoreThread(b->thread);
    return err;
}

static int run_as_guest(PyObject *self, PyObject *lifespan) {
    PyObject *module = PyImport_ImportModule("cello._loop");
    PyObject *done =
        module ? PyObject_CallMethod(module, "run_with_loop", "OO", self, lifespan) : NULL;
    Py_XDECREF(module);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyDoc_STRVAR(
    run_doc,
    "run($self, lifespan=None, /)\n--\n\nServe on this thread until stop() has been called "
    "and the connections are drained. lifespan: what runs on the loop before and after "
    "that, a cello._lifespan.LifespanRun. Raises what a signal handler raised.");

static PyObject *run(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct server *o = self_of(self);
    PyObject *lifespan = n ? args[0] : Py_None;
    if (!may_turn(o))
        return NULL;
    o->running = true;
    bool guest = lifespan != Py_None || has_async(o->bridge.handlers);
    int err = guest ? 0 : run_turns(o);
    if (!err && (guest || o->bridge.wants_loop))
        err = run_as_guest(self, lifespan);
    cl_after_run(&o->bridge);
    o->running = false;
    cl_bridge_drop_pinned(&o->bridge);
    return err ? NULL : raise_fatal(o);
}

PyDoc_STRVAR(turn_doc,
             "turn($self, timeout_ns=0, /)\n--\n\nOne turn of the engine's loop, waiting at most "
             "timeout_ns nanoseconds. For loops that drive the engine.");

static PyObject *turn(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct server *o = self_of(self);
    unsigned long long timeout_ns = n ? PyLong_AsUnsignedLongLong(args[0]) : 0;
    if (PyErr_Occurred() || !may_turn(o))
        return NULL;
    int err = cl_bridge_turn(&o->bridge, timeout_ns);
    if (err && !(err == CELLO_ESYS && errno == EINTR))
        return raise_engine(err);
    return PyErr_CheckSignals() < 0 ? NULL : raise_fatal(o);
}

PyDoc_STRVAR(stop_doc,
             "stop($self, timeout=None, /)\n--\n\nStop listening, finish what is in flight within "
             "`timeout` seconds (None: as long as it takes), close the rest. Returns at "
             "once. Any thread.");

static PyObject *stop(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct server *o = self_of(self);
    uint64_t timeout_ns = UINT64_MAX;
    if (n && args[0] != Py_None) {
        double seconds = PyFloat_AsDouble(args[0]);
        if (seconds == -1.0 && PyErr_Occurred())
            return NULL;
        timeout_ns = (uint64_t)(fmin(fmax(seconds, 0), 1e9) * 1e9);
    }
    if (o->bridge.server)
        cello_server_stop(o->bridge.server, timeout_ns);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(close_doc,
             "close($self)\n--\n\nClose everything at once. The server must not be running.");

static PyObject *close_method(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct server *o = self_of(self);
    if (o->running || o->bridge.turning) {
        PyErr_SetString(PyExc_RuntimeError, "a running server is stopped, not closed");
        return NULL;
    }
    close_server(o);
    Py_RETURN_NONE;
}

static void on_signal_byte(void *ctx) {
    struct server *o = ctx;
    char bytes[64];
    while (read(o->signal_fd, bytes, sizeof bytes) > 0) {
    }
    o->bridge.signalled = true;
}

PyDoc_STRVAR(
    watch_signals_doc,
    "watch_signals($self, fd, /)\n--\n\nThe reading end of signal.set_wakeup_fd(): a signal that "
    "comes just before the engine waits ends that wait. -1: no more.");

static PyObject *watch_signals(PyObject *self, PyObject *arg) {
    struct server *o = self_of(self);
    long fd = PyLong_AsLong(arg);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    if (!is_open(o))
        return NULL;
    cello_server_unwatch(o->signal_watch);
    o->signal_watch = NULL;
    o->signal_fd = (int)fd;
    if (fd < 0)
        Py_RETURN_NONE;
    int err = cello_server_watch(o->bridge.server, &o->signal_watch, (int)fd, on_signal_byte, o);
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(open_service_doc,
             "open_service($self)\n--\n\nThis process may be a service of systemd: read what the "
             "environment says of it, which is then no longer needed there.");

static PyObject *open_service(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct server *o = self_of(self);
    if (!is_open(o))
        return NULL;
    cello_service_open(o->bridge.server);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(service_ready_doc,
             "service_ready($self, status, /)\n--\n\nThe service is ready, and what it does; the "
             "watchdog hears of it from here on, as long as the loop turns.");

static PyObject *service_ready(PyObject *self, PyObject *arg) {
    struct server *o = self_of(self);
    const char *status = PyUnicode_AsUTF8(arg);
    if (!status || !is_open(o))
        return NULL;
    cello_service_ready(o->bridge.server, status);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(service_stopping_doc, "service_stopping($self)\n--\n\nThe service is about to stop.");

static PyObject *service_stopping(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct server *o = self_of(self);
    if (!is_open(o))
        return NULL;
    cello_service_stopping(o->bridge.server);
    Py_RETURN_NONE;
}

PyObject *cl_server_service_sockets(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    PyObject *list = PyList_New(0);
    uint32_t count = list ? cello_service_sockets() : 0;
    for (uint32_t i = 0; i < count; i++) {
        PyObject *fd = PyLong_FromLong(CELLO_SERVICE_SOCKETS + (long)i);
        int err = fd ? PyList_Append(list, fd) : -1;
        Py_XDECREF(fd);
        if (err) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static int put_number(PyObject *dict, const char *name, uint64_t value) {
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    int err = number ? PyDict_SetItemString(dict, name, number) : -1;
    Py_XDECREF(number);
    return err;
}

PyDoc_STRVAR(stats_doc, "stats($self)\n--\n\nCounters since the start, as a dict of int.");

static PyObject *stats(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct server *o = self_of(self);
    if (!is_open(o))
        return NULL;
    struct cello_stats s;
    cello_server_stats(o->bridge.server, &s);
    PyObject *dict = PyDict_New();
    if (dict && put_number(dict, "requests", s.requests) == 0 &&
        put_number(dict, "application_calls", s.application_calls) == 0 &&
        put_number(dict, "batches", s.batches) == 0 && put_number(dict, "turns", s.turns) == 0 &&
        put_number(dict, "connections", s.connections) == 0 &&
        put_number(dict, "inflight", s.inflight) == 0 &&
        put_number(dict, "buffered_bytes", s.buffered_bytes) == 0 &&
        put_number(dict, "gil_acquisitions", o->bridge.gil_acquisitions) == 0 &&
        put_number(dict, "gil_held_ns", o->bridge.gil_held_ns) == 0)
        return dict;
    Py_XDECREF(dict);
    return NULL;
}

static PyObject *get_done(PyObject *self, void *closure) {
    (void)closure;
    struct server *o = self_of(self);
    return PyBool_FromLong(!o->bridge.server || cello_server_done(o->bridge.server));
}

static PyObject *get_needs_loop(PyObject *self, void *closure) {
    (void)closure;
    const struct cl_bridge *b = &self_of(self)->bridge;
    return PyBool_FromLong(b->wants_loop || has_async(b->handlers));
}

/* closure: the name of the attribute. */
static PyObject **hook_of(PyObject *self, const char *name) {
    struct cl_bridge *b = &self_of(self)->bridge;
    return strcmp(name, "on_error") == 0 ? &b->on_error : &b->on_settled;
}

static PyObject *get_hook(PyObject *self, void *closure) {
    PyObject *hook = *hook_of(self, closure);
    return Py_NewRef(hook ? hook : Py_None);
}

static int set_hook(PyObject *self, PyObject *value, void *closure) {
    if (value && value != Py_None && !PyCallable_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be callable or None", (const char *)closure);
        return -1;
    }
    PyObject **hook = hook_of(self, closure);
    Py_XSETREF(*hook, value && value != Py_None ? Py_NewRef(value) : NULL);
    return 0;
}

static PyObject *get_settled(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(self_of(self)->bridge.jobs == 0);
}

static PyObject *get_poll_fd(PyObject *self, void *closure) {
    (void)closure;
    struct server *o = self_of(self);
    return is_open(o) ? PyLong_FromLong(cello_server_poll_fd(o->bridge.server)) : NULL;
}

/* Whole milliseconds, rounded up: a loop that is a little early would turn for nothing. */
static PyObject *get_next_turn_in(PyObject *self, void *closure) {
    (void)closure;
    struct server *o = self_of(self);
    if (!is_open(o))
        return NULL;
    uint64_t due_ns = cello_server_next_ns(o->bridge.server);
    if (due_ns == UINT64_MAX || due_ns == 0) /* at once: poll_fd is readable already */
        Py_RETURN_NONE;
    double left_s = 1e-9 * (double)due_ns - cl_loop_time();
    return PyFloat_FromDouble(ceil(fmax(left_s, 0) * 1e3) * 1e-3);
}

static PyObject *get_backend(PyObject *self, void *closure) {
    (void)closure;
    struct server *o = self_of(self);
    return is_open(o) ? PyUnicode_FromString(cello_server_backend(o->bridge.server)) : NULL;
}

PyDoc_STRVAR(use_http2_doc,
             "use_http2($self, config, /)\n--\n\nSpeak HTTP/2 as this Http2Config says; without "
             "it HTTP/1 only. Before the first connection. ValueError: a value that is too large "
             "or too small.");

static PyObject *use_http2(PyObject *self, PyObject *config) {
    struct server *o = self_of(self);
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    if (!is_open(o) || read_config(config, HTTP2_FIELDS, &cfg) < 0)
        return NULL;
    int err = cello_server_use_http2(o->bridge.server, &cfg);
    return err ? raise_engine(err) : Py_NewRef(Py_None);
}

static PyMethodDef server_methods[] = {
    {"listen", (PyCFunction)(void (*)(void))listen_tcp, METH_FASTCALL, listen_doc},
    {"listen_unix", listen_unix, METH_VARARGS, listen_unix_doc},
    {"listen_fd", listen_fd, METH_O, listen_fd_doc},
    {"expect_proxy", expect_proxy, METH_O, expect_proxy_doc},
    {"use_http2", use_http2, METH_O, use_http2_doc},
    {"use_tls", (PyCFunction)(void (*)(void))cl_server_use_tls, METH_FASTCALL,
     "use_tls($self, config, cluster=None, /)\n--\n\nConnections speak TLS; before it listens. "
     "config: what _tls.engine_config() makes. cluster: whose workers resume each other's "
     "sessions. ValueError: which file is wrong, and why."},
    {"reload_tls", cl_server_reload_tls, METH_NOARGS,
     "reload_tls($self)\n--\n\nRead the certificates again, for new connections. False: the "
     "log says why they stay as they were."},
    {"listen_redirect", cl_server_listen_redirect, METH_VARARGS,
     "listen_redirect($self, host, port, /)\n--\n\nListen for plain HTTP that is redirected to "
     "the first of the other addresses. OSError, ValueError: as listen()."},
    {"log_to", log_to, METH_O, log_to_doc},
    {"reopen_log", reopen_log, METH_NOARGS, reopen_log_doc},
    {"connect", (PyCFunction)(void (*)(void))connect_method, METH_FASTCALL, connect_doc},
    {"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, run_doc},
    {"turn", (PyCFunction)(void (*)(void))turn, METH_FASTCALL, turn_doc},
    {"stop", (PyCFunction)(void (*)(void))stop, METH_FASTCALL, stop_doc},
    {"close", close_method, METH_NOARGS, close_doc},
    {"stats", stats, METH_NOARGS, stats_doc},
    {"watch_signals", watch_signals, METH_O, watch_signals_doc},
    {"open_service", open_service, METH_NOARGS, open_service_doc},
    {"service_ready", service_ready, METH_O, service_ready_doc},
    {"service_stopping", service_stopping, METH_NOARGS, service_stopping_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef server_getset[] = {
    {"addresses", get_addresses, NULL, "list[tuple[str, int]]: (host, port); (\"unix:PATH\", 0)",
     NULL},
    {"backend", get_backend, NULL, "str: 'epoll' or 'io_uring'", NULL},
    {"needs_loop", get_needs_loop, NULL,
     "bool: a handler is async, so that an asyncio loop is to be attached", NULL},
    {"on_error", get_hook, set_hook,
     "callable | None: called with every exception that nothing handled, answered with 500",
     "on_error"},
    {"on_settled", get_hook, set_hook,
     "callable | None: called when settled has become true, on the server's thread", "on_settled"},
    {"settled", get_settled, NULL,
     "bool: nothing is left to do for answers that are out, such as background tasks", NULL},
    {"done", get_done, NULL, "bool: stopped and drained", NULL},
    {"next_turn_in", get_next_turn_in, NULL,
     "float | None: seconds until a turn is due although poll_fd is not readable; None: none is",
     NULL},
    {"poll_fd", get_poll_fd, NULL, "int: readable when a turn has something to do", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)server_doc},
    {Py_tp_new, (void *)server_new},
    {Py_tp_dealloc, (void *)server_dealloc},
    {Py_tp_traverse, (void *)server_traverse},
    {Py_tp_clear, (void *)server_clear},
    {Py_tp_methods, server_methods},
    {Py_tp_getset, server_getset},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "cello._cello.Server",
    .basicsize = sizeof(struct server),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = server_slots,
};

int cl_server_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->server_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &server_spec, NULL);
    return ext->server_type ? PyModule_AddType(module, ext->server_type) : -1;
}
