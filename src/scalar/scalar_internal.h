/* What the parsers of this folder share. */
#ifndef CL_SCALAR_SCALAR_INTERNAL_H
#define CL_SCALAR_SCALAR_INTERNAL_H

#include <cello/scalar.h>

#include "base/common.h"

/* What is left to read. */
struct cl_text_cursor {
    const char *p;
    const char *end;
};

CL_INLINE struct cl_text_cursor cl_text_cursor(struct cl_str text) {
    /* Two NULLs have a difference, but only in C's next standard. */
    const char *start = text.ptr ? text.ptr : "";
    return (struct cl_text_cursor){start, start + text.len};
}

CL_INLINE size_t cl_text_left(const struct cl_text_cursor *c) {
    return (size_t)(c->end - c->p);
}

CL_INLINE bool cl_text_is_at(const struct cl_text_cursor *c, char byte) {
    return c->p < c->end && *c->p == byte;
}

/* Step over `byte`; false if something else is there. */
CL_INLINE bool cl_text_take(struct cl_text_cursor *c, char byte) {
    bool there = cl_text_is_at(c, byte);
    c->p += there;
    return there;
}

/* A refusal: *why = reason. */
CL_INLINE int cl_text_refuse(const char **why, const char *reason) {
    *why = reason;
    return CELLO_EINVAL;
}

#endif
