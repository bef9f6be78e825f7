#include "types/app.h"

#include <math.h>

#include "types/args.h"

enum { ERR_TEXT = 512 };

static struct cl_app_object *self_of(PyObject *o) {
    return (struct cl_app_object *)o;
}

/* The engine's refusal as an exception: what is wrong with the program is a ValueError. */
static PyObject *raise_registration(int err, const char *text) {
    if (err == CELLO_ENOMEM)
        return PyErr_NoMemory();
    if (err == CELLO_ESTATE) {
        PyErr_SetString(PyExc_RuntimeError,
                        "routes and middleware cannot be added once the application was started");
        return NULL;
    }
    PyErr_SetString(PyExc_ValueError, text);
    return NULL;
}

/* ---- steps: capsules until an application takes them over ---- */

static const char STEP[] = "cello.step";
static const char STEP_TAKEN[] = "cello.step.taken";

static void step_capsule_del(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, STEP))
        cello_step_del(PyCapsule_GetPointer(capsule, STEP));
}

static PyObject *step_capsule(struct cl_step *step) {
    if (!step) {
        PyErr_SetString(PyExc_ValueError,
                        "the configuration holds a value that cannot be a header");
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(step, STEP, step_capsule_del);
    if (!capsule)
        cello_step_del(step);
    return capsule;
}

static struct cl_step *step_take(PyObject *capsule) {
    struct cl_step *step = PyCapsule_GetPointer(capsule, STEP);
    if (step && PyCapsule_SetName(capsule, STEP_TAKEN) < 0)
        return NULL;
    return step;
}

PyObject *cl_app_request_id_step(PyObject *module, PyObject *arg) {
    (void)module;
    struct cl_str header;
    return cl_args_str("header", arg, &header) < 0 ? NULL
                                                   : step_capsule(cello_step_request_id(header));
}

PyObject *cl_app_security_headers_step(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    static const char *const names[] = {"x_frame_options",
                                        "referrer_policy",
                                        "csp",
                                        "permissions_policy",
                                        "coep",
                                        "coop",
                                        "corp",
                                        "hsts"};
    struct cello_security_headers cfg = {0};
    struct cl_str *const fields[] = {&cfg.x_frame_options,
                                     &cfg.referrer_policy,
                                     &cfg.csp,
                                     &cfg.permissions_policy,
                                     &cfg.coep,
                                     &cfg.coop,
                                     &cfg.corp,
                                     &cfg.hsts};
    enum { TEXTS = sizeof fields / sizeof fields[0] };
    if (n != TEXTS + 1) {
        PyErr_SetString(PyExc_TypeError, "security_headers_step takes 9 arguments");
        return NULL;
    }
    for (int i = 0; i < TEXTS; i++)
        if (args[i] != Py_None && cl_args_str(names[i], args[i], fields[i]) < 0)
            return NULL;
    int nosniff = PyObject_IsTrue(args[TEXTS]);
    if (nosniff < 0)
        return NULL;
    cfg.x_content_type_options = nosniff;
    return step_capsule(cello_step_security_headers(&cfg));
}

/* ---- native handlers: likewise ---- */

static const char HANDLER[] = "cello.handler";
static const char HANDLER_TAKEN[] = "cello.handler.taken";

static void handler_del(struct cello_handler *handler) {
    if (handler->del)
        handler->del(handler);
}

static void handler_capsule_del(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, HANDLER))
        handler_del(PyCapsule_GetPointer(capsule, HANDLER));
}

PyObject *cl_static_files(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    enum { ROOT, INDEX, FALLBACK, CACHE_CONTROL, FLAGS, COUNT };
    static const char *const names[] = {"root", "index_file", "fallback", "cache_control"};
    struct cello_static_files how = {0};
    struct cl_str *const fields[] = {&how.root, &how.index_file, &how.fallback, &how.cache_control};
    if (n != COUNT) {
        PyErr_SetString(PyExc_TypeError, "static_files takes 5 arguments");
        return NULL;
    }
    for (int i = 0; i < FLAGS; i++)
        if (args[i] != Py_None && cl_args_str(names[i], args[i], fields[i]) < 0)
            return NULL;
    how.flags = (unsigned)PyLong_AsUnsignedLong(args[FLAGS]);
    if (PyErr_Occurred())
        return NULL;
    struct cello_handler *handler = cello_static_files_new(&how);
    if (!handler) {
        PyErr_SetString(PyExc_ValueError,
                        "index_file and fallback name files below root, without '..' or a dot in "
                        "front; cache_control is the value of a header");
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(handler, HANDLER, handler_capsule_del);
    if (!capsule)
        handler_del(handler);
    return capsule;
}

static struct cello_handler *handler_take(PyObject *capsule) {
    struct cello_handler *handler = PyCapsule_GetPointer(capsule, HANDLER);
    if (handler && PyCapsule_SetName(capsule, HANDLER_TAKEN) < 0)
        return NULL;
    return handler;
}

/* ---- routes ---- */

struct route_args {
    unsigned methods;
    struct cl_str path;
    const char *where;
};

static int common_args(PyObject *const *args, struct route_args *out) {
    long methods = PyLong_AsLong(args[0]);
    if (methods == -1 && PyErr_Occurred())
        return -1;
    out->methods = (unsigned)methods;
    if (cl_args_str("path", args[1], &out->path) < 0)
        return -1;
    struct cl_str where;
    if (cl_args_str("where", args[2], &where) < 0)
        return -1;
    out->where = where.ptr;
    return 0;
}

enum { MAX_STEPS = 32, MAX_VERSIONS = 32 };

static int take_steps(PyObject *capsules, struct cl_step **steps) {
    if (PyTuple_GET_SIZE(capsules) > MAX_STEPS) {
        PyErr_SetString(PyExc_ValueError, "too many middleware configurations on one route");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(capsules); i++) {
        steps[i] = step_take(PyTuple_GET_ITEM(capsules, i));
        if (!steps[i]) {
            while (i-- > 0)
                cello_step_del(steps[i]);
            return -1;
        }
    }
    return 0;
}

/* Spans of the strs of a tuple. */
static int take_versions(PyObject *texts, struct cl_str *versions) {
    if (!PyTuple_CheckExact(texts) || PyTuple_GET_SIZE(texts) > MAX_VERSIONS) {
        PyErr_SetString(PyExc_ValueError, "too many versions of one route");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(texts); i++)
        if (cl_args_str("version", PyTuple_GET_ITEM(texts, i), &versions[i]) < 0)
            return -1;
    return 0;
}

PyDoc_STRVAR(
    add_route_doc,
    "_add_route($self, methods, path, where, handler, name, status, max_body, steps, versions, "
    "body, /)\n--\n\n"
    "Register a handler, and return its id for _set_plan. methods: bits of GET=1 HEAD=2 POST=4 "
    "PUT=8 DELETE=16 PATCH=32 OPTIONS=64. versions: of it, where _version_by tells them apart. "
    "body: BODY_BUFFER, BODY_STREAM or BODY_FORM. "
    "ValueError: bad or conflicting path. RuntimeError: frozen.");

static PyObject *add_route(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_app_object *o = self_of(self);
    struct route_args common;
    if (n != 10) {
        PyErr_SetString(PyExc_TypeError, "_add_route takes 10 arguments");
        return NULL;
    }
    if (common_args(args, &common) < 0)
        return NULL;
    long status = PyLong_AsLong(args[5]);
    unsigned long long max_body = PyLong_AsUnsignedLongLong(args[6]);
    long body = PyLong_AsLong(args[9]);
    if (PyErr_Occurred())
        return NULL;
    if (!PyTuple_CheckExact(args[7]) || !PyUnicode_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "name must be str and steps a tuple");
        return NULL;
    }
    struct cl_step *steps[MAX_STEPS];
    struct cl_str versions[MAX_VERSIONS];
    if (take_versions(args[8], versions) < 0 || take_steps(args[7], steps) < 0)
        return NULL;
    struct cello_route route = {
        .methods = common.methods,
        .path = common.path,
        .where = common.where,
        .handler = cello_application_handler(),
        .body = (enum cello_body)body,
        .max_body = max_body,
        .steps = steps,
        .step_count = (size_t)PyTuple_GET_SIZE(args[7]),
        .versions = versions,
        .version_count = (size_t)PyTuple_GET_SIZE(args[8]),
    };
    if (cl_registry_add(&o->handlers, args[3], args[4], (int)status, &route.id) < 0) {
        for (size_t i = 0; i < route.step_count; i++)
            cello_step_del(steps[i]);
        return NULL;
    }
    char text[ERR_TEXT] = "invalid route";
    int err = cello_app_route(o->app, &route, text, sizeof text);
    if (!err)
        return PyLong_FromUnsignedLong(route.id);
    cl_registry_drop_last(&o->handlers);
    return raise_registration(err, text);
}

PyDoc_STRVAR(add_health_doc,
             "_add_health($self, path, where, what, callable=None, name='', /)\n--\n\nRegister a "
             "health "
             "endpoint. what: HEALTH_LIVE, HEALTH_READY or HEALTH_STARTUP. callable: who answers "
             "in place of the engine's 200, or None. The id for _set_plan, or 0. ValueError: the "
             "path is taken. RuntimeError: frozen.");

static PyObject *add_health(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_app_object *o = self_of(self);
    struct cl_str path, where;
    if ((n != 3 && n != 5) || (n == 5 && !PyUnicode_Check(args[4]))) {
        PyErr_SetString(PyExc_TypeError, "_add_health takes 3 or 5 arguments, the last one str");
        return NULL;
    }
    long what = PyLong_AsLong(args[2]);
    if ((what == -1 && PyErr_Occurred()) || cl_args_str("path", args[0], &path) < 0 ||
        cl_args_str("where", args[1], &where) < 0)
        return NULL;
    bool asks = n == 5 && args[3] != Py_None;
    struct cello_route route = {
        .methods = CELLO_GET | CELLO_HEAD, .path = path, .where = where.ptr, .unlogged = true};
    if (asks && cl_registry_add(&o->handlers, args[3], args[4], 0, &route.id) < 0)
        return NULL;
    route.handler =
        cello_health_handler((enum cello_health)what, asks ? cello_application_handler() : NULL);
    char text[ERR_TEXT] = "invalid route";
    int err =
        route.handler ? cello_app_route(o->app, &route, text, sizeof text) : (int)CELLO_ENOMEM;
    if (!err)
        return PyLong_FromUnsignedLong(route.id);
    if (asks)
        cl_registry_drop_last(&o->handlers);
    return raise_registration(err, text);
}

PyDoc_STRVAR(add_refusal_doc,
             "_add_refusal($self, status, handler, name, /)\n--\n\nWho answers requests that no "
             "route does, for status 404 or 405. The id for _set_plan. RuntimeError: frozen.");

static PyObject *add_refusal(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_app_object *o = self_of(self);
    long status = n == 3 && PyUnicode_Check(args[2]) ? PyLong_AsLong(args[0]) : -1;
    if (status < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "_add_refusal takes a status, a handler and a name");
        return NULL;
    }
    uint32_t id;
    if (cl_registry_add(&o->handlers, args[1], args[2], 0, &id) < 0)
        return NULL;
    int err = cello_app_refusal(o->app, (int)status, cello_application_handler(), id);
    if (!err)
        return PyLong_FromUnsignedLong(id);
    cl_registry_drop_last(&o->handlers);
    return raise_registration(err, "the engine refuses with 404 and 405 for lack of a route");
}

PyDoc_STRVAR(set_stream_doc,
             "_set_stream($self, id, items, is_async, /)\n--\n\nThe handler of a route gives a "
             "stream. items: of 0 unknown, 1 str, 2 bytes, 3 SseEvent; is_async: it is an async "
             "generator function.");

static PyObject *set_stream(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_registry *handlers = &self_of(self)->handlers;
    unsigned long id = n == 3 ? PyLong_AsUnsignedLong(args[0]) : 0;
    long items = n == 3 && !PyErr_Occurred() ? PyLong_AsLong(args[1]) : -1;
    if (id == 0 || id >= handlers->count || items < CL_ITEMS_UNKNOWN || items > CL_ITEMS_EVENTS) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "_set_stream takes an id, items and a bool");
        return NULL;
    }
    struct cl_entry *e = handlers->entries[id];
    e->items = (uint8_t)items;
    e->flags |= CL_ENTRY_STREAMS;
    if (args[2] == Py_True)
        e->flags |= CL_ENTRY_STREAMS_ASYNC;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    set_plan_doc,
    "_set_plan($self, id, callable, is_async, plan, /)\n--\n\nHow the handler of a route is "
    "called from now on; requests that are being handled keep what they began with. plan: a Plan, "
    "or None to call it without arguments.");

static PyObject *set_plan(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_registry *handlers = &self_of(self)->handlers;
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    if (n != 4 || !ext) {
        PyErr_SetString(PyExc_TypeError, "_set_plan takes 4 arguments");
        return NULL;
    }
    unsigned long id = PyLong_AsUnsignedLong(args[0]);
    int is_async = PyErr_Occurred() ? -1 : PyObject_IsTrue(args[2]);
    if (is_async < 0)
        return NULL;
    if (id == 0 || id >= handlers->count) {
        PyErr_Format(PyExc_ValueError, "no route has the id %lu", id);
        return NULL;
    }
    if (!PyCallable_Check(args[1]) ||
        (args[3] != Py_None && !Py_IS_TYPE(args[3], ext->plan_type))) {
        PyErr_SetString(PyExc_TypeError, "_set_plan takes a callable, and a Plan or None");
        return NULL;
    }
    cl_registry_set_plan(handlers->entries[id], args[1], is_async,
                         args[3] == Py_None ? NULL : cl_plan_of(args[3]));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    set_terms_doc,
    "_set_terms($self, id, blocking, timeout, needs_pool, /)\n--\n\nWhere the handler of a route "
    "runs "
    "(blocking: True on the thread pool, False inline, None inline until it proves to "
    "wait), for how many seconds (0: without a limit; None: the server's), and whether it has "
    "something else for the pool.");

static PyObject *set_terms(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_registry *handlers = &self_of(self)->handlers;
    unsigned long id = n == 4 ? PyLong_AsUnsignedLong(args[0]) : 0;
    double seconds = n == 4 && args[2] != Py_None ? PyFloat_AsDouble(args[2]) : 0;
    if (PyErr_Occurred())
        return NULL;
    if (id == 0 || id >= handlers->count) {
        PyErr_SetString(PyExc_ValueError, "_set_terms takes the id of a route and three terms");
        return NULL;
    }
    enum cl_blocking blocking = args[1] == Py_None   ? CL_BLOCKING_AUTO
                                : args[1] == Py_True ? CL_BLOCKING_ALWAYS
                                                     : CL_BLOCKING_NEVER;
    uint64_t timeout_ns = (uint64_t)(fmin(fmax(seconds, 0), 1e9) * 1e9);
    cl_registry_set_terms(handlers->entries[id], blocking,
                          args[2] == Py_None ? CL_ENTRY_TIMEOUT_DEFAULT : timeout_ns,
                          args[3] == Py_True);
    Py_RETURN_NONE;
}

static int header_pairs(PyObject *list, struct cl_str (**out)[2], size_t *count) {
    Py_ssize_t n = PyList_Check(list) ? PyList_GET_SIZE(list) : -1;
    if (n < 0) {
        PyErr_SetString(PyExc_TypeError, "headers must be a list of pairs");
        return -1;
    }
    struct cl_str(*pairs)[2] = PyMem_Calloc((size_t)n + 1, sizeof *pairs);
    if (!pairs) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *pair = PyList_GET_ITEM(list, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
            cl_args_str("header name", PyTuple_GET_ITEM(pair, 0), &pairs[i][0]) < 0 ||
            cl_args_str("header value", PyTuple_GET_ITEM(pair, 1), &pairs[i][1]) < 0) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "headers must be a list of pairs");
            PyMem_Free(pairs);
            return -1;
        }
    }
    *out = pairs;
    *count = (size_t)n;
    return 0;
}

PyDoc_STRVAR(
    add_constant_doc,
    "_add_constant($self, methods, path, where, status, content_type, headers, body, /)\n--\n\n"
    "Register an answer that never changes. headers: list of (str, str); body: bytes.");

static PyObject *add_constant(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct route_args common;
    struct cl_str type, (*pairs)[2];
    size_t count;
    if (n != 7 || !PyBytes_Check(args[6])) {
        PyErr_SetString(PyExc_TypeError, "_add_constant takes 7 arguments, the last one bytes");
        return NULL;
    }
    if (common_args(args, &common) < 0 || cl_args_str("content_type", args[4], &type) < 0)
        return NULL;
    long status = PyLong_AsLong(args[3]);
    if (status == -1 && PyErr_Occurred())
        return NULL;
    if (header_pairs(args[5], &pairs, &count) < 0)
        return NULL;
    const struct cl_str body = {PyBytes_AS_STRING(args[6]), (size_t)PyBytes_GET_SIZE(args[6])};
    char text[ERR_TEXT] = "invalid static response";
    int err = cello_app_constant(self_of(self)->app, common.methods, common.path, common.where,
                                 (int)status, type, (const struct cl_str(*)[2])pairs, count, body,
                                 text, sizeof text);
    PyMem_Free(pairs);
    return err ? raise_registration(err, text) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(add_native_doc,
             "_add_native($self, methods, path, where, handler, /)\n--\n\nRegister a native "
             "handler, which is used up.");

static PyObject *add_native(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct route_args common;
    if (n != 4) {
        PyErr_SetString(PyExc_TypeError, "_add_native takes 4 arguments");
        return NULL;
    }
    if (common_args(args, &common) < 0)
        return NULL;
    const struct cello_route route = {
        .methods = common.methods,
        .path = common.path,
        .where = common.where,
        .handler = handler_take(args[3]),
    };
    if (!route.handler)
        return NULL;
    char text[ERR_TEXT] = "invalid route";
    int err = cello_app_route(self_of(self)->app, &route, text, sizeof text);
    return err ? raise_registration(err, text) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(add_step_doc, "_add_step($self, step, /)\n--\n\nA native step for every request.");

static PyObject *add_step(PyObject *self, PyObject *capsule) {
    struct cl_step *step = step_take(capsule);
    if (!step)
        return NULL;
    int err = cello_app_use(self_of(self)->app, step);
    if (!err)
        Py_RETURN_NONE;
    cello_step_del(step);
    return raise_registration(err, "invalid step");
}

PyDoc_STRVAR(
    version_by_doc,
    "_version_by($self, how, header, fallback, /)\n--\n\nTell the versions of routes apart "
    "by a header, or by a media type in it; before any route. how: \"header\" or "
    "\"media_type\"; fallback: a version, or None. ValueError: not a header's name.");

static PyObject *version_by(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_str how, header, fallback = {"", 0};
    if (n != 3) {
        PyErr_SetString(PyExc_TypeError, "_version_by takes 3 arguments");
        return NULL;
    }
    if (cl_args_str("how", args[0], &how) < 0 || cl_args_str("header", args[1], &header) < 0 ||
        (args[2] != Py_None && cl_args_str("default", args[2], &fallback) < 0))
        return NULL;
    enum cello_versioning kind =
        how.ptr[0] == 'h' ? CELLO_VERSION_HEADER : CELLO_VERSION_MEDIA_TYPE;
    int err = cello_app_versioning(self_of(self)->app, kind, header, fallback);
    return err ? raise_registration(err, "header must be the name of a header")
               : Py_NewRef(Py_None);
}

PyDoc_STRVAR(redirect_slashes_doc,
             "_redirect_slashes($self, on, /)\n--\n\nAnswer a path with the other "
             "trailing slash by a redirect instead of 404.");

static PyObject *redirect_slashes(PyObject *self, PyObject *arg) {
    int on = PyObject_IsTrue(arg);
    if (on < 0)
        return NULL;
    cello_app_redirect_slashes(self_of(self)->app, on);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    set_json_default_doc,
    "_set_json_default($self, hook, /)\n--\n\nhook(obj) gives what is encoded instead of an object "
    "that JSON does not know. None: such objects are an error.");

static PyObject *set_hook(PyObject **to, PyObject *hook) {
    if (hook != Py_None && !PyCallable_Check(hook)) {
        PyErr_SetString(PyExc_TypeError, "the hook must be callable");
        return NULL;
    }
    Py_XSETREF(*to, hook == Py_None ? NULL : Py_NewRef(hook));
    Py_RETURN_NONE;
}

static PyObject *set_json_default(PyObject *self, PyObject *hook) {
    return set_hook(&self_of(self)->json_default, hook);
}

PyDoc_STRVAR(
    set_exception_hook_doc,
    "_set_exception_hook($self, hook, /)\n--\n\nhook(request, exception) is asked about every "
    "exception of a handler and of its plan: it returns what to answer, a coroutine of that, or "
    "NotImplemented. What it raises is answered with 500. None: nobody is asked.");

static PyObject *set_exception_hook(PyObject *self, PyObject *hook) {
    return set_hook(&self_of(self)->exception_hook, hook);
}

PyDoc_STRVAR(set_debug_hook_doc,
             "_set_debug_hook($self, hook, /)\n--\n\nhook(request, exception) is asked for what "
             "would be answered with a bare 500: a Response, or None.");

static PyObject *set_debug_hook(PyObject *self, PyObject *hook) {
    return set_hook(&self_of(self)->debug_hook, hook);
}

/* ---- the type ---- */

static PyObject *app_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs; /* cello.App's constructor takes them */
    struct cl_app_object *o = (struct cl_app_object *)type->tp_alloc(type, 0);
    if (!o)
        return NULL;
    o->app = cello_app_new();
    if (!o->app) {
        Py_DECREF(o);
        return PyErr_NoMemory();
    }
    return (PyObject *)o;
}

static int app_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self_of(self)->json_default);
    Py_VISIT(self_of(self)->exception_hook);
    Py_VISIT(self_of(self)->debug_hook);
    return cl_registry_traverse(&self_of(self)->handlers, visit, arg);
}

static int app_clear(PyObject *self) {
    cl_registry_clear(&self_of(self)->handlers);
    Py_CLEAR(self_of(self)->json_default);
    Py_CLEAR(self_of(self)->exception_hook);
    Py_CLEAR(self_of(self)->debug_hook);
    return 0;
}

static void app_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    app_clear(self);
    cello_app_del(self_of(self)->app);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef app_methods[] = {
    {"_add_route", (PyCFunction)(void (*)(void))add_route, METH_FASTCALL, add_route_doc},
    {"_add_refusal", (PyCFunction)(void (*)(void))add_refusal, METH_FASTCALL, add_refusal_doc},
    {"_add_health", (PyCFunction)(void (*)(void))add_health, METH_FASTCALL, add_health_doc},
    {"_add_constant", (PyCFunction)(void (*)(void))add_constant, METH_FASTCALL, add_constant_doc},
    {"_add_native", (PyCFunction)(void (*)(void))add_native, METH_FASTCALL, add_native_doc},
    {"_add_step", add_step, METH_O, add_step_doc},
    {"_version_by", (PyCFunction)(void (*)(void))version_by, METH_FASTCALL, version_by_doc},
    {"_redirect_slashes", redirect_slashes, METH_O, redirect_slashes_doc},
    {"_set_terms", (PyCFunction)(void (*)(void))set_terms, METH_FASTCALL, set_terms_doc},
    {"_set_stream", (PyCFunction)(void (*)(void))set_stream, METH_FASTCALL, set_stream_doc},
    {"_set_plan", (PyCFunction)(void (*)(void))set_plan, METH_FASTCALL, set_plan_doc},
    {"_set_exception_hook", set_exception_hook, METH_O, set_exception_hook_doc},
    {"_set_debug_hook", set_debug_hook, METH_O, set_debug_hook_doc},
    {"_set_json_default", set_json_default, METH_O, set_json_default_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot app_slots[] = {
    {Py_tp_doc, "The engine's application: routes, handlers and native steps. Base of cello.App."},
    {Py_tp_new, (void *)app_new},
    {Py_tp_dealloc, (void *)app_dealloc},
    {Py_tp_traverse, (void *)app_traverse},
    {Py_tp_clear, (void *)app_clear},
    {Py_tp_methods, app_methods},
    {0, NULL},
};

static PyType_Spec app_spec = {
    .name = "cello._cello.App",
    .basicsize = sizeof(struct cl_app_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = app_slots,
};

int cl_app_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->app_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &app_spec, NULL);
    if (!ext->app_type || PyModule_AddType(module, ext->app_type) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "BODY_BUFFER", CELLO_BODY_BUFFER) < 0 ||
        PyModule_AddIntConstant(module, "BODY_STREAM", CELLO_BODY_STREAM) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "HEALTH_LIVE", CELLO_HEALTH_LIVE) < 0 ||
        PyModule_AddIntConstant(module, "HEALTH_READY", CELLO_HEALTH_READY) < 0 ||
        PyModule_AddIntConstant(module, "HEALTH_STARTUP", CELLO_HEALTH_STARTUP) < 0)
        return -1;
    return PyModule_AddIntConstant(module, "BODY_FORM", CELLO_BODY_FORM);
}
