/* Request methods: RFC 9110 section 9, RFC 5789 (PATCH), draft-ietf-httpbis-safe-method-w-body
 * (QUERY). Names are case-sensitive. */
#ifndef CL_HTTP_METHOD_H
#define CL_HTTP_METHOD_H

#include "base/common.h"

enum cl_method {
    CL_METHOD_GET = 0,
    CL_METHOD_HEAD,
    CL_METHOD_POST,
    CL_METHOD_PUT,
    CL_METHOD_DELETE,
    CL_METHOD_PATCH,
    CL_METHOD_OPTIONS,
    CL_METHOD_CONNECT,
    CL_METHOD_TRACE,
    CL_METHOD_QUERY,
    CL_METHOD_COUNT,
    CL_METHOD_OTHER = CL_METHOD_COUNT, /* a valid token that names none of the above: 501 */
};

/* CL_METHOD_OTHER when `name` is no known method. Reads only the span. */
enum cl_method cl_method_from(struct cl_str name);

/* A static name; empty for CL_METHOD_OTHER and for anything outside the enum. */
struct cl_str cl_method_name(enum cl_method method);

/* Methods that ask for no change, RFC 9110 section 9.2.1: GET HEAD OPTIONS TRACE; and QUERY. */
static inline bool cl_method_is_safe(enum cl_method m) {
    return m == CL_METHOD_GET || m == CL_METHOD_HEAD || m == CL_METHOD_OPTIONS ||
           m == CL_METHOD_TRACE || m == CL_METHOD_QUERY;
}

#endif
