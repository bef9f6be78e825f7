#include "http/method.h"

static const struct cl_str names[CL_METHOD_COUNT] = {
    [CL_METHOD_GET] = CL_STR_INIT("GET"),         [CL_METHOD_HEAD] = CL_STR_INIT("HEAD"),
    [CL_METHOD_POST] = CL_STR_INIT("POST"),       [CL_METHOD_PUT] = CL_STR_INIT("PUT"),
    [CL_METHOD_DELETE] = CL_STR_INIT("DELETE"),   [CL_METHOD_PATCH] = CL_STR_INIT("PATCH"),
    [CL_METHOD_OPTIONS] = CL_STR_INIT("OPTIONS"), [CL_METHOD_CONNECT] = CL_STR_INIT("CONNECT"),
    [CL_METHOD_TRACE] = CL_STR_INIT("TRACE"),     [CL_METHOD_QUERY] = CL_STR_INIT("QUERY"),
};

static enum cl_method match(struct cl_str name, enum cl_method candidate) {
    return cl_str_eq(name, names[candidate]) ? candidate : CL_METHOD_OTHER;
}

enum cl_method cl_method_from(struct cl_str name) {
    if (name.len < 3)
        return CL_METHOD_OTHER;
    switch (name.ptr[0]) {
    case 'G': return match(name, CL_METHOD_GET);
    case 'H': return match(name, CL_METHOD_HEAD);
    case 'D': return match(name, CL_METHOD_DELETE);
    case 'O': return match(name, CL_METHOD_OPTIONS);
    case 'C': return match(name, CL_METHOD_CONNECT);
    case 'T': return match(name, CL_METHOD_TRACE);
    case 'Q': return match(name, CL_METHOD_QUERY);
    case 'P':
        if (name.ptr[1] == 'O')
            return match(name, CL_METHOD_POST);
        return match(name, name.ptr[1] == 'U' ? CL_METHOD_PUT : CL_METHOD_PATCH);
    default: return CL_METHOD_OTHER;
    }
}

struct cl_str cl_method_name(enum cl_method method) {
    return (unsigned)method < CL_METHOD_COUNT ? names[method] : CL_STR("");
}
