/* Lines of the server log about requests. */
#include "bridge/bridge.h"
#include "types/text.h"

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

void cl_bridge_tell(const struct cl_entry *e, struct cl_request *r, const char *level,
                    const char *what) {
    const struct cl_origin origin = {
        .entry = e,
        .method = cello_request_method(r),
        .route = cello_request_route(r),
    };
    PyObject *message = log_message(&origin, what);
    PyObject *log = message ? PyImport_ImportModule("cello._log") : NULL;
    PyObject *done = log ? PyObject_CallMethod(log, level, "O", message) : NULL;
    if (!done)
        PyErr_WriteUnraisable(e->callable);
    Py_XDECREF(done);
    Py_XDECREF(log);
    Py_XDECREF(message);
}

/* asyncio.CancelledError: of what a handler has awaited, or of its own doing. Where nothing has
 * imported asyncio there is none. */
static bool is_cancellation(PyObject *exception) {
    PyObject *name = PyUnicode_FromString("asyncio.exceptions");
    PyObject *module = name ? PyImport_GetModule(name) : NULL;
    PyObject *type = module ? PyObject_GetAttrString(module, "CancelledError") : NULL;
    bool found = type && PyErr_GivenExceptionMatches(exception, type);
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return found;
}

void cl_bridge_end_server_for(struct cl_bridge *b, PyObject *exception) {
    if (!exception || b->fatal || PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception) ||
        is_cancellation(exception))
        return;
    b->fatal = Py_NewRef(exception);
    if (b->server)
        cello_server_stop(b->server, 0);
}

void cl_bridge_report(struct cl_bridge *b, const struct cl_origin *origin, const char *what,
                      PyObject *exception) {
    log_error(b, origin, what, exception);
    cl_bridge_end_server_for(b, exception);
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

void cl_bridge_report_request(struct cl_bridge *b, const struct cl_entry *e, struct cl_request *r,
                              const char *what, PyObject *exception) {
    if (owner_takes(b, exception)) {
        cl_bridge_end_server_for(b, exception);
        Py_DECREF(exception);
        return;
    }
    const struct cl_origin origin = {
        .entry = e,
        .method = cello_request_method(r),
        .route = cello_request_route(r),
        .request_id = cello_request_id(r),
    };
    cl_bridge_report(b, &origin, what, exception);
}
