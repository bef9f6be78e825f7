/* The head parser for SSE4.2. */
#if defined(__SSE4_2__)
#define CL_H1_KERNEL cl_h1_parse_sse42
#include "http1/parser_kernel.h"
#else
typedef int cl_h1_parser_not_built; /* ISO C wants a declaration */
#endif
