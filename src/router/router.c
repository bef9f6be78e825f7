/* Look-up in the frozen table: split, decode where needed, then a depth-first walk with a stack as
 * deep as the longest pattern. */
#include <endian.h>

#include "http/uri.h"
#include "router/router_internal.h"

/* The path of one look-up. `decoded` is `raw` itself unless something is percent-encoded. */
struct query {
    const struct cl_str *decoded;
    const struct cl_str *raw;
    const char *end; /* of the path */
    unsigned count;  /* segments; one more than any pattern has means "or more" */
    unsigned method;
};

/* Where the walk stands, and where it can come back to. */
struct place {
    uint32_t node;
    uint16_t depth;  /* of the node: the segment its children are asked for */
    uint16_t next;   /* alternative to try: 0 = literal, i = the node's parameter i - 1 */
    uint32_t params; /* taken on the way here */
};

CL_INLINE bool has_method(const struct cl_route_node *n, unsigned method) {
    return method < CL_ROUTER_MAX_METHODS && (n->mask >> method & 1);
}

CL_INLINE enum cl_route_result found(const struct cl_router *r, const struct cl_route_node *n,
                                     unsigned method, unsigned params, struct cl_route_match *m) {
    const struct cl_route_entry *route = &r->routes[n->route + cl_route_rank(n->mask, method)];
    m->target = route->target;
    m->allow_mask = n->mask | 1u << CL_METHOD_OPTIONS;
    m->param_count = params;
    for (unsigned i = 0; i < params; i++)
        m->params[i].name = r->names[route->names + i];
    return CL_ROUTE_FOUND;
}

/* 0x80 in every byte of `word` that is `c`, else 0. */
CL_INLINE uint64_t bytes_equal(uint64_t word, unsigned char c) {
    const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t x = word ^ UINT64_C(0x0101010101010101) * c;
    return ~(((x & low7) + low7) | x | low7);
}

/* Up to eight bytes from `at`, the first one lowest, zeros behind the end. No byte outside of the
 * path is read. */
CL_INLINE uint64_t load_word(struct cl_str path, size_t at) {
    uint64_t word = 0;
    size_t left = path.len - at;
    if (left >= 8) {
        memcpy(&word, path.ptr + at, 8);
        return le64toh(word);
    }
    if (path.len >= 8) {
        memcpy(&word, path.ptr + path.len - 8, 8);
        return le64toh(word) >> (8 * (8 - left));
    }
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)(unsigned char)path.ptr[at + i] << (8 * i);
    return word;
}

/* Cut at most `max` segments of a path that starts with '/'; an empty one follows the last.
 * `*encoded`: there may be a '%' among them. */
CL_INLINE unsigned split(struct cl_str path, unsigned max, struct cl_str *out, bool *encoded) {
    const char *start = path.ptr + 1;
    unsigned count = 0;
    uint64_t percents = 0;
    for (size_t at = 1; at < path.len; at += 8) {
        uint64_t word = load_word(path, at);
        percents |= bytes_equal(word, '%');
        for (uint64_t s = bytes_equal(word, '/'); s != 0; s &= s - 1) {
            const char *slash = path.ptr + at + (unsigned)__builtin_ctzll(s) / 8;
            out[count++] = cl_str(start, (size_t)(slash - start));
            start = slash + 1;
            if (count == max)
                goto done;
        }
    }
    out[count++] = cl_str(start, (size_t)(path.ptr + path.len - start));
done:
    out[count] = cl_str(path.ptr + path.len, 0);
    *encoded = percents != 0;
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

/* Whether the segment fits; `*value` is then the parameter's raw span. Kept out of the walk, whose
 * few variables then stay in registers. */
static CL_NOINLINE bool edge_accepts(const struct cl_param_edge *e, struct cl_str decoded,
                                     struct cl_str raw, struct cl_str *value,
                                     struct cl_route_match *m) {
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

/* The next child that takes the segment at `at`, 0 when none is left. */
CL_INLINE uint32_t next_child(const struct cl_router *r, const struct query *q, struct place *at,
                              struct cl_route_match *m) {
    const struct cl_route_node *n = &r->nodes[at->node];
    struct cl_str segment = q->decoded[at->depth];
    if (at->next == 0) {
        at->next = 1;
        uint32_t child = n->has_literals ? cl_static_map_find(&r->map, at->node, segment) : 0;
        if (child != 0)
            return child;
    }
    while (at->next <= n->edge_count) {
        const struct cl_param_edge *e = &r->edges[n->edge + at->next++ - 1];
        struct cl_str raw = q->raw[at->depth];
        struct cl_str *value = &m->params[at->params].raw;
        if (e->plain ? raw.len > 0 : edge_accepts(e, segment, raw, value, m)) {
            if (e->plain)
                *value = raw;
            return e->child;
        }
    }
    return 0;
}

/* The rest of the path as {name:path}. It is never empty: "/files/" has none. */
CL_INLINE bool tail_accepts(const struct query *q, const struct place *at,
                            struct cl_route_match *m) {
    if (at->depth + 1u == q->count && q->decoded[at->depth].len == 0)
        return false;
    const char *rest = q->raw[at->depth].ptr;
    m->params[at->params].raw = cl_str(rest, (size_t)(q->end - rest));
    return true;
}

/* Depth first in order of precedence; `forks` holds the places that have alternatives left. Every
 * node has one parent and one depth, so none is entered twice, and forks are at most as many as
 * levels. `m->allow_mask` collects the methods of all patterns that fit until one answers. */
static enum cl_route_result walk(const struct cl_router *r, const struct query *q,
                                 struct cl_route_match *m) {
    struct place forks[CL_PATTERN_MAX_SEGMENTS];
    unsigned fork_count = 0;
    struct place at = {.node = 0};
    m->allow_mask = 0;
    for (;;) {
        const struct cl_route_node *n = &r->nodes[at.node];
        if (at.depth == q->count) {
            if (has_method(n, q->method))
                return found(r, n, q->method, at.params, m);
            m->allow_mask |= n->mask;
        } else {
            uint32_t child = next_child(r, q, &at, m);
            if (child != 0) {
                if (at.next <= n->edge_count || n->tail != 0)
                    forks[fork_count++] = at;
                at = (struct place){.node = child,
                                    .depth = (uint16_t)(at.depth + 1),
                                    .params = at.params + (at.next > 1)};
                continue;
            }
            if (n->tail != 0 && tail_accepts(q, &at, m)) {
                const struct cl_route_node *tail = &r->nodes[n->tail];
                if (has_method(tail, q->method))
                    return found(r, tail, q->method, at.params + 1, m);
                m->allow_mask |= tail->mask;
            }
        }
        if (fork_count == 0)
            break;
        at = forks[--fork_count];
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
    else if (toggled.count++ >= r->max_depth)
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
