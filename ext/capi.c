#include "capi.h"

#include <cello/capi.h>

#include "types/app.h"

static struct cl_app *app_of(void *object) {
    PyObject *o = object;
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(o));
    if (!ext || !PyObject_TypeCheck(o, ext->app_type)) {
        PyErr_Format(PyExc_TypeError, "a cello.App is needed, not %.100s", Py_TYPE(o)->tp_name);
        return NULL;
    }
    return ((struct cl_app_object *)object)->app;
}

static const struct cello_capi CAPI = {
    .version = CELLO_CAPI_VERSION,
    .size = sizeof(struct cello_capi),
    .app_of = app_of,
    .app_route = cello_app_route,
    .request_ref = cello_request_ref,
    .request_drop = cello_request_drop,
    .request_method = cello_request_method,
    .request_path = cello_request_path,
    .request_body = cello_request_body,
    .request_header = cello_request_header,
    .request_param = cello_request_param,
    .request_query_find = cello_request_query_find,
    .response_status = cello_response_status,
    .response_type = cello_response_type,
    .response_header = cello_response_header,
    .respond_bytes = cello_respond_bytes,
    .respond_static = cello_respond_static,
    .respond_problem = cello_respond_problem,
    .respond_stream = cello_respond_stream,
    .response_chunk = cello_response_chunk,
};

int cl_capi_add(PyObject *module) {
    PyObject *capsule = PyCapsule_New((void *)(uintptr_t)&CAPI, CELLO_CAPI_NAME, NULL);
    if (!capsule)
        return -1;
    int err = PyModule_AddObjectRef(module, "_C_API", capsule);
    Py_DECREF(capsule);
    return err;
}
