#include "http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

#define MAX_COOKIES 4

static struct cl_str str(const char *text) {
    return cl_str(text, strlen(text));
}

static void parses_leniently(void **state) {
    (void)state;
    static const struct {
        const char *header;
        unsigned count;
        const char *cookies[MAX_COOKIES][2];
    } cases[] = {
        {"", 0, {{NULL}}},
        {" ; ;", 0, {{NULL}}},
        {"a=b", 1, {{"a", "b"}}},
        {"a=b; c=d", 2, {{"a", "b"}, {"c", "d"}}},
        {"a=b;c=d;", 2, {{"a", "b"}, {"c", "d"}}},
        {" a = b c ;\td=", 2, {{"a", "b c"}, {"d", ""}}},
        {"a=\"b\"; c=\"; d=\"\"", 3, {{"a", "b"}, {"c", "\""}, {"d", ""}}},
        {"a=b=c", 1, {{"a", "b=c"}}},
        {"alone; =x; =", 2, {{"", "alone"}, {"", "x"}}},
        {"a=1; a=2", 2, {{"a", "1"}, {"a", "2"}}},
        {"a=%20,\xff[]", 1, {{"a", "%20,\xff[]"}}},
    };
    struct cl_arena arena;
    cl_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_header header = {CL_STR("cookie"), str(cases[i].header), CL_HEADER_COOKIE};
        struct cl_pair *pairs;
        unsigned n;
        assert_int_equal(cl_cookie_parse(&header, 1, &arena, MAX_COOKIES, &pairs, &n), CELLO_OK);
        assert_int_equal(n, cases[i].count);
        for (unsigned k = 0; k < n; k++) {
            assert_true(cl_str_eq(pairs[k].name, str(cases[i].cookies[k][0])));
            assert_true(cl_str_eq(pairs[k].value, str(cases[i].cookies[k][1])));
        }
    }
    cl_arena_free(&arena);
}

static void joins_fields_and_counts(void **state) {
    (void)state;
    struct cl_header headers[] = {
        {CL_STR("Cookie"), CL_STR("a=1; b=2"), CL_HEADER_COOKIE},
        {CL_STR("Accept"), CL_STR("x=y"), CL_HEADER_ACCEPT},
        {CL_STR("Cookie"), CL_STR("c=3"), CL_HEADER_COOKIE},
    };
    struct cl_arena arena;
    struct cl_pair *pairs;
    unsigned n;
    cl_arena_init(&arena, 1 << 16);
    assert_int_equal(cl_cookie_parse(headers, 3, &arena, 3, &pairs, &n), CELLO_OK);
    assert_int_equal(n, 3);
    assert_true(cl_str_eq(pairs[2].name, CL_STR("c")));
    assert_int_equal(cl_cookie_parse(headers, 3, &arena, 2, &pairs, &n), CELLO_ELIMIT);
    cl_arena_free(&arena);
    cl_arena_init(&arena, 1 << 16);
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_cookie_parse(headers, 3, &arena, 3, &pairs, &n), CELLO_ENOMEM);
    cl_alloc_fail_nth(0);
    cl_arena_free(&arena);
}

static int format(const struct cl_cookie *c, char *out, size_t room) {
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 1 << 16);
    int err = cl_cookie_format(&h.sink, c);
    size_t n = cl_sink_len(&h.sink);
    if (err)
        assert_int_equal(n, 0);
    assert_true(n < room);
    if (n)
        memcpy(out, h.sink.base, n);
    out[n] = '\0';
    cl_heap_sink_free(&h);
    return err;
}

static void writes_all_attributes(void **state) {
    (void)state;
    char out[512];
    struct cl_cookie c = {.name = CL_STR("a"), .value = CL_STR("b")};
    assert_int_equal(format(&c, out, sizeof(out)), CELLO_OK);
    assert_string_equal(out, "a=b");
    c = (struct cl_cookie){.name = CL_STR("session"),
                           .value = CL_STR("\"x!#.~\""),
                           .domain = CL_STR("example.org"),
                           .path = CL_STR("/a b"),
                           .max_age = INT64_MIN,
                           .has_max_age = true,
                           .expires = 784111777,
                           .has_expires = true,
                           .secure = true,
                           .http_only = true,
                           .partitioned = true,
                           .same_site = CL_SAME_SITE_NONE};
    assert_int_equal(format(&c, out, sizeof(out)), CELLO_OK);
    assert_string_equal(out, "session=\"x!#.~\"; Domain=example.org; Path=/a b; "
                             "Max-Age=-9223372036854775808; "
                             "Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure; HttpOnly; "
                             "SameSite=None; Partitioned");
    c = (struct cl_cookie){
        .name = CL_STR("__Host-x"), .path = CL_STR("/"), .secure = true, .same_site = 1};
    assert_int_equal(format(&c, out, sizeof(out)), CELLO_OK);
    assert_string_equal(out, "__Host-x=; Path=/; Secure; SameSite=Lax");
}

static void refuses_what_browsers_misread(void **state) {
    (void)state;
    static char long_text[CL_COOKIE_MAX_SIZE + 1];
    memset(long_text, '/', sizeof(long_text));
    const struct cl_cookie bad[] = {
        {.name = CL_STR("")},
        {.name = CL_STR("a b")},
        {.name = CL_STR("a=b")},
        {.name = CL_STR("a\r\nX: y")},
        {.name = CL_STR("a"), .value = CL_STR("b;c")},
        {.name = CL_STR("a"), .value = CL_STR("b,c")},
        {.name = CL_STR("a"), .value = CL_STR("b c")},
        {.name = CL_STR("a"), .value = CL_STR("b\"c")},
        {.name = CL_STR("a"), .value = CL_STR("\"")},
        {.name = CL_STR("a"), .value = CL_STR("b\\c")},
        {.name = CL_STR("a"), .value = CL_STR("b\r\nc")},
        {.name = CL_STR("a"), .value = CL_STR("b\0")},
        {.name = CL_STR("a"), .value = CL_STR("\x7f")},
        {.name = CL_STR("a"), .value = CL_STR("\xc3\xa4")},
        {.name = CL_STR("a"), .value = {long_text, CL_COOKIE_MAX_SIZE}},
        {.name = CL_STR("a"), .domain = CL_STR("a;b")},
        {.name = CL_STR("a"), .domain = CL_STR("a b")},
        {.name = CL_STR("a"), .domain = {"aaaa", 4}, .path = CL_STR("x")},
        {.name = CL_STR("a"), .path = CL_STR("/;")},
        {.name = CL_STR("a"), .path = CL_STR("/\n")},
        {.name = CL_STR("a"), .path = CL_STR("/\xff")},
        {.name = CL_STR("a"), .path = {long_text, CL_COOKIE_MAX_ATTRIBUTE + 1}},
        {.name = CL_STR("a"), .same_site = CL_SAME_SITE_NONE},
        {.name = CL_STR("a"), .same_site = (enum cl_same_site)9},
        {.name = CL_STR("a"), .partitioned = true},
        {.name = CL_STR("__secure-a")},
        {.name = CL_STR("__Host-a"), .path = CL_STR("/")},
        {.name = CL_STR("__Host-a"), .secure = true},
        {.name = CL_STR("__Host-a"), .secure = true, .path = CL_STR("/x")},
        {.name = CL_STR("__Host-a"), .secure = true, .path = CL_STR("/"), .domain = CL_STR("a")},
    };
    char out[8];
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        if (format(&bad[i], out, sizeof(out)) != CELLO_EINVAL)
            fail_msg("case %zu is taken", i);
    struct cl_cookie longest = {.name = CL_STR("a"), .value = {long_text, CL_COOKIE_MAX_SIZE - 1}};
    char room[CL_COOKIE_MAX_SIZE + 16];
    assert_int_equal(format(&longest, room, sizeof(room)), CELLO_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_leniently),
        cmocka_unit_test(joins_fields_and_counts),
        cmocka_unit_test(writes_all_attributes),
        cmocka_unit_test(refuses_what_browsers_misread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
