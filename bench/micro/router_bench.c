/* Nanoseconds per look-up, for tables of 10, 1,000 and 10,000 routes.
 *
 * "few": the same number of distinct paths whatever the table's size, which shows what the size
 * costs. "all": paths spread over the whole table, which adds the cache misses of a table that is
 * used in full. The table of size n has n routes: half without parameters, a quarter with one, a
 * quarter with two. Best of several rounds; nothing else should run. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "router/router.h"

enum { FEW = 2, MAX_PATHS = 4096, LOOKUPS = 200000, ROUNDS = 15 };

static const char *const words[] = {"users", "orders",  "items", "invoices",
                                    "teams", "reports", "files", "events"};

enum shape { STATIC, ONE_PARAM, TWO_PARAMS, MISSING, SHAPES };
static const char *const shape_names[SHAPES] = {"static", "one param", "two params", "404"};

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int shape_text(char *out, size_t size, enum shape shape, unsigned i, bool pattern) {
    const char *word = words[i % CL_ARRAY_LEN(words)];
    switch (shape) {
    case STATIC: return snprintf(out, size, "/api/v1/%s%u/list", word, i);
    case ONE_PARAM: return snprintf(out, size, "/api/v1/%s%u/%s", word, i, pattern ? "{id}" : "42");
    case TWO_PARAMS:
        return snprintf(out, size, "/api/v1/%s%u/%s/posts/%s", word, i, pattern ? "{id}" : "42",
                        pattern ? "{slug}" : "a-title");
    default: return snprintf(out, size, "/api/v2/%s%u/none", word, i);
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

static double measure(const struct cl_router *r, const struct cl_str *paths, unsigned count) {
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        struct cl_route_match m;
        unsigned sum = 0;
        double start = now_ns();
        for (unsigned i = 0, p = 0; i < LOOKUPS; i++) {
            sum += (unsigned)cl_router_find(r, CL_METHOD_GET, paths[p], &m) + m.param_count;
            p = p + 1 == count ? 0 : p + 1;
        }
        double ns = (now_ns() - start) / LOOKUPS;
        __asm__ volatile("" ::"r"(sum));
        best = ns < best ? ns : best;
    }
    return best;
}

/* Paths of one shape, spread evenly over the `groups` of the table. */
static double shape_ns(const struct cl_router *r, enum shape shape, unsigned groups,
                       unsigned count) {
    static char text[MAX_PATHS][64];
    static struct cl_str paths[MAX_PATHS];
    for (unsigned i = 0; i < count; i++) {
        unsigned group = (unsigned)((uint64_t)i * groups / count);
        paths[i] =
            cl_str(text[i], (size_t)shape_text(text[i], sizeof(text[i]), shape, group, false));
    }
    return measure(r, paths, count);
}

int main(void) {
    static const unsigned sizes[] = {10, 1000, 10000};
    printf("%-8s %-6s", "routes", "paths");
    for (int s = 0; s < SHAPES; s++)
        printf(" %12s", shape_names[s]);
    printf("   ns per look-up\n");
    for (int all = 0; all < 2; all++) {
        for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++) {
            struct cl_router *r = table(sizes[i]);
            unsigned groups = sizes[i] / 4;
            unsigned count =
                all ? CL_MIN(groups, (unsigned)MAX_PATHS) : CL_MIN(groups, (unsigned)FEW);
            printf("%-8u %-6s", sizes[i], all ? "all" : "few");
            for (int s = 0; s < SHAPES; s++)
                printf(" %12.1f", shape_ns(r, (enum shape)s, groups, count));
            printf("\n");
            cl_router_del(r);
        }
    }
    return 0;
}
