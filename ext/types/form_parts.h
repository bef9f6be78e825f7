/* The parts of one multipart body, and the Request that keeps them: they were stored while they
 * arrived, or lie in its body. UploadedFiles share it.
 *
 * The Python object is held, and not the engine's request, whose references only the engine's
 * thread may count: forms are read on threads of the pool, too. A Request must never hold this, for
 * neither is found by the collector.
 *
 * Owner: by Python reference. Thread: GIL held; what `first` leads to may be read without. */
#ifndef CL_EXT_FORM_PARTS_H
#define CL_EXT_FORM_PARTS_H

#include <cello/multipart.h>

#include "module.h"

struct cl_form_parts {
    PyObject_HEAD PyObject *request;
    struct cl_upload_list *list; /* of its body; NULL: the engine has the parts */
    const struct cl_upload *first;
};

static inline struct cl_form_parts *cl_form_parts_of(PyObject *object) {
    return (struct cl_form_parts *)(void *)object;
}

/* Of a Request whose body has the media type multipart/form-data. NULL: exception set; what is
 * wrong with the body is an HTTPError. */
PyObject *cl_form_parts_new(struct cl_ext *ext, PyObject *request, struct cl_str content_type);

/* Of the request's worker; r NULL: the defaults. */
void cl_form_limits(const struct cl_request *r, struct cello_form_limits *limits);

/* Raise what an error of a form is answered with. Returns NULL. */
PyObject *cl_form_raise(struct cl_ext *ext, int err);

/* A browser's file input in which nothing was chosen: no file, and no value. */
bool cl_form_part_is_blank(const struct cl_upload *u);

#endif
