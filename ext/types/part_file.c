/* _cello.PartFile: where a part of a form goes that is saved while it arrives. */
#include "types/upload.h"

struct part_file {
    PyObject_HEAD struct cl_part_file *file;
    PyObject *path;
    bool busy; /* a thread is writing, without the GIL */
};

static struct part_file *part_file_of(PyObject *object) {
    return (struct part_file *)(void *)object;
}

/* PartFile(path, /) */
static PyObject *part_file_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *path;
    if (kwargs || !PyArg_UnpackTuple(args, "PartFile", 1, 1, &path))
        return NULL;
    struct cl_part_file *file = cl_upload_io_open(path);
    if (!file)
        return NULL;
    struct part_file *self = part_file_of(type->tp_alloc(type, 0));
    if (!self) {
        cello_part_file_del(file);
        return NULL;
    }
    self->file = file;
    self->path = Py_NewRef(path);
    return (PyObject *)self;
}

static void dealloc(PyObject *object) {
    struct part_file *self = part_file_of(object);
    PyTypeObject *type = Py_TYPE(object);
    cello_part_file_del(self->file);
    Py_DECREF(self->path);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *write_bytes(PyObject *object, PyObject *bytes) {
    struct part_file *self = part_file_of(object);
    if (!PyBytes_Check(bytes) || self->busy) {
        PyErr_SetString(PyExc_TypeError, "write() takes bytes, on one thread at a time");
        return NULL;
    }
    self->busy = true;
    int err = cl_upload_io_write(self->file, bytes);
    self->busy = false;
    return err < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *save(PyObject *object, PyObject *unused) {
    (void)unused;
    struct part_file *self = part_file_of(object);
    const struct cl_upload *upload = cello_part_file_upload(self->file);
    if (cl_upload_io_save(object, upload, self->path) < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(cello_upload_size(upload));
}

static PyMethodDef methods[] = {
    {"write", write_bytes, METH_O, "write($self, data, /)\n--\n\nAppend. OSError."},
    {"save", save, METH_NOARGS,
     "save($self, /)\n--\n\nThe path names the file from now on. Its size. OSError."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "PartFile(path, /)\n--\n\nA file beside a path that it gets when it is whole."},
    {Py_tp_new, (void *)part_file_new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.PartFile",
    .basicsize = sizeof(struct part_file),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_part_file_setup_types(PyObject *module, struct cl_ext *ext) {
    (void)ext;
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int err = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return err;
}
