#include "base/alloc.h"

#include <malloc.h>
#include <stdlib.h>

/* Thread-local and unconditional: two adds beside a malloc, and release builds run the same
 * fault-injection tests as sanitizer builds. */
static _Thread_local uint64_t alloc_count;
static _Thread_local uint64_t fail_at;

static bool must_fail(void) {
    alloc_count++;
    return CL_UNLIKELY(fail_at != 0) && --fail_at == 0;
}

void *cl_malloc(size_t size) {
    return must_fail() ? NULL : malloc(size);
}

void *cl_calloc(size_t count, size_t size) {
    return must_fail() ? NULL : calloc(count, size);
}

void *cl_realloc(void *ptr, size_t size) {
    return must_fail() ? NULL : realloc(ptr, size);
}

void cl_free(void *ptr) {
    free(ptr);
}

char *cl_strndup(const char *s, size_t len) {
    char *copy = cl_malloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void cl_alloc_fail_nth(uint64_t n) {
    fail_at = n;
}

uint64_t cl_alloc_count(void) {
    return alloc_count;
}

void cl_alloc_trim(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}
