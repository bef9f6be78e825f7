/* Registration: patterns become a growing tree of segments. */
#include <stdio.h>

#include "base/alloc.h"
#include "router/router_internal.h"

/* Tests build tables of 10,000 routes; a hundred times that is a mistake. */
#define MAX_ROUTES 1000000u

struct cl_router *cl_router_new(void) {
    struct cl_router *r = cl_calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->build_nodes = cl_calloc(1, sizeof(*r->build_nodes));
    if (!r->build_nodes) {
        cl_free(r);
        return NULL;
    }
    r->node_count = 1;
    r->node_cap = 1;
    r->edge_count = 1;
    return r;
}

static void free_def(struct cl_route_def *def) {
    if (!def)
        return;
    cl_free(def->pattern);
    cl_free(def->where);
    cl_free(def);
}

/* Entry 0 is unused while the tree grows, and an edge like any other once it is frozen; it owns
 * nothing in the first case. */
static void free_edges(struct cl_param_edge *edges, uint32_t count) {
    for (uint32_t i = 0; edges && i < count; i++) {
        cl_regex_del(edges[i].regex);
        cl_free(edges[i].text);
    }
    cl_free(edges);
}

void cl_router_del(struct cl_router *r) {
    if (!r)
        return;
    for (uint32_t i = 0; i < r->def_count; i++)
        free_def(r->defs[i]);
    free_edges(r->edges, r->edge_count);
    free_edges(r->build_edges, r->edge_count);
    cl_free(r->defs);
    cl_free(r->build_nodes);
    cl_free(r->nodes);
    cl_free(r->routes);
    cl_free(r->names);
    cl_static_map_free(&r->map);
    cl_free(r);
}

/* Room for one more entry of `size` bytes in `*array`. */
static int reserve(void **array, uint32_t count, uint32_t *cap, size_t size) {
    if (count < *cap)
        return CELLO_OK;
    uint32_t bigger = CL_MAX(8u, *cap * 2);
    void *mem = cl_realloc(*array, bigger * size);
    if (!mem)
        return CELLO_ENOMEM;
    *array = mem;
    *cap = bigger;
    return CELLO_OK;
}

static int add_node(struct cl_router *r, uint32_t *out) {
    void *nodes = r->build_nodes;
    int err = reserve(&nodes, r->node_count, &r->node_cap, sizeof(*r->build_nodes));
    r->build_nodes = nodes;
    if (err)
        return err;
    *out = r->node_count++;
    r->build_nodes[*out] = (struct cl_build_node){.mask = 0};
    return CELLO_OK;
}

/* A child without a route answers nothing, so one left behind by a later failure does no harm. */
static int grow_static(struct cl_router *r, uint32_t parent, struct cl_str text, uint32_t *child) {
    *child = cl_static_map_find(&r->map, parent, text);
    if (*child != 0)
        return CELLO_OK;
    int err = add_node(r, child);
    if (!err)
        err = cl_static_map_add(&r->map, parent, text, *child);
    if (!err)
        r->build_nodes[parent].has_literals = true;
    return err;
}

static int grow_tail(struct cl_router *r, uint32_t parent, uint32_t *child) {
    *child = r->build_nodes[parent].tail;
    if (*child != 0)
        return CELLO_OK;
    int err = add_node(r, child);
    if (!err)
        r->build_nodes[parent].tail = *child;
    return err;
}

static bool same_edge(const struct cl_param_edge *e, const struct cl_pattern_segment *s) {
    const char *text = e->text;
    return e->kind == s->kind && cl_str_eq(cl_str(text, e->prefix_len), s->prefix) &&
           cl_str_eq(cl_str(text + e->prefix_len, e->suffix_len), s->suffix) &&
           cl_str_eq(cl_str(text + e->prefix_len + e->suffix_len, e->regex_len), s->regex);
}

static int copy_edge_text(struct cl_param_edge *e, const struct cl_pattern_segment *s) {
    size_t len = s->prefix.len + s->suffix.len + s->regex.len;
    e->prefix_len = (uint16_t)s->prefix.len;
    e->suffix_len = (uint16_t)s->suffix.len;
    e->regex_len = (uint16_t)s->regex.len;
    e->text = cl_malloc(len + 1);
    if (!e->text)
        return CELLO_ENOMEM;
    char *p = e->text;
    memcpy(p, s->prefix.ptr, s->prefix.len);
    p += s->prefix.len;
    if (s->suffix.len)
        memcpy(p, s->suffix.ptr, s->suffix.len);
    p += s->suffix.len;
    if (s->regex.len)
        memcpy(p, s->regex.ptr, s->regex.len);
    p[s->regex.len] = '\0';
    return CELLO_OK;
}

static int new_edge(struct cl_router *r, const struct cl_pattern *pattern,
                    const struct cl_pattern_segment *s, struct cl_param_edge *e,
                    struct cl_pattern_error *error) {
    *e = (struct cl_param_edge){.kind = (uint8_t)s->kind};
    e->plain = s->kind == CL_PARAM_TEXT && s->prefix.len + s->suffix.len == 0;
    int err = copy_edge_text(e, s);
    if (!err && s->kind == CL_PARAM_REGEX) {
        size_t offset;
        err = cl_regex_new(s->regex, CL_REGEX_WHOLE, &e->regex, error->text, sizeof(error->text),
                           &offset);
        error->offset = (size_t)(s->regex.ptr - pattern->text.ptr) + offset;
    }
    if (!err)
        err = add_node(r, &e->child);
    if (err) {
        cl_regex_del(e->regex);
        cl_free(e->text);
    }
    return err;
}

static int grow_param(struct cl_router *r, uint32_t parent, const struct cl_pattern *pattern,
                      const struct cl_pattern_segment *s, uint32_t *child,
                      struct cl_pattern_error *error) {
    for (uint32_t i = r->build_nodes[parent].first_edge; i != 0; i = r->build_edges[i].next) {
        if (same_edge(&r->build_edges[i], s)) {
            *child = r->build_edges[i].child;
            return CELLO_OK;
        }
    }
    if (r->build_nodes[parent].edge_count == CL_ROUTER_MAX_ALTERNATIVES) {
        error->offset = (size_t)(s->name.ptr - pattern->text.ptr);
        snprintf(error->text, sizeof(error->text), "more than %d parameters compete here",
                 CL_ROUTER_MAX_ALTERNATIVES);
        return CELLO_ELIMIT;
    }
    void *edges = r->build_edges;
    int err = reserve(&edges, r->edge_count, &r->edge_cap, sizeof(*r->build_edges));
    r->build_edges = edges;
    struct cl_param_edge edge;
    if (!err && r->edge_count == 1)
        r->build_edges[0] = (struct cl_param_edge){.child = 0};
    if (!err)
        err = new_edge(r, pattern, s, &edge, error);
    if (err)
        return err;
    struct cl_build_node *node = &r->build_nodes[parent];
    edge.next = node->first_edge;
    node->first_edge = r->edge_count;
    node->edge_count++;
    r->build_edges[r->edge_count++] = edge;
    *child = edge.child;
    return CELLO_OK;
}

/* The node at which `pattern` ends, with all nodes on the way to it. */
static int grow(struct cl_router *r, const struct cl_pattern *pattern, uint32_t *leaf,
                struct cl_pattern_error *error) {
    uint32_t node = 0;
    int err = CELLO_OK;
    for (unsigned i = 0; i < pattern->segment_count && !err; i++) {
        const struct cl_pattern_segment *s = &pattern->segments[i];
        uint32_t child = 0;
        if (!s->is_param)
            err = grow_static(r, node, s->prefix, &child);
        else if (s->kind == CL_PARAM_PATH)
            err = grow_tail(r, node, &child);
        else
            err = grow_param(r, node, pattern, s, &child, error);
        node = child;
    }
    *leaf = node;
    return err;
}

static struct cl_route_def *new_def(unsigned method, const struct cl_pattern *pattern,
                                    const char *where, void *target) {
    struct cl_route_def *def =
        cl_calloc(1, sizeof(*def) + pattern->param_count * sizeof(def->names[0]));
    if (!def)
        return NULL;
    def->method = method;
    def->target = target;
    def->pattern_len = pattern->text.len;
    def->pattern = cl_strndup(pattern->text.ptr, pattern->text.len);
    def->where = cl_strndup(where, strlen(where));
    if (!def->pattern || !def->where) {
        free_def(def);
        return NULL;
    }
    for (unsigned i = 0; i < pattern->segment_count; i++) {
        const struct cl_pattern_segment *s = &pattern->segments[i];
        if (s->is_param)
            def->names[def->param_count++] =
                cl_str(def->pattern + (s->name.ptr - pattern->text.ptr), s->name.len);
    }
    return def;
}

/* Columns count characters from 1, as editors do. */
static size_t column(struct cl_str pattern, size_t offset) {
    size_t characters = 1;
    for (size_t i = 0; i < offset && i < pattern.len; i++)
        characters += ((unsigned char)pattern.ptr[i] & 0xc0) != 0x80;
    return characters;
}

#define SHOWN(s) (int)CL_MIN((s).len, (size_t)200), (s).ptr

static void describe(int err, struct cl_str pattern, const char *where,
                     const struct cl_pattern_error *error, char *errbuf, size_t errlen) {
    const char *colon = *where ? ": " : "";
    if (err == CELLO_ENOMEM || error->text[0] == '\0')
        snprintf(errbuf, errlen, "%s%sroute \"%.*s\": %s", where, colon, SHOWN(pattern),
                 err == CELLO_ENOMEM ? "out of memory" : "the route table is full");
    else
        snprintf(errbuf, errlen, "%s%sroute \"%.*s\", column %zu: %s", where, colon, SHOWN(pattern),
                 column(pattern, error->offset), error->text);
}

static void describe_conflict(const struct cl_router *r, uint32_t node, unsigned method,
                              struct cl_str pattern, const char *where, char *errbuf,
                              size_t errlen) {
    const struct cl_route_def *other = r->defs[0];
    for (uint32_t i = 0; i < r->def_count; i++)
        if (r->defs[i]->node == node && r->defs[i]->method == method)
            other = r->defs[i];
    struct cl_str name = cl_method_name((enum cl_method)method);
    snprintf(errbuf, errlen, "%s%sroute \"%.*s %.*s\" conflicts with \"%.*s %s\"%s%s", where,
             *where ? ": " : "", SHOWN(name), SHOWN(pattern), SHOWN(name), other->pattern,
             *other->where ? " registered at " : "", other->where);
}

/* Room for a definition of each method, then the definitions themselves; none after an error. */
static int add_defs(struct cl_router *r, uint32_t methods, const struct cl_pattern *pattern,
                    const char *where, void *target, uint32_t leaf) {
    const uint32_t before = r->def_count;
    for (unsigned method = 0; method < CL_ROUTER_MAX_METHODS; method++) {
        if (!(methods >> method & 1))
            continue;
        void *defs = r->defs;
        int err = reserve(&defs, r->def_count, &r->def_cap, sizeof(*r->defs));
        r->defs = defs;
        struct cl_route_def *def = err ? NULL : new_def(method, pattern, where, target);
        if (!def) {
            while (r->def_count > before)
                free_def(r->defs[--r->def_count]);
            return CELLO_ENOMEM;
        }
        def->node = leaf;
        r->defs[r->def_count++] = def;
    }
    return CELLO_OK;
}

static int insert(struct cl_router *r, uint32_t methods, const struct cl_pattern *pattern,
                  const char *where, void *target, struct cl_pattern_error *error, char *errbuf,
                  size_t errlen) {
    uint32_t leaf = 0;
    int err = grow(r, pattern, &leaf, error);
    if (err)
        return err;
    struct cl_build_node *node = &r->build_nodes[leaf];
    uint32_t taken = node->mask & methods;
    if (taken) {
        describe_conflict(r, leaf, (unsigned)__builtin_ctz(taken), pattern->text, where, errbuf,
                          errlen);
        return CELLO_EEXIST;
    }
    err = add_defs(r, methods, pattern, where, target, leaf);
    if (err)
        return err;
    node->mask |= methods;
    r->max_depth = CL_MAX(r->max_depth, pattern->segment_count);
    return CELLO_OK;
}

int cl_router_add_all(struct cl_router *r, uint32_t methods, struct cl_str pattern,
                      const char *where, void *target, char *errbuf, size_t errlen) {
    assert(target && methods && errlen > 0);
    errbuf[0] = '\0';
    if (!where)
        where = "";
    if (r->frozen) {
        snprintf(errbuf, errlen, "%s%sroute \"%.*s\": the route table is frozen", where,
                 *where ? ": " : "", SHOWN(pattern));
        return CELLO_ESTATE;
    }
    struct cl_pattern parsed;
    struct cl_pattern_error error = {.offset = 0};
    int err =
        r->def_count >= MAX_ROUTES ? CELLO_ELIMIT : cl_pattern_parse(pattern, &parsed, &error);
    if (!err)
        err = insert(r, methods, &parsed, where, target, &error, errbuf, errlen);
    if (err && err != CELLO_EEXIST)
        describe(err, pattern, where, &error, errbuf, errlen);
    return err;
}

int cl_router_add(struct cl_router *r, unsigned method, struct cl_str pattern, const char *where,
                  void *target, char *errbuf, size_t errlen) {
    assert(method < CL_ROUTER_MAX_METHODS);
    return cl_router_add_all(r, 1u << method, pattern, where, target, errbuf, errlen);
}

int cl_router_walk(const struct cl_router *r, int (*visit)(void *ctx, const struct cl_route_info *),
                   void *ctx) {
    for (uint32_t i = 0; i < r->def_count; i++) {
        const struct cl_route_def *def = r->defs[i];
        struct cl_route_info info = {.method = def->method,
                                     .pattern = cl_str(def->pattern, def->pattern_len),
                                     .where = def->where,
                                     .target = def->target};
        int stop = visit(ctx, &info);
        if (stop)
            return stop;
    }
    return CELLO_OK;
}
