/* The route table, for the files of this folder only.
 *
 * Registration grows a tree of segments, one level per segment of a path. Children are numbers, not
 * pointers; literal children live in the static map, parameters in a list per node:
 *
 *     GET /v1/users            node 0 (root)
 *     GET /v1/users/{id:int}     |"v1"  (static map)
 *     GET /v1/users/{name}/x   node 1
 *     GET /f/{p:path}            |"users"
 *                              node 2 *--> {int} node 3 *   {text} node 4 --"x"--> node 5 *
 *
 * The freeze lays the same tree out in four arrays without pointers between them:
 *
 *     nodes    | mask | route | edge | tail | edge_count | has_literals |   20 bytes a node
 *                 |      |       |      |
 *                 |      |       |      +--> node of {x:path}, 0 = none
 *                 |      |       +--> edges: the node's parameters, in order of precedence
 *                 |      +----------> routes: one per bit of mask, in order of methods
 *                 +-----------------> methods answered at this node (HEAD with GET); 0 = none
 *     edges    | child | kind | prefix and suffix | regex |
 *     routes   | target | names | count |
 *     names    | name | name | ...     spans of the registered patterns */
#ifndef CL_ROUTER_ROUTER_INTERNAL_H
#define CL_ROUTER_ROUTER_INTERNAL_H

#include "router/regex.h"
#include "router/router.h"
#include "router/static_map.h"

/* A path may be one segment longer than any pattern and still match without its trailing slash. */
#define CL_ROUTER_SPLIT_MAX (CL_PATTERN_MAX_SEGMENTS + 2)

/* One registered route. */
struct cl_route_def {
    char *pattern;
    char *where; /* never NULL */
    size_t pattern_len;
    void *target;
    uint32_t node;
    unsigned method;
    unsigned param_count;
    struct cl_str names[]; /* spans of `pattern` */
};

/* A node while it grows. Lists are linked by index; 0 ends them. */
struct cl_build_node {
    uint32_t mask;
    uint32_t first_edge;
    uint32_t tail;
    uint32_t edge_count;
    bool has_literals;
};

/* One parameter that leads from a node to a child. */
struct cl_param_edge {
    uint32_t child;
    uint32_t next; /* while it grows */
    uint16_t prefix_len;
    uint16_t suffix_len;
    uint16_t regex_len;
    uint8_t kind; /* enum cl_param_kind */
    bool plain;   /* {name} alone: takes any segment but the empty one */
    char *text;   /* owned: prefix, suffix and expression, in this order; NULL when all are empty */
    struct cl_regex *regex; /* owned; NULL unless CL_PARAM_REGEX */
};

struct cl_route_node {
    uint32_t mask;
    uint32_t route;
    uint32_t edge;
    uint32_t tail;
    uint16_t edge_count;
    bool has_literals; /* children in the static map */
};

struct cl_route_entry {
    void *target;
    uint32_t names;
    uint32_t param_count;
};

struct cl_router {
    struct cl_static_map map;
    struct cl_route_node *nodes; /* these four: NULL until frozen, never written afterwards */
    struct cl_param_edge *edges;
    struct cl_route_entry *routes;
    struct cl_str *names;
    unsigned max_depth;
    bool frozen;

    struct cl_route_def **defs;
    uint32_t def_count, def_cap;
    struct cl_build_node *build_nodes;
    uint32_t node_count, node_cap;
    struct cl_param_edge *build_edges; /* entry 0 is unused and owns nothing */
    uint32_t edge_count, edge_cap;
};

/* Bits of `mask` below `method`: the place of its route among its node's. */
CL_INLINE uint32_t cl_route_rank(uint32_t mask, unsigned method) {
    uint32_t below = mask & ((1u << method) - 1);
    return below == 0 ? 0 : (uint32_t)__builtin_popcount(below);
}

#endif
