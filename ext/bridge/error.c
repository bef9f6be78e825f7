/* Exceptions to responses: a Problem (HTTPError for one) to its document, malformed JSON to 400,
 * everything else to 500 and a line in the server log. */
#include "bridge/guest.h"
#include "plan/call.h"
#include "types/app.h"
#include "types/args.h"
#include "types/text.h"

#define STR(literal) ((struct cl_str){(literal), sizeof(literal) - 1})

static struct cl_str text_of(PyObject *str) {
    Py_ssize_t n = 0;
    const char *p = str && PyUnicode_Check(str) ? PyUnicode_AsUTF8AndSize(str, &n) : NULL;
    if (!p)
        PyErr_Clear();
    return (struct cl_str){p, p ? (size_t)n : 0};
}

/* One str: PyUnicode_FromFormat knows no "%.*s" before Python 3.12. */
static PyObject *log_message(const struct cl_origin *origin, const char *what) {
    PyObject *method = cl_ext_str(origin->method);
    PyObject *route = method ? cl_ext_str(origin->route) : NULL;
    PyObject *message =
        route ? PyUnicode_FromFormat("%U %U: %s in %U", method, route, what, origin->entry->name)
              : NULL;
    Py_XDECREF(route);
    Py_XDECREF(method);
    return message;
}

static void log_error(struct cl_bridge *b, const struct cl_origin *origin, const char *what,
                      PyObject *exception) {
    PyObject *message = log_message(origin, what);
    PyObject *request_id =
        origin->request_id.len ? cl_text_from_field(origin->request_id) : Py_NewRef(Py_None);
    PyObject *done = NULL;
    if (message && request_id && b->ext->log_error)
        done = PyObject_CallFunctionObjArgs(b->ext->log_error, message,
                                            exception ? exception : Py_None, request_id, NULL);
    if (!done)
        PyErr_WriteUnraisable(origin->entry->callable);
    Py_XDECREF(done);
    Py_XDECREF(request_id);
    Py_XDECREF(message);
}

/* SystemExit and the like are meant for the program, not for one request. */
static void end_server_for(struct cl_bridge *b, PyObject *exception) {
    if (!exception || b->fatal || PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception))
        return;
    b->fatal = Py_NewRef(exception);
    if (b->server)
        cello_server_stop(b->server, 0);
}

void cl_bridge_report(struct cl_bridge *b, const struct cl_origin *origin, const char *what,
                      PyObject *exception) {
    log_error(b, origin, what, exception);
    end_server_for(b, exception);
    Py_XDECREF(exception);
}

/* Whether whoever made the server takes care of it: a test client raises it where the request was
 * made. */
static bool owner_takes(struct cl_bridge *b, PyObject *exception) {
    if (!exception || !b->on_error)
        return false;
    PyObject *on_error = Py_NewRef(b->on_error);
    PyObject *answer = PyObject_CallOneArg(on_error, exception);
    int taken = answer ? PyObject_IsTrue(answer) : -1;
    if (taken < 0)
        PyErr_WriteUnraisable(on_error);
    Py_XDECREF(answer);
    Py_DECREF(on_error);
    return taken > 0;
}

/* Of a request that is being answered. */
static void report(struct cl_bridge *b, const struct cl_call *call, struct cl_request *r,
                   const char *what, PyObject *exception) {
    if (owner_takes(b, exception)) {
        end_server_for(b, exception);
        Py_DECREF(exception);
        return;
    }
    const struct cl_origin origin = {
        .entry = call->entry,
        .method = cello_request_method(r),
        .route = cello_request_route(r),
        .request_id = cello_request_id(r),
    };
    cl_bridge_report(b, &origin, what, exception);
}

static void answer_500(struct cl_request *r) {
    cello_response_reset(r);
    cello_respond_problem(r, 500, (struct cl_str){NULL, 0});
}

/* ---- problems ---- */

static int set_item(PyObject *dict, const char *key, PyObject *value) {
    return value && value != Py_None ? PyDict_SetItemString(dict, key, value) : 0;
}

/* The title of a status, where the program gave none: RFC 9457 section 4.2.1. */
static int set_title(PyObject *document, PyObject *title, int status) {
    if (title != Py_None)
        return PyDict_SetItemString(document, "title", title);
    struct cl_str reason = cello_status_reason(status);
    PyObject *text = reason.len ? cl_ext_str(reason) : PyUnicode_FromString("Error");
    int err = text ? PyDict_SetItemString(document, "title", text) : -1;
    Py_XDECREF(text);
    return err;
}

/* The attributes may be anybody's code: each is asked for only when those before it were there. */
enum part { TYPE, TITLE, STATUS, DETAIL, EXTENSIONS, PART_COUNT };

static int read_parts(const struct cl_ext_names *names, PyObject *exception, PyObject **parts) {
    PyObject *const attributes[PART_COUNT] = {
        [TYPE] = names->type,     [TITLE] = names->title,           [STATUS] = names->status,
        [DETAIL] = names->detail, [EXTENSIONS] = names->extensions,
    };
    for (int i = 0; i < PART_COUNT; i++) {
        parts[i] = PyObject_GetAttr(exception, attributes[i]);
        if (!parts[i])
            return -1;
    }
    return 0;
}

static int fill_problem(PyObject *document, PyObject **parts, PyObject *instance, int *status) {
    *status = cl_args_status(parts[STATUS]);
    if (*status < 0 || set_item(document, "type", parts[TYPE]) < 0 ||
        set_title(document, parts[TITLE], *status) < 0 ||
        set_item(document, "status", parts[STATUS]) < 0 ||
        set_item(document, "detail", parts[DETAIL]) < 0 ||
        set_item(document, "instance", instance) < 0)
        return -1;
    return parts[EXTENSIONS] == Py_None ? 0 : PyDict_Update(document, parts[EXTENSIONS]);
}

static PyObject *problem_of(struct cl_ext *ext, PyObject *exception, struct cl_request *r,
                            int *status) {
    PyObject *parts[PART_COUNT] = {NULL};
    PyObject *document = PyDict_New();
    PyObject *instance = document ? cl_text_from_field(cello_request_path(r)) : NULL;
    if (!instance || read_parts(&ext->names, exception, parts) < 0 ||
        fill_problem(document, parts, instance, status) < 0)
        Py_CLEAR(document);
    for (int i = 0; i < PART_COUNT; i++)
        Py_XDECREF(parts[i]);
    Py_XDECREF(instance);
    return document;
}

static int answer_problem(struct cl_bridge *b, struct cl_request *r, PyObject *exception) {
    int status = 500, err = -1;
    PyObject *document = problem_of(b->ext, exception, r, &status);
    PyObject *headers = document ? PyObject_GetAttr(exception, b->ext->names.headers) : NULL;
    if (headers) {
        cello_response_status(r, status);
        err = cl_bridge_add_headers(b, r, headers);
        if (!err)
            err = cl_bridge_send_problem(b, r, document);
    }
    Py_XDECREF(headers);
    Py_XDECREF(document);
    return err;
}

static void answer_json_error(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                              PyObject *exception) {
    PyObject *text = PyObject_Str(exception);
    if (!text)
        report(b, call, r, "JSONDecodeError without a text", cl_ext_fetch_exception());
    cello_respond_problem(r, 400, text_of(text));
    Py_XDECREF(text);
}

/* ---- hooks of the program ---- */

/* The debug page for what would be a bare 500. False: there is none. */
static bool answer_debug(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                         PyObject *exception) {
    PyObject *hook = Py_XNewRef(((struct cl_app_object *)b->app)->debug_hook);
    PyObject *request = hook && exception ? cl_call_request(b, call, r) : NULL;
    PyObject *page = request ? PyObject_CallFunctionObjArgs(hook, request, exception, NULL) : NULL;
    bool sent = false;
    Py_XDECREF(hook);
    if (page && page != Py_None) {
        cello_response_reset(r);
        sent = cl_bridge_send_value(b, call, r, page) == 0;
    }
    if (PyErr_Occurred())
        report(b, call, r, "exception in the debug hook", cl_ext_fetch_exception());
    Py_XDECREF(page);
    return sent;
}

/* 500 and a line in the log. Steals `exception`, which may be NULL. */
static void fail(struct cl_bridge *b, struct cl_call *call, struct cl_request *r, const char *what,
                 PyObject *exception) {
    report(b, call, r, what, Py_XNewRef(exception));
    if (!answer_debug(b, call, r, exception))
        answer_500(r);
    Py_XDECREF(exception);
}

/* The status of what an exception handler returns bare. */
static int status_of(struct cl_ext *ext, PyObject *exception) {
    int status = 500;
    if (ext->problem && PyObject_TypeCheck(exception, (PyTypeObject *)ext->problem)) {
        PyObject *value = PyObject_GetAttr(exception, ext->names.status);
        status = cl_args_status(value);
        Py_XDECREF(value);
    } else if (PyObject_TypeCheck(exception, (PyTypeObject *)ext->json_error)) {
        status = 400;
    }
    PyErr_Clear();
    return status < 0 ? 500 : status;
}

/* An exception handler's coroutine (stolen) runs in a task of its own, and answers. */
static void start_hook(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                       PyObject *coroutine) {
    PyObject *value = NULL, *context = call->context ? Py_NewRef(call->context) : PyContext_New();
    enum cl_guest_result result = CL_GUEST_RAISED;
    if (context && b->guest) {
        result = cl_guest_start_apart(b->guest, call, coroutine, context, r, &value);
    } else {
        if (context)
            PyErr_SetString(PyExc_RuntimeError,
                            "an async exception handler needs the server to run a loop");
        Py_DECREF(coroutine);
    }
    Py_XDECREF(context);
    if (result != CL_GUEST_SUSPENDED)
        cl_bridge_answer(b, call, r, value);
}

static bool is_handled_by_program(const struct cl_call *call, PyObject *hook, PyObject *exception) {
    return hook && !call->hooked && PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception);
}

/* Ask the program's exception handlers. True: answered, or it will be. */
static bool answer_by_hook(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                           PyObject *exception) {
    PyObject *hook = ((struct cl_app_object *)b->app)->exception_hook;
    if (!is_handled_by_program(call, hook, exception))
        return false;
    Py_INCREF(hook);
    PyObject *request = cl_call_request(b, call, r);
    PyObject *value = request ? PyObject_CallFunctionObjArgs(hook, request, exception, NULL) : NULL;
    Py_DECREF(hook);
    if (value == Py_NotImplemented) {
        Py_DECREF(value);
        return false;
    }
    call->hooked = true;
    call->status = status_of(b->ext, exception);
    Py_CLEAR(call->plan);
    Py_CLEAR(call->response);
    cello_response_reset(r);
    if (value && PyCoro_CheckExact(value))
        start_hook(b, call, r, value);
    else if (!value)
        fail(b, call, r, "exception in an exception handler", cl_ext_fetch_exception());
    else {
        if (cl_bridge_send_value(b, call, r, value) < 0)
            cl_bridge_answer_unusable(b, call, r, value);
        Py_DECREF(value);
    }
    return true;
}

/* ---- entry points ---- */

/* By its kind: a problem, malformed JSON, anything else. */
static void answer_exception(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                             PyObject *exception) {
    struct cl_ext *ext = b->ext;
    cello_response_reset(r);
    if (ext->problem && PyObject_TypeCheck(exception, (PyTypeObject *)ext->problem)) {
        if (answer_problem(b, r, exception) < 0)
            fail(b, call, r, "HTTPError that cannot be sent", cl_ext_fetch_exception());
    } else if (PyObject_TypeCheck(exception, (PyTypeObject *)ext->json_error)) {
        answer_json_error(b, call, r, exception);
    } else {
        fail(b, call, r, call->hooked ? "exception in an exception handler" : "exception",
             Py_NewRef(exception));
    }
}

void cl_bridge_answer_exception(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    PyObject *exception = cl_ext_fetch_exception();
    if (!exception) {
        answer_500(r);
        return;
    }
    PyObject *left = cl_call_unwind(call, Py_NewRef(exception), false);
    if (!left)
        fail(b, call, r, "a dependency kept an exception to itself, and nothing to answer with,",
             Py_NewRef(exception));
    else if (!answer_by_hook(b, call, r, left))
        answer_exception(b, call, r, left);
    Py_XDECREF(left);
    Py_DECREF(exception);
}

void cl_bridge_answer_unusable(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                               PyObject *value) {
    char what[160];
    PyOS_snprintf(what, sizeof what, "return value of type %.100s cannot be sent",
                  Py_TYPE(value)->tp_name);
    PyObject *exception = cl_ext_fetch_exception();
    if (exception)
        Py_XDECREF(cl_call_unwind(call, Py_NewRef(exception), false));
    fail(b, call, r, what, exception);
}

void cl_bridge_answer_cancelled(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    PyObject *exception = cl_ext_fetch_exception();
    if (exception)
        Py_XDECREF(cl_call_unwind(call, exception, false));
    cello_response_reset(r);
    cello_respond_problem(r, 503, STR("The handler was cancelled."));
    if (cl_call_has_more(call))
        cl_after_answer(b, call, r);
}
