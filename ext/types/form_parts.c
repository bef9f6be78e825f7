#include "types/form_parts.h"

#include <cello/limits.h>

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

static struct cl_form_parts *alloc(struct cl_ext *ext) {
    struct cl_form_parts *parts = PyObject_New(struct cl_form_parts, ext->form_parts_type);
    if (parts) {
        parts->r = NULL;
        parts->body = NULL;
        parts->list = NULL;
        parts->first = NULL;
    }
    return parts;
}

static PyObject *find_parts(struct cl_ext *ext, struct cl_form_parts *parts, struct cl_str type,
                            struct cl_str body, const struct cello_form_limits *limits) {
    int err = cello_upload_list_new(&parts->list, type, body, limits);
    if (err) {
        parts->list = NULL;
        Py_DECREF(parts);
        return cl_form_raise(ext, err);
    }
    parts->first = cello_upload_list_first(parts->list);
    return (PyObject *)parts;
}

PyObject *cl_form_parts_of_request(struct cl_ext *ext, struct cl_request *r, struct cl_str type) {
    struct cello_form_limits limits;
    struct cl_form_parts *parts = alloc(ext);
    if (!parts)
        return NULL;
    cello_request_ref(r);
    parts->r = r;
    if (cello_request_uploads(r, &parts->first))
        return (PyObject *)parts;
    cl_form_limits(r, &limits);
    return find_parts(ext, parts, type, cello_request_body(r), &limits);
}

PyObject *cl_form_parts_of_bytes(struct cl_ext *ext, PyObject *body, struct cl_str type) {
    struct cello_form_limits limits;
    struct cl_form_parts *parts = alloc(ext);
    if (!parts)
        return NULL;
    parts->body = Py_NewRef(body);
    cl_form_limits(NULL, &limits);
    struct cl_str span = {PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)};
    return find_parts(ext, parts, type, span, &limits);
}

/* On any thread. */
static void dealloc(PyObject *self) {
    struct cl_form_parts *parts = cl_form_parts_of(self);
    PyTypeObject *type = Py_TYPE(self);
    if (parts->list)
        cello_upload_list_del(parts->list);
    Py_XDECREF(parts->body);
    if (parts->r)
        cello_request_drop(parts->r);
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
