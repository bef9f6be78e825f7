#include "base/cpu.h"

#include <stdlib.h>

int cl_cpu_known_level = -1;

static const char *const level_names[] = {
    [CL_CPU_SCALAR] = "scalar",
    [CL_CPU_SSE42] = "sse4.2",
    [CL_CPU_AVX2] = "avx2",
    [CL_CPU_NEON] = "neon",
};

const char *cl_cpu_level_name(enum cl_cpu_level level) {
    return level_names[level];
}

bool cl_cpu_has(enum cl_cpu_level level) {
    switch (level) {
    case CL_CPU_SCALAR: return true;
#if defined(__x86_64__)
    case CL_CPU_SSE42: return __builtin_cpu_supports("sse4.2");
    case CL_CPU_AVX2:
        /* The kernels of this level are compiled with the bit instructions that came with it. */
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2");
#elif defined(__aarch64__)
    case CL_CPU_NEON: /* part of every 64-bit Arm */ return true;
#endif
    default: return false;
    }
}

static int best_level(void) {
    int best = CL_CPU_SCALAR;
    for (int level = 0; level < (int)CL_ARRAY_LEN(level_names); level++)
        if (cl_cpu_has((enum cl_cpu_level)level))
            best = level;
    return best;
}

int cl_cpu_detect(void) {
    int level = best_level();
    const char *wanted = getenv("CELLO_CPU");
    for (int i = 0; wanted && i < (int)CL_ARRAY_LEN(level_names); i++)
        if (strcmp(wanted, level_names[i]) == 0 && cl_cpu_has((enum cl_cpu_level)i))
            level = i;
    __atomic_store_n(&cl_cpu_known_level, level, __ATOMIC_RELAXED);
    return level;
}

int cl_cpu_set_level(enum cl_cpu_level level) {
    if (!cl_cpu_has(level))
        return CELLO_ENOTSUP;
    __atomic_store_n(&cl_cpu_known_level, (int)level, __ATOMIC_RELAXED);
    return CELLO_OK;
}
