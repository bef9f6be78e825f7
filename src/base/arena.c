#include "base/arena.h"

#include "base/alloc.h"

enum { CHUNK_SIZE = 4096 };

struct cl_arena_chunk {
    struct cl_arena_chunk *next;
    size_t size; /* of data */
    _Alignas(8) char data[];
};

void cl_arena_init(struct cl_arena *a, size_t limit) {
    *a = (struct cl_arena){.limit = limit};
}

static void use_chunk(struct cl_arena *a, struct cl_arena_chunk *c) {
    a->p = c->data;
    a->end = c->data + c->size;
    CL_POISON_REGION(c->data, c->size);
}

void cl_arena_reset(struct cl_arena *a) {
    struct cl_arena_chunk *c = a->chunks;
    if (!c)
        return;
    while (c->next) {
        struct cl_arena_chunk *next = c->next;
        a->total -= c->size;
        CL_UNPOISON_REGION(c->data, c->size);
        cl_free(c);
        c = next;
    }
    a->chunks = c;
    use_chunk(a, c);
}

void cl_arena_free(struct cl_arena *a) {
    struct cl_arena_chunk *c = a->chunks;
    while (c) {
        struct cl_arena_chunk *next = c->next;
        CL_UNPOISON_REGION(c->data, c->size);
        cl_free(c);
        c = next;
    }
    cl_arena_init(a, a->limit);
}

void *cl_arena_alloc_slow(struct cl_arena *a, size_t size) {
    if ((size_t)(a->end - a->p) < size) {
        size_t want = CL_MAX(size, (size_t)CHUNK_SIZE);
        if (want > a->limit || a->total > a->limit - want)
            return NULL;
        struct cl_arena_chunk *c = cl_malloc(sizeof *c + want);
        if (!c)
            return NULL;
        *c = (struct cl_arena_chunk){.next = a->chunks, .size = want};
        a->total += want;
        a->chunks = c;
        use_chunk(a, c);
    }
    void *mem = a->p;
    a->p += size;
    CL_UNPOISON_REGION(mem, size);
    return mem;
}

struct cl_str cl_arena_dup(struct cl_arena *a, struct cl_str s) {
    char *mem = cl_arena_alloc(a, s.len + 1);
    if (!mem)
        return cl_str(NULL, 0);
    if (s.len)
        memcpy(mem, s.ptr, s.len);
    mem[s.len] = '\0';
    return cl_str(mem, s.len);
}
