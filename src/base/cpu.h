/* Which instruction set the vector kernels may use.
 *
 * Each kernel is compiled once per level; its caller reads the level once per call. The level is
 * the best one this machine has, unless the environment's CELLO_CPU=scalar|sse4.2|avx2|neon names
 * another one that it has too; a name it does not know or have is ignored.
 *
 * Thread: any; the first call detects, which is idempotent. */
#ifndef CL_BASE_CPU_H
#define CL_BASE_CPU_H

#include "base/common.h"

enum cl_cpu_level {
    CL_CPU_SCALAR,
    CL_CPU_SSE42,
    CL_CPU_AVX2,
    CL_CPU_NEON,
};

/* Private to cl_cpu_level: the level, or -1 before it is known. Read and written relaxed. */
extern int cl_cpu_known_level;

int cl_cpu_detect(void);

CL_INLINE enum cl_cpu_level cl_cpu_level(void) {
    int level = __atomic_load_n(&cl_cpu_known_level, __ATOMIC_RELAXED);
    return (enum cl_cpu_level)(CL_LIKELY(level >= 0) ? level : cl_cpu_detect());
}

/* Whether this machine and this build can run `level`. */
bool cl_cpu_has(enum cl_cpu_level level);
/* Tests run every level one after the other. Errors: CELLO_ENOTSUP, the level is then unchanged. */
int cl_cpu_set_level(enum cl_cpu_level level) CL_MUST_USE;
/* The name that CELLO_CPU takes; never NULL. */
const char *cl_cpu_level_name(enum cl_cpu_level level);

#endif
