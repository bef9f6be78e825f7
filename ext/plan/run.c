/* The walk: guards, fields, calls, handler. */
#include "plan/plan_internal.h"
#include "types/request_internal.h"
#include "types/text.h"

/* Values and arguments of most handlers lie on the stack. */
enum { STACK_SLOTS = 24, STACK_ROOM = 2 * (STACK_SLOTS + 1) };

static PyObject *call_with(struct cl_walk *w, PyObject *callable, const struct cl_arguments *a,
                           PyObject **room) {
    for (size_t i = 0; i < a->count; i++)
        room[i + 1] = w->slots[a->slots[i]];
    size_t keywords = a->keywords ? (size_t)PyTuple_GET_SIZE(a->keywords) : 0;
    return PyObject_Vectorcall(callable, room + 1,
                               (a->count - keywords) | PY_VECTORCALL_ARGUMENTS_OFFSET, a->keywords);
}

/* ---- guards ---- */

static int check_guard(struct cl_walk *w, PyObject *guard, PyObject *request) {
    PyObject *verdict = PyObject_CallOneArg(guard, request);
    if (!verdict)
        return -1;
    int allowed;
    if (PyCoro_CheckExact(verdict)) {
        Py_XDECREF(PyObject_CallMethod(verdict, "close", NULL));
        PyErr_Format(PyExc_TypeError, "the guard %R gave a coroutine, which nobody awaits", guard);
        allowed = -1;
    } else {
        allowed = PyObject_IsTrue(verdict);
    }
    Py_DECREF(verdict);
    if (allowed == 0)
        cl_text_raise_http(w->ext, 403, "A guard refused the request.");
    return allowed == 1 ? 0 : -1;
}

static int check_guards(struct cl_walk *w) {
    PyObject *guards = w->plan->parts[CL_PLAN_GUARDS];
    Py_ssize_t n = PyTuple_GET_SIZE(guards);
    PyObject *request = n ? cl_call_request(w->bridge, w->call, w->r) : NULL;
    if (n && !request)
        return -1;
    for (Py_ssize_t i = 0; i < n; i++)
        if (check_guard(w, PyTuple_GET_ITEM(guards, i), request) < 0)
            return -1;
    return 0;
}

/* ---- fields ---- */

/* RequestValidationError(errors, body): the body only where one was asked for. */
static int raise_errors(struct cl_walk *w) {
    bool has_body = false;
    for (size_t i = 0; i < w->plan->field_count; i++) {
        enum cl_source source = w->plan->fields[i].source;
        has_body |= source == CL_SOURCE_BODY || source == CL_SOURCE_BODY_BYTES;
    }
    struct cl_str span = cello_request_body(w->r);
    PyObject *body =
        has_body ? PyBytes_FromStringAndSize(span.ptr, (Py_ssize_t)span.len) : Py_NewRef(Py_None);
    PyObject *args[] = {w->errors, body};
    PyObject *type = w->ext->validation_error;
    PyObject *exception = body ? PyObject_Vectorcall(type, args, 2, NULL) : NULL;
    if (exception)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    Py_XDECREF(body);
    return -1;
}

static int convert_fields(struct cl_walk *w) {
    for (size_t i = 0; i < w->plan->field_count; i++)
        if (cl_walk_field(w, i) < 0)
            return -1;
    return w->errors ? raise_errors(w) : 0;
}

/* ---- calls ---- */

/* The first item of the generator (stolen), which stays open. */
static PyObject *open_generator(struct cl_call *call, PyObject *generator) {
    if (!PyIter_Check(generator)) {
        PyErr_Format(PyExc_TypeError, "a dependency that yields gave %.100s, which is no generator",
                     Py_TYPE(generator)->tp_name);
        Py_DECREF(generator);
        return NULL;
    }
    PyObject *value = PyIter_Next(generator);
    if (!value && !PyErr_Occurred())
        PyErr_Format(PyExc_RuntimeError, "the dependency %R did not yield", generator);
    if (value && !call->generators)
        call->generators = PyList_New(0);
    if (value && (!call->generators || PyList_Append(call->generators, generator) < 0))
        Py_CLEAR(value);
    Py_DECREF(generator);
    return value;
}

static int make_calls(struct cl_walk *w, PyObject **room) {
    for (size_t i = 0; i < w->plan->call_count; i++) {
        const struct cl_dependency *dependency = &w->plan->calls[i];
        PyObject *value = call_with(w, dependency->callable, &dependency->arguments, room);
        if (value && dependency->is_generator)
            value = open_generator(w->call, value);
        if (!value)
            return -1;
        w->slots[w->plan->field_count + i] = value;
    }
    return 0;
}

/* ---- all of it ---- */

static PyObject *call_handler(struct cl_walk *w, PyObject *callable, PyObject **room) {
    const struct cl_arguments *a = &w->plan->arguments;
    if (!w->plan->in_order || a->keywords)
        return call_with(w, callable, a, room);
    return PyObject_Vectorcall(callable, w->slots, a->count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static PyObject *tuple_of_arguments(const struct cl_walk *w) {
    const struct cl_arguments *a = &w->plan->arguments;
    PyObject *values = PyTuple_New((Py_ssize_t)a->count);
    for (size_t i = 0; values && i < a->count; i++)
        PyTuple_SET_ITEM(values, (Py_ssize_t)i, Py_NewRef(w->slots[a->slots[i]]));
    return values;
}

/* What the callable gives; without one, the arguments it would get. */
static PyObject *walk(struct cl_walk *w, PyObject *callable, PyObject **room) {
    if (check_guards(w) < 0 || convert_fields(w) < 0 || make_calls(w, room) < 0)
        return NULL;
    return callable ? call_handler(w, callable, room) : tuple_of_arguments(w);
}

static PyObject *walk_with_room(struct cl_walk *w, PyObject *callable) {
    size_t count = w->plan->field_count + w->plan->call_count;
    size_t need = count + w->plan->most_arguments + 2; /* one before each, for callees */
    PyObject *on_stack[STACK_ROOM];
    PyObject **memory = need <= STACK_ROOM ? on_stack : PyMem_Malloc(need * sizeof(PyObject *));
    if (!memory)
        return PyErr_NoMemory();
    w->slots = memory + 1;
    for (size_t i = 0; i < count; i++)
        w->slots[i] = NULL;
    PyObject *value = walk(w, callable, w->slots + count);
    for (size_t i = 0; i < count; i++)
        Py_XDECREF(w->slots[i]);
    Py_XDECREF(w->errors);
    if (w->form)
        cello_form_del(w->form);
    Py_XDECREF(w->parts);
    if (memory != on_stack)
        PyMem_Free(memory);
    return value;
}

PyObject *cl_plan_call(struct cl_bridge *b, PyObject *callable, struct cl_call *call,
                       struct cl_request *r) {
    struct cl_walk w = {
        .bridge = b,
        .ext = b->ext,
        .plan = call->plan,
        .call = call,
        .r = r,
        .pooled = call->pooled,
    };
    return walk_with_room(&w, callable);
}

PyObject *cl_plan_resolve(PyObject *self, PyObject *request) {
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    if (!ext)
        return NULL;
    if (!Py_IS_TYPE(request, ext->request_type) || !cl_pyrequest_of(request)->r) {
        PyErr_SetString(PyExc_TypeError, "resolve() takes a Request that a server made");
        return NULL;
    }
    if (cl_plan_of(self)->call_count) {
        PyErr_SetString(PyExc_TypeError, "resolve() is for plans without calls");
        return NULL;
    }
    struct cl_call call = {.request = request}; /* borrowed: it is never cleared */
    struct cl_walk w = {
        .ext = ext,
        .plan = cl_plan_of(self),
        .call = &call,
        .r = cl_pyrequest_of(request)->r,
        .pooled = cl_pyrequest_of(request)->pooled,
    };
    PyObject *values = walk_with_room(&w, NULL);
    Py_XDECREF(call.response);
    Py_XDECREF(call.background); /* the caller has it among the values */
    return values;
}
