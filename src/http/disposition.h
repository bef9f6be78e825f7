/* Content-Disposition: RFC 6266, with the encoding of RFC 8187 for what is not ASCII. */
#ifndef CL_HTTP_DISPOSITION_H
#define CL_HTTP_DISPOSITION_H

#include "base/common.h"

/* Bytes that cl_disposition needs at most. */
size_t cl_disposition_bound(struct cl_str filename);

/* "attachment", or "inline"; filename="..."; the second form, filename*=UTF-8''..., only where the
 * first cannot say it all. Returns the length. Thread: any. Errors: CELLO_EINVAL (a control
 * character, or not UTF-8). */
int cl_disposition(struct cl_str filename, bool is_inline, char *out, size_t *len) CL_MUST_USE;

#endif
