#include "http/out.h"

struct cl_out *cl_out_new(struct cl_block_pool *pool) {
    struct cl_block *b = cl_block_new(pool, CL_BLOCK_SIZE);
    if (!b)
        return NULL;
    struct cl_out *o = (struct cl_out *)(void *)b->data;
    o->blocks = b;
    o->bytes = 0;
    o->answers = 0;
    o->file.left = 0;
    o->iov_count = o->pin_count = 0;
    b->wr = sizeof *o;
    return o;
}

void cl_out_del(struct cl_out *o) {
    for (int i = 0; i < o->pin_count; i++)
        o->pins[i].release(o->pins[i].ctx);
    struct cl_block *b = o->blocks;
    while (b) {
        struct cl_block *next = b->next;
        b->next = NULL;
        cl_block_unref(b);
        b = next;
    }
}

struct cl_block *cl_out_grow(struct cl_out *o, size_t need) {
    struct cl_block *b = cl_block_new(o->blocks->pool, need);
    if (!b)
        return NULL;
    b->next = o->blocks;
    o->blocks = b;
    return b;
}
