#include "plan/call.h"

#include "types/app.h"
#include "types/request.h"

PyObject *cl_call_request(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    if (!call->request)
        call->request = cl_pyrequest_wrap(b->ext, r, b->app);
    return call->request;
}

/* The Request is kept only for hooks that may be asked about an exception; for everybody else it
 * would live longer than its handler needs it. */
void cl_call_move(struct cl_bridge *b, struct cl_call *call, struct cl_call *to) {
    const struct cl_app_object *app = (struct cl_app_object *)b->app;
    PyObject *request = call->request;
    *to = *call;
    *call = (struct cl_call){.entry = to->entry};
    if (!request || to->escaped)
        return;
    to->request = app->exception_hook || app->debug_hook ? Py_NewRef(request) : NULL;
    to->escaped = true;
    cl_pyrequest_release_object(b->ext, request);
}

void cl_call_clear(struct cl_ext *ext, struct cl_call *call) {
    PyObject *request = call->request;
    call->request = NULL;
    if (request && call->escaped)
        Py_DECREF(request);
    else if (request)
        cl_pyrequest_release_object(ext, request);
    Py_CLEAR(call->plan);
    Py_CLEAR(call->response);
    Py_CLEAR(call->context);
    Py_CLEAR(call->generators);
    Py_CLEAR(call->callback);
    Py_CLEAR(call->background);
}

int cl_call_traverse(const struct cl_call *call, visitproc visit, void *arg) {
    Py_VISIT(call->plan);
    Py_VISIT(call->request);
    Py_VISIT(call->response);
    Py_VISIT(call->context);
    Py_VISIT(call->generators);
    Py_VISIT(call->callback);
    Py_VISIT(call->background);
    return 0;
}
