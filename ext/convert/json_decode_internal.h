/* Shared by the parts of the decoder: the machine (json_decode_impl.h, once per cpu level) and what
 * all levels have in common (json_decode.c). */
#ifndef CL_CONVERT_JSON_DECODE_INTERNAL_H
#define CL_CONVERT_JSON_DECODE_INTERNAL_H

#include "convert/json_decode.h"
#include "convert/key_cache.h"

enum {
    CL_DECODE_STACK = 256,   /* values held before the heap is needed */
    CL_DECODE_SCRATCH = 512, /* bytes of each scratch before the heap is needed */
};

/* Memory for a piece of work: on the C stack first, then on the heap. */
struct cl_json_scratch {
    char *p;
    size_t size;
    bool is_heap;
};

/* An object or array that is not closed yet. */
struct cl_json_frame {
    uint32_t start;    /* of its items on the value stack */
    uint16_t key_slot; /* of the last key in it; in an array, of the key around it */
    bool is_object;
};

struct cl_json_decoder {
    const char *begin;
    const char *end;
    const char *safe; /* from here on back, CL_SCAN_PADDING bytes may be read; see json/scan.h */
    struct cl_key_cache *keys;
    struct cl_json_error *error;

    /* Finished values whose container is not closed: items, or key, value, key, value. */
    PyObject **stack, **top, **stack_end;
    struct cl_json_frame *frames;
    unsigned depth, max_depth;

    struct cl_json_scratch text; /* of a string with escapes, without them; digits */
    struct cl_json_scratch wide; /* code points */
};

typedef PyObject *cl_json_machine(struct cl_json_decoder *d);

cl_json_machine cl_json_decode_avx2, cl_json_decode_sse42, cl_json_decode_neon,
    cl_json_decode_scalar;

/* Note what is wrong with the text at `p`. Returns NULL. */
CL_COLD void *cl_json_fail(struct cl_json_decoder *d, int err, const char *p, const char *msg);
/* What a value that cannot begin with the character at `p` is called. */
CL_COLD void *cl_json_fail_value(struct cl_json_decoder *d, const char *p);

/* Double the value stack: -1 with an exception set when memory is out. */
CL_COLD int cl_json_grow_stack(struct cl_json_decoder *d);
/* At least `need` bytes of scratch, of which the first `keep` stay: -1 with an exception set. */
int cl_json_grow_scratch(struct cl_json_scratch *s, size_t need, size_t keep);

CL_INLINE int cl_json_need_scratch(struct cl_json_scratch *s, size_t need, size_t keep) {
    return CL_LIKELY(need <= s->size) ? 0 : cl_json_grow_scratch(s, need, keep);
}

/* The int that the digits in [p, end) are, with their sign. NULL as cl_json_decode. */
CL_COLD PyObject *cl_json_new_big_int(struct cl_json_decoder *d, const char *p, const char *end);
/* A dict of the n pairs at `items`, whose references it takes, also on failure. */
PyObject *cl_json_new_dict(PyObject **items, size_t pairs);

#endif
