/* The inside of cello.Response, for the files that are its parts. GIL held. */
#ifndef CL_EXT_RESPONSE_INTERNAL_H
#define CL_EXT_RESPONSE_INTERNAL_H

#include "types/args.h"
#include "types/response.h"
#include "types/text.h"

struct cl_pyresponse {
    PyObject_HEAD PyObject *body; /* not NULL once it is initialized */
    PyObject *content_type;       /* str, or NULL: by the body's type */
    PyObject *headers;            /* list of (str, str), without Content-Type; NULL: none */
    PyObject *weakrefs;
    int status;
    bool status_is_set; /* by the program: an injected one then changes the answer's */
    bool json;
};

static inline struct cl_pyresponse *cl_pyresponse_of(PyObject *object) {
    return (struct cl_pyresponse *)object;
}

/* What is sent as it is, and not as JSON, without being text. */
static inline bool cl_pyresponse_is_bytes(PyObject *body) {
    return PyBytes_Check(body) || PyByteArray_Check(body) || PyMemoryView_Check(body);
}

/* ---- response.c; all return 0, or -1 with an exception set ---- */

/* Sets the body, and whether it is JSON by its type. */
int cl_pyresponse_set_body(struct cl_pyresponse *self, PyObject *body);
int cl_pyresponse_set_status(struct cl_pyresponse *self, PyObject *status);
int cl_pyresponse_set_content_type(struct cl_pyresponse *self, PyObject *content_type);
/* Filled with 200 and no body; `type` is Response or a subclass. */
struct cl_pyresponse *cl_pyresponse_alloc(PyTypeObject *type);

/* ---- response_headers.c ---- */

/* Both refuse what must not be sent. Content-Type goes to where it belongs. */
int cl_pyresponse_append(struct cl_pyresponse *self, PyObject *name, PyObject *value);
int cl_pyresponse_replace_field(struct cl_pyresponse *self, PyObject *name, PyObject *value);
/* 1: all of that name are gone; 0: there were none. */
int cl_pyresponse_remove_field(struct cl_pyresponse *self, PyObject *name);
/* A mapping (a value may be a list of str), pairs, None or NULL. */
int cl_pyresponse_add_all(struct cl_pyresponse *self, PyObject *headers);
/* A MultiMap of what is set now, Content-Type included. */
PyObject *cl_pyresponse_all_headers(PyObject *self);

PyObject *cl_pyresponse_set_header(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                   PyObject *names);
PyObject *cl_pyresponse_append_header(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                      PyObject *names);

/* ---- response_fields.c ---- */

PyObject *cl_pyresponse_get_headers(PyObject *self, void *unused);

/* ---- response_cookie.c ---- */

PyObject *cl_pyresponse_set_cookie(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                   PyObject *names);
PyObject *cl_pyresponse_delete_cookie(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                      PyObject *names);

/* ---- response_make.c: the class methods ---- */

PyObject *cl_pyresponse_json(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_text(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_html(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_xml(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_binary(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_redirect(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                                 PyObject *names);
PyObject *cl_pyresponse_no_content(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                                   PyObject *names);
PyObject *cl_pyresponse_file(PyObject *cls, PyObject *const *args, Py_ssize_t n, PyObject *names);
PyObject *cl_pyresponse_created(PyObject *cls, PyObject *const *args, Py_ssize_t n,
                                PyObject *names);

#endif
