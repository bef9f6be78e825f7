/* Request memory: allocate forward, free everything with one reset.
 *
 *      chunk 0         chunk 1               chunk 2
 *      [######]   ->   [#############]  ->   [####.....................]
 *
 * Chunks double from 1 KB to 4 KB; what is larger gets one of its own. A reset keeps the largest of
 * the former, so that an arena that is used again soon has what its users need in one chunk, and an
 * ordinary request never reaches malloc. `limit` bounds the sum of all chunks. Sanitizer builds
 * poison what a reset frees.
 *
 * Owner: whoever embeds it. Thread: one at a time. */
#ifndef CL_BASE_ARENA_H
#define CL_BASE_ARENA_H

#include "base/common.h"
#include "base/poison.h"

struct cl_arena_chunk;

struct cl_arena {
    char *p;
    char *end;
    struct cl_arena_chunk *chunks; /* newest first */
    size_t total;                  /* bytes in all chunks */
    size_t limit;
};

/* No memory is taken yet. */
void cl_arena_init(struct cl_arena *a, size_t limit);
/* Forget every allocation; keep one chunk. */
void cl_arena_reset(struct cl_arena *a);
void cl_arena_free(struct cl_arena *a);

void *cl_arena_alloc_slow(struct cl_arena *a, size_t size);

/* `size` bytes (not 0) aligned to 8, valid until reset; NULL when memory or the limit is out. */
CL_INLINE CL_MUST_USE void *cl_arena_alloc(struct cl_arena *a, size_t size) {
    size_t n = (size + 7) & ~(size_t)7;
#if !defined(CL_POISON)
    if (CL_LIKELY(n >= size && (size_t)(a->end - a->p) >= n)) {
        void *mem = a->p;
        a->p += n;
        return mem;
    }
#endif
    return n < size ? NULL : cl_arena_alloc_slow(a, n);
}

/* A copy of `s` in the arena, NUL-terminated behind its length; .ptr is NULL on failure. */
struct cl_str cl_arena_dup(struct cl_arena *a, struct cl_str s) CL_MUST_USE;

#endif
