/* The JSON walkers, compiled for SSE4.2. */
#if defined(__x86_64__)
#define CL_SIMD_SSE42
#define CL_LEVEL(name) name##_sse42

#include "convert/json_level.h"

#endif
