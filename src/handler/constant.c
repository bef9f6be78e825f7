#include "handler/constant.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "http/response.h"

/* Constants are programs' own data; this only keeps a mistake from eating the machine. */
enum { CONSTANT_MAX = 256 << 20 };

struct constant {
    struct cello_handler super;
    struct cl_arena arena;
    int status;
    struct cl_str content_type;
    struct cl_str body;
    size_t header_count;
    struct cl_header *headers;
};

static void on_request(const struct cello_handler *h, struct cl_request *r) {
    const struct constant *k = CL_CONTAINER_OF(h, struct constant, super);
    r->response.status = k->status;
    r->response.content_type = k->content_type;
    for (size_t i = 0; i < k->header_count; i++)
        if (cl_response_add(r, &k->headers[i]) != CELLO_OK)
            break; /* memory: the answer goes without */
    cl_respond_static(r, k->body);
}

static void del(struct cello_handler *h) {
    struct constant *k = CL_CONTAINER_OF(h, struct constant, super);
    cl_arena_free(&k->arena);
    cl_free(k);
}

static int fill(struct constant *k, struct cl_str content_type, const struct cl_str (*headers)[2],
                size_t header_count, struct cl_str body) {
    if (!cl_header_value_valid(content_type))
        return CELLO_EINVAL;
    k->content_type = cl_arena_dup(&k->arena, content_type);
    k->body = cl_arena_dup(&k->arena, body);
    k->headers = cl_arena_alloc(&k->arena, header_count * sizeof *k->headers + 1);
    if (!k->content_type.ptr || !k->body.ptr || !k->headers)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < header_count; i++) {
        struct cl_str name = cl_arena_dup(&k->arena, headers[i][0]);
        struct cl_str value = cl_arena_dup(&k->arena, headers[i][1]);
        if (!name.ptr || !value.ptr)
            return CELLO_ENOMEM;
        int err = cl_response_header_check(&k->headers[i], name, value);
        if (err)
            return err;
        k->header_count++;
    }
    return CELLO_OK;
}

int cl_constant_new(struct cello_handler **out, int status, struct cl_str content_type,
                    const struct cl_str (*headers)[2], size_t header_count, struct cl_str body) {
    if (status < 200 || status > 599)
        return CELLO_EINVAL;
    struct constant *k = cl_calloc(1, sizeof *k);
    if (!k)
        return CELLO_ENOMEM;
    k->super = (struct cello_handler){.on_request = on_request, .del = del};
    k->status = status;
    cl_arena_init(&k->arena, CONSTANT_MAX);
    int err = fill(k, content_type, headers, header_count, body);
    if (err) {
        del(&k->super);
        return err;
    }
    *out = &k->super;
    return CELLO_OK;
}
