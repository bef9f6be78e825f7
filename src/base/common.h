/* What every file may use: attributes, borrowed strings, small helpers. */
#ifndef CL_BASE_COMMON_H
#define CL_BASE_COMMON_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cello/error.h>
#include <cello/str.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "words are read as eight bytes with the first in the lowest bits");

#define CL_LIKELY(x) __builtin_expect(!!(x), 1)
#define CL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CL_MUST_USE __attribute__((warn_unused_result))
#define CL_NOINLINE __attribute__((noinline))
#define CL_INLINE static inline __attribute__((always_inline))
#define CL_COLD __attribute__((cold, noinline))
#define CL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define CL_UNUSED __attribute__((unused))
/* What it reads, others may write meanwhile: ThreadSanitizer does not look at this function. */
#define CL_NO_TSAN __attribute__((no_sanitize("thread")))

#define CL_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CL_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define CL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define CL_MAX(a, b) ((a) > (b) ? (a) : (b))

#define CL_STR(literal) ((struct cl_str){(literal), sizeof(literal) - 1})
#define CL_STR_INIT(literal)                                                                       \
    { (literal), sizeof(literal) - 1 }

CL_INLINE struct cl_str cl_str(const char *ptr, size_t len) {
    return (struct cl_str){ptr, len};
}

CL_INLINE bool cl_str_eq(struct cl_str a, struct cl_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

CL_INLINE unsigned char cl_lower(unsigned char c) {
    return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
}

/* ASCII case-insensitive equality. */
static inline bool cl_str_ieq(struct cl_str a, struct cl_str b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (cl_lower((unsigned char)a.ptr[i]) != cl_lower((unsigned char)b.ptr[i]))
            return false;
    return true;
}

#endif
