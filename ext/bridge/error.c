/* Exceptions to responses: a Problem (HTTPError for one) to its document, malformed JSON to 400,
 * everything else to 500 and a line in the server log. */
#include "bridge/bridge.h"
#include "types/args.h"
#include "types/text.h"

static struct cl_str text_of(PyObject *str) {
    Py_ssize_t n = 0;
    const char *p = str && PyUnicode_Check(str) ? PyUnicode_AsUTF8AndSize(str, &n) : NULL;
    if (!p)
        PyErr_Clear();
    return (struct cl_str){p, p ? (size_t)n : 0};
}

/* "GET /items/{id}: <what> in <handler>", as one str: PyUnicode_FromFormat knows no "%.*s" before
 * Python 3.12. */
static PyObject *log_message(const struct cl_entry *e, struct cl_request *r, const char *what) {
    PyObject *method = cl_ext_str(cello_request_method(r));
    PyObject *route = method ? cl_ext_str(cello_request_route(r)) : NULL;
    PyObject *message =
        route ? PyUnicode_FromFormat("%U %U: %s in %U", method, route, what, e->name) : NULL;
    Py_XDECREF(route);
    Py_XDECREF(method);
    return message;
}

static void log_error(struct cl_bridge *b, const struct cl_entry *e, struct cl_request *r,
                      const char *what, PyObject *exception) {
    PyObject *message = log_message(e, r, what);
    struct cl_str id = cello_request_id(r);
    PyObject *request_id = id.len ? cl_text_from_field(id) : Py_NewRef(Py_None);
    PyObject *done = NULL;
    if (message && request_id && b->ext->log_error)
        done = PyObject_CallFunctionObjArgs(b->ext->log_error, message,
                                            exception ? exception : Py_None, request_id, NULL);
    if (!done)
        PyErr_WriteUnraisable(e->callable);
    Py_XDECREF(done);
    Py_XDECREF(request_id);
    Py_XDECREF(message);
}

/* Whoever made the server wants to see it: a test client raises it where the request was made. */
static void tell_owner(struct cl_bridge *b, PyObject *exception) {
    PyObject *on_error = Py_NewRef(b->on_error);
    PyObject *done = PyObject_CallOneArg(on_error, exception);
    if (!done)
        PyErr_WriteUnraisable(on_error);
    Py_XDECREF(done);
    Py_DECREF(on_error);
}

/* Logs `exception` (stolen, may be NULL). SystemExit and the like are meant for the program, not
 * for one request: they end the server, wherever in a request they came up. */
static void report(struct cl_bridge *b, const struct cl_entry *e, struct cl_request *r,
                   const char *what, PyObject *exception) {
    log_error(b, e, r, what, exception);
    if (exception && b->on_error)
        tell_owner(b, exception);
    if (exception && !b->fatal && !PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception)) {
        b->fatal = Py_NewRef(exception);
        cello_server_stop(b->server, 0);
    }
    Py_XDECREF(exception);
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

static void answer_json_error(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r,
                              PyObject *exception) {
    PyObject *text = PyObject_Str(exception);
    if (!text)
        report(b, e, r, "JSONDecodeError without a text", cl_ext_fetch_exception());
    cello_respond_problem(r, 400, text_of(text));
    Py_XDECREF(text);
}

/* ---- entry points ---- */

void cl_bridge_answer_exception(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r) {
    PyObject *exception = cl_ext_fetch_exception();
    struct cl_ext *ext = b->ext;
    if (!exception) {
        answer_500(r);
        return;
    }
    if (ext->problem && PyObject_TypeCheck(exception, (PyTypeObject *)ext->problem)) {
        if (answer_problem(b, r, exception) < 0) {
            report(b, e, r, "HTTPError that cannot be sent", cl_ext_fetch_exception());
            answer_500(r);
        }
    } else if (PyObject_TypeCheck(exception, (PyTypeObject *)ext->json_error)) {
        answer_json_error(b, e, r, exception);
    } else {
        report(b, e, r, "exception", Py_NewRef(exception));
        answer_500(r);
    }
    Py_DECREF(exception);
}

void cl_bridge_answer_unusable(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r,
                               PyObject *value) {
    PyObject *exception = cl_ext_fetch_exception();
    char what[160];
    PyOS_snprintf(what, sizeof what, "return value of type %.100s cannot be sent",
                  Py_TYPE(value)->tp_name);
    report(b, e, r, what, exception);
    answer_500(r);
}
