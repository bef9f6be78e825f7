/* The freeze: the growing tree becomes the flat table of router_internal.h. */
#include "base/alloc.h"
#include "router/router_internal.h"

/* What look-ups read, while it is being filled. */
struct layout {
    struct cl_route_node *nodes;
    struct cl_param_edge *edges;
    struct cl_route_entry *routes;
    struct cl_str *names;
};

static uint32_t answered(uint32_t mask) {
    return mask & 1u << CL_METHOD_GET ? mask | 1u << CL_METHOD_HEAD : mask;
}

/* Whether `a` is tried before `b`. Edges are registered in order of their index. */
static bool precedes(const struct cl_param_edge *edges, uint32_t a, uint32_t b) {
    unsigned literal_a = (unsigned)edges[a].prefix_len + edges[a].suffix_len;
    unsigned literal_b = (unsigned)edges[b].prefix_len + edges[b].suffix_len;
    if (literal_a != literal_b)
        return literal_a > literal_b;
    if (edges[a].kind != edges[b].kind)
        return edges[a].kind < edges[b].kind;
    return a < b;
}

/* A node's edges in order of precedence, copied to `out`; insertion sort of at most 64. */
static void lay_edges(const struct cl_router *r, const struct cl_build_node *node,
                      struct cl_param_edge *out) {
    uint32_t order[CL_ROUTER_MAX_ALTERNATIVES];
    uint32_t count = 0;
    for (uint32_t e = node->first_edge; e != 0; e = r->build_edges[e].next) {
        uint32_t at = count++;
        for (; at > 0 && precedes(r->build_edges, e, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = e;
    }
    for (uint32_t i = 0; i < count; i++)
        out[i] = r->build_edges[order[i]];
}

/* Returns the number of routes, HEAD's included. */
static uint32_t lay_nodes(const struct cl_router *r, struct layout *l) {
    uint32_t edge = 0;
    uint32_t route = 0;
    for (uint32_t i = 0; i < r->node_count; i++) {
        const struct cl_build_node *node = &r->build_nodes[i];
        uint32_t mask = answered(node->mask);
        l->nodes[i] = (struct cl_route_node){.mask = mask,
                                             .route = route,
                                             .edge = edge,
                                             .tail = node->tail,
                                             .edge_count = (uint16_t)node->edge_count,
                                             .has_literals = node->has_literals};
        if (node->edge_count)
            lay_edges(r, node, l->edges + edge);
        edge += node->edge_count;
        route += (uint32_t)__builtin_popcount(mask);
    }
    return route;
}

static void lay_routes(const struct cl_router *r, struct layout *l) {
    uint32_t name = 0;
    for (uint32_t i = 0; i < r->def_count; i++) {
        const struct cl_route_def *def = r->defs[i];
        const struct cl_route_node *node = &l->nodes[def->node];
        struct cl_route_entry route = {
            .target = def->target, .names = name, .param_count = def->param_count};
        l->routes[node->route + cl_route_rank(node->mask, def->method)] = route;
        bool own_head = r->build_nodes[def->node].mask >> CL_METHOD_HEAD & 1;
        if (def->method == CL_METHOD_GET && !own_head)
            l->routes[node->route + cl_route_rank(node->mask, CL_METHOD_HEAD)] = route;
        for (unsigned p = 0; p < def->param_count; p++)
            l->names[name++] = def->names[p];
    }
}

/* A whole path may stand in the map only if its raw and its decoded form are the same: then a raw
 * path equal to it is that path, and one with percent-encoding equals none. */
static int add_whole_paths(struct cl_router *r) {
    for (uint32_t i = 0; i < r->def_count; i++) {
        const struct cl_route_def *def = r->defs[i];
        struct cl_str path = cl_str(def->pattern, def->pattern_len);
        if (def->param_count > 0 || memchr(path.ptr, '%', path.len) ||
            cl_static_map_find(&r->map, CL_STATIC_WHOLE, path) != 0)
            continue;
        int err = cl_static_map_add(&r->map, CL_STATIC_WHOLE, path, def->node);
        if (err)
            return err;
    }
    return cl_static_map_settle(&r->map);
}

static int allocate(const struct cl_router *r, struct layout *l) {
    size_t names = 1;
    for (uint32_t i = 0; i < r->def_count; i++)
        names += r->defs[i]->param_count;
    l->nodes = cl_calloc(r->node_count, sizeof(*l->nodes));
    l->edges = cl_calloc(r->edge_count, sizeof(*l->edges));
    l->routes = cl_calloc((size_t)r->def_count * 2 + 1, sizeof(*l->routes));
    l->names = cl_calloc(names, sizeof(*l->names));
    return l->nodes && l->edges && l->routes && l->names ? CELLO_OK : CELLO_ENOMEM;
}

int cl_router_freeze(struct cl_router *r) {
    if (r->frozen)
        return CELLO_ESTATE;
    struct layout l = {.nodes = NULL};
    int err = allocate(r, &l);
    if (!err)
        err = add_whole_paths(r);
    if (err) {
        cl_free(l.nodes);
        cl_free(l.edges);
        cl_free(l.routes);
        cl_free(l.names);
        return err;
    }
    uint32_t routes = lay_nodes(r, &l);
    assert(routes <= r->def_count * 2);
    (void)routes;
    lay_routes(r, &l);
    r->nodes = l.nodes;
    r->edges = l.edges;
    r->routes = l.routes;
    r->names = l.names;
    /* The edges' text and expressions have moved along. */
    cl_free(r->build_edges);
    cl_free(r->build_nodes);
    r->build_edges = NULL;
    r->build_nodes = NULL;
    r->frozen = true;
    return CELLO_OK;
}
