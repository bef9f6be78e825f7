/* Bytes that are gathered to be sent later, in memory that may be freed without the GIL. */
#ifndef CL_EXT_BUFFER_H
#define CL_EXT_BUFFER_H

#include <string.h>

#include "module.h"

struct cl_buffer {
    char *data; /* NULL: empty */
    size_t len, cap;
};

/* No GIL is needed. */
static inline void cl_buffer_free(struct cl_buffer *b) {
    PyMem_RawFree(b->data);
    *b = (struct cl_buffer){0};
}

/* Where `more` bytes may be written; b->len is the caller's to move. NULL: MemoryError is set. */
static inline char *cl_buffer_room(struct cl_buffer *b, size_t more) {
    enum { FIRST = 128 };
    if (b->cap - b->len < more) {
        size_t need = b->len + more, cap = Py_MAX(Py_MAX(need, b->cap * 2), (size_t)FIRST);
        char *data = need < more ? NULL : PyMem_RawRealloc(b->data, cap);
        if (!data) {
            PyErr_NoMemory();
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

static inline int cl_buffer_add(struct cl_buffer *b, const char *bytes, size_t n) {
    char *to = cl_buffer_room(b, n);
    if (!to)
        return -1;
    if (n)
        memcpy(to, bytes, n);
    b->len += n;
    return 0;
}

#endif
