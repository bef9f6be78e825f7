/* The head parser without vector instructions, and its field parser for trailers. */
#define CL_SCAN_SCALAR
#define CL_H1_KERNEL cl_h1_parse_scalar
#include "http1/parser_kernel.h"

int cl_h1_parse_field(const char *p, const char *end, const char *base, struct cl_header *h,
                      const char **next) {
    return parse_field(p, end, base, h, next);
}
