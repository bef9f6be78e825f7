/* Nanoseconds per look-up, for tables of 10, 1,000 and 10,000 routes.
 *
 * "few": the same number of distinct paths whatever the table's size, which shows what the size
 * costs. "all": paths spread over the whole table, which adds the cache misses of a table that is
 * used in full. The table of size n has n routes: half without parameters, a quarter with one, a
 * quarter with two. All paths of a shape have the same length. Best of many short rounds, the
 * tables taking turns, so that what else runs on the machine falls out. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "router/router.h"

enum { FEW = 2, MAX_PATHS = 4096, LOOKUPS = 10000, ROUNDS = 200 };

enum shape { STATIC, ONE_PARAM, TWO_PARAMS, MISSING, SHAPES };
static const char *const shape_names[SHAPES] = {"static", "one param", "two params", "404"};

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int shape_text(char *out, size_t size, enum shape shape, unsigned i, bool pattern) {
    switch (shape) {
    case STATIC: return snprintf(out, size, "/api/v1/users%05u/list", i);
    case ONE_PARAM: return snprintf(out, size, "/api/v1/users%05u/%s", i, pattern ? "{id}" : "42");
    case TWO_PARAMS:
        return snprintf(out, size, "/api/v1/users%05u/%s/posts/%s", i, pattern ? "{id}" : "42",
                        pattern ? "{slug}" : "a-title");
    default: return snprintf(out, size, "/api/v2/users%05u/none", i);
    }
}

static struct cl_router *table(unsigned routes) {
    struct cl_router *r = cl_router_new();
    for (unsigned i = 0; r && i < routes; i++) {
        static const enum shape shapes[] = {STATIC, ONE_PARAM, STATIC, TWO_PARAMS};
        char text[128], why[256];
        unsigned index = shapes[i % 4] == STATIC ? i / 2 : i / 4;
        int n = shape_text(text, sizeof(text), shapes[i % 4], index, true);
        if (cl_router_add(r, CL_METHOD_GET, cl_str(text, (size_t)n), NULL, r, why, sizeof(why)))
            exit(1);
    }
    if (!r || cl_router_freeze(r))
        exit(1);
    return r;
}

/* One line of the result. */
struct line {
    unsigned routes;
    bool all;
    unsigned count; /* paths of each shape */
    struct cl_router *router;
    struct cl_str paths[SHAPES][MAX_PATHS];
    double best_ns[SHAPES];
};

/* Paths spread evenly over the table. */
static void prepare(struct line *line, unsigned routes, bool all) {
    unsigned groups = routes / 4;
    line->routes = routes;
    line->all = all;
    line->count = CL_MIN(groups, all ? (unsigned)MAX_PATHS : (unsigned)FEW);
    line->router = table(routes);
    for (unsigned s = 0; s < SHAPES; s++) {
        line->best_ns[s] = 1e18;
        for (unsigned i = 0; i < line->count; i++) {
            char text[64];
            unsigned group = i * groups / line->count;
            int n = shape_text(text, sizeof(text), (enum shape)s, group, false);
            line->paths[s][i] = cl_str(strdup(text), (size_t)n);
        }
    }
}

static void measure(struct line *line, unsigned shape) {
    struct cl_route_match m;
    unsigned sum = 0;
    double start = now_ns();
    for (unsigned i = 0, p = 0; i < LOOKUPS; i++) {
        sum += (unsigned)cl_router_find(line->router, CL_METHOD_GET, line->paths[shape][p], &m);
        p = p + 1 == line->count ? 0 : p + 1;
    }
    double ns = (now_ns() - start) / LOOKUPS;
    __asm__ volatile("" ::"r"(sum));
    line->best_ns[shape] = CL_MIN(line->best_ns[shape], ns);
}

static void print(const struct line *line) {
    printf("%-8u %-6s", line->routes, line->all ? "all" : "few");
    for (unsigned s = 0; s < SHAPES; s++)
        printf(" %12.1f", line->best_ns[s]);
    printf("\n");
}

int main(void) {
    static const unsigned sizes[] = {10, 1000, 10000};
    enum { LINES = 2 * CL_ARRAY_LEN(sizes) };
    static struct line lines[LINES];
    for (unsigned i = 0; i < LINES; i++)
        prepare(&lines[i], sizes[i % CL_ARRAY_LEN(sizes)], i >= CL_ARRAY_LEN(sizes));
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned s = 0; s < SHAPES; s++)
            for (unsigned i = 0; i < LINES; i++)
                measure(&lines[i], s);

    printf("%-8s %-6s", "routes", "paths");
    for (unsigned s = 0; s < SHAPES; s++)
        printf(" %12s", shape_names[s]);
    printf("   ns per look-up\n");
    for (unsigned i = 0; i < LINES; i++)
        print(&lines[i]);
    return 0;
}
