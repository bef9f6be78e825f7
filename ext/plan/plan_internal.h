/* Between the files that walk a plan. */
#ifndef CL_EXT_PLAN_PLAN_INTERNAL_H
#define CL_EXT_PLAN_PLAN_INTERNAL_H

#include "plan/call.h"

struct cl_walk {
    struct cl_bridge *bridge; /* NULL: the call has its request */
    struct cl_ext *ext;
    const struct cl_plan *plan;
    struct cl_call *call;
    struct cl_request *r;
    bool pooled;          /* on a thread of the pool: nothing may count references of r */
    PyObject **slots;     /* strong, NULL where nothing is yet */
    PyObject *errors;     /* list of what was wrong with fields; NULL: nothing was */
    struct cl_form *form; /* of the body, parsed for the first field that asks */
    PyObject *parts;      /* FormParts: the form is multipart */
};

/* ---- field.c ---- */

/* Fill the field's slot, or note what is wrong with it: 0. -1: exception set. */
int cl_walk_field(struct cl_walk *w, size_t i);
/* Note an error: the words (borrowed) at the field's loc, and in it at `index` (-1: itself). */
int cl_walk_refuse(struct cl_walk *w, const struct cl_field *f, PyObject *type, PyObject *msg,
                   Py_ssize_t index);
/* Nothing was sent for the field: its default, or the error. */
int cl_walk_missing(struct cl_walk *w, const struct cl_field *f, PyObject **slot);

/* ---- form.c ---- */

/* The pairs of the form, none when there is no body. -1: exception set. */
int cl_walk_form_pairs(struct cl_walk *w, const struct cl_pair **pairs, size_t *count);
/* The field is a file, or several. */
int cl_walk_file(struct cl_walk *w, const struct cl_field *f, PyObject **slot);

/* ---- body.c ---- */

int cl_walk_body(struct cl_walk *w, const struct cl_field *f, PyObject **slot);
/* A validator has raised. What it says of the value is noted, under the field's own loc instead of
 * "body" if `is_model`: 0. Else -1, and the exception is set again. `malformed` is set, if not
 * NULL, when the validator could not even read the text: -1, and nothing is set. */
int cl_walk_validator_raised(struct cl_walk *w, const struct cl_field *f, bool is_model,
                             bool *malformed);

/* ---- body_view.c ---- */

/* The bytes of the request's body as a buffer: nothing is copied, and whatever is kept of it keeps
 * the request's memory. NULL: exception set. */
PyObject *cl_body_view_new(struct cl_ext *ext, struct cl_request *r);
/* Drop the caller's reference; the object serves again when it was the last one. */
void cl_body_view_release(struct cl_ext *ext, PyObject *view);

#endif
