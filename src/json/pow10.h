/* Powers of ten and the logarithms that go with them; shared by the number reader and printer.
 * Thread: any. No errors. */
#ifndef CL_JSON_POW10_H
#define CL_JSON_POW10_H

#include "base/common.h"

enum { CL_POW10_MIN_EXP = -342, CL_POW10_MAX_EXP = 324, CL_POW10_MAX_EXACT_EXP = 55 };

/* 10**k = (hi * 2**64 + lo) * 2**(cl_floor_log2_pow10(k) - 127), rounded down;
 * exact for k from 0 to CL_POW10_MAX_EXACT_EXP. */
struct cl_pow10 {
    uint64_t hi;
    uint64_t lo;
};

/* Indexed by k - CL_POW10_MIN_EXP. */
extern const struct cl_pow10 cl_pow10_table[];

__extension__ typedef unsigned __int128 cl_u128;

/* floor(log2(10**k)), exact for |k| <= 1233. */
CL_INLINE int cl_floor_log2_pow10(int k) {
    return (k * 1741647) >> 19;
}

/* floor(log10(2**e)), exact for |e| <= 1500. */
CL_INLINE int cl_floor_log10_pow2(int e) {
    return (e * 1262611) >> 22;
}

/* floor(log10(3/4 * 2**e)), exact for |e| <= 1500. */
CL_INLINE int cl_floor_log10_three_quarters_pow2(int e) {
    return (e * 1262611 - 524031) >> 22;
}

#endif
