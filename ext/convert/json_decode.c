#include "convert/json_decode_internal.h"

#include "base/cpu.h"
#include "json/scan.h"

void *cl_json_fail(struct cl_json_decoder *d, int err, const char *p, const char *msg) {
    *d->error = (struct cl_json_error){.err = err, .pos = (size_t)(p - d->begin), .msg = msg};
    return NULL;
}

void *cl_json_fail_value(struct cl_json_decoder *d, const char *p) {
    const char *msg = "expected a value";
    if (p == d->end)
        msg = "unexpected end of the text";
    else if ((size_t)(d->end - p) >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        msg = "byte order mark";
    return cl_json_fail(d, CELLO_EJSON, p, msg);
}

PyObject *cl_json_raise(const struct cl_json_error *error, PyObject *type) {
    PyErr_Format(type, "%s (byte %zu)", error->msg, error->pos);
    return NULL;
}

int cl_json_grow_stack(struct cl_json_decoder *d) {
    size_t used = (size_t)(d->top - d->stack), size = 2 * (size_t)(d->stack_end - d->stack);
    bool is_first = size == 2 * (size_t)CL_DECODE_STACK;
    PyObject **stack = PyMem_Realloc(is_first ? NULL : d->stack, size * sizeof *stack);
    if (!stack) {
        PyErr_NoMemory();
        return -1;
    }
    if (is_first)
        memcpy(stack, d->stack, used * sizeof *stack);
    d->stack = stack;
    d->top = stack + used;
    d->stack_end = stack + size;
    return 0;
}

int cl_json_grow_scratch(struct cl_json_scratch *s, size_t need, size_t keep) {
    char *p = PyMem_Malloc(need * 2);
    if (!p) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(p, s->p, keep);
    if (s->is_heap)
        PyMem_Free(s->p);
    *s = (struct cl_json_scratch){.p = p, .size = need * 2, .is_heap = true};
    return 0;
}

PyObject *cl_json_new_big_int(struct cl_json_decoder *d, const char *p, const char *end) {
    size_t n = (size_t)(end - p);
    if (n - (*p == '-') > CL_JSON_MAX_INT_DIGITS)
        return cl_json_fail(d, CELLO_ELIMIT, p, "integer of more than 4,300 digits");
    if (cl_json_need_scratch(&d->text, n + 1, 0) < 0)
        return NULL;
    memcpy(d->text.p, p, n);
    d->text.p[n] = 0;
    PyObject *value = PyLong_FromString(d->text.p, NULL, 10);
    if (!value && PyErr_ExceptionMatches(PyExc_ValueError)) { /* the program set a lower limit */
        PyErr_Clear();
        return cl_json_fail(d, CELLO_ELIMIT, p, "integer of too many digits");
    }
    return value;
}

PyObject *cl_json_new_dict(PyObject **items, size_t pairs) {
    PyObject *dict = PyDict_New();
    for (size_t i = 0; i < pairs; i++) {
        PyObject *key = items[2 * i], *value = items[2 * i + 1];
        if (CL_UNLIKELY(dict && PyDict_SetItem(dict, key, value) < 0))
            Py_CLEAR(dict);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    return dict;
}

/* ---- the call ---- */

static cl_json_machine *machine_of_this_cpu(void) {
    switch (cl_cpu_level()) {
#if defined(__x86_64__)
    case CL_CPU_AVX2: return cl_json_decode_avx2;
    case CL_CPU_SSE42: return cl_json_decode_sse42;
#elif defined(__aarch64__)
    case CL_CPU_NEON: return cl_json_decode_neon;
#endif
    default: return cl_json_decode_scalar;
    }
}

/* Short text is copied to where vectors may read behind its end. */
enum { PADDED_TEXT = 512, INLINE_FRAMES = CL_JSON_MAX_DEPTH };

static PyObject *run(struct cl_json_decoder *d) {
    PyObject *value = machine_of_this_cpu()(d);
    while (d->top > d->stack) {
        --d->top;
        Py_DECREF(*d->top);
    }
    if (d->stack_end - d->stack > CL_DECODE_STACK)
        PyMem_Free(d->stack);
    if (d->text.is_heap)
        PyMem_Free(d->text.p);
    if (d->wide.is_heap)
        PyMem_Free(d->wide.p);
    return value;
}

/* More levels than fit on the C stack were asked for. */
static CL_NOINLINE PyObject *run_deep(struct cl_json_decoder *d) {
    d->frames = PyMem_Malloc(d->max_depth * sizeof *d->frames);
    if (!d->frames)
        return PyErr_NoMemory();
    PyObject *value = run(d);
    PyMem_Free(d->frames);
    return value;
}

PyObject *cl_json_decode(const char *text, size_t n, const struct cl_json_options *opt,
                         struct cl_json_error *error) {
    PyObject *stack[CL_DECODE_STACK];
    struct cl_json_frame frames[INLINE_FRAMES];
    char text_scratch[CL_DECODE_SCRATCH], padded[PADDED_TEXT + CL_SCAN_PADDING];
    uint32_t wide_scratch[CL_DECODE_SCRATCH / 4];
    *error = (struct cl_json_error){.err = CELLO_OK};
    struct cl_json_decoder d = {
        .begin = text,
        .end = text + n,
        .safe = text + n - CL_SCAN_PADDING,
        .keys = opt->state->keys,
        .error = error,
        .stack = stack,
        .top = stack,
        .stack_end = stack + CL_DECODE_STACK,
        .frames = frames,
        .max_depth = opt->max_depth ? opt->max_depth : CL_JSON_MAX_DEPTH,
        .text = {.p = text_scratch, .size = sizeof text_scratch},
        .wide = {.p = (char *)wide_scratch, .size = sizeof wide_scratch},
    };
    if (n <= PADDED_TEXT) {
        if (n)
            memcpy(padded, text, n);
        memset(padded + n, 0, CL_SCAN_PADDING);
        d.begin = padded;
        d.safe = d.end = padded + n;
    }
    return CL_LIKELY(d.max_depth <= INLINE_FRAMES) ? run(&d) : run_deep(&d);
}
