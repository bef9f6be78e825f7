/* The ceiling of a server that calls Python once per request: the epoll ceiling as an extension
 * module, whose handlers are called by vectorcall with a request object that reads the input in
 * place. Coroutines are stepped without asyncio; one that yields a number of seconds is resumed by
 * a timer after it.
 *
 *   capi.serve(port, [(path, is_prefix, is_coroutine, handler), ...])
 *
 * Every result is written by a small JSON writer that knows str, int, None and dict. There is no
 * JSON reader: the scenarios that need one have no ceiling. The GIL is never given up. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <signal.h>
#include <time.h>

#include "epoll_loop.h"

enum { ROUTES_MAX = 32, TIMERS_MAX = 8192, LENGTH_ROOM = 8 };

/* ---- JSON out ------------------------------------------------------------------------------- */

static void write_digits(struct buffer *b, unsigned long long v) {
    char digits[24];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    buffer_add(b, digits + n, sizeof digits - n);
}

static int write_text(struct buffer *b, PyObject *o) {
    static const char hex[] = "0123456789abcdef";
    Py_ssize_t len;
    const char *s = PyUnicode_AsUTF8AndSize(o, &len);
    if (!s)
        return -1;
    buffer_reserve(b, (size_t)len * 6 + 2);
    char *p = b->bytes + b->len;
    *p++ = '"';
    for (const char *end = s + len; s < end; s++) {
        unsigned char c = (unsigned char)*s;
        if (c >= 0x20 && c != '"' && c != '\\') {
            *p++ = (char)c;
        } else if (c >= 0x20) {
            *p++ = '\\';
            *p++ = (char)c;
        } else {
            memcpy(p, "\\u00", 4);
            p[4] = hex[c >> 4];
            p[5] = hex[c & 15];
            p += 6;
        }
    }
    *p++ = '"';
    b->len = (size_t)(p - b->bytes);
    return 0;
}

static int write_json(struct buffer *b, PyObject *o);

static int write_dict(struct buffer *b, PyObject *o) {
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    char before = '{';
    while (PyDict_Next(o, &pos, &key, &value)) {
        buffer_add(b, &before, 1);
        if (write_text(b, key))
            return -1;
        buffer_add(b, ":", 1);
        if (write_json(b, value))
            return -1;
        before = ',';
    }
    if (before == '{')
        buffer_add(b, "{", 1);
    buffer_add(b, "}", 1);
    return 0;
}

static int write_json(struct buffer *b, PyObject *o) {
    if (PyUnicode_CheckExact(o))
        return write_text(b, o);
    if (PyDict_CheckExact(o))
        return write_dict(b, o);
    if (o == Py_None) {
        buffer_add(b, "null", 4);
        return 0;
    }
    if (PyLong_CheckExact(o)) {
        unsigned long long v = PyLong_AsUnsignedLongLong(o);
        if (PyErr_Occurred())
            return -1;
        write_digits(b, v);
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "the ceiling writes str, int, None and dict");
    return -1;
}

/* ---- the request ---------------------------------------------------------------------------- */

/* Points into the connection's input: valid until the handler returns. */
struct request {
    PyObject ob_base;
    const char *rest; /* of the path, behind the route's prefix */
    Py_ssize_t rest_len;
    const char *query;
    Py_ssize_t query_len;
};

static PyObject *request_param(PyObject *self, void *unused) {
    (void)unused;
    const struct request *r = (const struct request *)(const void *)self;
    return PyUnicode_FromStringAndSize(r->rest, r->rest_len);
}

static PyObject *request_query(PyObject *self, PyObject *name) {
    const struct request *r = (const struct request *)(const void *)self;
    Py_ssize_t len;
    const char *key = PyUnicode_AsUTF8AndSize(name, &len);
    if (!key)
        return NULL;
    for (const char *p = r->query, *end = p + r->query_len; p && p < end;) {
        const char *stop = memchr(p, '&', (size_t)(end - p));
        if (!stop)
            stop = end;
        if (stop - p > len && p[len] == '=' && !memcmp(p, key, (size_t)len))
            return PyUnicode_FromStringAndSize(p + len + 1, stop - p - len - 1);
        p = stop + 1;
    }
    Py_RETURN_NONE;
}

static PyMethodDef request_methods[] = {{"query", request_query, METH_O, NULL},
                                        {NULL, NULL, 0, NULL}};
static PyGetSetDef request_getset[] = {{"param", request_param, NULL, NULL, NULL},
                                       {NULL, NULL, NULL, NULL, NULL}};
static PyTypeObject request_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "capi.Request",
    .tp_basicsize = sizeof(struct request),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = request_methods,
    .tp_getset = request_getset,
};

/* ---- connections ---------------------------------------------------------------------------- */

struct route {
    const char *path;
    size_t len;
    bool prefix, coroutine;
    PyObject *handler;
};

/* What a connection has besides its bytes. */
struct request_state {
    PyObject *coroutine; /* that answers the current request */
    unsigned life;       /* tells a timer whether the connection is still the one it was set for */
};

/* Sleepers wake in the order they went to sleep: all sleep for the same time. */
struct sleeper {
    double at;
    int fd;
    unsigned life;
};

static struct request_state states[CEILING_FDS];
static struct route routes[ROUTES_MAX];
static size_t route_count;
static struct sleeper sleepers[TIMERS_MAX];
static unsigned asleep_first, asleep_end;
static PyObject *spare; /* a request object that no handler kept */

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void forget(int fd) {
    states[fd].life++;
    Py_CLEAR(states[fd].coroutine);
}

/* ---- requests to handlers ------------------------------------------------------------------- */

static void answer_text(struct buffer *out, PyObject *value) {
    static const char head[] = CEILING_HEAD("text/plain");
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    buffer_add(out, head, sizeof head - 1);
    write_digits(out, (unsigned long long)len);
    buffer_add(out, "\r\n\r\n", 4);
    buffer_add(out, text, (size_t)len);
}

/* The length is written last, into the blanks that were left for it. */
static void answer_json(struct buffer *out, PyObject *value) {
    static const char head[] = CEILING_HEAD("application/json") "        \r\n\r\n";
    buffer_add(out, head, sizeof head - 1);
    size_t body = out->len;
    if (!value || write_json(out, value)) {
        PyErr_Print();
        out->len = body;
        buffer_add(out, "null", 4);
    }
    char *end = out->bytes + body - 4;
    for (size_t len = out->len - body; len; len /= 10)
        *--end = (char)('0' + len % 10);
}

static void answer(int fd, PyObject *value) {
    struct buffer *out = &conns[fd].out;
    if (value && PyUnicode_CheckExact(value))
        answer_text(out, value);
    else
        answer_json(out, value);
    Py_XDECREF(value);
}

static void step(int fd) {
    struct request_state *state = &states[fd];
    PyObject *value;
    PySendResult result = PyIter_Send(state->coroutine, Py_None, &value);
    if (result == PYGEN_NEXT) {
        double seconds = PyFloat_AsDouble(value);
        sleepers[asleep_end++ % TIMERS_MAX] = (struct sleeper){now_s() + seconds, fd, state->life};
        Py_DECREF(value);
        return;
    }
    Py_CLEAR(state->coroutine);
    answer(fd, result == PYGEN_RETURN ? value : NULL);
}

static const struct route *find(const char *path, size_t len) {
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        if ((r->prefix ? len > r->len : len == r->len) && !memcmp(path, r->path, r->len))
            return r;
    }
    return NULL;
}

static void call(int fd, const struct route *route, const char *path, size_t path_len,
                 const char *query, size_t query_len) {
    PyObject *o = spare && Py_REFCNT(spare) == 1 ? spare : NULL;
    if (o)
        spare = NULL;
    else
        o = (PyObject *)PyObject_New(struct request, &request_type);
    struct request *r = (struct request *)(void *)o;
    r->rest = path + route->len;
    r->rest_len = (Py_ssize_t)(path_len - route->len);
    r->query = query;
    r->query_len = (Py_ssize_t)query_len;
    PyObject *args[2] = {NULL, o};
    PyObject *value =
        PyObject_Vectorcall(route->handler, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (route->coroutine && value) {
        states[fd].coroutine = value;
        step(fd);
    } else {
        answer(fd, value);
    }
    if (spare)
        Py_DECREF(o);
    else
        spare = o;
}

static void answer_input(int fd) {
    struct conn *c = &conns[fd];
    size_t used = 0;
    const char *end;
    while (!states[fd].coroutine && used < c->in.len &&
           (end = memmem(c->in.bytes + used, c->in.len - used, "\r\n\r\n", 4))) {
        const char *request = c->in.bytes + used;
        const char *path = memchr(request, '/', (size_t)(end - request));
        const char *stop = path ? memchr(path, ' ', (size_t)(end - path)) : NULL;
        if (!stop) {
            drop(fd);
            return;
        }
        const char *mark = memchr(path, '?', (size_t)(stop - path));
        size_t path_len = (size_t)((mark ? mark : stop) - path);
        const char *query = mark ? mark + 1 : stop;
        const struct route *route = find(path, path_len);
        used += (size_t)(end + 4 - request);
        if (route)
            call(fd, route, path, path_len, query, (size_t)(stop - query));
        else
            answer_make(&c->out, "HTTP/1.1 404 Not Found\r\nContent-Length: ", "", 0);
    }
    buffer_drop(&c->in, used);
}

/* Resumes who slept long enough. Returns the milliseconds until the next, -1 without one. */
static int before_wait(void) {
    if (asleep_first == asleep_end)
        return -1;
    double now = now_s();
    while (asleep_first != asleep_end) {
        struct sleeper s = sleepers[asleep_first % TIMERS_MAX];
        if (s.at > now)
            return (int)((s.at - now) * 1e3) + 1;
        asleep_first++;
        struct request_state *state = &states[s.fd];
        if (state->life != s.life || !state->coroutine)
            continue;
        step(s.fd);
        if (!state->coroutine)
            answer_input(s.fd);
        if (conns[s.fd].out.len)
            flush_out(s.fd);
    }
    return -1;
}

/* ---- the module ----------------------------------------------------------------------------- */

static int read_routes(PyObject *list) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && route_count < ROUTES_MAX; i++) {
        struct route *r = &routes[route_count];
        int prefix, coroutine;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "sppO", &r->path, &prefix, &coroutine,
                              &r->handler))
            return -1;
        Py_INCREF(r->handler);
        r->len = strlen(r->path);
        r->prefix = prefix;
        r->coroutine = coroutine;
        route_count++;
    }
    return 0;
}

static PyObject *serve(PyObject *module, PyObject *args) {
    (void)module;
    int port;
    PyObject *list;
    if (!PyArg_ParseTuple(args, "iO!", &port, &PyList_Type, &list) || read_routes(list))
        return NULL;
    signal(SIGINT, SIG_DFL);
    serve_for_ever(port);
}

static PyMethodDef methods[] = {{"serve", serve, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "capi", .m_methods = methods};

PyMODINIT_FUNC PyInit_capi(void);
PyMODINIT_FUNC PyInit_capi(void) {
    return PyType_Ready(&request_type) ? NULL : PyModule_Create(&module);
}
