#include "http/redirect.h"

#include "http/response.h"
#include "http/status.h"

static void fail(struct cl_request *r, int err) {
    const char *detail = cl_error_detail(err);
    cl_respond_problem(r, cl_error_status(err), cl_str(detail, strlen(detail)));
}

void cl_respond_slash_redirect(struct cl_request *r) {
    bool has_slash = r->path.ptr[r->path.len - 1] == '/';
    size_t end = r->path.len - has_slash, start = end;
    while (start && r->path.ptr[start - 1] != '/')
        start--;
    const struct cl_str parts[] = {
        has_slash ? CL_STR("../") : CL_STR("./"),
        cl_str(r->path.ptr + start, end - start),
        has_slash ? CL_STR("") : CL_STR("/"),
        r->query.len ? CL_STR("?") : CL_STR(""),
        r->query,
    };
    char *to = cl_arena_alloc(&r->arena, r->path.len + r->query.len + sizeof "../?");
    size_t n = 0;
    if (!to) {
        fail(r, CELLO_ENOMEM);
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len)
            memcpy(to + n, parts[i].ptr, parts[i].len);
        n += parts[i].len;
    }
    bool keep_method = r->method != CL_METHOD_GET && r->method != CL_METHOD_HEAD;
    int err = cl_response_header(r, CL_STR("Location"), cl_str(to, n));
    if (err) {
        fail(r, err);
        return;
    }
    r->response.status = keep_method ? 308 : 307;
    cl_respond_empty(r);
}
