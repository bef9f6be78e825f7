#include "form/delimiter.h"

#include "base/cpu.h"

const char *cl_delimiter_find(const char *in, size_t len, const char *delimiter, size_t n) {
#if defined(__x86_64__)
    if (CL_LIKELY(cl_cpu_level() == CL_CPU_AVX2))
        return cl_delimiter_find_avx2(in, len, delimiter, n);
#endif
    return memmem(in, len, delimiter, n);
}
