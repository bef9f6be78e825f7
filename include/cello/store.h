/* What all workers of an application share: keys and values here, messages in <cello/topics.h>. The
 * memory is the cluster's: <cello/cluster.h>.
 *
 * Each operation on a key is atomic, in one order for all processes, and takes well below a
 * microsecond. A process that is killed has done its operation or not. A full store evicts: see
 * src/store/table.h. Times are lengths from now, in nanoseconds; 0: no end.
 * Thread: any; not from signal handlers. */
#ifndef CELLO_STORE_H
#define CELLO_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_segment;
struct cl_store;

/* 0 is the default. Pages that nobody uses take no memory. */
struct cello_store_config {
    uint64_t table_bytes; /* 1 MiB or more; default 64 MiB */
    uint64_t ring_bytes;  /* of messages, for each record; up to 1 GiB; default 1 MiB */
};

enum {
    CELLO_STORE_KEY_MAX = 1024, /* bytes; at least 1 */
    CELLO_STORE_VALUE_MAX = 256 << 10,
};

/* `record` is this process's own: cello_cluster_record. The segment stays the caller's, and valid
 * until the store is closed. Errors: CELLO_ENOENT (no store in the segment, or no such record),
 * CELLO_ENOMEM. */
CELLO_API int cello_store_open(struct cl_store **out, struct cl_segment *segment, uint32_t record);
/* There are no subscribers any more. NULL is ignored. */
CELLO_API void cello_store_close(struct cl_store *s);

/* All: CELLO_EINVAL (no key, or too long), CELLO_ELIMIT (the value is too long). */

/* Up to `room` bytes into `to`; *len: how many the value has. CELLO_ENOENT: no such key.
 * CELLO_ELIMIT: more than `room`, and nothing was copied. */
CELLO_API int cello_store_get(const struct cl_store *s, struct cl_str key, void *to, size_t room,
                              size_t *len);
CELLO_API int cello_store_set(const struct cl_store *s, struct cl_str key, struct cl_str value,
                              uint64_t expires_in_ns);
/* CELLO_EEXIST: there is one, which is left alone. */
CELLO_API int cello_store_add(const struct cl_store *s, struct cl_str key, struct cl_str value,
                              uint64_t expires_in_ns);
/* CELLO_ENOENT: no such key. */
CELLO_API int cello_store_delete(const struct cl_store *s, struct cl_str key);
/* Add to a number; one that is not there is 0, and `expires_in_ns` is for it alone. A value that is
 * the decimal digits of a number is one, and a number is read as its digits. CELLO_ESTATE: it is no
 * number. CELLO_ELIMIT: the sum has more than 64 bits. */
CELLO_API int cello_store_increment(const struct cl_store *s, struct cl_str key, int64_t by,
                                    uint64_t expires_in_ns, int64_t *sum);
/* Set if the value is `expected`. CELLO_EEXIST: it is another. CELLO_ENOENT: no such key. */
CELLO_API int cello_store_swap(const struct cl_store *s, struct cl_str key, struct cl_str expected,
                               struct cl_str value, uint64_t expires_in_ns);
/* Another time to be gone at. CELLO_ENOENT: no such key. */
CELLO_API int cello_store_expire(const struct cl_store *s, struct cl_str key,
                                 uint64_t expires_in_ns);
CELLO_API void cello_store_clear(const struct cl_store *s);

struct cello_store_stats {
    uint64_t entries;   /* expired ones too, until their room is needed */
    uint64_t bytes;     /* that these take */
    uint64_t capacity;  /* that all may take */
    uint64_t evictions; /* of entries that had not expired */
};
CELLO_API void cello_store_stats(const struct cl_store *s, struct cello_store_stats *out);

#endif
