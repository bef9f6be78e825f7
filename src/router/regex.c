#include "router/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/alloc.h"

/* An honest constraint on one segment takes tens of steps; 10,000 take well under a millisecond. */
#define MATCH_LIMIT 10000
/* PCRE2 counts anew at each byte that a match may start at, so the longer the text, the fewer steps
 * each start gets. */
#define SEARCH_LIMIT 4000000
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT_KIB 64
/* PCRE2 10.42's interpreter starts with 20 KiB of frames; JIT needs only a few hundred bytes. */
#define SCRATCH_BYTES (28 * 1024)

struct cl_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    size_t max_subject;
    bool is_anchored; /* has one place to start at */
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
                   uint32_t options, char *errbuf, size_t errlen, size_t *err_offset) {
    pcre2_compile_context *context = pcre2_compile_context_create(heap);
    if (!context)
        return CELLO_ENOMEM;
    int code = 0;
    options |= PCRE2_DOLLAR_ENDONLY | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    re->code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &code, err_offset, context);
    pcre2_compile_context_free(context);
    if (re->code)
        return CELLO_OK;
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return CELLO_ENOMEM;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)errbuf, errlen);
    return CELLO_EINVAL;
}

static bool is_anchored(const struct cl_regex *re) {
    uint32_t options = 0;
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_ALLOPTIONS, &options);
    return options & PCRE2_ANCHORED;
}

/* A context with the limits of a match that each start may take `steps` of; NULL without memory. */
static pcre2_match_context *new_limits(pcre2_general_context *memory, uint32_t steps) {
    pcre2_match_context *limits = pcre2_match_context_create(memory);
    if (!limits)
        return NULL;
    pcre2_set_match_limit(limits, steps);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
    return limits;
}

int cl_regex_new(struct cl_str text, enum cl_regex_mode mode, struct cl_regex **out, char *errbuf,
                 size_t errlen, size_t *err_offset) {
    *err_offset = 0;
    struct cl_regex *re = cl_calloc(1, sizeof(*re));
    if (!re)
        return CELLO_ENOMEM;
    int err = CELLO_ENOMEM;
    pcre2_general_context *heap = pcre2_general_context_create(heap_malloc, heap_free, NULL);
    if (!heap)
        goto fail;
    bool is_whole = mode == CL_REGEX_WHOLE;
    uint32_t options = is_whole ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0;
    err = compile(re, heap, text, options, errbuf, errlen, err_offset);
    if (!err) {
        re->limits = new_limits(heap, MATCH_LIMIT);
        err = re->limits ? CELLO_OK : CELLO_ENOMEM;
    }
    pcre2_general_context_free(heap);
    if (err)
        goto fail;
    re->max_subject = is_whole ? CL_REGEX_MAX_SUBJECT : CL_REGEX_MAX_SEARCHED;
    re->is_anchored = is_anchored(re);
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

/* The limits for a subject of this size, in `memory` if they are not the usual ones; NULL when
 * that is full. */
static pcre2_match_context *limits_for(const struct cl_regex *re, size_t size,
                                       pcre2_general_context *memory) {
    size_t starts = re->is_anchored ? 1 : size + 1;
    if (starts <= SEARCH_LIMIT / MATCH_LIMIT)
        return re->limits;
    return new_limits(memory, (uint32_t)(SEARCH_LIMIT / starts));
}

/* A frame of its own: only paths that reach an expression pay for the scratch memory. */
CL_NOINLINE enum cl_regex_result cl_regex_match(const struct cl_regex *re, struct cl_str subject) {
    if (subject.len > re->max_subject)
        return CL_REGEX_ABORTED;
    struct scratch scratch;
    scratch.used = 0;
    pcre2_general_context *memory =
        pcre2_general_context_create(scratch_malloc, scratch_free, &scratch);
    pcre2_match_data *result = memory ? pcre2_match_data_create(1, memory) : NULL;
    pcre2_match_context *limits = result ? limits_for(re, subject.len, memory) : NULL;
    if (!limits)
        return CL_REGEX_ABORTED;
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.ptr ? subject.ptr : "");
    int rc = pcre2_match(re->code, text, subject.len, 0, 0, result, limits);
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

/* ---- <cello/pattern.h> ---- */

int cello_pattern_new(struct cl_regex **out, struct cl_str text, char *why, size_t why_size,
                      size_t *offset) {
    return cl_regex_new(text, CL_REGEX_SEARCH, out, why, why_size, offset);
}

void cello_pattern_del(struct cl_regex *pattern) {
    cl_regex_del(pattern);
}

int cello_pattern_match(const struct cl_regex *pattern, struct cl_str subject) {
    enum cl_regex_result result = cl_regex_match(pattern, subject);
    return result == CL_REGEX_ABORTED ? CELLO_ELIMIT : result == CL_REGEX_MATCH;
}
