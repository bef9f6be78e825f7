/* Look-up in the frozen table: split, decode where needed, then a depth-first walk with a stack as
 * deep as the longest pattern. */
#include "router/router_internal.h"

#include "http/uri.h"

/* The path of one look-up. `decoded` is `raw` itself unless something is percent-encoded. */
struct query {
    const struct cl_str *decoded;
    const struct cl_str *raw;
    const char *end; /* of the path */
    unsigned count;  /* segments; one more than any pattern has means "or more" */
    unsigned method;
};

/* One level of the walk. */
struct frame {
    uint32_t node;
    uint32_t next;   /* alternative to try: 0 = literal, i = the node's parameter i - 1 */
    uint32_t params; /* parameters taken above this level */
};

CL_INLINE bool has_method(const struct cl_route_node *n, unsigned method) {
    return method < CL_ROUTER_MAX_METHODS && (n->mask >> method & 1);
}

CL_INLINE enum cl_route_result found(const struct cl_router *r, const struct cl_route_node *n,
                                     unsigned method, unsigned params, struct cl_route_match *m) {
    const struct cl_route *route = &r->routes[n->route + cl_route_rank(n->mask, method)];
    m->target = route->target;
    m->allow_mask = n->mask | 1u << CL_METHOD_OPTIONS;
    m->param_count = params;
    for (unsigned i = 0; i < params; i++)
        m->params[i].name = r->names[route->names + i];
    return CL_ROUTE_FOUND;
}

/* Cut at most `max` segments of a path that starts with '/'; an empty one follows the last. */
CL_INLINE unsigned split(struct cl_str path, unsigned max, struct cl_str *out, bool *encoded) {
    const char *end = path.ptr + path.len;
    const char *start = path.ptr + 1;
    unsigned count = 0;
    *encoded = false;
    for (const char *p = start; count < max; p++) {
        if (p == end || *p == '/') {
            out[count++] = cl_str(start, (size_t)(p - start));
            if (p == end)
                break;
            start = p + 1;
        } else if (*p == '%') {
            *encoded = true;
        }
    }
    out[count] = cl_str(end, 0);
    return count;
}

/* `n` decoded bytes of a raw span, in raw bytes. The span has decoded without error before. */
static size_t raw_length(struct cl_str raw, size_t n) {
    size_t at = 0;
    for (; n > 0; n--)
        at += raw.ptr[at] == '%' ? 3 : 1;
    return at;
}

static bool regex_accepts(const struct cl_regex *re, struct cl_str value,
                          struct cl_route_match *m) {
    if (m->regex_aborted)
        return false;
    enum cl_regex_result result = cl_regex_match(re, value);
    m->regex_aborted = result == CL_REGEX_ABORTED;
    return result == CL_REGEX_MATCH;
}

/* Whether the segment fits; `*value` is then the parameter's raw span. */
static bool edge_accepts(const struct cl_param_edge *e, struct cl_str decoded, struct cl_str raw,
                         struct cl_str *value, struct cl_route_match *m) {
    size_t prefix = e->prefix_len;
    size_t literal = prefix + e->suffix_len;
    if (decoded.len <= literal)
        return false;
    struct cl_str inner = cl_str(decoded.ptr + prefix, decoded.len - literal);
    if (literal != 0 && (memcmp(decoded.ptr, e->text, prefix) != 0 ||
                         memcmp(inner.ptr + inner.len, e->text + prefix, e->suffix_len) != 0))
        return false;
    if (e->kind == CL_PARAM_REGEX ? !regex_accepts(e->regex, inner, m)
                                  : !cl_param_kind_accepts(e->kind, inner))
        return false;
    if (raw.len == decoded.len) {
        *value = cl_str(raw.ptr + prefix, inner.len);
    } else {
        size_t from = raw_length(raw, prefix);
        *value = cl_str(raw.ptr + from, raw_length(raw, prefix + inner.len) - from);
    }
    return true;
}

/* The next child of the frame's node that takes segment `depth`, 0 when none is left. */
static uint32_t next_child(const struct cl_router *r, const struct query *q, unsigned depth,
                           struct frame *f, struct cl_route_match *m) {
    const struct cl_route_node *n = &r->nodes[f->node];
    struct cl_str segment = q->decoded[depth];
    if (f->next == 0) {
        f->next = 1;
        uint32_t child = cl_static_map_find(&r->map, f->node, segment);
        if (child != 0)
            return child;
    }
    while (f->next <= n->edge_count) {
        const struct cl_param_edge *e = &r->edges[n->edge + f->next++ - 1];
        if (edge_accepts(e, segment, q->raw[depth], &m->params[f->params].raw, m))
            return e->child;
    }
    return 0;
}

/* The rest of the path is never empty: "/files/" has no {name:path}. */
static bool tail_accepts(const struct query *q, unsigned depth) {
    return depth + 1 < q->count || q->decoded[depth].len > 0;
}

/* Depth first in order of precedence. Every node has one parent and one depth, so none is entered
 * twice. `m->allow_mask` collects the methods of all patterns that fit until one answers. */
static enum cl_route_result walk(const struct cl_router *r, const struct query *q,
                                 struct cl_route_match *m) {
    struct frame stack[CL_PATTERN_MAX_SEGMENTS + 1];
    unsigned depth = 0;
    stack[0] = (struct frame){.node = 0};
    m->allow_mask = 0;
    for (;;) {
        struct frame *f = &stack[depth];
        const struct cl_route_node *n = &r->nodes[f->node];
        if (depth == q->count) {
            if (has_method(n, q->method))
                return found(r, n, q->method, f->params, m);
            m->allow_mask |= n->mask;
        } else {
            uint32_t child = next_child(r, q, depth, f, m);
            if (child != 0) {
                uint32_t params = f->params + (f->next > 1);
                stack[++depth] = (struct frame){.node = child, .params = params};
                continue;
            }
            if (n->tail != 0 && tail_accepts(q, depth)) {
                const struct cl_route_node *tail = &r->nodes[n->tail];
                const char *rest = q->raw[depth].ptr;
                m->params[f->params].raw = cl_str(rest, (size_t)(q->end - rest));
                if (has_method(tail, q->method))
                    return found(r, tail, q->method, f->params + 1, m);
                m->allow_mask |= tail->mask;
            }
        }
        if (depth-- == 0)
            break;
    }
    if (m->allow_mask == 0)
        return CL_ROUTE_NOT_FOUND;
    m->allow_mask |= 1u << CL_METHOD_OPTIONS;
    return CL_ROUTE_NOT_ALLOWED;
}

/* The same path with its last '/' taken away, or with one added. */
static bool toggled_fits(const struct cl_router *r, const struct query *q, struct cl_str path,
                         struct cl_route_match *m) {
    struct query toggled = *q;
    if (path.len == 1)
        return false;
    if (path.ptr[path.len - 1] == '/')
        toggled.count--;
    else if (toggled.count++ > r->max_depth)
        return false;
    bool fits = walk(r, &toggled, m) == CL_ROUTE_FOUND;
    m->target = NULL;
    m->allow_mask = 0;
    m->param_count = 0;
    return fits;
}

static enum cl_route_result find_split(const struct cl_router *r, const struct query *q,
                                       struct cl_str path, struct cl_route_match *m) {
    enum cl_route_result result = walk(r, q, m);
    if (result == CL_ROUTE_NOT_FOUND)
        m->slash_redirect = toggled_fits(r, q, path, m);
    return result;
}

/* A frame of its own: only paths with percent-encoding pay for the text. */
static CL_NOINLINE enum cl_route_result find_encoded(const struct cl_router *r, struct query *q,
                                                     struct cl_str path, struct cl_route_match *m) {
    char text[CL_ROUTER_MAX_DECODED];
    struct cl_str decoded[CL_ROUTER_SPLIT_MAX + 1];
    size_t used = 0;
    for (unsigned i = 0; i <= q->count; i++) {
        struct cl_str raw = q->raw[i];
        decoded[i] = raw;
        if (i >= r->max_depth || !memchr(raw.ptr, '%', raw.len))
            continue;
        size_t len;
        if (raw.len > sizeof(text) - used || cl_percent_decode(raw, text + used, &len, false))
            return CL_ROUTE_NOT_FOUND;
        decoded[i] = cl_str(text + used, len);
        used += len;
    }
    q->decoded = decoded;
    return find_split(r, q, path, m);
}

static enum cl_route_result find_in_tree(const struct cl_router *r, unsigned method,
                                         struct cl_str path, struct cl_route_match *m) {
    struct cl_str raw[CL_ROUTER_SPLIT_MAX + 1];
    bool encoded;
    struct query q = {.decoded = raw, .raw = raw, .end = path.ptr + path.len, .method = method};
    q.count = split(path, r->max_depth + 2, raw, &encoded);
    if (CL_UNLIKELY(encoded))
        return find_encoded(r, &q, path, m);
    return find_split(r, &q, path, m);
}

enum cl_route_result cl_router_find(const struct cl_router *r, unsigned method, struct cl_str path,
                                    struct cl_route_match *m) {
    assert(r->frozen);
    m->target = NULL;
    m->allow_mask = 0;
    m->param_count = 0;
    m->slash_redirect = false;
    m->regex_aborted = false;
    if (CL_UNLIKELY(path.len == 0 || path.ptr[0] != '/'))
        return CL_ROUTE_NOT_FOUND;
    /* Literal segments win at every level, so a path without parameters is the walk's first leaf.
     */
    uint32_t node = cl_static_map_find(&r->map, CL_STATIC_WHOLE, path);
    if (node != 0 && has_method(&r->nodes[node], method))
        return found(r, &r->nodes[node], method, 0, m);
    return find_in_tree(r, method, path, m);
}

uint32_t cl_router_allow(const struct cl_router *r, struct cl_str path) {
    struct cl_route_match m;
    (void)cl_router_find(r, CL_ROUTER_MAX_METHODS, path, &m);
    return m.allow_mask;
}
