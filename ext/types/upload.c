#include "types/upload.h"

#include "types/args.h"
#include "types/multimap.h"
#include "types/text.h"

/* What iterating gives at a time. */
enum { CHUNK = 65536 };

/* ---- what a part says ---- */

PyObject *cl_part_content_type(const struct cello_part *part) {
    if (!part->content_type.len)
        return Py_NewRef(Py_None);
    return cl_text_from_field(part->content_type);
}

static int add_field(PyObject *list, struct cl_str name, struct cl_str value) {
    PyObject *key = cl_text_lower(name), *text = key ? cl_text_from_field(value) : NULL;
    PyObject *pair = text ? PyTuple_Pack(2, key, text) : NULL;
    int err = pair ? PyList_Append(list, pair) : -1;
    Py_XDECREF(key);
    Py_XDECREF(text);
    Py_XDECREF(pair);
    return err;
}

PyObject *cl_part_headers(struct cl_ext *ext, const struct cello_part *part) {
    struct cl_str fields = part->fields, name, value;
    PyObject *list = PyList_New(0);
    while (list && cello_part_field_next(&fields, &name, &value))
        if (add_field(list, name, value) < 0)
            Py_CLEAR(list);
    PyObject *pairs = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return pairs ? cl_pymultimap_from_pairs(ext, CL_MAP_HEADERS, pairs) : NULL;
}

/* ---- life ---- */

PyObject *cl_pyupload_new(struct cl_ext *ext, PyObject *parts, const struct cl_upload *upload) {
    struct cl_pyupload *self = PyObject_New(struct cl_pyupload, ext->upload_type);
    struct cello_part part;
    if (!self)
        return NULL;
    cello_upload_part(upload, &part);
    self->ext = ext;
    self->parts = Py_NewRef(parts);
    self->upload = upload;
    self->position = 0;
    self->size = cello_upload_size(upload);
    self->headers = NULL;
    self->name = cl_text_new(part.name);
    self->filename = part.is_file ? cl_text_new(part.filename) : PyUnicode_FromString("");
    self->content_type = cl_part_content_type(&part);
    if (!self->name || !self->filename || !self->content_type)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void dealloc(PyObject *object) {
    struct cl_pyupload *self = cl_pyupload_of(object);
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(self->name);
    Py_XDECREF(self->filename);
    Py_XDECREF(self->content_type);
    Py_XDECREF(self->headers);
    Py_XDECREF(self->parts);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* Borrowed; NULL: closed, exception set. */
static PyObject *open_parts(struct cl_pyupload *self) {
    if (!self->parts)
        PyErr_SetString(PyExc_ValueError, "I/O operation on a closed UploadedFile");
    return self->parts;
}

/* ---- reading ---- */

static PyObject *read_some(struct cl_pyupload *self, Py_ssize_t size) {
    PyObject *parts = open_parts(self);
    if (!parts)
        return NULL;
    size_t most = size < 0 ? SIZE_MAX : (size_t)size;
    PyObject *bytes = cl_upload_io_read(parts, self->upload, self->position, most);
    if (bytes)
        self->position += (uint64_t)PyBytes_GET_SIZE(bytes);
    return bytes;
}

static PyObject *read_bytes(PyObject *object, PyObject *const *args, Py_ssize_t n) {
    Py_ssize_t size = -1;
    if (n > 1) {
        PyErr_SetString(PyExc_TypeError, "read() takes a size");
        return NULL;
    }
    if (n == 1 && args[0] != Py_None) {
        size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
        if (size == -1 && PyErr_Occurred())
            return NULL;
    }
    return read_some(cl_pyupload_of(object), size);
}

static PyObject *readinto(PyObject *object, PyObject *target) {
    struct cl_pyupload *self = cl_pyupload_of(object);
    PyObject *parts = open_parts(self);
    Py_buffer view;
    if (!parts || PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0)
        return NULL;
    Py_ssize_t n =
        cl_upload_io_read_into(parts, self->upload, self->position, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (n < 0)
        return NULL;
    self->position += (uint64_t)n;
    return PyLong_FromSsize_t(n);
}

static PyObject *next_chunk(PyObject *object) {
    PyObject *bytes = read_some(cl_pyupload_of(object), CHUNK);
    if (bytes && PyBytes_GET_SIZE(bytes) == 0)
        Py_CLEAR(bytes); /* the end */
    return bytes;
}

static PyObject *tell(PyObject *object, PyObject *unused) {
    (void)unused;
    struct cl_pyupload *self = cl_pyupload_of(object);
    return open_parts(self) ? PyLong_FromUnsignedLongLong(self->position) : NULL;
}

static PyObject *seek(PyObject *object, PyObject *const *args, Py_ssize_t n) {
    struct cl_pyupload *self = cl_pyupload_of(object);
    if (n < 1 || n > 2) {
        PyErr_SetString(PyExc_TypeError, "seek() takes an offset and from where");
        return NULL;
    }
    long long offset = PyLong_AsLongLong(args[0]);
    long whence = n == 2 ? PyLong_AsLong(args[1]) : 0;
    if (PyErr_Occurred() || !open_parts(self))
        return NULL;
    const uint64_t from[] = {0, self->position, self->size};
    if (whence < 0 || whence > 2) {
        PyErr_Format(PyExc_ValueError, "whence must be 0, 1 or 2, not %ld", whence);
        return NULL;
    }
    long long base = (long long)from[whence];
    if (offset < -base || offset > INT64_MAX - base) {
        PyErr_Format(PyExc_ValueError, "there is no position %lld", offset);
        return NULL;
    }
    self->position = (uint64_t)(base + offset);
    return tell(object, NULL);
}

/* ---- saving and closing ---- */

static PyObject *save(PyObject *object, PyObject *path) {
    struct cl_pyupload *self = cl_pyupload_of(object);
    PyObject *parts = open_parts(self);
    if (!parts || cl_upload_io_save(parts, self->upload, path) < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(self->size);
}

static PyObject *close_upload(PyObject *object, PyObject *unused) {
    (void)unused;
    Py_CLEAR(cl_pyupload_of(object)->parts);
    Py_RETURN_NONE;
}

static PyObject *enter(PyObject *object, PyObject *unused) {
    (void)unused;
    return open_parts(cl_pyupload_of(object)) ? Py_NewRef(object) : NULL;
}

static PyObject *leave(PyObject *object, PyObject *const *args, Py_ssize_t n) {
    (void)args;
    (void)n;
    return close_upload(object, NULL);
}

/* For io.TextIOWrapper and the like. */
static PyObject *yes(PyObject *object, PyObject *unused) {
    (void)unused;
    return open_parts(cl_pyupload_of(object)) ? Py_NewRef(Py_True) : NULL;
}

static PyObject *no(PyObject *object, PyObject *unused) {
    (void)unused;
    return open_parts(cl_pyupload_of(object)) ? Py_NewRef(Py_False) : NULL;
}

static PyObject *nothing(PyObject *object, PyObject *unused) {
    (void)object;
    (void)unused;
    Py_RETURN_NONE;
}

/* ---- attributes ---- */

static PyObject *get_name(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(cl_pyupload_of(object)->name);
}

static PyObject *get_filename(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(cl_pyupload_of(object)->filename);
}

static PyObject *get_safe_filename(PyObject *object, void *unused) {
    (void)unused;
    char safe[CELLO_FILENAME_MAX];
    struct cl_str name;
    if (!cl_text_key(cl_pyupload_of(object)->filename, &name))
        return PyErr_NoMemory();
    return cl_text_new((struct cl_str){safe, cello_filename_safe(name, safe)});
}

static PyObject *get_content_type(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(cl_pyupload_of(object)->content_type);
}

static PyObject *get_size(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(cl_pyupload_of(object)->size);
}

static PyObject *get_headers(PyObject *object, void *unused) {
    (void)unused;
    struct cl_pyupload *self = cl_pyupload_of(object);
    struct cello_part part;
    if (!self->headers && open_parts(self)) {
        cello_upload_part(self->upload, &part);
        self->headers = cl_part_headers(self->ext, &part);
    }
    return Py_XNewRef(self->headers);
}

static PyObject *get_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(!cl_pyupload_of(object)->parts);
}

static PyObject *get_file(PyObject *object, void *unused) {
    (void)unused;
    return Py_NewRef(object);
}

static PyObject *repr(PyObject *object) {
    struct cl_pyupload *self = cl_pyupload_of(object);
    return PyUnicode_FromFormat("<UploadedFile %R: %R, %llu bytes>", self->name, self->filename,
                                (unsigned long long)self->size);
}

/* ---- the type ---- */

PyDoc_STRVAR(
    doc, "A file of a form: a binary file that can be read.\n\nfilename is what the client says, "
         "which may be any text, \"../../x\" too; safe_filename is a plain name made of it. "
         "Iterating gives chunks of bytes. It is closed with the request, unless somebody "
         "keeps it.");
PyDoc_STRVAR(read_doc,
             "read($self, size=-1, /)\n--\n\nThe next `size` bytes, or all that are left.");
PyDoc_STRVAR(readinto_doc, "readinto($self, buffer, /)\n--\n\nFill a buffer; how many bytes.");
PyDoc_STRVAR(seek_doc, "seek($self, offset, whence=0, /)\n--\n\nGo to a position; the new one.");
PyDoc_STRVAR(
    save_doc,
    "save($self, path, /)\n--\n\nGive the file this path, in place of one that is there: "
    "whole or not at all. Returns its size.\n\nNothing is copied when it lies in a temporary "
    "file of the same file system. OSError: as open() and write().");
PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\nLet the bytes go.");

static PyMethodDef methods[] = {
    {"read", (PyCFunction)(void (*)(void))read_bytes, METH_FASTCALL, read_doc},
    {"readinto", readinto, METH_O, readinto_doc},
    {"seek", (PyCFunction)(void (*)(void))seek, METH_FASTCALL, seek_doc},
    {"tell", tell, METH_NOARGS, "tell($self, /)\n--\n\nThe position."},
    {"save", save, METH_O, save_doc},
    {"close", close_upload, METH_NOARGS, close_doc},
    {"readable", yes, METH_NOARGS, "readable($self, /)\n--\n\nTrue."},
    {"seekable", yes, METH_NOARGS, "seekable($self, /)\n--\n\nTrue."},
    {"writable", no, METH_NOARGS, "writable($self, /)\n--\n\nFalse."},
    {"flush", nothing, METH_NOARGS, "flush($self, /)\n--\n\nNothing is written."},
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"name", get_name, NULL, "Of the field.", NULL},
    {"filename", get_filename, NULL, "As the client says; any text.", NULL},
    {"safe_filename", get_safe_filename, NULL,
     "The last component of filename as a name that every system takes; never empty.", NULL},
    {"content_type", get_content_type, NULL, "As the client says, or None.", NULL},
    {"size", get_size, NULL, "In bytes.", NULL},
    {"headers", get_headers, NULL, "Of the part, a MultiMap.", NULL},
    {"closed", get_closed, NULL, "Whether close() was called.", NULL},
    {"file", get_file, NULL, "Itself, a binary file.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)next_chunk},
    {Py_tp_repr, (void *)repr},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello.UploadedFile",
    .basicsize = sizeof(struct cl_pyupload),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_upload_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->upload_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->upload_type ? PyModule_AddType(module, ext->upload_type) : -1;
}
