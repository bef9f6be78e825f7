#define LEVEL CL_CPU_NEON
#if defined(__aarch64__)
#define CL_SIMD_NEON
#endif
#include "kernel_cases.h"
