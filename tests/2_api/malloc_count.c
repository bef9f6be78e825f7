/* Counts the calls of malloc, calloc, realloc and memalign of each thread: LD_PRELOAD for
 * test_rules.py. Python's small objects come from its own pools and are not counted. */
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local unsigned long calls __attribute__((tls_model("initial-exec")));

unsigned long malloc_calls(void) {
    return calls;
}

void *malloc(size_t size) {
    calls++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    calls++;
    return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size) {
    calls++;
    return __libc_realloc(p, size);
}

void *memalign(size_t alignment, size_t size) {
    calls++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    *out = memalign(alignment, size);
    return *out ? 0 : 12;
}
