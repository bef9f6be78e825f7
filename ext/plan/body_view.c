/* `_cello.BodyView`: the bytes of a request's body, for decoders. Whatever is kept of it (a view, a
 * raw field of a struct) keeps this object, which keeps the request's memory. */
#include "plan/plan_internal.h"

struct body_view {
    PyObject_HEAD struct cl_request *r; /* one reference; NULL: waits to be used again */
    struct cl_str bytes;
};

static struct body_view *view_of(PyObject *object) {
    return (struct body_view *)(void *)object;
}

PyObject *cl_body_view_new(struct cl_ext *ext, struct cl_request *r) {
    struct body_view *view = view_of(ext->spare_body_view);
    if (view)
        ext->spare_body_view = NULL;
    else if (!(view = PyObject_New(struct body_view, ext->body_view_type)))
        return NULL;
    cello_request_ref(r);
    view->r = r;
    view->bytes = cello_request_body(r);
    return (PyObject *)view;
}

void cl_body_view_release(struct cl_ext *ext, PyObject *object) {
    struct body_view *view = view_of(object);
#ifndef Py_GIL_DISABLED
    if (Py_REFCNT(object) == 1 && !ext->spare_body_view) {
        cello_request_unref(view->r);
        view->r = NULL;
        view->bytes = (struct cl_str){NULL, 0};
        ext->spare_body_view = object;
        return;
    }
#endif
    Py_DECREF(object);
}

/* On any thread. */
static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (view_of(self)->r)
        cello_request_drop(view_of(self)->r);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int get_buffer(PyObject *self, Py_buffer *buffer, int flags) {
    struct cl_str bytes = view_of(self)->bytes;
    char *p = (char *)(uintptr_t)(bytes.len ? bytes.ptr : "");
    return PyBuffer_FillInfo(buffer, self, p, (Py_ssize_t)bytes.len, 1, flags);
}

static Py_ssize_t length(PyObject *self) {
    return (Py_ssize_t)view_of(self)->bytes.len;
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "The bytes of a request's body, as a buffer without a copy."},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_bf_getbuffer, (void *)get_buffer},
    {Py_sq_length, (void *)length},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.BodyView",
    .basicsize = sizeof(struct body_view),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_body_view_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->body_view_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->body_view_type ? PyModule_AddType(module, ext->body_view_type) : -1;
}
