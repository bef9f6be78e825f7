#include "types/form_parts.h"

#include <cello/limits.h>

#include "types/request_internal.h"
#include "types/text.h"

PyObject *cl_form_raise(struct cl_ext *ext, int err) {
    if (err == CELLO_ENOMEM)
        return PyErr_NoMemory();
    return cl_text_raise_http(ext, cello_error_status(err), "%s", cello_error_detail(err));
}

void cl_form_limits(const struct cl_request *r, struct cello_form_limits *limits) {
    static const struct cl_limits defaults = CL_LIMITS_DEFAULT;
    if (r) {
        cello_request_form_limits(r, limits);
        return;
    }
    *limits = (struct cello_form_limits){
        .max_form_parts = defaults.max_form_parts,
        .max_part_header = defaults.max_part_header,
        .max_form_memory = defaults.max_form_memory,
        .max_file_size = defaults.max_file_size,
    };
}

bool cl_form_part_is_blank(const struct cl_upload *u) {
    struct cello_part part;
    cello_upload_part(u, &part);
    return part.is_file && part.filename.len == 0 && cello_upload_size(u) == 0;
}

/* Where the body lies. False: exception set. */
static bool find_body(PyObject *request, struct cl_str *body) {
    struct cl_pyrequest *self = cl_pyrequest_of(request);
    if (self->r && !self->kept[CL_KEPT_BODY]) {
        if (cl_pyrequest_body_is_taken(self))
            return false;
        *body = cello_request_body(self->r);
        return true;
    }
    PyObject *bytes = cl_pyrequest_body(self);
    if (bytes)
        *body = (struct cl_str){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
    return bytes != NULL;
}

static int find_parts(struct cl_ext *ext, struct cl_form_parts *parts, struct cl_str type) {
    struct cl_request *r = cl_pyrequest_of(parts->request)->r;
    struct cello_form_limits limits;
    struct cl_str body;
    if (r && cello_request_uploads(r, &parts->first))
        return 0;
    if (!find_body(parts->request, &body))
        return -1;
    cl_form_limits(r, &limits);
    int err = cello_upload_list_new(&parts->list, type, body, &limits);
    if (err) {
        parts->list = NULL;
        cl_form_raise(ext, err);
        return -1;
    }
    parts->first = cello_upload_list_first(parts->list);
    return 0;
}

PyObject *cl_form_parts_new(struct cl_ext *ext, PyObject *request, struct cl_str type) {
    struct cl_form_parts *parts = PyObject_New(struct cl_form_parts, ext->form_parts_type);
    if (!parts)
        return NULL;
    parts->request = Py_NewRef(request);
    parts->list = NULL;
    parts->first = NULL;
    if (find_parts(ext, parts, type) < 0)
        Py_CLEAR(parts);
    return (PyObject *)parts;
}

/* On any thread. */
static void dealloc(PyObject *self) {
    struct cl_form_parts *parts = cl_form_parts_of(self);
    PyTypeObject *type = Py_TYPE(self);
    if (parts->list)
        cello_upload_list_del(parts->list);
    Py_DECREF(parts->request); /* last: the memory may go with it */
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "The parts of a multipart body."},
    {Py_tp_dealloc, (void *)dealloc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.FormParts",
    .basicsize = sizeof(struct cl_form_parts),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_form_parts_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->form_parts_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->form_parts_type ? 0 : -1;
}
