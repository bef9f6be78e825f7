/* Where a body goes as it comes, instead of being collected: a form's parser.
 *
 * Whoever wants the body sets r->body_sink between the head and the body (server/dispatch.c, for
 * routes of CELLO_BODY_FORM). Pieces come in order, cut anywhere, and are gone when write returns.
 * Behind the last one end() is called, then the handler. After an error of write or end neither is
 * called again, and the request is answered with cl_error_status and cl_error_detail of it.
 *
 * Owner: the request. del is called once, with its last reference, however far the body came.
 * Thread: the worker's. */
#ifndef CL_HTTP_BODY_SINK_H
#define CL_HTTP_BODY_SINK_H

#include "base/common.h"

struct cl_body_sink {
    int (*write)(struct cl_body_sink *s, struct cl_str piece); /* never empty */
    int (*end)(struct cl_body_sink *s);
    void (*del)(struct cl_body_sink *s);
};

#endif
