/* Redirects to the same path with, or without, a slash at its end. */
#ifndef CL_HTTP_REDIRECT_H
#define CL_HTTP_REDIRECT_H

#include "http/request.h"

/* Answer with the other form of r->path and the query, as a relative reference (RFC 3986, 4.2),
 * which holds behind a proxy that takes a prefix away, and can never name another host. 307, or 308
 * for methods that may carry a body. The path is longer than "/". */
void cl_respond_slash_redirect(struct cl_request *r);

#endif
