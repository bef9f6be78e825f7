/* `_cello.error_response(request, exception)`: what the engine would answer an exception with, as a
 * Response, for Python code that goes on with it (hooks after handlers, middleware). */
#include "bridge/bridge.h"
#include "plan/result.h"
#include "types/app.h"
#include "types/args.h"
#include "types/request_internal.h"
#include "types/response_internal.h"

PyObject *cl_bridge_ask(PyObject *hook, PyObject *request, PyObject *exception) {
    if (!hook)
        return Py_NewRef(Py_None);
    /* It may set another one. */
    Py_INCREF(hook);
    PyObject *answer = PyObject_CallFunctionObjArgs(hook, request, exception, NULL);
    Py_DECREF(hook);
    return answer;
}

int cl_bridge_status_of(struct cl_ext *ext, PyObject *exception) {
    int status = 500;
    if (ext->problem && PyObject_TypeCheck(exception, (PyTypeObject *)ext->problem)) {
        PyObject *value = PyObject_GetAttr(exception, ext->names.status);
        status = cl_args_status(value);
        Py_XDECREF(value);
        PyErr_Clear();
    } else if (PyObject_TypeCheck(exception, (PyTypeObject *)ext->json_error)) {
        status = 400;
    }
    return status < 0 ? 500 : status;
}

/* ---- responses ---- */

static PyObject *response_of_problem(struct cl_ext *ext, struct cl_request *r, PyObject *problem) {
    int status = 500;
    PyObject *document = cl_problem_document(ext, problem, r, &status);
    PyObject *headers = document ? PyObject_GetAttr(problem, ext->names.headers) : NULL;
    PyObject *type = headers ? PyUnicode_FromString("application/problem+json") : NULL;
    struct cl_pyresponse *response = type ? cl_pyresponse_alloc(ext->response_type) : NULL;
    if (response && (cl_pyresponse_set_body(response, document) < 0 ||
                     cl_pyresponse_set_content_type(response, type) < 0 ||
                     cl_pyresponse_add_all(response, headers) < 0))
        Py_CLEAR(response);
    if (response)
        response->status = status;
    Py_XDECREF(type);
    Py_XDECREF(headers);
    Py_XDECREF(document);
    return (PyObject *)response;
}

/* detail: str or NULL. */
static PyObject *response_of_status(struct cl_ext *ext, struct cl_request *r, int status,
                                    PyObject *detail) {
    PyObject *problem =
        PyObject_CallFunction(ext->http_error, "iO", status, detail ? detail : Py_None);
    PyObject *response = problem ? response_of_problem(ext, r, problem) : NULL;
    Py_XDECREF(problem);
    return response;
}

/* ---- the function ---- */

struct failure {
    struct cl_ext *ext;
    struct cl_request *r;
    PyObject *request, *exception;
    const struct cl_app_object *app;
};

static void report(const struct failure *f, const char *what, PyObject *exception) {
    struct cl_bridge *b = cello_request_application(f->r);
    uint32_t id = cello_request_route_id(f->r);
    const struct cl_registry *handlers = &f->app->handlers;
    if (b && id && id < handlers->count)
        cl_bridge_report_request(b, handlers->entries[id], f->r, what, Py_XNewRef(exception));
}

/* 500, with a line in the log and, in debugging, a page. */
static PyObject *unexpected(const struct failure *f, const char *what, PyObject *exception) {
    report(f, what, exception);
    PyObject *page = cl_bridge_ask(f->app->debug_hook, f->request, exception);
    if (page && page != Py_None)
        return page;
    if (!page) {
        PyObject *error = cl_ext_fetch_exception();
        report(f, "exception in the debug hook", error);
        Py_XDECREF(error);
    }
    Py_XDECREF(page);
    return response_of_status(f->ext, f->r, 500, NULL);
}

static PyObject *known_or_not(const struct failure *f) {
    struct cl_ext *ext = f->ext;
    if (PyObject_TypeCheck(f->exception, (PyTypeObject *)ext->problem))
        return response_of_problem(ext, f->r, f->exception);
    if (!PyObject_TypeCheck(f->exception, (PyTypeObject *)ext->json_error))
        return unexpected(f, "exception", f->exception);
    PyObject *text = PyObject_Str(f->exception);
    PyObject *response = text ? response_of_status(ext, f->r, 400, text) : NULL;
    Py_XDECREF(text);
    return response;
}

static PyObject *respond(const struct failure *f, bool ask) {
    PyObject *hook = ask ? f->app->exception_hook : NULL;
    PyObject *value = cl_bridge_ask(hook, f->request, f->exception);
    PyObject *response = NULL;
    if (!value) {
        PyObject *error = cl_ext_fetch_exception();
        response = unexpected(f, "exception in an exception handler", error);
        Py_XDECREF(error);
    } else if (value == Py_None) {
        response = known_or_not(f);
    } else if (PyCoro_CheckExact(value)) {
        return value;
    } else if (PyObject_TypeCheck(value, (PyTypeObject *)f->ext->problem)) {
        response = response_of_problem(f->ext, f->r, value);
    } else {
        response = cl_result_response(f->ext, value, cl_bridge_status_of(f->ext, f->exception));
    }
    Py_XDECREF(value);
    return response;
}

PyObject *cl_bridge_error_response(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    struct cl_ext *ext = cl_ext_of_module(module);
    if (n < 2 || n > 3 || !Py_IS_TYPE(args[0], ext->request_type) ||
        !PyExceptionInstance_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "error_response takes a Request and an exception");
        return NULL;
    }
    const struct cl_pyrequest *request = cl_pyrequest_of(args[0]);
    if (!request->r || !request->app) {
        PyErr_SetString(PyExc_ValueError, "error_response takes a Request that a server made");
        return NULL;
    }
    const struct failure f = {
        .ext = ext,
        .r = request->r,
        .request = args[0],
        .exception = args[1],
        .app = (struct cl_app_object *)request->app,
    };
    return respond(&f, n == 2 || args[2] == Py_True);
}
