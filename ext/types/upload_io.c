/* Reading and saving uploads. All of it may wait for a disk, so the GIL is given up where a file is
 * touched; whoever owns the upload is held meanwhile, for another thread may close it. */
#include <errno.h>

#include "types/upload.h"

static int read_from_file(const struct cl_upload *upload, uint64_t at, char *out, size_t size,
                          size_t *n) {
    int err, number;
    Py_BEGIN_ALLOW_THREADS;
    err = cello_upload_read(upload, at, out, size, n);
    number = errno;
    Py_END_ALLOW_THREADS;
    errno = number;
    return err;
}

Py_ssize_t cl_upload_io_read_into(PyObject *parts, const struct cl_upload *upload, uint64_t at,
                                  char *out, size_t size) {
    struct cl_str bytes;
    size_t n = 0;
    int err;
    Py_INCREF(parts);
    if (cello_upload_bytes(upload, &bytes))
        err = cello_upload_read(upload, at, out, size, &n);
    else
        err = read_from_file(upload, at, out, size, &n);
    if (err)
        PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(parts);
    return err ? -1 : (Py_ssize_t)n;
}

PyObject *cl_upload_io_read(PyObject *parts, const struct cl_upload *upload, uint64_t at,
                            size_t size) {
    uint64_t all = cello_upload_size(upload);
    uint64_t left = at < all ? all - at : 0;
    size = (size_t)Py_MIN(left, (uint64_t)size);
    if (size > PY_SSIZE_T_MAX)
        return PyErr_NoMemory();
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (bytes && cl_upload_io_read_into(parts, upload, at, PyBytes_AS_STRING(bytes), size) < 0)
        Py_CLEAR(bytes);
    return bytes;
}

int cl_upload_io_save(PyObject *owner, const struct cl_upload *upload, PyObject *path) {
    PyObject *encoded;
    if (!PyUnicode_FSConverter(path, &encoded))
        return -1;
    const char *name = PyBytes_AS_STRING(encoded);
    int err, number;
    Py_INCREF(owner);
    Py_BEGIN_ALLOW_THREADS;
    err = cello_upload_save(upload, name);
    number = errno;
    Py_END_ALLOW_THREADS;
    Py_DECREF(owner);
    Py_DECREF(encoded);
    errno = number;
    if (err)
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return err ? -1 : 0;
}

struct cl_part_file *cl_upload_io_open(PyObject *path) {
    PyObject *encoded;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    const char *name = PyBytes_AS_STRING(encoded);
    struct cl_part_file *file = NULL;
    int err, number;
    Py_BEGIN_ALLOW_THREADS;
    err = cello_part_file_new(&file, name);
    number = errno;
    Py_END_ALLOW_THREADS;
    Py_DECREF(encoded);
    errno = number;
    if (err == CELLO_ENOMEM)
        PyErr_NoMemory();
    else if (err)
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return err ? NULL : file;
}

int cl_upload_io_write(struct cl_part_file *file, PyObject *bytes) {
    const struct cl_str span = {PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
    int err, number;
    Py_BEGIN_ALLOW_THREADS;
    err = cello_part_file_write(file, span);
    number = errno;
    Py_END_ALLOW_THREADS;
    errno = number;
    if (err)
        PyErr_SetFromErrno(PyExc_OSError);
    return err ? -1 : 0;
}
