#include "base/block.h"

#include "base/alloc.h"
#include "base/poison.h"

enum { FREE_MAX = 256 };

void cl_block_pool_init(struct cl_block_pool *p, size_t max_bytes) {
    *p = (struct cl_block_pool){
        .max_bytes = max_bytes ? max_bytes : SIZE_MAX,
        .free_max = FREE_MAX,
    };
}

void cl_block_pool_free(struct cl_block_pool *p) {
    assert(p->used == 0);
    while (p->free) {
        struct cl_block *next = p->free->next;
        cl_free(p->free);
        p->free = next;
    }
    p->free_count = 0;
}

struct cl_block *cl_block_new_slow(struct cl_block_pool *p, size_t cap) {
    cap = CL_MAX(cap, (size_t)CL_BLOCK_SIZE);
    if (p->max_bytes - p->used < cap)
        return NULL;
    struct cl_block *b = cl_malloc(sizeof *b + cap);
    if (!b)
        return NULL;
    *b = (struct cl_block){.pool = p, .cap = cap, .refs = 1};
    p->used += cap;
    return b;
}

void cl_block_free_slow(struct cl_block *b) {
    b->pool->used -= b->cap;
    cl_free(b);
}

int cl_block_reserve(struct cl_block **bp, size_t need, size_t max) {
    struct cl_block *b = *bp;
    if (cl_block_room(b) >= need)
        return CELLO_OK;
    size_t unread = cl_block_len(b);
    if (need > max || unread > max - need)
        return CELLO_ELIMIT;
    if (b->refs == 1 && b->cap - unread >= need) {
        memmove(b->data, cl_block_rd(b), unread);
        b->rd = 0;
        b->wr = unread;
        return CELLO_OK;
    }
    size_t cap = CL_MAX(unread + need, CL_MIN(unread * 2, max));
    struct cl_block *bigger = cl_block_new(b->pool, cap);
    if (!bigger)
        return CELLO_ENOMEM;
    memcpy(bigger->data, cl_block_rd(b), unread);
    bigger->wr = unread;
    cl_block_unref(b);
    *bp = bigger;
    return CELLO_OK;
}
