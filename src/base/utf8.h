/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 * Thread: any. No errors. */
#ifndef CL_BASE_UTF8_H
#define CL_BASE_UTF8_H

#include "base/common.h"

/* How many bytes at the start are valid: `n` if all are; else the offset of the first character
 * that is malformed or cut off by the end. Only [text, text + n) is read. */
size_t cl_utf8_valid_prefix(const char *text, size_t n);

CL_INLINE bool cl_utf8_is_valid(const char *text, size_t n) {
    return cl_utf8_valid_prefix(text, n) == n;
}

#endif
