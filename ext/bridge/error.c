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

static void report(struct cl_bridge *b, const struct cl_call *call, struct cl_request *r,
                   const char *what, PyObject *exception) {
    cl_bridge_report_request(b, call->entry, r, what, exception);
}

static void answer_500(struct cl_request *r) {
    cello_response_reset(r);
    cello_respond_problem(r, 500, (struct cl_str){NULL, 0});
}

/* ---- problems ---- */

static int answer_problem(struct cl_bridge *b, struct cl_request *r, PyObject *exception) {
    int status = 500, err = -1;
    PyObject *document = cl_problem_document(b->ext, exception, r, &status);
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
    PyObject *hook = ((struct cl_app_object *)b->app)->debug_hook;
    PyObject *request = hook && exception ? cl_call_request(b, call, r) : NULL;
    PyObject *page = request ? cl_bridge_ask(hook, request, exception) : NULL;
    bool sent = false;
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

/* An exception handler's coroutine (stolen) runs in a task of its own, and answers. It gets a copy
 * of the handler's context, which is entered already where a step of the handler has raised. */
static void start_hook(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                       PyObject *coroutine) {
    PyObject *value = NULL,
             *context = call->context ? PyContext_Copy(call->context) : PyContext_New();
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

/* What the program's exception handler gave (stolen, may be NULL with an exception set) instead of
 * the handler's value. */
static void answer_hooked(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                          PyObject *exception, PyObject *value) {
    call->hooked = true;
    call->status = value ? cl_bridge_status_of(b->ext, exception) : 0;
    Py_CLEAR(call->plan);
    Py_CLEAR(call->response);
    cello_response_reset(r);
    if (!value) {
        fail(b, call, r, "exception in an exception handler", cl_ext_fetch_exception());
        return;
    }
    if (PyCoro_CheckExact(value)) {
        start_hook(b, call, r, value);
        return;
    }
    if (cl_bridge_send_value(b, call, r, value) < 0)
        cl_bridge_answer_unusable(b, call, r, value);
    Py_DECREF(value);
}

/* The program's exception handlers are asked, once. */
static void ask_hook(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                     struct cl_failure *f) {
    PyObject *hook = ((struct cl_app_object *)b->app)->exception_hook;
    if (!hook || call->hooked || !PyObject_TypeCheck(f->left, (PyTypeObject *)PyExc_Exception))
        return;
    PyObject *request = cl_call_request(b, call, r);
    f->said = request ? cl_bridge_ask(hook, request, f->left) : NULL;
    if (f->said == Py_None)
        Py_CLEAR(f->said);
    else if (!f->said)
        f->raised = cl_ext_fetch_exception();
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

void cl_bridge_meet_failure(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                            struct cl_failure *f) {
    *f = (struct cl_failure){.exception = cl_ext_fetch_exception()};
    Py_CLEAR(call->background); /* tasks are of what was meant to be answered */
    if (!f->exception)
        return;
    f->left = cl_call_unwind(call, Py_NewRef(f->exception), false);
    if (f->left)
        ask_hook(b, call, r, f);
}

void cl_bridge_clear_failure(struct cl_failure *f) {
    Py_CLEAR(f->exception);
    Py_CLEAR(f->left);
    Py_CLEAR(f->said);
    Py_CLEAR(f->raised);
}

void cl_bridge_answer_failure(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                              struct cl_failure *f) {
    PyObject *said = f->said;
    f->said = NULL;
    if (!f->exception) {
        answer_500(r);
    } else if (!f->left) {
        fail(b, call, r, "a dependency kept an exception to itself, and nothing to answer with,",
             Py_NewRef(f->exception));
    } else if (said || f->raised) {
        if (f->raised)
            PyErr_SetObject((PyObject *)Py_TYPE(f->raised), f->raised);
        answer_hooked(b, call, r, f->left, said);
    } else {
        answer_exception(b, call, r, f->left);
    }
    cl_bridge_clear_failure(f);
}

void cl_bridge_answer_exception(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    struct cl_failure failure;
    cl_bridge_meet_failure(b, call, r, &failure);
    cl_bridge_answer_failure(b, call, r, &failure);
}

void cl_bridge_answer_unusable(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                               PyObject *value) {
    char what[160];
    PyOS_snprintf(what, sizeof what, "return value of type %.100s cannot be sent",
                  Py_TYPE(value)->tp_name);
    PyObject *exception = cl_ext_fetch_exception();
    Py_CLEAR(call->background);
    if (exception)
        Py_XDECREF(cl_call_unwind(call, Py_NewRef(exception), false));
    fail(b, call, r, what, exception);
}

void cl_bridge_answer_cancelled(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    PyObject *exception = cl_ext_fetch_exception();
    PyObject *left = cl_call_unwind(call, Py_NewRef(exception), false);
    Py_CLEAR(call->background);
    if (left && left != exception)
        report(b, call, r, "exception", Py_NewRef(left));
    Py_XDECREF(left);
    Py_DECREF(exception);
    cello_response_reset(r);
    cello_respond_problem(r, 503, STR("The handler was cancelled."));
    if (cl_call_has_more(call))
        cl_after_answer(b, call, r);
}

void cl_bridge_drop_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r,
                           PyObject *value, PyObject *expected) {
    PyObject *exception = value ? NULL : cl_ext_fetch_exception();
    PyObject *left = exception ? cl_call_unwind(call, Py_NewRef(exception), false) : NULL;
    if (value && Py_IS_TYPE(value, b->ext->after_type))
        value = cl_after_take(value, call);
    if (!value)
        Py_CLEAR(call->background);
    Py_XDECREF(value);
    bool is_answer = left && PyObject_TypeCheck(left, (PyTypeObject *)b->ext->problem);
    if (left && !is_answer && !(expected && PyErr_GivenExceptionMatches(left, expected)))
        report(b, call, r, "exception", Py_NewRef(left));
    Py_XDECREF(left);
    Py_XDECREF(exception);
    if (cl_call_has_more(call))
        cl_after_answer(b, call, r);
}

uint64_t cl_bridge_timeout_of(const struct cl_bridge *b, const struct cl_entry *e) {
    return e->timeout_ns == CL_ENTRY_TIMEOUT_DEFAULT ? b->handler_ns : e->timeout_ns;
}

void cl_bridge_answer_busy(struct cl_request *r) {
    cello_response_reset(r);
    (void)cello_response_header(r, STR("Retry-After"), STR("1"));
    cello_respond_problem(r, 503, STR("The server is busy."));
}

void cl_bridge_answer_overdue(struct cl_bridge *b, const struct cl_entry *e, struct cl_request *r) {
    uint64_t limit_ns = cl_bridge_timeout_of(b, e);
    char what[80];
    PyOS_snprintf(what, sizeof what, "answered with 504 after %g s,", 1e-9 * (double)limit_ns);
    cl_bridge_tell(e, r, "warning", what);
    cello_response_reset(r);
    cello_respond_problem(r, 504, STR("The handler took too long."));
}
