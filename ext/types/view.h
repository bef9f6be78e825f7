/* How MultiMap views and a Request's methods read the engine's request: str from its spans.
 *
 * GIL held. HTTPError(400) for what the client got wrong, MemoryError. */
#ifndef CL_EXT_VIEW_H
#define CL_EXT_VIEW_H

#include "types/multimap.h"

/* The value that [] gives: 1 with a new reference, 0 when there is none, -1 with an exception. */
int cl_view_find(struct cl_ext *ext, enum cl_map_kind kind, struct cl_request *r, PyObject *name,
                 PyObject **value);
/* All pairs in order, a tuple of (name, value). Names of headers are in lower case. */
PyObject *cl_view_pairs(struct cl_ext *ext, enum cl_map_kind kind, struct cl_request *r);
/* Pairs of a form or query, from cello_form_pairs and the like. */
PyObject *cl_view_tuple_of(const struct cl_pair *pairs, size_t count);

#endif
