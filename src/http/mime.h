/* The media type of a file, by its name.
 *
 * Thread: any; no state. */
#ifndef CL_HTTP_MIME_H
#define CL_HTTP_MIME_H

#include "base/common.h"

/* By what stands behind the last dot of the last segment, in any case; text comes with its charset,
 * which is UTF-8. application/octet-stream for what is not known. Static. */
struct cl_str cl_mime_type(struct cl_str path);

#endif
