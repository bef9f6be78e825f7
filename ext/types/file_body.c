#include "types/file_body.h"

#include <errno.h>

#include "types/args.h"
#include "types/text.h"

struct file_body {
    PyObject_HEAD PyObject *path; /* bytes; with a root not checked: the engine does that */
    PyObject *root;               /* bytes, not empty; NULL: the path is the program's own */
    PyObject *filename;           /* str without control characters; NULL: none is said */
    bool is_inline;               /* it is not an attachment */
};

static struct file_body *self_of(PyObject *object) {
    return (struct file_body *)object;
}

static struct cl_str span_of(PyObject *bytes) {
    if (!bytes)
        return (struct cl_str){NULL, 0};
    return (struct cl_str){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
}

/* ---- life ---- */

static void dealloc(PyObject *object) {
    struct file_body *self = self_of(object);
    PyTypeObject *type = Py_TYPE(object);
    Py_CLEAR(self->path);
    Py_CLEAR(self->root);
    Py_CLEAR(self->filename);
    type->tp_free(object);
    Py_DECREF(type);
}

bool cl_file_body_check(PyObject *object) {
    return Py_TYPE(object)->tp_dealloc == dealloc;
}

/* str or PathLike to the bytes that the system takes. */
static PyObject *path_bytes(PyObject *path) {
    PyObject *plain = PyOS_FSPath(path);
    if (!plain || PyBytes_Check(plain))
        return plain;
    PyObject *bytes = PyUnicode_EncodeFSDefault(plain);
    Py_DECREF(plain);
    return bytes;
}

/* Without slashes at its end; one that is empty is the current folder. */
static PyObject *root_bytes(PyObject *root) {
    PyObject *bytes = path_bytes(root);
    if (!bytes)
        return NULL;
    const char *p = PyBytes_AS_STRING(bytes);
    Py_ssize_t n = PyBytes_GET_SIZE(bytes);
    while (n > 1 && p[n - 1] == '/')
        n--;
    PyObject *cut = PyBytes_FromStringAndSize(n ? p : ".", n ? n : 1);
    Py_DECREF(bytes);
    return cut;
}

static int check_no_nul(const char *name, PyObject *bytes) {
    if (!memchr(PyBytes_AS_STRING(bytes), '\0', (size_t)PyBytes_GET_SIZE(bytes)))
        return 0;
    PyErr_Format(PyExc_ValueError, "%s has a NUL: %R", name, bytes);
    return -1;
}

static int check_filename(PyObject *filename) {
    struct cl_str name = {NULL, 0};
    if (cl_args_str("filename", filename, &name) < 0)
        return -1;
    bool ok = name.len > 0;
    for (size_t i = 0; ok && i < name.len; i++)
        ok = (unsigned char)name.ptr[i] >= ' ' && name.ptr[i] != 0x7f;
    if (ok)
        return 0;
    PyErr_Format(PyExc_ValueError, "filename is empty or has a control character: %R", filename);
    return -1;
}

static int take_disposition(struct file_body *self, PyObject *disposition) {
    struct cl_str type = CL_LITERAL("attachment");
    if (cl_args_str("content_disposition_type", disposition, &type) < 0)
        return -1;
    self->is_inline = type.len == 6 && memcmp(type.ptr, "inline", 6) == 0;
    if (self->is_inline || (type.len == 10 && memcmp(type.ptr, "attachment", 10) == 0))
        return 0;
    PyErr_Format(PyExc_ValueError,
                 "content_disposition_type must be 'attachment' or 'inline', not %R", disposition);
    return -1;
}

static int fill(struct file_body *self, PyObject *path, PyObject *root, PyObject *filename,
                PyObject *disposition) {
    self->path = path_bytes(path);
    if (!self->path)
        return -1;
    /* Below a root the path may come from a client: what cannot be is not found. */
    if (!root && check_no_nul("path", self->path) < 0)
        return -1;
    if (root && (!(self->root = root_bytes(root)) || check_no_nul("root", self->root) < 0))
        return -1;
    if ((filename && check_filename(filename) < 0) || take_disposition(self, disposition) < 0)
        return -1;
    self->filename = Py_XNewRef(filename);
    return 0;
}

static PyObject *make(PyTypeObject *type, PyObject *path, PyObject *root, PyObject *filename,
                      PyObject *disposition) {
    PyObject *self = type->tp_alloc(type, 0);
    cl_args_none_is_absent(&root);
    cl_args_none_is_absent(&filename);
    if (self && fill(self_of(self), path, root, filename, disposition) < 0)
        Py_CLEAR(self);
    return self;
}

PyObject *cl_file_body_new(struct cl_ext *ext, PyObject *path, PyObject *root, PyObject *filename,
                           PyObject *disposition) {
    return make(ext->file_body_type, path, root, filename, disposition);
}

static PyObject *new (PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    enum { PATH, ROOT, FILENAME, DISPOSITION, COUNT };
    static const struct cl_args_spec spec = {
        .function = "FileBody",
        .required = 1,
        .positional = COUNT,
        .names = {"path", "root", "filename", "content_disposition_type"},
    };
    PyObject *given[COUNT];
    if (cl_args_parse_tuple(&spec, args, kwargs, given) < 0)
        return NULL;
    return make(type, given[PATH], given[ROOT], given[FILENAME], given[DISPOSITION]);
}

/* ---- answering ---- */

static PyObject *decoded(PyObject *bytes) {
    if (!bytes)
        Py_RETURN_NONE;
    return PyUnicode_DecodeFSDefaultAndSize(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
}

/* As open() would say it. */
static void raise_os_error(PyObject *path, int number) {
    PyObject *text = decoded(path);
    if (text) {
        errno = number;
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, text);
        Py_DECREF(text);
    }
}

/* HTTPError(503) that says when to come again. */
static void raise_busy(struct cl_ext *ext) {
    PyObject *type = ext->http_error ? ext->http_error : PyExc_RuntimeError;
    PyObject *args = Py_BuildValue("(is)", 503, "The server has no descriptors left.");
    PyObject *names = args ? Py_BuildValue("{s{ss}}", "headers", "Retry-After", "1") : NULL;
    PyObject *error = names ? PyObject_Call(type, args, names) : NULL;
    if (error)
        PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(names);
    Py_XDECREF(args);
}

static int raise_unsent(struct cl_ext *ext, const struct file_body *self, int err) {
    int number = errno;
    if (err == CELLO_ENOENT && self->root)
        cl_text_raise_http(ext, 404, "No file has this name.");
    else if (err == CELLO_ELIMIT)
        raise_busy(ext);
    else if (err == CELLO_ENOMEM)
        PyErr_NoMemory();
    else
        raise_os_error(self->path, number);
    return -1;
}

int cl_file_body_respond(struct cl_ext *ext, PyObject *body, struct cl_request *r) {
    const struct file_body *self = self_of(body);
    struct cello_file file = {
        .root = span_of(self->root),
        .path = span_of(self->path),
        .flags = CELLO_FILE_ETAG | CELLO_FILE_LAST_MODIFIED,
    };
    if (self->is_inline)
        file.flags |= CELLO_FILE_INLINE;
    if (cl_args_str("filename", self->filename, &file.filename) < 0)
        return -1;
    int err = cello_respond_file(r, &file);
    return err ? raise_unsent(ext, self, err) : 0;
}

PyObject *cl_file_body_type(PyObject *body) {
    return cl_text_new(cello_file_type(span_of(self_of(body)->path)));
}

/* ---- the type ---- */

static PyObject *get_path(PyObject *self, void *unused) {
    (void)unused;
    return decoded(self_of(self)->path);
}

static PyObject *get_root(PyObject *self, void *unused) {
    (void)unused;
    return decoded(self_of(self)->root);
}

static PyObject *get_filename(PyObject *self, void *unused) {
    (void)unused;
    PyObject *name = self_of(self)->filename;
    return Py_NewRef(name ? name : Py_None);
}

static PyObject *get_disposition(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_FromString(self_of(self)->is_inline ? "inline" : "attachment");
}

static PyObject *repr(PyObject *self) {
    PyObject *path = get_path(self, NULL);
    PyObject *text = path ? PyUnicode_FromFormat("<FileBody %R>", path) : NULL;
    Py_XDECREF(path);
    return text;
}

static PyGetSetDef attributes[] = {
    {"path", get_path, NULL, "Of the file, or below root.", NULL},
    {"root", get_root, NULL, "The folder that the path cannot leave, or None.", NULL},
    {"filename", get_filename, NULL, "What a browser saves it as, or None.", NULL},
    {"content_disposition_type", get_disposition, NULL, "With a filename: attachment or inline.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "FileBody(path, root=None, filename=None, "
                "content_disposition_type='attachment')\n--\n\nThe body of Response.file()."},
    {Py_tp_new, (void *)new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_getset, attributes},
    {Py_tp_repr, (void *)repr},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.FileBody",
    .basicsize = sizeof(struct file_body),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_file_body_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->file_body_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->file_body_type ? PyModule_AddType(module, ext->file_body_type) : -1;
}
