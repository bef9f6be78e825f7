/* A constant answer: status, type, headers and body are fixed at start. */
#ifndef CL_HANDLER_CONSTANT_H
#define CL_HANDLER_CONSTANT_H

#include <cello/app.h>

#include "base/common.h"

/* Everything is copied. Errors: CELLO_EINVAL (status outside 200..599, a header that may not be
 * sent), CELLO_ENOMEM. */
int cl_constant_new(struct cello_handler **out, int status, struct cl_str content_type,
                    const struct cl_str (*headers)[2], size_t header_count,
                    struct cl_str body) CL_MUST_USE;

#endif
