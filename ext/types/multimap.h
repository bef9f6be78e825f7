/* cello.MultiMap: names with one or more values, read-only. Params, query, cookies and headers are
 * MultiMaps; cello.FormData is one whose values may be files.
 *
 *      view    reads a request where it lies; one value costs one look-up. Keeps the Request, and
 *              so every byte it may show, alive.
 *      owner   has its pairs: forms, what a program makes, and views that were asked for everything
 *
 * [] gives the first header, the last of anything else. Names of headers compare without case and
 * are shown in lower case; params, query, cookies and forms are exact. GIL held. */
#ifndef CL_EXT_MULTIMAP_H
#define CL_EXT_MULTIMAP_H

#include "module.h"

enum cl_map_kind {
    CL_MAP_QUERY, /* also what a program makes */
    CL_MAP_PARAMS,
    CL_MAP_COOKIES,
    CL_MAP_HEADERS,
    CL_MAP_FORM, /* a FormData: values are str or UploadedFile; no request has a view of it */
};
enum { CL_MAP_KINDS = CL_MAP_HEADERS + 1 };

struct cl_pymultimap {
    PyObject_HEAD enum cl_map_kind kind;
    struct cl_ext *ext;        /* lives as long as the type */
    PyObject *owner;           /* a view's Request; strong */
    struct cl_request *source; /* the owner's; NULL when there is no owner */
    PyObject *pairs;           /* tuple of (name, value); a view makes it when it needs all */
    PyObject *index;           /* dict, name to the value that [] gives; made when needed */
};

/* A view. `memory` is a dead view's to use again, or NULL. Returns NULL with an exception set. */
PyObject *cl_pymultimap_view(struct cl_ext *ext, enum cl_map_kind kind, PyObject *owner,
                             struct cl_request *source, struct cl_pymultimap *memory);
/* Frees the memory of a dead view. */
void cl_pymultimap_free_memory(struct cl_pymultimap *memory);

/* From a tuple of (name, value) tuples, stolen also on failure; NULL: exception already set. */
PyObject *cl_pymultimap_from_pairs(struct cl_ext *ext, enum cl_map_kind kind, PyObject *pairs);
/* From a mapping (a value may be a list or tuple of str), an iterable of pairs, or None or NULL for
 * nothing. TypeError names `what`. */
PyObject *cl_pymultimap_from_object(struct cl_ext *ext, enum cl_map_kind kind, PyObject *object,
                                    const char *what);

/* The value [] gives: 1 with a new reference, 0 when there is none, -1 with an exception set. */
int cl_pymultimap_find(PyObject *map, PyObject *name, PyObject **value);
/* A list of all values of a name. */
PyObject *cl_pymultimap_get_all(PyObject *map, PyObject *name);

#endif
