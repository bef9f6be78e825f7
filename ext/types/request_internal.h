/* The inside of cello.Request, for the files that are its parts. */
#ifndef CL_EXT_REQUEST_INTERNAL_H
#define CL_EXT_REQUEST_INTERNAL_H

#include "types/multimap.h"
#include "types/request.h"
#include "types/text.h"

/* Attributes that are made once. */
enum cl_pyrequest_kept {
    CL_KEPT_METHOD,
    CL_KEPT_PATH,
    CL_KEPT_URL,
    CL_KEPT_BASE_URL,
    CL_KEPT_HOST,
    CL_KEPT_CLIENT,
    CL_KEPT_CREDENTIALS,
    CL_KEPT_CLIENT_CERT,
    CL_KEPT_ROUTE,
    CL_KEPT_REQUEST_ID,
    CL_KEPT_BODY,
    CL_KEPT_STREAM, /* True: stream() was called */
    CL_KEPT_STATE,
    CL_KEPT_CONTEXT,
    CL_KEPT_IDENTITY, /* set by the program only */
    CL_KEPT_COUNT,
};

/* Dead views whose memory is used again: two are at hand in `req.params[a], req.query[b]`. */
enum { CL_PYREQUEST_SPARE_VIEWS = 2 };

struct cl_pyrequest {
    PyObject_HEAD struct cl_ext *ext; /* lives as long as the type */
    struct cl_request *r; /* one reference; NULL: made by a program, kept and maps hold all */
    PyObject *app;        /* NULL without a server */
    PyObject *weakrefs;
    uint32_t kept_mask; /* which of kept are set */
    bool pooled;        /* its handler runs on a thread of the pool */
    PyObject *kept[CL_KEPT_COUNT];
    PyObject *maps[CL_MAP_KINDS]; /* r is NULL: all of them */
    struct cl_pymultimap *spare_views[CL_PYREQUEST_SPARE_VIEWS];
};

static inline struct cl_pyrequest *cl_pyrequest_of(PyObject *object) {
    return (struct cl_pyrequest *)object;
}

/* ---- request.c ---- */

/* Takes a dead view's memory; false: no room, the caller frees it. */
bool cl_pyrequest_keep_memory(PyObject *request, struct cl_pymultimap *memory);
/* Without attributes and without an engine request. NULL: exception set. */
struct cl_pyrequest *cl_pyrequest_alloc(struct cl_ext *ext);
/* Sets an attribute that is not set; steals `value`. */
void cl_pyrequest_keep(struct cl_pyrequest *self, enum cl_pyrequest_kept which, PyObject *value);
/* From now on the object can be part of a cycle. */
void cl_pyrequest_track(struct cl_pyrequest *self);

/* ---- request_attributes.c ---- */

extern PyGetSetDef cl_pyrequest_attributes[];
PyObject *cl_pyrequest_repr(PyObject *self);
/* A view, or the map itself. New reference. */
PyObject *cl_pyrequest_map(struct cl_pyrequest *self, enum cl_map_kind kind);
/* One value without a view: 1 with a new reference, 0, or -1 with an exception set. */
int cl_pyrequest_find(struct cl_pyrequest *self, enum cl_map_kind kind, PyObject *name,
                      PyObject **value);
/* The same for a header that C asks for. */
int cl_pyrequest_find_header(struct cl_pyrequest *self, struct cl_str name, PyObject **value);
/* The peer's address, or None. New reference. */
PyObject *cl_pyrequest_remote_addr(struct cl_pyrequest *self);
/* On other threads the connection must not be looked at: what it says of the peer is read now. */
void cl_pyrequest_read_peer(struct cl_pyrequest *self);
/* The engine has read the body as a form, so that there are no bytes to show: an exception is set.
 */
bool cl_pyrequest_body_is_taken(struct cl_pyrequest *self);
/* Borrowed; made when needed. */
PyObject *cl_pyrequest_body(struct cl_pyrequest *self);

/* ---- request_new.c ---- */

PyObject *cl_pyrequest_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

/* ---- methods; each file names its own in a row of a PyMethodDef ---- */

PyObject *cl_pyrequest_get_body(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_stream(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_multipart(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_text(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_json(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_form(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_files(PyObject *self, PyObject *unused);
PyObject *cl_pyrequest_content_type(PyObject *self, PyObject *unused);
extern PyMethodDef cl_pyrequest_methods[];

/* ---- request_hints.c ---- */

PyObject *cl_pyrequest_early_hints(PyObject *self, PyObject *headers);

#endif
