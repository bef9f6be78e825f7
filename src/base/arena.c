#include "base/arena.h"

#include "base/alloc.h"

struct cl_arena_chunk {
    struct cl_arena_chunk *next;
    size_t size; /* of data */
    _Alignas(8) char data[];
};

#define CHUNK_MIN (1024 - sizeof(struct cl_arena_chunk))
#define CHUNK_MAX (4096 - sizeof(struct cl_arena_chunk))

void cl_arena_init(struct cl_arena *a, size_t limit) {
    *a = (struct cl_arena){.limit = limit};
}

static void use_chunk(struct cl_arena *a, struct cl_arena_chunk *c) {
    a->p = c->data;
    a->end = c->data + c->size;
    CL_POISON_REGION(c->data, c->size);
}

static void free_chunk(struct cl_arena *a, struct cl_arena_chunk *c) {
    a->total -= c->size;
    CL_UNPOISON_REGION(c->data, c->size);
    cl_free(c);
}

void cl_arena_reset(struct cl_arena *a) {
    struct cl_arena_chunk *c = a->chunks, *kept = NULL;
    if (!c)
        return;
    if (CL_LIKELY(!c->next && c->size <= CHUNK_MAX)) {
        use_chunk(a, c);
        return;
    }
    while (c) {
        struct cl_arena_chunk *next = c->next, *small = c;
        if (c->size <= CHUNK_MAX && (!kept || c->size > kept->size)) {
            small = kept;
            kept = c;
        }
        if (small)
            free_chunk(a, small);
        c = next;
    }
    a->chunks = kept;
    a->p = a->end = NULL;
    if (kept) {
        kept->next = NULL;
        use_chunk(a, kept);
    }
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
        size_t next = a->chunks ? CL_MIN(2 * a->chunks->size, CHUNK_MAX) : CHUNK_MIN;
        size_t want = CL_MAX(size, next);
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
