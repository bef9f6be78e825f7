#include "router/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/alloc.h"

/* An honest constraint on one segment takes tens of steps; 10,000 take well under a millisecond. */
#define MATCH_LIMIT 10000
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT_KIB 64
/* PCRE2 10.42's interpreter starts with 20 KiB of frames; JIT needs only a few hundred bytes. */
#define SCRATCH_BYTES (28 * 1024)

struct cl_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static void *heap_malloc(size_t size, void *data) {
    (void)data;
    return cl_malloc(size);
}

static void heap_free(void *ptr, void *data) {
    (void)data;
    cl_free(ptr);
}

/* Memory of one match. PCRE2 has no call that takes a caller's block, but it takes an allocator. */
struct scratch {
    size_t used;
    _Alignas(16) char bytes[SCRATCH_BYTES];
};

static void *scratch_malloc(size_t size, void *data) {
    struct scratch *s = data;
    if (size > SCRATCH_BYTES - s->used)
        return NULL;
    void *mem = s->bytes + s->used;
    size_t rounded = (size + 15) & ~(size_t)15;
    s->used = rounded > SCRATCH_BYTES - s->used ? SCRATCH_BYTES : s->used + rounded;
    return mem;
}

static void scratch_free(void *ptr, void *data) {
    (void)ptr;
    (void)data;
}

static int compile(struct cl_regex *re, pcre2_general_context *heap, struct cl_str text,
                   char *errbuf, size_t errlen, size_t *err_offset) {
    pcre2_compile_context *context = pcre2_compile_context_create(heap);
    if (!context)
        return CELLO_ENOMEM;
    int code = 0;
    uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_UTF |
                       PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    re->code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &code, err_offset, context);
    pcre2_compile_context_free(context);
    if (re->code)
        return CELLO_OK;
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return CELLO_ENOMEM;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)errbuf, errlen);
    return CELLO_EINVAL;
}

static int set_limits(struct cl_regex *re, pcre2_general_context *heap) {
    re->limits = pcre2_match_context_create(heap);
    if (!re->limits)
        return CELLO_ENOMEM;
    pcre2_set_match_limit(re->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(re->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(re->limits, HEAP_LIMIT_KIB);
    return CELLO_OK;
}

int cl_regex_new(struct cl_str text, struct cl_regex **out, char *errbuf, size_t errlen,
                 size_t *err_offset) {
    *err_offset = 0;
    struct cl_regex *re = cl_calloc(1, sizeof(*re));
    if (!re)
        return CELLO_ENOMEM;
    int err = CELLO_ENOMEM;
    pcre2_general_context *heap = pcre2_general_context_create(heap_malloc, heap_free, NULL);
    if (!heap)
        goto fail;
    err = compile(re, heap, text, errbuf, errlen, err_offset);
    if (!err)
        err = set_limits(re, heap);
    pcre2_general_context_free(heap);
    if (err)
        goto fail;
    /* Without JIT (no support, or no executable memory) the interpreter does the same work. */
    (void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
    *out = re;
    return CELLO_OK;

fail:
    cl_regex_del(re);
    return err;
}

void cl_regex_del(struct cl_regex *re) {
    if (!re)
        return;
    pcre2_match_context_free(re->limits);
    pcre2_code_free(re->code);
    cl_free(re);
}

/* A frame of its own: only paths that reach an expression pay for the scratch memory. */
CL_NOINLINE enum cl_regex_result cl_regex_match(const struct cl_regex *re, struct cl_str subject) {
    if (subject.len > CL_REGEX_MAX_SUBJECT)
        return CL_REGEX_ABORTED;
    struct scratch scratch;
    scratch.used = 0;
    pcre2_general_context *memory =
        pcre2_general_context_create(scratch_malloc, scratch_free, &scratch);
    pcre2_match_data *result = memory ? pcre2_match_data_create(1, memory) : NULL;
    if (!result)
        return CL_REGEX_ABORTED;
    int rc = pcre2_match(re->code, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, result, re->limits);
    if (rc >= 0)
        return CL_REGEX_MATCH;
    switch (rc) {
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_JIT_STACKLIMIT:
    case PCRE2_ERROR_NOMEMORY: return CL_REGEX_ABORTED;
    default: return CL_REGEX_NO_MATCH;
    }
}
