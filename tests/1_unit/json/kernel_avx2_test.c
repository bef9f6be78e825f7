#define LEVEL CL_CPU_AVX2
#if defined(__x86_64__)
#define CL_SIMD_AVX2
#endif
#include "kernel_cases.h"
