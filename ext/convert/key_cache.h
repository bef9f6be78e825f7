/* Strings of object keys, kept between calls, so that a key that comes again costs no new string.
 *
 * A table of CL_KEY_CACHE_SIZE slots that a keyed hash chooses; a newcomer takes its slot over. In
 * front of the hash stands a guess: each slot remembers which key followed it the last time, in the
 * same object and as the first one of an object inside it. For documents of one shape the guess is
 * right, and the key is compared with the input instead of being scanned and hashed.
 *
 * Slot 0 is no key; it is the one around the outermost object. Thread: GIL held, or the caller's
 * own lock. */
#ifndef CL_CONVERT_KEY_CACHE_H
#define CL_CONVERT_KEY_CACHE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/common.h"
#include "base/hash.h"

enum {
    CL_KEY_CACHE_SIZE = 1024,
    CL_KEY_MAX = 31, /* longer keys are not kept */
};

struct cl_key_slot {
    PyObject *str;             /* owned, or NULL */
    uint16_t next;             /* slot of the key that came after this one */
    uint16_t child;            /* slot of the first key of an object that was this key's value */
    uint8_t size;              /* of `text`, with its quote */
    char text[CL_KEY_MAX + 1]; /* ASCII, then the closing quote */
};

struct cl_key_cache {
    struct cl_hash_key hash_key;
    struct cl_key_slot slots[CL_KEY_CACHE_SIZE];
};

/* NULL when memory is out; no exception is set. */
struct cl_key_cache *cl_key_cache_new(void);
/* NULL is fine. */
void cl_key_cache_del(struct cl_key_cache *cache);

/* The slot that holds the plain ASCII key of `n` <= CL_KEY_MAX bytes; 0 with an exception set when
 * memory is out. */
uint16_t cl_key_cache_find(struct cl_key_cache *cache, const char *text, size_t n);

#endif
