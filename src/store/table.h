/* Keys and values that all workers share: a hash table of bounded size in shared memory.
 *
 *      area:   head | shard | shard | ...      the head of each: a lock, and what it guards
 *              memory of shard 0 | of shard 1 | ...
 *      memory: buckets (4 bytes each) | marks | cells (128 bytes each)
 *
 * An entry is a chain of cells: the first one has a head and the first bytes of key and value, the
 * others 124 bytes each. So an entry of up to 88 bytes takes 128, one of n bytes about n * 1.03 +
 * 128, and every free cell fits every entry: nothing is fragmented. Cells are used one after the
 * other and again once free, so that pages which were never needed take no memory.
 *
 * Which shard and bucket is said by a hash with a key that is random for each table, so that nobody
 * outside can choose keys that collide.
 *
 * Full: each shard evicts by itself, first what has expired, then what was not used since it was
 * last looked at (second chance, which comes close to least recently used). So a set always finds
 * room, and any entry may be gone before its time; `evictions` counts those.
 *
 * Each operation on a key is atomic, in one order for all processes. One that is killed at any
 * instruction has either done its operation or not: everything that can be reached from the buckets
 * is whole at all times, each change is one store of 4 or 8 bytes, and the rest (free cells,
 * counts) is found again from there by who takes the lock next.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC, `now_ns` is what the caller takes for the present.
 * Thread: any, in any process; not from signal handlers. */
#ifndef CL_STORE_TABLE_H
#define CL_STORE_TABLE_H

#include "base/common.h"

enum {
    CL_TABLE_BYTES_MIN = 1 << 20,
    CL_TABLE_KEY_MAX = 1024,        /* bytes; at least 1 */
    CL_TABLE_VALUE_MAX = 256 << 10, /* so that even the smallest table has room for several */
    CL_TABLE_NUMBER_MAX = 20,       /* digits and sign of a number, see cl_table_increment */
};

struct cl_table_area;

/* An opened area; cheap, the caller's. */
struct cl_table {
    struct cl_table_area *area;
    char *memory; /* of shard 0 */
};

/* Once, by whoever made the segment, with CL_TABLE_BYTES_MIN or more; CELLO_EINVAL: less. */
int cl_table_make(void *area, size_t size) CL_MUST_USE;
/* False: there is none in the area. */
bool cl_table_open(struct cl_table *t, void *area, size_t size) CL_MUST_USE;

/* All: CELLO_EINVAL (no key, or too long), CELLO_ELIMIT (the value is too long).
 *
 * expires_ns: when the entry is gone; 0: never. */

/* Up to `room` bytes into `to`; *len: how many the value has. CELLO_ENOENT: no such key.
 * CELLO_ELIMIT: more than `room`, and nothing was copied. */
int cl_table_get(const struct cl_table *t, struct cl_str key, uint64_t now_ns, void *to,
                 size_t room, size_t *len) CL_MUST_USE;
int cl_table_set(const struct cl_table *t, struct cl_str key, struct cl_str value,
                 uint64_t expires_ns, uint64_t now_ns) CL_MUST_USE;
/* CELLO_EEXIST: there is one, which is left alone. */
int cl_table_add(const struct cl_table *t, struct cl_str key, struct cl_str value,
                 uint64_t expires_ns, uint64_t now_ns) CL_MUST_USE;
/* CELLO_ENOENT: no such key. */
int cl_table_delete(const struct cl_table *t, struct cl_str key, uint64_t now_ns) CL_MUST_USE;
/* Add to a number; one that is not there is 0, and `expires_ns` is for it alone. A value that is
 * the decimal digits of a number is one, and a number is read and compared as its digits.
 * CELLO_ESTATE: it is no number. CELLO_ELIMIT: the sum has more than 64 bits. */
int cl_table_increment(const struct cl_table *t, struct cl_str key, int64_t by, uint64_t expires_ns,
                       uint64_t now_ns, int64_t *sum) CL_MUST_USE;
/* Set if the value is `expected`. CELLO_EEXIST: it is another. CELLO_ENOENT: no such key. */
int cl_table_swap(const struct cl_table *t, struct cl_str key, struct cl_str expected,
                  struct cl_str value, uint64_t expires_ns, uint64_t now_ns) CL_MUST_USE;
/* Another time to be gone at. CELLO_ENOENT: no such key. */
int cl_table_expire(const struct cl_table *t, struct cl_str key, uint64_t expires_ns,
                    uint64_t now_ns) CL_MUST_USE;
/* Nothing is left; each shard by itself. */
void cl_table_clear(const struct cl_table *t);

struct cl_table_stats {
    uint64_t entries;   /* expired ones too, until their cells are needed */
    uint64_t bytes;     /* in cells that are used */
    uint64_t capacity;  /* in all cells */
    uint64_t evictions; /* of entries that had not expired */
};
/* Each shard at a moment of its own. */
void cl_table_stats(const struct cl_table *t, struct cl_table_stats *out);

#endif
