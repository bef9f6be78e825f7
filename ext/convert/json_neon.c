/* The JSON walkers, compiled for NEON. */
#if defined(__aarch64__)
#define CL_SIMD_NEON
#define CL_LEVEL(name) name##_neon

#include "convert/json_level.h"

#endif
