/* The head parser for AVX2. */
#if defined(__AVX2__)
#define CL_H1_KERNEL cl_h1_parse_avx2
#include "http1/parser_kernel.h"
#else
typedef int cl_h1_parser_not_built; /* ISO C wants a declaration */
#endif
