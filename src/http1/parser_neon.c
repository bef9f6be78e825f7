/* The head parser for NEON. */
#if defined(__aarch64__)
#define CL_H1_KERNEL cl_h1_parse_neon
#include "http1/parser_kernel.h"
#else
typedef int cl_h1_parser_not_built; /* ISO C wants a declaration */
#endif
