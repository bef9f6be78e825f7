/* Status codes: reason phrases, and which status each error of the library answers with. */
#ifndef CL_HTTP_STATUS_H
#define CL_HTTP_STATUS_H

#include "base/common.h"

/* The registered phrase ("Not Found"; IANA HTTP status code registry), static. Empty when the code
 * is not registered: RFC 9112 section 4 allows an empty phrase. */
struct cl_str cl_status_reason(int status);

/* The status that answers an `enum cello_err`: 400, 408, 413, 414, 417, 431, 501, 503, 505, and 500
 * for whatever is no fault of the client. */
int cl_error_status(int err);

/* Sentences for the client where one error has several. */
#define CL_DETAIL_SLOW_BODY "The request body came too slowly."
#define CL_DETAIL_NO_MEMORY "The server has no memory to spare."

/* One sentence for the client, for the `detail` of a problem document; static, never NULL, and it
 * tells nothing about the server's inside. */
const char *cl_error_detail(int err);

/* RFC 9110 section 6.4.1: 1xx, 204 and 304 answers have no content. */
static inline bool cl_status_has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

#endif
