/* Random tables and paths against a matcher that knows no tree: it compares every route with the
 * path, and sorts those that fit by the documented precedence. */
#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_ROUTES = 40, MAX_SEGMENTS = 8, TABLES = 1500, PATHS = 60 };

struct naive_route {
    unsigned method;
    unsigned order; /* of registration */
    char pattern[256];
    struct cl_pattern parsed;
};

struct naive_match {
    const struct naive_route *route;
    unsigned count;
    struct cl_str params[CL_ROUTER_MAX_PARAMS];
};

struct table {
    struct naive_route routes[MAX_ROUTES];
    unsigned count;
};

static uint64_t seed;

static unsigned pick(unsigned n) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

/* ---- the naive matcher ---- */

static size_t split(struct cl_str path, struct cl_str *out) {
    size_t count = 0;
    size_t start = 1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i == path.len || path.ptr[i] == '/') {
            out[count++] = cl_str(path.ptr + start, i - start);
            start = i + 1;
        }
    }
    return count;
}

static int hex(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* All escapes in these paths are well-formed. `at[i]` is the raw offset of decoded byte i. */
static struct cl_str decode(struct cl_str raw, char *text, size_t *at) {
    size_t n = 0;
    for (size_t i = 0; i < raw.len; n++) {
        at[n] = i;
        text[n] =
            raw.ptr[i] == '%' ? (char)(hex(raw.ptr[i + 1]) * 16 + hex(raw.ptr[i + 2])) : raw.ptr[i];
        i += raw.ptr[i] == '%' ? 3 : 1;
    }
    at[n] = raw.len;
    return cl_str(text, n);
}

/* The only expressions the generator writes. */
static bool naive_regex(struct cl_str expression, struct cl_str value) {
    size_t a = 0;
    while (a < value.len && value.ptr[a] == 'a')
        a++;
    if (cl_str_eq(expression, CL_STR("a+")))
        return a > 0 && a == value.len;
    return a + 1 == value.len && value.ptr[a] == 'b'; /* a*b */
}

static bool naive_segment(const struct cl_pattern_segment *s, struct cl_str raw,
                          struct cl_str *value) {
    char text[256];
    size_t at[257];
    struct cl_str decoded = decode(raw, text, at);
    if (!s->is_param)
        return cl_str_eq(s->prefix, decoded);
    size_t literal = s->prefix.len + s->suffix.len;
    if (decoded.len <= literal)
        return false;
    struct cl_str inner = cl_str(text + s->prefix.len, decoded.len - literal);
    if (!cl_str_eq(s->prefix, cl_str(text, s->prefix.len)) ||
        !cl_str_eq(s->suffix, cl_str(inner.ptr + inner.len, s->suffix.len)))
        return false;
    size_t from = at[s->prefix.len];
    *value = cl_str(raw.ptr + from, at[s->prefix.len + inner.len] - from);
    return s->kind == CL_PARAM_REGEX ? naive_regex(s->regex, inner)
                                     : cl_param_kind_accepts(s->kind, inner);
}

static bool naive_fits(const struct naive_route *route, struct cl_str path, struct naive_match *m) {
    struct cl_str raw[64];
    size_t count = split(path, raw);
    const struct cl_pattern *p = &route->parsed;
    m->route = route;
    m->count = 0;
    for (size_t i = 0; i < p->segment_count; i++) {
        const struct cl_pattern_segment *s = &p->segments[i];
        if (i >= count)
            return false;
        if (s->is_param && s->kind == CL_PARAM_PATH) {
            m->params[m->count++] = cl_str(raw[i].ptr, (size_t)(path.ptr + path.len - raw[i].ptr));
            return m->params[m->count - 1].len > 0;
        }
        if (!naive_segment(s, raw[i], &m->params[m->count]))
            return false;
        m->count += s->is_param;
    }
    return p->segment_count == count;
}

/* Order of first appearance of an expression among a node's alternatives: the first route with the
 * same segments before it and this segment. */
static unsigned first_with(const struct table *t, const struct naive_route *route, size_t segment);

/* Negative when `a` is tried before `b` at this segment. */
static int compare_segment(const struct table *t, const struct naive_route *ra,
                           const struct naive_route *rb, size_t i) {
    const struct cl_pattern_segment *a = &ra->parsed.segments[i];
    const struct cl_pattern_segment *b = &rb->parsed.segments[i];
    if (a->is_param != b->is_param)
        return a->is_param ? 1 : -1;
    if (!a->is_param)
        return 0;
    bool path_a = a->kind == CL_PARAM_PATH;
    bool path_b = b->kind == CL_PARAM_PATH;
    if (path_a != path_b)
        return path_a ? 1 : -1;
    size_t literal_a = a->prefix.len + a->suffix.len;
    size_t literal_b = b->prefix.len + b->suffix.len;
    if (literal_a != literal_b)
        return literal_a > literal_b ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    unsigned first_a = first_with(t, ra, i);
    unsigned first_b = first_with(t, rb, i);
    return first_a < first_b ? -1 : first_a > first_b;
}

static bool same_segment(const struct cl_pattern_segment *a, const struct cl_pattern_segment *b) {
    return a->is_param == b->is_param && a->kind == b->kind && cl_str_eq(a->prefix, b->prefix) &&
           cl_str_eq(a->suffix, b->suffix) && cl_str_eq(a->regex, b->regex);
}

static unsigned first_with(const struct table *t, const struct naive_route *route, size_t segment) {
    for (unsigned i = 0; i < t->count; i++) {
        const struct cl_pattern *p = &t->routes[i].parsed;
        size_t same = 0;
        while (same <= segment && same < p->segment_count &&
               same_segment(&p->segments[same], &route->parsed.segments[same]))
            same++;
        if (same == segment + 1)
            return i;
    }
    return route->order;
}

static int compare_routes(const struct table *t, const struct naive_route *a,
                          const struct naive_route *b) {
    size_t n = CL_MIN(a->parsed.segment_count, b->parsed.segment_count);
    for (size_t i = 0; i < n; i++) {
        int order = compare_segment(t, a, b, i);
        if (order != 0)
            return order;
    }
    return 0;
}

static enum cl_route_result naive_find(const struct table *t, unsigned method, struct cl_str path,
                                       struct naive_match *best, uint32_t *allow) {
    *allow = 0;
    best->route = NULL;
    for (unsigned i = 0; i < t->count; i++) {
        const struct naive_route *route = &t->routes[i];
        struct naive_match m;
        if (!naive_fits(route, path, &m))
            continue;
        *allow |= 1u << route->method | 1u << CL_METHOD_OPTIONS;
        if (route->method == CL_METHOD_GET)
            *allow |= 1u << CL_METHOD_HEAD;
        bool head_by_get = method == CL_METHOD_HEAD && route->method == CL_METHOD_GET;
        if (route->method != method && !head_by_get)
            continue;
        int order = best->route ? compare_routes(t, route, best->route) : -1;
        if (order < 0 || (order == 0 && route->method == method))
            *best = m;
    }
    if (best->route)
        return CL_ROUTE_FOUND;
    return *allow ? CL_ROUTE_NOT_ALLOWED : CL_ROUTE_NOT_FOUND;
}

/* ---- random tables and paths ---- */

static const char *const literals[] = {"a", "b", "aa", "ab", "1", "caf\xc3\xa9", "x.js"};
static const char *const types[] = {"",      ":int",  ":float",     ":alpha",     ":slug",
                                    ":date", ":uuid", ":regex(a+)", ":regex(a*b)"};
static const char *const affixes[] = {"", "", "", "", "", "a", ".js", "-"};

static void append(char *text, size_t size, const char *more) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", more);
}

static void random_pattern(char *text, size_t size) {
    text[0] = '\0';
    unsigned segments = 1 + pick(4);
    for (unsigned i = 0; i < segments; i++) {
        char part[64];
        bool last = i + 1 == segments;
        append(text, size, "/");
        if (last && pick(6) == 0) {
            append(text, size, pick(2) ? "" : "{tail:path}");
        } else if (pick(2)) {
            append(text, size, literals[pick(CL_ARRAY_LEN(literals))]);
        } else {
            snprintf(part, sizeof(part), "%s{p%u_%u%s}%s", affixes[pick(CL_ARRAY_LEN(affixes))], i,
                     pick(2), types[pick(CL_ARRAY_LEN(types))],
                     affixes[pick(CL_ARRAY_LEN(affixes))]);
            append(text, size, part);
        }
    }
}

static void random_path(char *text, size_t size) {
    static const char *const values[] = {"a",
                                         "b",
                                         "aa",
                                         "ab",
                                         "aab",
                                         "1",
                                         "1.5",
                                         "-2",
                                         "x.js",
                                         "2024-02-29",
                                         "a_b",
                                         "a.js",
                                         "",
                                         "1.js",
                                         "a-",
                                         "aaa-",
                                         "01234567-89ab-cdef-0123-456789abcdef",
                                         "caf\xc3\xa9",
                                         "a/b",
                                         "%"};
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    bool encode = pick(3) == 0;
    text[0] = '\0';
    unsigned segments = 1 + pick(5);
    for (unsigned i = 0; i < segments; i++) {
        append(text, size, "/");
        const char *value = values[pick(CL_ARRAY_LEN(values))];
        for (; *value; value++) {
            unsigned char c = (unsigned char)*value;
            char out[4] = {*value, '\0', '\0', '\0'};
            if (c >= 0x80 || c == '/' || c == '%' || (encode && pick(3) == 0)) {
                unsigned upper = pick(2) * 16;
                out[0] = '%';
                out[1] = digits[upper + (c >> 4)];
                out[2] = digits[upper + (c & 15)];
            }
            append(text, size, out);
        }
    }
}

static struct cl_router *random_table(struct table *t) {
    struct cl_router *r = cl_router_new();
    assert_non_null(r);
    unsigned wanted = 1 + pick(MAX_ROUTES);
    t->count = 0;
    for (unsigned i = 0; i < wanted; i++) {
        struct naive_route *route = &t->routes[t->count];
        struct cl_pattern_error error;
        char why[512];
        random_pattern(route->pattern, sizeof(route->pattern));
        route->method = pick(4);
        route->order = t->count;
        struct cl_str pattern = cl_str(route->pattern, strlen(route->pattern));
        int err = cl_router_add(r, route->method, pattern, NULL, route, why, sizeof(why));
        if (err == CELLO_EEXIST)
            continue;
        if (err || cl_pattern_parse(pattern, &route->parsed, &error))
            fail_msg("%s", why);
        t->count++;
    }
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    return r;
}

static void report(const struct table *t, unsigned method, const char *path, const char *what) {
    for (unsigned i = 0; i < t->count; i++)
        print_error("%u %s\n", t->routes[i].method, t->routes[i].pattern);
    fail_msg("%u %s: %s", method, path, what);
}

static void compare_once(const struct table *t, const struct cl_router *r) {
    char text[512];
    random_path(text, sizeof(text));
    struct cl_str path = cl_str(text, strlen(text));
    unsigned method = pick(5);
    struct naive_match expected;
    uint32_t allow;
    struct cl_route_match m;
    enum cl_route_result result = naive_find(t, method, path, &expected, &allow);
    if (cl_router_find(r, method, path, &m) != result)
        report(t, method, text, "result");
    if (cl_router_allow(r, path) != allow)
        report(t, method, text, "methods of cl_router_allow");
    if (result != CL_ROUTE_FOUND && m.allow_mask != allow)
        report(t, method, text, "allow_mask");
    if (result == CL_ROUTE_FOUND) {
        if (m.target != expected.route || m.param_count != expected.count)
            report(t, method, text, m.target ? ((struct naive_route *)m.target)->pattern : "");
        for (unsigned i = 0; i < m.param_count; i++)
            if (m.params[i].raw.ptr != expected.params[i].ptr ||
                m.params[i].raw.len != expected.params[i].len)
                report(t, method, text, "parameter");
    }
    if (result == CL_ROUTE_NOT_FOUND) {
        if (path.len > 1 && text[path.len - 1] == '/')
            path.len--;
        else if (path.len > 1)
            text[path.len++] = '/';
        bool fits = naive_find(t, method, path, &expected, &allow) == CL_ROUTE_FOUND;
        if (fits != m.slash_redirect)
            report(t, method, text, "slash_redirect");
    }
}

static void agrees_with_the_naive_matcher(void **state) {
    (void)state;
    static struct table t;
    for (unsigned i = 0; i < TABLES; i++) {
        seed = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
        struct cl_router *r = random_table(&t);
        for (unsigned p = 0; p < PATHS; p++)
            compare_once(&t, r);
        cl_router_del(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_naive_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
