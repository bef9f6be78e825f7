/* Finding where the plain part of a JSON string ends. Included between level macros, see simd.h.
 *
 * `safe` is the last address from which a whole vector may be read: end - CL_VEC_SIZE or below, or
 * `end` for text with CL_SCAN_PADDING readable bytes behind it, which are two of the largest
 * vectors. Nothing farther is read. Thread: any. No errors. */
#ifndef CL_JSON_SCAN_H
#define CL_JSON_SCAN_H

#include "json/simd.h"

enum { CL_SCAN_PADDING = 64 };

CL_SIMD_BEGIN

/* The first '"', '\\' or control character at or behind `p`, or `end`. *high is set if a byte above
 * 0x7f comes before it, and left alone if none does. */
CL_INLINE const char *cl_scan_string(const char *p, const char *end, const char *safe, bool *high) {
    cl_mask seen = 0;
    while (CL_LIKELY(p <= safe)) {
        cl_vec v = cl_vec_load(p);
        cl_mask specials = cl_vec_specials(v);
        cl_mask above = cl_vec_high(v);
        if (specials) {
            size_t n = cl_mask_first(specials);
            *high |= (seen | cl_mask_below(above, n)) != 0;
            p += n;
            return CL_LIKELY(p < end) ? p : end;
        }
        seen |= above;
        p += CL_VEC_SIZE;
        if (CL_UNLIKELY(p >= end)) { /* only in padded text: the vector had bytes of the padding */
            *high |= seen != 0;
            return end;
        }
    }
    unsigned char all = 0;
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\' || c < 0x20)
            break;
        all |= c;
    }
    *high |= seen != 0 || all >= 0x80;
    return p;
}

CL_SIMD_END

#endif
