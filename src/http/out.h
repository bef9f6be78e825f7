/* The output of a connection: answers that leave with one write, and at their end, where the last
 * of them is one, a part of a file.
 *
 * An output lies at the start of its own first block, so that an idle connection carries nothing of
 * it. Bytes are copied into its blocks or sent from where they lie; a pin says whom to tell when
 * such bytes are not needed any more.
 *
 * Owner: the connection, until cl_out_del. Thread: the worker's. */
#ifndef CL_HTTP_OUT_H
#define CL_HTTP_OUT_H

#include <sys/uio.h>

#include "base/block.h"
#include "event/file.h"

enum {
    CL_OUT_IOV = 16,
    CL_TURN_BUDGET = 262144, /* bytes that a connection sends before others have their turn */
    CL_PULL_COST =
        256, /* of them for asking a generator, so that empty chunks come to an end, too */
};

struct cl_out_pin {
    void (*release)(void *);
    void *ctx;
};

struct cl_out {
    struct cl_block *blocks; /* newest first; the last one holds this struct */
    size_t bytes;
    uint32_t answers;
    uint16_t iov_count, pin_count;
    struct cl_file_part file; /* behind the iovecs; left is 0: none */
    struct iovec iov[CL_OUT_IOV];
    struct cl_out_pin pins[CL_OUT_IOV];
};

/* NULL: out of memory. */
struct cl_out *cl_out_new(struct cl_block_pool *pool) CL_MUST_USE;
/* Releases what is pinned. */
void cl_out_del(struct cl_out *o);

struct cl_block *cl_out_grow(struct cl_out *o, size_t need) CL_MUST_USE;

/* The newest block, with at least `need` bytes of room. NULL: out of memory. */
CL_INLINE CL_MUST_USE struct cl_block *cl_out_room(struct cl_out *o, size_t need) {
    struct cl_block *b = o->blocks;
    return CL_LIKELY(cl_block_room(b) >= need) ? b : cl_out_grow(o, need);
}

/* Bytes that are next in the answer; joined to the last segment where they touch. False: there are
 * CL_OUT_IOV segments already. */
CL_INLINE CL_MUST_USE bool cl_out_segment(struct cl_out *o, const char *ptr, size_t len) {
    o->bytes += len;
    if (o->iov_count) {
        struct iovec *last = &o->iov[o->iov_count - 1];
        if ((char *)last->iov_base + last->iov_len == ptr) {
            last->iov_len += len;
            return true;
        }
    }
    if (o->iov_count == CL_OUT_IOV)
        return false;
    o->iov[o->iov_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)ptr, .iov_len = len};
    return true;
}

/* Copy `len` bytes into b, a block of this output with room for them, and send them next. */
CL_INLINE CL_MUST_USE bool cl_out_copy(struct cl_out *o, struct cl_block *b, const char *ptr,
                                       size_t len) {
    char *to = cl_block_wr(b);
    memcpy(to, ptr, len);
    b->wr += len;
    return cl_out_segment(o, to, len);
}

#endif
