/* Response headers that tell browsers to be careful. */
#include <cello/app.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "http/response.h"

enum { FIELDS_MAX = 9, CONFIG_MAX = 65536 };

struct security_headers {
    struct cl_step super;
    struct cl_arena arena;
    size_t count;
    bool has_hsts; /* the last one: a browser ignores it in clear (RFC 6797, 7.2) */
    struct cl_header fields[FIELDS_MAX];
};

static int after(const struct cl_step *step, struct cl_request *r) {
    const struct security_headers *s = CL_CONTAINER_OF(step, struct security_headers, super);
    size_t count = s->count - (s->has_hsts && !r->secure);
    for (size_t i = 0; i < count; i++) {
        if (cl_response_has(r, &s->fields[i]))
            continue;
        int err = cl_response_add(r, &s->fields[i]);
        if (err)
            return err;
    }
    return CELLO_OK;
}

static void del(struct cl_step *step) {
    struct security_headers *s = CL_CONTAINER_OF(step, struct security_headers, super);
    cl_arena_free(&s->arena);
    cl_free(s);
}

static bool add(struct security_headers *s, struct cl_str name, struct cl_str value) {
    if (!value.len)
        return true;
    struct cl_str copy = cl_arena_dup(&s->arena, value);
    if (!copy.ptr || cl_response_header_check(&s->fields[s->count], name, copy) != CELLO_OK)
        return false;
    s->count++;
    return true;
}

static bool fill(struct security_headers *s, const struct cello_security_headers *cfg) {
    return add(s, CL_STR("X-Frame-Options"), cfg->x_frame_options) &&
           add(s, CL_STR("X-Content-Type-Options"),
               cfg->x_content_type_options ? CL_STR("nosniff") : CL_STR("")) &&
           add(s, CL_STR("Referrer-Policy"), cfg->referrer_policy) &&
           add(s, CL_STR("Content-Security-Policy"), cfg->csp) &&
           add(s, CL_STR("Permissions-Policy"), cfg->permissions_policy) &&
           add(s, CL_STR("Cross-Origin-Embedder-Policy"), cfg->coep) &&
           add(s, CL_STR("Cross-Origin-Opener-Policy"), cfg->coop) &&
           add(s, CL_STR("Cross-Origin-Resource-Policy"), cfg->corp) &&
           add(s, CL_STR("Strict-Transport-Security"), cfg->hsts);
}

struct cl_step *cello_step_security_headers(const struct cello_security_headers *cfg) {
    struct security_headers *s = cl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->super = (struct cl_step){.after = after, .del = del, .name = "security_headers"};
    cl_arena_init(&s->arena, CONFIG_MAX);
    if (!fill(s, cfg)) {
        del(&s->super);
        return NULL;
    }
    s->has_hsts = cfg->hsts.len > 0;
    return &s->super;
}
