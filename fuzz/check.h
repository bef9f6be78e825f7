/* What every fuzz target has: its entry, and the check that fails. */
#ifndef CL_FUZZ_CHECK_H
#define CL_FUZZ_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* It lies inside `whole`. */
CL_UNUSED static void check_span(struct cl_str s, struct cl_str whole) {
    CHECK(s.len == 0 || (s.ptr >= whole.ptr && s.ptr + s.len <= whole.ptr + whole.len));
}

/* Bytes of their own, behind which a sanitizer sees every read; for free(). */
CL_UNUSED static char *copy_bytes(const void *from, size_t size) {
    char *copy = malloc(size ? size : 1);
    CHECK(copy);
    if (size)
        memcpy(copy, from, size);
    return copy;
}

#endif
