/* Printing of integers, two digits at a time.
 * Thread: any. No errors: the caller has room for CL_INTEGER_MAX bytes. */
#ifndef CL_JSON_INTEGER_H
#define CL_JSON_INTEGER_H

#include "base/common.h"

enum { CL_INTEGER_MAX = 20 };

/* "00" "01" ... "99" */
extern const char cl_digit_pairs[200];

CL_INLINE void cl_put_pair(char *out, uint32_t value) {
    memcpy(out, cl_digit_pairs + value * 2, 2);
}

/* Exactly eight digits of a value below 10**8. */
CL_INLINE void cl_put_8_digits(char *out, uint32_t value) {
    uint32_t high = value / 10000, low = value % 10000;
    cl_put_pair(out, high / 100);
    cl_put_pair(out + 2, high % 100);
    cl_put_pair(out + 4, low / 100);
    cl_put_pair(out + 6, low % 100);
}

/* One to eight digits of a value below 10**8. */
CL_INLINE char *cl_put_up_to_8_digits(char *out, uint32_t value) {
    if (value < 100) {
        if (value < 10) {
            *out = (char)('0' + value);
            return out + 1;
        }
        cl_put_pair(out, value);
        return out + 2;
    }
    if (value < 10000) {
        uint32_t high = value / 100, odd = high < 10;
        /* A leading zero of the first pair is overwritten by what follows it. */
        out[0] = cl_digit_pairs[high * 2 + odd];
        out[1] = cl_digit_pairs[high * 2 + 1];
        cl_put_pair(out + 2 - odd, value % 100);
        return out + 4 - odd;
    }
    uint32_t high = value / 10000, low = value % 10000, top = high / 100;
    uint32_t skip = top < 10;
    if (top == 0) {
        skip = high < 10;
        out[0] = cl_digit_pairs[high * 2 + skip];
        out[1] = cl_digit_pairs[high * 2 + 1];
        out += 2 - skip;
    } else {
        out[0] = cl_digit_pairs[top * 2 + skip];
        out[1] = cl_digit_pairs[top * 2 + 1];
        cl_put_pair(out + 2 - skip, high % 100);
        out += 4 - skip;
    }
    cl_put_pair(out, low / 100);
    cl_put_pair(out + 2, low % 100);
    return out + 4;
}

/* Returns the end of what was written. */
CL_INLINE char *cl_put_u64(char *out, uint64_t value) {
    if (CL_LIKELY(value < 100000000))
        return cl_put_up_to_8_digits(out, (uint32_t)value);
    uint64_t high = value / 100000000;
    uint32_t low = (uint32_t)(value % 100000000);
    if (high < 100000000) {
        out = cl_put_up_to_8_digits(out, (uint32_t)high);
    } else {
        out = cl_put_up_to_8_digits(out, (uint32_t)(high / 100000000));
        cl_put_8_digits(out, (uint32_t)(high % 100000000));
        out += 8;
    }
    cl_put_8_digits(out, low);
    return out + 8;
}

CL_INLINE char *cl_put_i64(char *out, int64_t value) {
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        *out++ = '-';
        magnitude = 0 - magnitude;
    }
    return cl_put_u64(out, magnitude);
}

#endif
