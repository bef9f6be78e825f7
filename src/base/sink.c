#include "base/sink.h"

#include "base/alloc.h"

enum { HEAP_SINK_FIRST = 512 };

static int heap_grow(struct cl_sink *s, size_t need) {
    struct cl_heap_sink *h = CL_CONTAINER_OF(s, struct cl_heap_sink, sink);
    size_t used = cl_sink_len(s);
    if (need > h->max || used > h->max - need)
        return CELLO_ELIMIT;
    size_t cap = CL_MAX((size_t)(s->end - s->base) * 2, (size_t)HEAP_SINK_FIRST);
    cap = CL_MIN(CL_MAX(cap, used + need), h->max);
    char *mem = cl_realloc(s->base, cap);
    if (!mem)
        return CELLO_ENOMEM;
    s->base = mem;
    s->p = mem + used;
    s->end = mem + cap;
    return CELLO_OK;
}

void cl_heap_sink_init(struct cl_heap_sink *h, size_t max) {
    *h = (struct cl_heap_sink){.sink = {.grow = heap_grow}, .max = max};
}

void cl_heap_sink_free(struct cl_heap_sink *h) {
    cl_free(h->sink.base);
    cl_heap_sink_init(h, h->max);
}
