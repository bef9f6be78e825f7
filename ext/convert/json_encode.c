#include "convert/json_encode_internal.h"

#include "base/cpu.h"

char *cl_json_make_room(struct cl_json_encoder *e, char *p, size_t need) {
    e->sink->p = p;
    e->err = cl_sink_reserve(e->sink, need);
    if (!e->err)
        return e->sink->p;
    if (e->err == CELLO_ENOMEM)
        PyErr_NoMemory();
    else
        PyErr_SetString(PyExc_ValueError, "the JSON text is larger than the limit");
    return NULL;
}

char *cl_json_too_deep(struct cl_json_encoder *e) {
    e->err = CELLO_EJSON_DEPTH;
    PyErr_Format(PyExc_ValueError, "JSON nested deeper than %u levels",
                 e->opt->max_depth ? e->opt->max_depth : CL_JSON_MAX_DEPTH);
    return NULL;
}

char *cl_json_not_finite(void) {
    PyErr_SetString(PyExc_ValueError, "JSON has no form for nan and infinity");
    return NULL;
}

static cl_json_put *walker_of_this_cpu(void) {
    switch (cl_cpu_level()) {
#if defined(__x86_64__)
    case CL_CPU_AVX2: return cl_json_put_value_avx2;
    case CL_CPU_SSE42: return cl_json_put_value_sse42;
#elif defined(__aarch64__)
    case CL_CPU_NEON: return cl_json_put_value_neon;
#endif
    default: return cl_json_put_value_scalar;
    }
}

int cl_json_encode(PyObject *obj, struct cl_sink *out, const struct cl_json_options *opt) {
    struct cl_json_encoder e = {
        .sink = out,
        .opt = opt,
        .depth_left = opt->max_depth ? opt->max_depth : CL_JSON_MAX_DEPTH,
    };
    char *end = walker_of_this_cpu()(&e, out->p, obj);
    if (CL_UNLIKELY(!end)) {
        assert(PyErr_Occurred());
        return e.err ? e.err : CELLO_EINVAL;
    }
    out->p = end;
    return CELLO_OK;
}
