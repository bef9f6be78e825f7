/* What a handler returned, on its way to the answer: filters, the injected Response, and
 * `_cello.to_response`. */
#include "plan/result.h"
#include "plan/call.h"
#include "types/multimap.h"
#include "types/response_internal.h"

/* ---- filters ---- */

/* The value has the declared type already: nothing is to be left out of it. */
static bool fits(const struct cl_plan *plan, PyObject *body) {
    PyTypeObject *type = plan->result_type;
    if (!type)
        return false;
    if (!plan->result_is_list)
        return Py_IS_TYPE(body, type);
    if (!PyList_CheckExact(body))
        return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(body); i++)
        if (!Py_IS_TYPE(PyList_GET_ITEM(body, i), type))
            return false;
    return true;
}

/* What the tuple says beside its body, of the Response that the filter made of that. Steals the
 * response. */
static PyObject *complete(PyObject *response, PyObject *tuple) {
    struct cl_pyresponse *r = cl_pyresponse_of(response);
    int err = cl_pyresponse_set_status(r, PyTuple_GET_ITEM(tuple, 1));
    if (!err && PyTuple_GET_SIZE(tuple) == 3)
        err = cl_pyresponse_add_all(r, PyTuple_GET_ITEM(tuple, 2));
    if (err)
        Py_CLEAR(response);
    return response;
}

/* (body, status) or (body, status, headers) with another body. Steals the tuple. */
static PyObject *filter_tuple(struct cl_ext *ext, const struct cl_plan *plan, PyObject *tuple) {
    PyObject *body = PyTuple_GET_ITEM(tuple, 0), *other = NULL;
    if (fits(plan, body))
        return tuple;
    PyObject *filtered = PyObject_CallOneArg(plan->filter, body);
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (filtered && filtered != body && PyObject_TypeCheck(filtered, ext->response_type))
        other = complete(Py_NewRef(filtered), tuple);
    else if (filtered)
        other = n == 2 ? PyTuple_Pack(2, filtered, PyTuple_GET_ITEM(tuple, 1))
                       : PyTuple_Pack(3, filtered, PyTuple_GET_ITEM(tuple, 1),
                                      PyTuple_GET_ITEM(tuple, 2));
    Py_XDECREF(filtered);
    Py_DECREF(tuple);
    return other;
}

PyObject *cl_plan_filter(struct cl_ext *ext, const struct cl_plan *plan, PyObject *value) {
    if (fits(plan, value) || PyObject_TypeCheck(value, ext->response_type))
        return value;
    if (PyTuple_CheckExact(value))
        return PyTuple_GET_SIZE(value) == 2 || PyTuple_GET_SIZE(value) == 3
                   ? filter_tuple(ext, plan, value)
                   : value;
    PyObject *filtered = PyObject_CallOneArg(plan->filter, value);
    Py_DECREF(value);
    return filtered;
}

/* ---- the injected Response ---- */

int cl_call_merge_response(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    const struct cl_pyresponse *injected = cl_pyresponse_of(call->response);
    if (injected->status_is_set)
        call->status = injected->status;
    if (injected->content_type) {
        struct cl_str type;
        if (cl_args_str("content_type", injected->content_type, &type) < 0)
            return -1;
        if (cello_response_header(r, CL_LITERAL("Content-Type"), type) != CELLO_OK) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return injected->headers ? cl_bridge_add_headers(b, r, injected->headers) : 0;
}

/* ---- to_response ---- */

/* (body, status) or (body, status, headers). */
static int fill_from_tuple(struct cl_pyresponse *response, PyObject *tuple) {
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n < 2 || n > 3 || !PyLong_Check(PyTuple_GET_ITEM(tuple, 1))) {
        PyErr_SetString(PyExc_TypeError,
                        "a returned tuple must be (body, status) or (body, status, headers)");
        return -1;
    }
    if (cl_pyresponse_set_body(response, PyTuple_GET_ITEM(tuple, 0)) < 0 ||
        cl_pyresponse_set_status(response, PyTuple_GET_ITEM(tuple, 1)) < 0)
        return -1;
    return n == 3 ? cl_pyresponse_add_all(response, PyTuple_GET_ITEM(tuple, 2)) : 0;
}

/* What the injected one says of a bare value. */
static int merge_into(struct cl_pyresponse *response, PyObject *value,
                      const struct cl_pyresponse *injected) {
    bool bare = (PyObject *)response != value && !PyTuple_CheckExact(value);
    if (bare && injected->status_is_set)
        response->status = injected->status;
    if (!response->content_type && injected->content_type)
        response->content_type = Py_NewRef(injected->content_type);
    return injected->headers ? cl_pyresponse_add_all(response, injected->headers) : 0;
}

PyObject *cl_result_response(struct cl_ext *ext, PyObject *value, int status) {
    if (PyObject_TypeCheck(value, ext->response_type))
        return Py_NewRef(value);
    struct cl_pyresponse *response = cl_pyresponse_alloc(ext->response_type);
    int err = -1;
    if (response && PyTuple_CheckExact(value)) {
        err = fill_from_tuple(response, value);
    } else if (response) {
        response->status = status ? status : value == Py_None ? 204 : 200;
        err = cl_pyresponse_set_body(response, value);
    }
    if (err)
        Py_CLEAR(response);
    return (PyObject *)response;
}

PyObject *cl_result_to_response(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    struct cl_ext *ext = cl_ext_of_module(module);
    if (n < 1 || n > 3) {
        PyErr_SetString(PyExc_TypeError, "to_response takes a value, a status and a Response");
        return NULL;
    }
    PyObject *injected = n == 3 && args[2] != Py_None ? args[2] : NULL;
    if (injected && !PyObject_TypeCheck(injected, ext->response_type)) {
        PyErr_SetString(PyExc_TypeError, "injected must be a Response or None");
        return NULL;
    }
    long status = n > 1 ? PyLong_AsLong(args[1]) : 0;
    if (status && (PyErr_Occurred() || cl_args_status(args[1]) < 0))
        return NULL;
    PyObject *response = cl_result_response(ext, args[0], (int)status);
    if (response && injected && response != injected &&
        merge_into(cl_pyresponse_of(response), args[0], cl_pyresponse_of(injected)) < 0)
        Py_CLEAR(response);
    return response;
}
