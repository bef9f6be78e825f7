/* The JSON walkers, compiled for AVX2. */
#if defined(__x86_64__)
#define CL_SIMD_AVX2
#define CL_LEVEL(name) name##_avx2

#include "convert/json_level.h"

#endif
