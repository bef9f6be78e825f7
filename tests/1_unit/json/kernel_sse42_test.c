#define LEVEL CL_CPU_SSE42
#if defined(__x86_64__)
#define CL_SIMD_SSE42
#endif
#include "kernel_cases.h"
