/* Borrowed bytes. */
#ifndef CELLO_STR_H
#define CELLO_STR_H

#include <stddef.h>

/* Bytes somebody else owns; `ptr` is not NUL-terminated and may be NULL when `len` is 0. */
struct cl_str {
    const char *ptr;
    size_t len;
};

#endif
