/* The native steps around a handler, compiled per route when the server starts: a route without
 * steps has a chain of length 0 and pays nothing.
 *
 * `before` runs when the head has been read and routed, before any byte of the body is waited for;
 * `after` runs on every answer, in reverse order. */
#ifndef CL_HTTP_FILTER_H
#define CL_HTTP_FILTER_H

#include "base/common.h"

struct cl_request;

struct cl_step {
    /* CELLO_OK: go on. CELLO_ECANCELED: the step has answered. Other errors: 500. May be NULL. */
    int (*before)(const struct cl_step *step, struct cl_request *r);
    /* May add or replace response headers. Errors: CELLO_ENOMEM. May be NULL. */
    int (*after)(const struct cl_step *step, struct cl_request *r);
    void (*del)(struct cl_step *step);
    const char *name;
};

struct cl_chain {
    const struct cl_step *const *steps; /* in order; owned by the application */
    size_t count;
};

#endif
