/* Where the next delimiter of a form begins. It is looked for in every byte of a file that is
 * uploaded, so there is a kernel beside memmem(3). Thread: any. No errors. */
#ifndef CL_FORM_DELIMITER_H
#define CL_FORM_DELIMITER_H

#include "base/common.h"

/* The first occurrence of the `n` > 1 bytes at `delimiter` in the `len` bytes at `in`, or NULL. The
 * time is in proportion to `len`, times `n` for input that was made to cost the most. */
const char *cl_delimiter_find(const char *in, size_t len, const char *delimiter, size_t n);

/* The same for machines with AVX2. */
const char *cl_delimiter_find_avx2(const char *in, size_t len, const char *delimiter, size_t n);

#endif
