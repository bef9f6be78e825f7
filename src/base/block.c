#include "base/block.h"

#include "base/alloc.h"
#include "base/poison.h"

enum { FREE_MAX = 256, BIG_FIRST = 16384 };

void cl_block_pool_init(struct cl_block_pool *p, size_t max_bytes) {
    *p = (struct cl_block_pool){
        .max_bytes = max_bytes ? max_bytes : SIZE_MAX,
        .free_max = FREE_MAX,
    };
}

static void free_list(struct cl_block *b) {
    while (b) {
        struct cl_block *next = b->next;
        cl_free(b);
        b = next;
    }
}

void cl_block_pool_trim(struct cl_block_pool *p) {
    for (size_t i = 0; i < CL_BLOCK_CLASSES; i++) {
        free_list(p->big[i]);
        p->big[i] = NULL;
    }
    p->returned += p->big_bytes;
    p->big_bytes = 0;
}

void cl_block_pool_free(struct cl_block_pool *p) {
    assert(p->used == 0);
    cl_block_pool_trim(p);
    free_list(p->free);
    p->free = NULL;
    p->free_count = 0;
}

/* Data bytes of a class: a power of two with the block's own head. */
static size_t class_cap(size_t i) {
    return ((size_t)BIG_FIRST << i) - sizeof(struct cl_block);
}

/* The class of at least `cap` bytes; CL_BLOCK_CLASSES: too big for any. */
static size_t class_of(size_t cap) {
    size_t i = 0;
    while (i < CL_BLOCK_CLASSES && class_cap(i) < cap)
        i++;
    return i;
}

struct cl_block *cl_block_new_slow(struct cl_block_pool *p, size_t cap) {
    size_t class = CL_BLOCK_CLASSES;
    if (cap <= CL_BLOCK_SIZE) {
        cap = CL_BLOCK_SIZE;
    } else if ((class = class_of(cap)) < CL_BLOCK_CLASSES) {
        cap = class_cap(class);
    }
    if (p->max_bytes - p->used < cap)
        return NULL;
    struct cl_block *b = class < CL_BLOCK_CLASSES ? p->big[class] : NULL;
    if (b) {
        p->big[class] = b->next;
        p->big_bytes -= cap;
        p->big_uses++;
    } else {
        b = cl_malloc(sizeof *b + cap);
        if (!b)
            return NULL;
    }
    *b = (struct cl_block){.pool = p, .cap = cap, .refs = 1};
    p->used += cap;
    return b;
}

void cl_block_free_slow(struct cl_block *b) {
    struct cl_block_pool *p = b->pool;
    p->used -= b->cap;
#if !defined(CL_POISON)
    size_t class = class_of(b->cap);
    if (b->cap > CL_BLOCK_SIZE && class < CL_BLOCK_CLASSES &&
        p->big_bytes + b->cap <= CL_BLOCK_BIG_KEPT) {
        b->next = p->big[class];
        p->big[class] = b;
        p->big_bytes += b->cap;
        return;
    }
#endif
    p->returned += b->cap;
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
