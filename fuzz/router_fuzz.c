/* Patterns and paths: lines of a method digit and text; patterns up to an empty line, then paths.
 * Path lines are what clients send; patterns come from the application, but must not break it. */
#include "check.h"
#include "router/router.h"

enum { MAX_LINES = 64 };

static void check_path(const struct cl_router *r, unsigned method, struct cl_str path) {
    struct cl_route_match m;
    enum cl_route_result result = cl_router_find(r, method, path, &m);
    struct cl_route_match again;
    bool aborted = m.regex_aborted;
    if (cl_router_find(r, CL_ROUTER_MAX_METHODS, path, &again) == CL_ROUTE_FOUND)
        abort();
    aborted |= again.regex_aborted;
    CHECK((m.target != NULL) == (result == CL_ROUTE_FOUND));
    CHECK((m.allow_mask == 0) == (result == CL_ROUTE_NOT_FOUND));
    CHECK(result == CL_ROUTE_NOT_FOUND || (m.allow_mask >> CL_METHOD_OPTIONS & 1));
    if (result == CL_ROUTE_FOUND && !aborted)
        CHECK((again.allow_mask & m.allow_mask) == m.allow_mask);
    if (result == CL_ROUTE_NOT_ALLOWED && !aborted)
        CHECK(again.allow_mask == m.allow_mask);
    if (result == CL_ROUTE_NOT_ALLOWED && method != CL_METHOD_OPTIONS)
        CHECK(!(m.allow_mask >> method & 1));
    CHECK(!m.slash_redirect || result == CL_ROUTE_NOT_FOUND);
    for (unsigned i = 0; i < m.param_count; i++) {
        CHECK(m.params[i].raw.len > 0 && m.params[i].name.len > 0);
        check_span(m.params[i].raw, path);
    }
}

/* Cut the next line off `rest`, without its method digit. */
static struct cl_str next_line(struct cl_str *rest, unsigned *method) {
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct cl_str line = cl_str(rest->ptr, len);
    size_t used = end ? len + 1 : len;
    *rest = cl_str(rest->ptr + used, rest->len - used);
    if (line.len > 0) {
        *method = (unsigned char)(line.ptr[0] - '0') % CL_METHOD_COUNT;
        line = cl_str(line.ptr + 1, line.len - 1);
    }
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cl_str rest = cl_str((const char *)data, size);
    struct cl_router *r = cl_router_new();
    if (!r)
        return 0;
    unsigned method = 0;
    for (int i = 0; i < MAX_LINES; i++) {
        char why[256];
        struct cl_str line = next_line(&rest, &method);
        if (line.len == 0)
            break;
        int err = cl_router_add(r, method, line, "fuzz.py:1", r, why, sizeof(why));
        CHECK((err == CELLO_OK) == (why[0] == '\0'));
    }
    CHECK(cl_router_freeze(r) == CELLO_OK);
    for (int i = 0; i < MAX_LINES && rest.len > 0; i++)
        check_path(r, method, next_line(&rest, &method));
    cl_router_del(r);
    return 0;
}
