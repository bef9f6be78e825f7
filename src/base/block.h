/* Blocks: the reference-counted memory that bytes are received into and sent from.
 *
 *      data ........ rd ............ wr ........ data + cap
 *      consumed      |  unread/unsent |   room   |
 *
 * A worker has one pool of equal blocks on a last-in-first-out list, so that the block used a
 * moment ago, still in the cache, is used again; an idle connection holds none. All blocks, bigger
 * ones too, count towards the pool's `max_bytes` (LimitsConfig.max_buffered_bytes).
 *
 * Bytes at [data, wr) never move while somebody else holds a reference: appending behind `wr` is
 * always allowed, compacting only with refs == 1. That is how a request keeps its head and body
 * in place while its connection reads on.
 *
 * Owner: by reference. Thread: the pool's worker only. */
#ifndef CL_BASE_BLOCK_H
#define CL_BASE_BLOCK_H

#include "base/common.h"

/* Data bytes of a pooled block: a head of ordinary size with its body, and small enough that a
 * thousand slow connections cost 8 MB. */
enum { CL_BLOCK_SIZE = 8192 - 64 };

/* Bigger blocks come in powers of two from 16 KB to 1 MB and are kept too, up to
 * CL_BLOCK_BIG_KEPT bytes: a large answer would otherwise cost the kernel's page faults each time,
 * and a turn may have one for each of a hundred connections. The server lets them go when they are
 * not used any more. What is bigger still comes from malloc and goes back there. */
enum { CL_BLOCK_CLASSES = 7, CL_BLOCK_BIG_KEPT = 16 << 20 };

struct cl_block_pool;

struct cl_block {
    struct cl_block *next; /* free list, or the queue of whoever holds the block */
    struct cl_block_pool *pool;
    size_t cap;
    size_t rd;
    size_t wr;
    uint32_t refs;
    _Alignas(16) char data[];
};

struct cl_block_pool {
    struct cl_block *free;
    size_t free_count;
    size_t free_max;                        /* blocks kept when nobody needs them */
    size_t used;                            /* bytes in blocks that somebody holds */
    size_t max_bytes;                       /* most of them */
    struct cl_block *big[CL_BLOCK_CLASSES]; /* free ones, by size class */
    size_t big_bytes;                       /* in them */
    uint64_t big_uses;                      /* how often one was given out, ever */
    size_t returned;                        /* bytes given back to the heap, ever */
};

/* max_bytes 0: no limit. */
void cl_block_pool_init(struct cl_block_pool *p, size_t max_bytes);
/* Let the bigger blocks go that nobody holds. */
void cl_block_pool_trim(struct cl_block_pool *p);
/* Every block must have been released. */
void cl_block_pool_free(struct cl_block_pool *p);

/* A block with one reference, rd == wr == 0, and at least `cap` bytes (CL_BLOCK_SIZE or less: from
 * the pool). NULL: out of memory or over max_bytes. */
struct cl_block *cl_block_new_slow(struct cl_block_pool *p, size_t cap) CL_MUST_USE;
void cl_block_free_slow(struct cl_block *b);

CL_INLINE CL_MUST_USE struct cl_block *cl_block_new(struct cl_block_pool *p, size_t cap) {
#if !defined(CL_POISON)
    struct cl_block *b = p->free;
    if (CL_LIKELY(b && cap <= CL_BLOCK_SIZE && p->max_bytes - p->used >= CL_BLOCK_SIZE)) {
        p->free = b->next;
        p->free_count--;
        p->used += CL_BLOCK_SIZE;
        b->next = NULL;
        b->rd = b->wr = 0;
        b->refs = 1;
        return b;
    }
#endif
    return cl_block_new_slow(p, cap);
}

CL_INLINE void cl_block_ref(struct cl_block *b) {
    b->refs++;
}

CL_INLINE void cl_block_unref(struct cl_block *b) {
    if (--b->refs)
        return;
#if !defined(CL_POISON)
    struct cl_block_pool *p = b->pool;
    if (CL_LIKELY(b->cap == CL_BLOCK_SIZE && p->free_count < p->free_max)) {
        p->used -= CL_BLOCK_SIZE;
        p->free_count++;
        b->next = p->free;
        p->free = b;
        return;
    }
#endif
    cl_block_free_slow(b);
}

/* Let go of *b, which may be NULL, and set it to NULL. */
CL_INLINE void cl_block_drop(struct cl_block **b) {
    if (*b)
        cl_block_unref(*b);
    *b = NULL;
}

CL_INLINE size_t cl_block_len(const struct cl_block *b) {
    return b->wr - b->rd;
}

CL_INLINE size_t cl_block_room(const struct cl_block *b) {
    return b->cap - b->wr;
}

CL_INLINE char *cl_block_rd(struct cl_block *b) {
    return b->data + b->rd;
}

CL_INLINE char *cl_block_wr(struct cl_block *b) {
    return b->data + b->wr;
}

/* *b has nothing unread and nobody else looks at it: give it back and set *b to NULL. For whoever
 * receives into *b, so that an idle connection holds no block. */
CL_INLINE void cl_block_drop_empty(struct cl_block **b) {
    if (*b && (*b)->rd == (*b)->wr && (*b)->refs == 1) {
        cl_block_unref(*b);
        *b = NULL;
    }
}

/* Make room for `need` more bytes behind wr, in this block (compacted when nobody else looks) or in
 * a new one that takes over the unread bytes; *b is replaced and the old reference dropped. At
 * most `max` unread bytes plus room. Errors: CELLO_ELIMIT (max), CELLO_ENOMEM; *b is unchanged. */
int cl_block_reserve(struct cl_block **b, size_t need, size_t max) CL_MUST_USE;

/* Less room than this behind the unread bytes is not worth receiving into. */
enum { CL_BLOCK_ROOM_MIN = 2048 };

/* What a stream asks a block for that wants to receive `room` bytes with one call: with the block's
 * own head they are as many. Less than a block: a block. */
CL_INLINE size_t cl_block_wanted(size_t room) {
    return room > CL_BLOCK_SIZE ? room - sizeof(struct cl_block) : (size_t)CL_BLOCK_SIZE;
}

/* Room to receive into: *b may be NULL, and becomes a block for `wanted` bytes. *room: how many may
 * be received, so that at most `max` are unread. Errors: CELLO_ELIMIT (max), CELLO_ENOMEM. */
CL_INLINE CL_MUST_USE int cl_block_receive_room(struct cl_block_pool *p, struct cl_block **b,
                                                size_t wanted, size_t max, size_t *room) {
    if (!*b && !(*b = cl_block_new(p, wanted)))
        return CELLO_ENOMEM;
    size_t unread = cl_block_len(*b);
    if (unread >= max)
        return CELLO_ELIMIT;
    size_t allowed = max - unread;
    if (CL_UNLIKELY(cl_block_room(*b) < CL_BLOCK_ROOM_MIN)) {
        size_t need = unread ? (size_t)CL_BLOCK_ROOM_MIN : wanted;
        int err = cl_block_reserve(b, CL_MIN(allowed, need), max);
        if (err)
            return err;
    }
    *room = CL_MIN(cl_block_room(*b), allowed);
    return CELLO_OK;
}

#endif
