/* The parts of one multipart body, and what keeps them: the engine request that stored them while
 * they arrived, or the body they were found in. UploadedFiles share it.
 *
 * Owner: by Python reference. Thread: GIL held; what `first` leads to may be read without. */
#ifndef CL_EXT_FORM_PARTS_H
#define CL_EXT_FORM_PARTS_H

#include <cello/multipart.h>

#include "module.h"

struct cl_form_parts {
    PyObject_HEAD struct cl_request *r; /* one reference, or NULL */
    PyObject *body;                     /* bytes, or NULL */
    struct cl_upload_list *list;        /* of the body; NULL: the engine has the parts */
    const struct cl_upload *first;
};

static inline struct cl_form_parts *cl_form_parts_of(PyObject *object) {
    return (struct cl_form_parts *)(void *)object;
}

/* Of a request that an engine serves. NULL: exception set; what is wrong with the body is an
 * HTTPError. */
PyObject *cl_form_parts_of_request(struct cl_ext *ext, struct cl_request *r,
                                   struct cl_str content_type);
/* Of bytes, which are kept. */
PyObject *cl_form_parts_of_bytes(struct cl_ext *ext, PyObject *body, struct cl_str content_type);

/* Of the request's worker; r NULL: the defaults. */
void cl_form_limits(const struct cl_request *r, struct cello_form_limits *limits);

/* Raise what an error of a form is answered with. Returns NULL. */
PyObject *cl_form_raise(struct cl_ext *ext, int err);

/* A browser's file input in which nothing was chosen: no file, and no value. */
bool cl_form_part_is_blank(const struct cl_upload *u);

#endif
