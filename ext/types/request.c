/* The life of a Request: made, recycled, escaped, freed. What it shows is in request_attributes.c,
 * what it does in request_methods.c and request_body.c. */
#include "types/request_internal.h"

#include <stddef.h>

#include <structmember.h>

/* Nobody but the caller has a reference. */
static bool is_unique(PyObject *object) {
#if !defined(Py_GIL_DISABLED)
    return Py_REFCNT(object) == 1;
#elif PY_VERSION_HEX >= 0x030E0000
    return PyUnstable_Object_IsUniquelyReferenced(object);
#else
    (void)object;
    return false;
#endif
}

struct cl_pyrequest *cl_pyrequest_alloc(struct cl_ext *ext) {
    struct cl_pyrequest *self = PyObject_GC_New(struct cl_pyrequest, ext->request_type);
    if (!self)
        return NULL;
    memset((char *)self + offsetof(struct cl_pyrequest, ext), 0,
           sizeof *self - offsetof(struct cl_pyrequest, ext));
    self->ext = ext;
    return self;
}

void cl_pyrequest_keep(struct cl_pyrequest *self, enum cl_pyrequest_kept which, PyObject *value) {
    self->kept[which] = value;
    self->kept_mask |= 1u << which;
}

void cl_pyrequest_track(struct cl_pyrequest *self) {
    if (!PyObject_GC_IsTracked((PyObject *)self))
        PyObject_GC_Track(self);
}

static void clear_kept(struct cl_pyrequest *self) {
    while (self->kept_mask) {
        unsigned i = (unsigned)__builtin_ctz(self->kept_mask);
        self->kept_mask &= self->kept_mask - 1;
        Py_CLEAR(self->kept[i]);
    }
}

/* ---- the bridge's side ---- */

PyObject *cl_pyrequest_wrap(struct cl_ext *ext, struct cl_request *r, PyObject *app) {
    struct cl_pyrequest *self = cl_pyrequest_of(ext->spare_request);
    if (self)
        ext->spare_request = NULL;
    else if (!(self = cl_pyrequest_alloc(ext)))
        return NULL;
    cello_request_ref(r);
    self->r = r;
    self->app = Py_XNewRef(app);
    self->pooled = false;
    return (PyObject *)self;
}

PyObject *cl_pyrequest_wrap_pooled(struct cl_ext *ext, struct cl_request *r, PyObject *app) {
    PyObject *request = cl_pyrequest_wrap(ext, r, app);
    if (request) {
        cl_pyrequest_read_peer(cl_pyrequest_of(request));
        cl_pyrequest_of(request)->pooled = true;
    }
    return request;
}

void cl_pyrequest_answered_next(PyObject *request) {
    if (!is_unique(request))
        cl_pyrequest_read_peer(cl_pyrequest_of(request));
}

/* Whoever kept it may make a cycle with it: through the application, for one. And may ask on
 * another thread. */
static void let_escape(PyObject *request) {
    struct cl_pyrequest *self = cl_pyrequest_of(request);
    cl_pyrequest_read_peer(self);
    cl_pyrequest_track(self);
    Py_DECREF(request);
}

void cl_pyrequest_release_object(struct cl_ext *ext, PyObject *request) {
    struct cl_pyrequest *self = cl_pyrequest_of(request);
    if (!is_unique(request) || self->weakrefs) {
        let_escape(request);
        return;
    }
    if (PyObject_GC_IsTracked(request))
        PyObject_GC_UnTrack(request);
    clear_kept(self);
    Py_CLEAR(self->app);
    cello_request_unref(self->r);
    self->r = NULL;
    /* A finalizer that ran just now may have used the place. */
    if (ext->spare_request)
        Py_DECREF(request);
    else
        ext->spare_request = request;
}

/* ---- the type's side ---- */

bool cl_pyrequest_keep_memory(PyObject *request, struct cl_pymultimap *memory) {
    struct cl_pyrequest *self = cl_pyrequest_of(request);
    for (int i = 0; i < CL_PYREQUEST_SPARE_VIEWS; i++) {
        if (!self->spare_views[i]) {
            self->spare_views[i] = memory;
            return true;
        }
    }
    return false;
}

static int clear(PyObject *object) {
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    clear_kept(self);
    Py_CLEAR(self->app);
    return 0;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->app);
    for (int i = 0; i < CL_KEPT_COUNT; i++)
        Py_VISIT(self->kept[i]);
    for (int i = 0; i < CL_MAP_KINDS; i++)
        Py_VISIT(self->maps[i]);
    for (int i = 0; i < CL_PYREQUEST_SPARE_VIEWS; i++)
        if (self->spare_views[i])
            Py_VISIT(Py_TYPE(self->spare_views[i]));
    return 0;
}

static void dealloc(PyObject *object) {
    struct cl_pyrequest *self = cl_pyrequest_of(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs)
        PyObject_ClearWeakRefs(object);
    clear(object);
    for (int i = 0; i < CL_MAP_KINDS; i++)
        Py_CLEAR(self->maps[i]);
    for (int i = 0; i < CL_PYREQUEST_SPARE_VIEWS; i++)
        if (self->spare_views[i])
            cl_pymultimap_free_memory(self->spare_views[i]);
    if (self->r)
        cello_request_drop(self->r);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct cl_pyrequest, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    doc,
    "Request(method, path, params=None, query=None, headers=None, body=None)\n--\n\n"
    "What a client asked for. The server makes these; constructed, for tests, it shows what it "
    "is given: path decoded; params, query and headers as mappings or pairs (query also as "
    "the encoded text); body as bytes or str.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, (void *)cl_pyrequest_tp_new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_clear, (void *)clear},
    {Py_tp_members, members},
    {Py_tp_getset, cl_pyrequest_attributes},
    {Py_tp_methods, cl_pyrequest_methods},
    {Py_tp_repr, (void *)cl_pyrequest_repr},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello.Request",
    .basicsize = sizeof(struct cl_pyrequest),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static int setup_address(PyObject *module, struct cl_ext *ext) {
    static PyStructSequence_Field fields[] = {{"host", NULL}, {"port", NULL}, {NULL, NULL}};
    static PyStructSequence_Desc desc = {"cello._cello.Address", "Of a peer.", fields, 2};
    ext->address_type = PyStructSequence_NewType(&desc);
    return ext->address_type ? PyModule_AddType(module, ext->address_type) : -1;
}

static int setup_credentials(PyObject *module, struct cl_ext *ext) {
    static PyStructSequence_Field fields[] = {
        {"pid", NULL}, {"uid", NULL}, {"gid", NULL}, {NULL, NULL}};
    static PyStructSequence_Desc desc = {"cello._cello.Credentials", "Of a process.", fields, 3};
    ext->credentials_type = PyStructSequence_NewType(&desc);
    return ext->credentials_type ? PyModule_AddType(module, ext->credentials_type) : -1;
}

int cl_request_setup_types(PyObject *module, struct cl_ext *ext) {
    if (setup_address(module, ext) < 0 || setup_credentials(module, ext) < 0)
        return -1;
    ext->request_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->request_type ? PyModule_AddType(module, ext->request_type) : -1;
}
