#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

#define BIT(method) (1u << CL_METHOD_##method)

/* A route's target is the text of its pattern. */
struct route {
    unsigned method;
    const char *pattern;
};

static struct cl_str span(const char *s) {
    return cl_str(s, strlen(s));
}

static void *target_of(const char *pattern) {
    return (void *)(uintptr_t)pattern;
}

static struct cl_router *router_of(const struct route *routes, size_t count) {
    struct cl_router *r = cl_router_new();
    assert_non_null(r);
    for (size_t i = 0; i < count; i++) {
        char why[256];
        const char *pattern = routes[i].pattern;
        if (cl_router_add(r, routes[i].method, span(pattern), NULL, target_of(pattern), why,
                          sizeof(why)))
            fail_msg("%s", why);
    }
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    return r;
}

#define ROUTER(...)                                                                                \
    router_of((const struct route[]){__VA_ARGS__},                                                 \
              sizeof((const struct route[]){__VA_ARGS__}) / sizeof(struct route))
#define G(pattern)                                                                                 \
    { CL_METHOD_GET, pattern }

/* The path from a block of its own length, so that a read beyond its end is seen. */
static enum cl_route_result find(struct cl_router *r, unsigned method, const char *path,
                                 struct cl_route_match *m) {
    static char *copy;
    free(copy);
    copy = NULL;
    if (!path)
        return CL_ROUTE_NOT_FOUND;
    size_t len = strlen(path);
    copy = malloc(len ? len : 1);
    memcpy(copy, path, len);
    return cl_router_find(r, method, cl_str(copy, len), m);
}

/* GET `path` answers by `pattern` (NULL: 404), with the parameters "name=raw&name=raw". */
static void expect_params(struct cl_router *r, const char *path, const char *pattern,
                          const char *params) {
    struct cl_route_match m;
    char got[512] = "";
    size_t used = 0;
    enum cl_route_result result = find(r, CL_METHOD_GET, path, &m);
    if (result != (pattern ? CL_ROUTE_FOUND : CL_ROUTE_NOT_FOUND))
        fail_msg("%s: result %d", path, result);
    if (pattern && strcmp(m.target, pattern) != 0)
        fail_msg("%s: %s instead of %s", path, (const char *)m.target, pattern);
    for (unsigned i = 0; i < m.param_count; i++) {
        struct cl_route_param p = m.params[i];
        used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%.*s=%.*s", i ? "&" : "",
                                 (int)p.name.len, p.name.ptr, (int)p.raw.len, p.raw.ptr);
    }
    assert_string_equal(got, params);
}

static void expect(struct cl_router *r, const char *path, const char *pattern) {
    struct cl_route_match m;
    enum cl_route_result result = find(r, CL_METHOD_GET, path, &m);
    if (result != (pattern ? CL_ROUTE_FOUND : CL_ROUTE_NOT_FOUND))
        fail_msg("%s: result %d", path, result);
    if (pattern && strcmp(m.target, pattern) != 0)
        fail_msg("%s: %s instead of %s", path, (const char *)m.target, pattern);
}

static void static_paths(void **state) {
    (void)state;
    struct cl_router *r = ROUTER(G("/"), G("/hello"), G("/a/b/c"), G("/a/"), G("/caf\xc3\xa9"));
    expect(r, "/", "/");
    expect(r, "/hello", "/hello");
    expect(r, "/Hello", NULL);
    expect(r, "/hello/", NULL);
    expect(r, "/hell", NULL);
    expect(r, "/helloo", NULL);
    expect(r, "/a/b/c", "/a/b/c");
    expect(r, "/a/b", NULL);
    expect(r, "/a/", "/a/");
    expect(r, "/a", NULL);
    expect(r, "//hello", NULL);
    expect(r, "/a//b/c", NULL);
    expect(r, "//", NULL);
    expect(r, "", NULL);
    expect(r, "hello", NULL);
    expect(r, "*", NULL);
    expect(r, "/caf%C3%A9", "/caf\xc3\xa9");
    cl_router_del(r);
}

static void an_empty_table_finds_nothing(void **state) {
    (void)state;
    struct cl_router *r = cl_router_new();
    struct cl_route_match m;
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    assert_int_equal(find(r, CL_METHOD_GET, "/", &m), CL_ROUTE_NOT_FOUND);
    assert_int_equal(find(r, CL_METHOD_GET, "/a/b/", &m), CL_ROUTE_NOT_FOUND);
    assert_false(m.slash_redirect);
    cl_router_del(r);
    cl_router_del(NULL);
}

static void parameters(void **state) {
    (void)state;
    struct cl_router *r =
        ROUTER(G("/u/{id:int}"), G("/u/{id:int}/posts/{slug}"), G("/f/{rest:path}"),
               G("/d/{name}.json"), G("/v{n:int}/x"), G("/r/{x:regex(a*)}"));
    expect_params(r, "/r/a", "/r/{x:regex(a*)}", "x=a");
    expect_params(r, "/r/", NULL, "");
    expect_params(r, "/u/42", "/u/{id:int}", "id=42");
    expect_params(r, "/u/x", NULL, "");
    expect_params(r, "/u/", NULL, "");
    expect_params(r, "/u/-1/posts/a%20b", "/u/{id:int}/posts/{slug}", "id=-1&slug=a%20b");
    expect_params(r, "/u/1/posts/", NULL, "");
    expect_params(r, "/f/a/b//c/", "/f/{rest:path}", "rest=a/b//c/");
    expect_params(r, "/f/a%2Fb/%41", "/f/{rest:path}", "rest=a%2Fb/%41");
    expect_params(r, "/f/", NULL, "");
    expect_params(r, "/f//", "/f/{rest:path}", "rest=/");
    expect_params(r, "/d/a.b.json", "/d/{name}.json", "name=a.b");
    expect_params(r, "/d/.json", NULL, "");
    expect_params(r, "/d/%61%2e%6a%73%6f%6e", "/d/{name}.json", "name=%61");
    expect_params(r, "/v12/x", "/v{n:int}/x", "n=12");
    expect_params(r, "/%7612/x", "/v{n:int}/x", "n=12");
    expect_params(r, "/%76%312/x", "/v{n:int}/x", "n=%312");
    expect_params(r, "/v/x", NULL, "");
    cl_router_del(r);
}

static void encoded_paths(void **state) {
    (void)state;
    struct cl_router *r =
        ROUTER(G("/hello"), G("/a/b"), G("/x/{p}"), G("/n/{i:int}"), G("/100%"), G("/{any}"));
    expect(r, "/%68ello", "/hello");
    expect(r, "/%68%65%6c%6C%6f", "/hello");
    expect(r, "/a%2Fb", "/{any}");
    expect_params(r, "/x/a%2Fb", "/x/{p}", "p=a%2Fb");
    expect(r, "/x/a/b", NULL);
    expect(r, "/n/%31%32", "/n/{i:int}");
    expect(r, "/n/%31x", NULL);
    expect(r, "/100%25", "/100%");
    expect(r, "/100%", NULL);
    expect(r, "/x/%", NULL);
    expect(r, "/x/%4", NULL);
    expect(r, "/x/%g0", NULL);
    expect(r, "/x/%00", NULL);
    expect(r, "/x/%ff", NULL);
    cl_router_del(r);

    char *path = malloc(3 * CL_ROUTER_MAX_DECODED + 16);
    r = ROUTER(G("/{x}"));
    struct cl_route_match m;
    path[0] = '/';
    size_t len = 1;
    while (len + 3 <= CL_ROUTER_MAX_DECODED + 1) {
        memcpy(path + len, "%41", 3);
        len += 3;
    }
    assert_int_equal(cl_router_find(r, CL_METHOD_GET, cl_str(path, len), &m), CL_ROUTE_FOUND);
    assert_int_equal(m.params[0].raw.len, len - 1);
    memcpy(path + len, "%41", 3);
    assert_int_equal(cl_router_find(r, CL_METHOD_GET, cl_str(path, len + 3), &m),
                     CL_ROUTE_NOT_FOUND);
    free(path);
    cl_router_del(r);
}

static void the_narrower_alternative_wins(void **state) {
    (void)state;
    /* Registered from wide to narrow: order must not matter. */
    struct cl_router *r =
        ROUTER(G("/{p:path}"), G("/{x}"), G("/{x:regex([a-z]\\.[a-z])}"), G("/{x:regex(.\\..)}"),
               G("/{x:slug}"), G("/{x:alpha}"), G("/{x:float}"), G("/{x:int}"), G("/{x:date}"),
               G("/{x:uuid}"), G("/{x}.js"), G("/{x}.min.js"), G("/{x:int}.js"), G("/one"));
    expect(r, "/one", "/one");
    expect(r, "/two", "/{x:alpha}");
    expect(r, "/two-2", "/{x:slug}");
    expect(r, "/12", "/{x:int}");
    expect(r, "/1.5", "/{x:float}");
    expect(r, "/2024-02-29", "/{x:date}");
    expect(r, "/2023-02-29", "/{x:slug}");
    expect(r, "/01234567-89ab-cdef-0123-456789abcdef", "/{x:uuid}");
    expect(r, "/a.b", "/{x:regex([a-z]\\.[a-z])}");
    expect(r, "/A.b", "/{x:regex(.\\..)}");
    expect(r, "/a..b", "/{x}");
    expect(r, "/app.js", "/{x}.js");
    expect(r, "/7.js", "/{x:int}.js");
    expect(r, "/app.min.js", "/{x}.min.js");
    expect(r, "/a/b", "/{p:path}");
    expect(r, "/a..b/", "/{p:path}");
    cl_router_del(r);
}

static void alternatives_are_tried_when_the_rest_does_not_fit(void **state) {
    (void)state;
    struct cl_router *r =
        ROUTER(G("/a/{x}/c"), G("/a/b/d"), G("/{y}/b/e"), G("/{y:alpha}/{z:int}/f/{w}"),
               G("/{rest:path}"), G("/a/b/{deep:path}"));
    expect_params(r, "/a/b/c", "/a/b/{deep:path}", "deep=c");
    expect_params(r, "/a/b/d", "/a/b/d", "");
    expect_params(r, "/a/q/c", "/a/{x}/c", "x=q");
    expect_params(r, "/a/b/e", "/a/b/{deep:path}", "deep=e");
    expect_params(r, "/q/b/e", "/{y}/b/e", "y=q");
    expect_params(r, "/a/1/f/g", "/{y:alpha}/{z:int}/f/{w}", "y=a&z=1&w=g");
    expect_params(r, "/a/1/f", "/{rest:path}", "rest=a/1/f");
    expect_params(r, "/a/b", "/{rest:path}", "rest=a/b");
    cl_router_del(r);

    r = ROUTER(G("/a/{x}/c"), G("/a/b/d"));
    expect_params(r, "/a/b/c", "/a/{x}/c", "x=b");
    cl_router_del(r);
}

static void methods(void **state) {
    (void)state;
    struct cl_route_match m;
    struct cl_router *r =
        ROUTER(G("/u/{id}"), {CL_METHOD_POST, "/u/me"}, {CL_METHOD_PUT, "/u/{name}"},
               {CL_METHOD_DELETE, "/{p:path}"}, {CL_METHOD_HEAD, "/h"}, G("/h"));

    assert_int_equal(find(r, CL_METHOD_GET, "/u/me", &m), CL_ROUTE_FOUND);
    assert_string_equal(m.target, "/u/{id}");
    assert_string_equal(m.params[0].name.ptr, "id}");
    assert_int_equal(m.allow_mask, BIT(GET) | BIT(HEAD) | BIT(PUT) | BIT(OPTIONS));
    assert_int_equal(find(r, CL_METHOD_PUT, "/u/me", &m), CL_ROUTE_FOUND);
    assert_int_equal(m.params[0].name.len, 4);
    assert_int_equal(find(r, CL_METHOD_HEAD, "/u/7", &m), CL_ROUTE_FOUND);
    assert_string_equal(m.target, "/u/{id}");
    assert_int_equal(m.param_count, 1);

    uint32_t all = BIT(GET) | BIT(HEAD) | BIT(POST) | BIT(PUT) | BIT(DELETE) | BIT(OPTIONS);
    assert_int_equal(find(r, CL_METHOD_PATCH, "/u/me", &m), CL_ROUTE_NOT_ALLOWED);
    assert_int_equal(m.allow_mask, all);
    assert_null(m.target);
    assert_int_equal(m.param_count, 0);
    assert_int_equal(cl_router_allow(r, CL_STR("/u/me")), all);
    assert_int_equal(cl_router_allow(r, CL_STR("/x")), BIT(DELETE) | BIT(OPTIONS));
    assert_int_equal(cl_router_allow(r, CL_STR("/")), 0);
    assert_int_equal(find(r, 31, "/h", &m), CL_ROUTE_NOT_ALLOWED);
    assert_int_equal(find(r, 1000, "/h", &m), CL_ROUTE_NOT_ALLOWED);

    assert_int_equal(find(r, CL_METHOD_HEAD, "/h", &m), CL_ROUTE_FOUND);
    assert_int_equal(m.allow_mask, BIT(GET) | BIT(HEAD) | BIT(OPTIONS));
    cl_router_del(r);
}

/* A HEAD route of its own is preferred over the GET route, in either order of registration. */
static void own_head_routes(void **state) {
    (void)state;
    for (int head_first = 0; head_first < 2; head_first++) {
        struct cl_router *r = cl_router_new();
        struct cl_route_match m;
        char why[128];
        int get = 1, head = 2;
        for (int i = 0; i < 2; i++) {
            bool is_head = (i == 0) == head_first;
            assert_int_equal(cl_router_add(r, is_head ? CL_METHOD_HEAD : CL_METHOD_GET,
                                           CL_STR("/x/{y}"), NULL, is_head ? &head : &get, why,
                                           sizeof(why)),
                             CELLO_OK);
        }
        assert_int_equal(cl_router_freeze(r), CELLO_OK);
        assert_int_equal(find(r, CL_METHOD_HEAD, "/x/1", &m), CL_ROUTE_FOUND);
        assert_ptr_equal(m.target, &head);
        assert_int_equal(find(r, CL_METHOD_GET, "/x/1", &m), CL_ROUTE_FOUND);
        assert_ptr_equal(m.target, &get);
        cl_router_del(r);
    }
}

static void expect_redirect(struct cl_router *r, unsigned method, const char *path, bool redirect) {
    struct cl_route_match m;
    assert_int_equal(find(r, method, path, &m), CL_ROUTE_NOT_FOUND);
    if (m.slash_redirect != redirect)
        fail_msg("%s", path);
    assert_int_equal(m.allow_mask, 0);
    assert_int_equal(m.param_count, 0);
    assert_null(m.target);
}

static void trailing_slashes(void **state) {
    (void)state;
    struct cl_router *r =
        ROUTER(G("/a"), G("/b/"), G("/u/{x}"), G("/u/{x}/y/"), {CL_METHOD_POST, "/post/"});
    expect_redirect(r, CL_METHOD_GET, "/a/", true);
    expect_redirect(r, CL_METHOD_GET, "/b", true);
    expect_redirect(r, CL_METHOD_GET, "/%62", true);
    expect_redirect(r, CL_METHOD_GET, "/u/1/", true);
    expect_redirect(r, CL_METHOD_GET, "/u/1/y", true);
    expect_redirect(r, CL_METHOD_GET, "/u/1/y//", true);
    expect_redirect(r, CL_METHOD_GET, "/u/1/y/z/", false);
    expect_redirect(r, CL_METHOD_GET, "/u/1/y/z", false);
    expect_redirect(r, CL_METHOD_GET, "/a//", false);
    expect_redirect(r, CL_METHOD_GET, "/", false);
    expect_redirect(r, CL_METHOD_GET, "//", false);
    expect_redirect(r, CL_METHOD_GET, "//a", false);
    expect_redirect(r, CL_METHOD_POST, "/post", true);
    expect_redirect(r, CL_METHOD_GET, "/post", false);
    expect_redirect(r, CL_METHOD_GET, "/1/2/3/4/5/6/7/8/9/", false);
    cl_router_del(r);

    r = ROUTER(G("/"), G("/f"), G("/f/{p:path}"));
    expect(r, "/f", "/f");
    expect_redirect(r, CL_METHOD_GET, "/f/", true);
    expect_redirect(r, CL_METHOD_GET, "//", true);
    cl_router_del(r);
}

/* Adds GET `pattern` and checks the error and its whole text. */
static void expect_error(struct cl_router *r, const char *pattern, int err, const char *text) {
    char why[512];
    assert_int_equal(
        cl_router_add(r, CL_METHOD_GET, span(pattern), "app.py:12", why, why, sizeof(why)), err);
    assert_string_equal(why, text);
}

static void errors_name_the_place(void **state) {
    (void)state;
    struct cl_router *r = cl_router_new();
    expect_error(r, "/users/:id", CELLO_EINVAL,
                 "app.py:12: route \"/users/:id\", column 8: write {id} instead of :id");
    expect_error(r, "/\xc3\xa9\xc3\xa9/{x", CELLO_EINVAL,
                 "app.py:12: route \"/\xc3\xa9\xc3\xa9/{x\", column 5: unclosed '{'");
    expect_error(r, "/{x:regex(a[z)])}", CELLO_OK, "");
    expect_error(r, "/y/{x:regex(ab{2,1})}", CELLO_EINVAL,
                 "app.py:12: route \"/y/{x:regex(ab{2,1})}\", column 19: "
                 "numbers out of order in {} quantifier");
    char why[64];
    assert_int_equal(cl_router_add(r, CL_METHOD_GET, CL_STR("x"), NULL, why, why, sizeof(why)),
                     CELLO_EINVAL);
    assert_string_equal(why, "route \"x\", column 1: a path starts with '/'");
    assert_int_equal(cl_router_add(r, CL_METHOD_GET, CL_STR("x"), NULL, why, why, 1), CELLO_EINVAL);
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    assert_int_equal(cl_router_freeze(r), CELLO_ESTATE);
    expect_error(r, "/late", CELLO_ESTATE, "app.py:12: route \"/late\": the route table is frozen");
    cl_router_del(r);
}

static void conflicts_name_both_routes(void **state) {
    (void)state;
    struct cl_router *r = cl_router_new();
    char why[256];
    static const char *const first[] = {"/u/{id}",          "/u/{id:int}", "/s",
                                        "/r/{a:regex(x+)}", "/p/{a:path}", "/f/{a}.js"};
    static const char *const second[] = {"/u/{name}",        "/u/{n:int}",  "/s",
                                         "/r/{b:regex(x+)}", "/p/{b:path}", "/f/{b}.js"};
    for (size_t i = 0; i < CL_ARRAY_LEN(first); i++)
        assert_int_equal(
            cl_router_add(r, CL_METHOD_GET, span(first[i]), "app.py:12", why, why, sizeof(why)),
            CELLO_OK);
    for (size_t i = 0; i < CL_ARRAY_LEN(first); i++) {
        char expected[256];
        snprintf(expected, sizeof(expected),
                 "lib.py:7: route \"GET %s\" conflicts with \"GET %s\" registered at app.py:12",
                 second[i], first[i]);
        assert_int_equal(
            cl_router_add(r, CL_METHOD_GET, span(second[i]), "lib.py:7", why, why, sizeof(why)),
            CELLO_EEXIST);
        assert_string_equal(why, expected);
        assert_int_equal(
            cl_router_add(r, CL_METHOD_POST, span(second[i]), "lib.py:7", why, why, sizeof(why)),
            CELLO_OK);
    }
    cl_router_del(r);
}

static void several_methods_are_added_together_or_not_at_all(void **state) {
    (void)state;
    struct cl_router *r = cl_router_new();
    char why[256];
    struct cl_str path = CL_STR("/a/{x}");
    assert_int_equal(cl_router_add(r, CL_METHOD_PUT, path, "app.py:1", why, why, sizeof why),
                     CELLO_OK);
    assert_int_equal(cl_router_add_all(r, BIT(GET) | BIT(POST) | BIT(PUT), CL_STR("/a/{y}"),
                                       "app.py:2", why, why, sizeof why),
                     CELLO_EEXIST);
    assert_string_equal(why, "app.py:2: route \"PUT /a/{y}\" conflicts with \"PUT /a/{x}\" "
                             "registered at app.py:1");
    for (unsigned long n = 1;; n++) {
        cl_alloc_fail_nth(n);
        int err =
            cl_router_add_all(r, BIT(GET) | BIT(POST), path, "app.py:3", why, why, sizeof why);
        cl_alloc_fail_nth(0);
        if (err == CELLO_OK)
            break;
        assert_int_equal(err, CELLO_ENOMEM);
    }
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    struct cl_route_match m;
    assert_int_equal(find(r, CL_METHOD_DELETE, "/a/1", &m), CL_ROUTE_NOT_ALLOWED);
    assert_int_equal(m.allow_mask, BIT(GET) | BIT(HEAD) | BIT(POST) | BIT(PUT) | BIT(OPTIONS));
    assert_int_equal(find(r, CL_METHOD_POST, "/a/1", &m), CL_ROUTE_FOUND);
    cl_router_del(r);
}

static void alternatives_are_limited(void **state) {
    (void)state;
    struct cl_router *r = cl_router_new();
    char why[256], pattern[64];
    for (int i = 0; i <= CL_ROUTER_MAX_ALTERNATIVES; i++) {
        snprintf(pattern, sizeof(pattern), "/x/{a:regex(a{%d})}", i + 1);
        int err = cl_router_add(r, CL_METHOD_GET, span(pattern), NULL, why, why, sizeof(why));
        assert_int_equal(err, i < CL_ROUTER_MAX_ALTERNATIVES ? CELLO_OK : CELLO_ELIMIT);
    }
    assert_non_null(strstr(why, "more than 64 parameters compete"));
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    struct cl_route_match m;
    assert_int_equal(find(r, CL_METHOD_GET, "/x/aaaaaaaaa", &m), CL_ROUTE_FOUND);
    cl_router_del(r);
}

static void hostile_expressions_are_counted_and_cut_off(void **state) {
    (void)state;
    struct cl_route_match m;
    struct cl_router *r = ROUTER(G("/{x:regex((a+)+)}"), G("/{x:regex(a.*)}"), G("/{x}"));
    assert_int_equal(find(r, CL_METHOD_GET, "/aaaaaaaa", &m), CL_ROUTE_FOUND);
    assert_false(m.regex_aborted);
    assert_string_equal(m.target, "/{x:regex((a+)+)}");
    assert_int_equal(find(r, CL_METHOD_GET, "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", &m),
                     CL_ROUTE_FOUND);
    assert_true(m.regex_aborted);
    assert_string_equal(m.target, "/{x}");
    cl_router_del(r);
}

static int count_routes(void *ctx, const struct cl_route_info *info) {
    const char *const *patterns = ctx;
    size_t i = (size_t)(uintptr_t)info->target - 1;
    assert_true(cl_str_eq(info->pattern, span(patterns[i])));
    assert_int_equal(info->method, CL_METHOD_POST);
    assert_string_equal(info->where, i == 0 ? "" : "x.py:1");
    return i == 1 ? 77 : 0;
}

static void walking_lists_in_order(void **state) {
    (void)state;
    struct cl_router *r = cl_router_new();
    const char *patterns[] = {"/z", "/a/{b}", "/c"};
    char why[64];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(cl_router_add(r, CL_METHOD_POST, span(patterns[i]), i ? "x.py:1" : NULL,
                                       (void *)(uintptr_t)(i + 1), why, sizeof(why)),
                         CELLO_OK);
    assert_int_equal(cl_router_walk(r, count_routes, patterns), 77);
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    assert_int_equal(cl_router_walk(r, count_routes, patterns), 77);
    cl_router_del(r);
}

static void large_tables(void **state) {
    (void)state;
    enum { ROUTES = 10000 };
    struct cl_router *r = cl_router_new();
    char text[64], why[64];
    for (uintptr_t i = 0; i < ROUTES; i++) {
        snprintf(text, sizeof(text), i % 2 ? "/r%d/{x}/e%d" : "/r%d/s/e%d", (int)i / 10, (int)i);
        assert_int_equal(
            cl_router_add(r, CL_METHOD_GET, span(text), NULL, (void *)(i + 1), why, sizeof(why)),
            CELLO_OK);
    }
    assert_int_equal(cl_router_freeze(r), CELLO_OK);
    uint64_t before = cl_alloc_count();
    for (uintptr_t i = 0; i < ROUTES; i++) {
        struct cl_route_match m;
        snprintf(text, sizeof(text), "/r%d/s/e%d", (int)i / 10, (int)i);
        assert_int_equal(find(r, CL_METHOD_GET, text, &m), CL_ROUTE_FOUND);
        assert_int_equal((uintptr_t)m.target, i + 1);
        assert_int_equal(m.param_count, i % 2);
        text[1] = 'x';
        assert_int_equal(find(r, CL_METHOD_GET, text, &m), CL_ROUTE_NOT_FOUND);
    }
    assert_int_equal(cl_alloc_count(), before);
    cl_router_del(r);
}

static int build(struct cl_router **out) {
    static const char *const patterns[] = {
        "/",          "/a/b",    "/a/{x}",   "/a/{x:int}",          "/a/{x}.js/y",
        "/{p:path}",  "/c/d/e",  "/{a}/{b}", "/q/{r:regex(a+b)}/s", "/q/{r:regex(c+)}",
        "/1/2/3/4/5", "/a/{z}/w"};
    struct cl_router *r = cl_router_new();
    *out = r;
    int err = r ? CELLO_OK : CELLO_ENOMEM;
    for (size_t i = 0; i < CL_ARRAY_LEN(patterns) && !err; i++) {
        char why[128];
        err = cl_router_add(r, CL_METHOD_GET, span(patterns[i]), "x.py:1", target_of(patterns[i]),
                            why, sizeof(why));
        if (err)
            assert_non_null(strstr(why, "out of memory"));
    }
    return err ? err : cl_router_freeze(r);
}

/* After a failed addition the same router takes it again. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct cl_router *r;
        cl_alloc_fail_nth(n);
        uint64_t before = cl_alloc_count();
        int err = build(&r);
        bool reached = cl_alloc_count() - before >= n;
        cl_alloc_fail_nth(0);
        if (err)
            assert_int_equal(err, CELLO_ENOMEM);
        else {
            expect(r, "/a/7", "/a/{x:int}");
            expect(r, "/q/aab/s", "/q/{r:regex(a+b)}/s");
        }
        cl_router_del(r);
        if (!reached) {
            assert_int_equal(err, CELLO_OK);
            break;
        }
    }
}

static void additions_can_be_repeated_after_failure(void **state) {
    (void)state;
    static const char *const patterns[] = {"/a/b/c", "/a/{x:int}/y.{z}", "/q/{r:regex(a+b)}/s",
                                           "/f/{p:path}"};
    struct cl_router *r = cl_router_new();
    char why[128];
    for (size_t i = 0; i < CL_ARRAY_LEN(patterns); i++) {
        int err = CELLO_ENOMEM;
        for (uint64_t n = 1; err; n++) {
            cl_alloc_fail_nth(n);
            err = cl_router_add(r, CL_METHOD_GET, span(patterns[i]), "x.py:1",
                                target_of(patterns[i]), why, sizeof(why));
        }
        cl_alloc_fail_nth(0);
    }
    int err = CELLO_ENOMEM;
    for (uint64_t n = 1; err; n++) {
        cl_alloc_fail_nth(n);
        err = cl_router_freeze(r);
    }
    cl_alloc_fail_nth(0);
    expect(r, "/a/b/c", patterns[0]);
    expect(r, "/a/7/y.z", patterns[1]);
    expect(r, "/q/ab/s", patterns[2]);
    expect(r, "/f/x", patterns[3]);
    cl_router_del(r);
}

static int drop_the_last_path(void **state) {
    (void)state;
    find(NULL, 0, NULL, NULL);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_paths),
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(parameters),
        cmocka_unit_test(encoded_paths),
        cmocka_unit_test(the_narrower_alternative_wins),
        cmocka_unit_test(alternatives_are_tried_when_the_rest_does_not_fit),
        cmocka_unit_test(methods),
        cmocka_unit_test(own_head_routes),
        cmocka_unit_test(trailing_slashes),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(conflicts_name_both_routes),
        cmocka_unit_test(several_methods_are_added_together_or_not_at_all),
        cmocka_unit_test(alternatives_are_limited),
        cmocka_unit_test(hostile_expressions_are_counted_and_cut_off),
        cmocka_unit_test(walking_lists_in_order),
        cmocka_unit_test(large_tables),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(additions_can_be_repeated_after_failure),
    };
    return cmocka_run_group_tests(tests, NULL, drop_the_last_path);
}
