/* A response body that is pulled.
 *
 * The connection asks when it can send more; the generator answers, at once or later, with one
 * cl_response_chunk(). It is never pushed against a slow reader. */
#ifndef CL_HTTP_GENERATOR_H
#define CL_HTTP_GENERATOR_H

#include "base/common.h"

struct cl_request;

struct cl_generator {
    /* Send me more. */
    void (*proceed)(struct cl_generator *g, struct cl_request *r);
    /* Nothing more is wanted: the body is complete, or the peer is gone. Always called, once, last;
     * the chunk given before is no longer needed. */
    void (*stop)(struct cl_generator *g, struct cl_request *r);
};

#endif
