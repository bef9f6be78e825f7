/* cello.UploadedFile: one part of a form as a file that can be read.
 *
 * Its bytes are where the engine put them: in memory or in an unnamed file. The object keeps them,
 * and so the engine's request, until it is closed or collected. */
#ifndef CL_EXT_UPLOAD_H
#define CL_EXT_UPLOAD_H

#include "types/form_parts.h"

struct cl_pyupload {
    PyObject_HEAD struct cl_ext *ext; /* lives as long as the type */
    PyObject *parts;                  /* a FormParts; NULL: closed */
    const struct cl_upload *upload;
    uint64_t position;
    uint64_t size;
    PyObject *name, *filename, *content_type, *headers; /* kept when it is closed */
};

static inline struct cl_pyupload *cl_pyupload_of(PyObject *object) {
    return (struct cl_pyupload *)(void *)object;
}

/* For a part of `parts`. NULL: exception set. */
PyObject *cl_pyupload_new(struct cl_ext *ext, PyObject *parts, const struct cl_upload *upload);

/* The header of a part as a MultiMap, its Content-Type as str or None. NULL: exception set. */
PyObject *cl_part_headers(struct cl_ext *ext, const struct cello_part *part);
PyObject *cl_part_content_type(const struct cello_part *part);

/* ---- upload_io.c: what may wait for a disk; the GIL is given up meanwhile ---- */

/* `size` bytes from `at` on as bytes; NULL: exception set. */
PyObject *cl_upload_io_read(PyObject *parts, const struct cl_upload *upload, uint64_t at,
                            size_t size);
/* Up to `size` bytes to `out`; how many, or -1 with an exception set. */
Py_ssize_t cl_upload_io_read_into(PyObject *parts, const struct cl_upload *upload, uint64_t at,
                                  char *out, size_t size);
/* For a path, or NULL with an exception set. */
struct cl_part_file *cl_upload_io_open(PyObject *path);
/* 0, or -1 with an exception set. */
int cl_upload_io_write(struct cl_part_file *file, PyObject *bytes);
/* 0, or -1 with an OSError that names `path`. */
int cl_upload_io_save(PyObject *owner, const struct cl_upload *upload, PyObject *path);

#endif
