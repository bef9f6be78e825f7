/* A place to write bytes to: a cursor with room behind it, and a way to get more room.
 *
 *      base ........ p ........ end
 *      written       |  room      |
 *
 * Encoders reserve once per item and then store without checks. Whoever made the sink owns the
 * memory; `grow` may move it, so nothing may keep a pointer into it over a reserve. */
#ifndef CL_BASE_SINK_H
#define CL_BASE_SINK_H

#include "base/common.h"

struct cl_sink {
    char *p;
    char *end;
    char *base;
    /* Make at least `need` bytes of room behind `p`, keep what was written between base and p.
     * Errors: CELLO_ENOMEM, CELLO_ELIMIT; the sink is then unchanged. */
    int (*grow)(struct cl_sink *s, size_t need);
};

CL_INLINE CL_MUST_USE int cl_sink_reserve(struct cl_sink *s, size_t need) {
    if (CL_LIKELY((size_t)(s->end - s->p) >= need))
        return CELLO_OK;
    return s->grow(s, need);
}

CL_INLINE size_t cl_sink_len(const struct cl_sink *s) {
    return (size_t)(s->p - s->base);
}

/* Append without a check; the caller has reserved. */
CL_INLINE void cl_sink_put(struct cl_sink *s, const void *bytes, size_t n) {
    memcpy(s->p, bytes, n);
    s->p += n;
}

CL_INLINE CL_MUST_USE int cl_sink_write(struct cl_sink *s, const void *bytes, size_t n) {
    int err = cl_sink_reserve(s, n);
    if (err)
        return err;
    if (n)
        cl_sink_put(s, bytes, n);
    return CELLO_OK;
}

/* A sink on a heap buffer of its own, bounded by `max` bytes; `sink` is the first member, so that
 * the buffer can be found from it. */
struct cl_heap_sink {
    struct cl_sink sink;
    size_t max;
};

void cl_heap_sink_init(struct cl_heap_sink *h, size_t max);
void cl_heap_sink_free(struct cl_heap_sink *h);

#endif
