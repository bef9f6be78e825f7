#include "router/pattern.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_span(struct cl_str actual, const char *expected) {
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static struct cl_pattern parsed(const char *text) {
    struct cl_pattern pattern;
    struct cl_pattern_error error = {.offset = 0};
    if (cl_pattern_parse(cl_str(text, strlen(text)), &pattern, &error))
        fail_msg("%s at %zu: %s", text, error.offset, error.text);
    return pattern;
}

static void literals(void **state) {
    (void)state;
    struct cl_pattern p = parsed("/");
    assert_int_equal(p.segment_count, 1);
    assert_span(p.segments[0].prefix, "");
    p = parsed("/v1/caf\xc3\xa9/");
    assert_int_equal(p.segment_count, 3);
    assert_span(p.segments[0].prefix, "v1");
    assert_span(p.segments[1].prefix, "caf\xc3\xa9");
    assert_span(p.segments[2].prefix, "");
    assert_false(p.segments[1].is_param);
    p = parsed("/100%/items:search");
    assert_span(p.segments[0].prefix, "100%");
    assert_span(p.segments[1].prefix, "items:search");
}

static void parameters(void **state) {
    (void)state;
    struct cl_pattern p = parsed("/{a}/x-{b:int}.json/{c:path}");
    assert_int_equal(p.segment_count, 3);
    assert_int_equal(p.param_count, 3);
    assert_int_equal(p.segments[0].kind, CL_PARAM_TEXT);
    assert_span(p.segments[0].name, "a");
    assert_int_equal(p.segments[1].kind, CL_PARAM_INT);
    assert_span(p.segments[1].prefix, "x-");
    assert_span(p.segments[1].name, "b");
    assert_span(p.segments[1].suffix, ".json");
    assert_int_equal(p.segments[2].kind, CL_PARAM_PATH);
}

static void expressions_end_at_their_own_parenthesis(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"/{a:regex(\\d{4}-\\d{2})}/b", "\\d{4}-\\d{2}"},
        {"/{a:regex((x|y)+)}/b", "(x|y)+"},
        {"/{a:regex([)(]\\))}/b", "[)(]\\)"},
        {"/{a:regex([])}])}/b", "[])}]"},
        {"/{a:regex([^])}])}/b", "[^])}]"},
        {"/{a:regex([\\])}])}/b", "[\\])}]"},
        {"/{a:regex(a/b)}/b", "a/b"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct cl_pattern p = parsed(texts[i][0]);
        assert_int_equal(p.segment_count, 2);
        assert_int_equal(p.segments[0].kind, CL_PARAM_REGEX);
        assert_span(p.segments[0].regex, texts[i][1]);
    }
}

struct bad {
    const char *text;
    size_t offset;
    const char *why;
};

static void mistakes_are_located_and_explained(void **state) {
    (void)state;
    static const struct bad bad[] = {
        {"", 0, "starts with '/'"},
        {"users", 0, "starts with '/'"},
        {"/users/:id", 7, "write {id} instead of :id"},
        {"/users/:id/x", 7, "write {id} instead of :id"},
        {"/users/<int:id>", 7, "write {name} or {name:type} instead of <int:id>"},
        {"/files/*", 7, "write {name:path}"},
        {"/files/*rest", 7, "write {name:path}"},
        {"/a/{x", 3, "unclosed '{'"},
        {"/a/{", 3, "unclosed '{'"},
        {"/a/{x/b}", 3, "unclosed '{'"},
        {"/a/{x:int", 3, "unclosed '{'"},
        {"/a/{x:int/}", 3, "unclosed '{'"},
        {"/a/{x{y}}", 3, "unclosed '{'"},
        {"/a/x}", 4, "'}' without '{'"},
        {"/a/{x}}", 6, "'}' without '{'"},
        {"/a/{}", 4, "without a name"},
        {"/a/{:int}", 4, "without a name"},
        {"/a/{1x}", 4, "letters, digits"},
        {"/a/{a-b}", 5, "letters, digits"},
        {"/a/{ x }", 4, "letters, digits"},
        {"/{x}/{x}", 6, "a second parameter named 'x'"},
        {"/{x}{y}", 4, "a second parameter in one segment"},
        {"/{x}-{y}", 5, "a second parameter in one segment"},
        {"/{x:integer}", 4, "unknown type 'integer'"},
        {"/{x:}", 4, "unknown type ''"},
        {"/{x:regex}", 4, "unknown type 'regex'"},
        {"/{x:regex(}", 9, "unclosed '('"},
        {"/{x:regex(a[)}", 9, "unclosed '('"},
        {"/{x:regex(a\\", 9, "unclosed '('"},
        {"/{x:regex()}", 10, "without an expression"},
        {"/{x:regex(a))}", 12, "'}' expected"},
        {"/{x:regex(a)", 1, "unclosed '{'"},
        {"/{x:path}/y", 9, "must be the last segment"},
        {"/{x:path}/", 9, "must be the last segment"},
        {"/a{x:path}", 1, "must be the whole segment"},
        {"/{x:path}.txt", 1, "must be the whole segment"},
        {"//a", 1, "an empty segment"},
        {"/a//", 3, "an empty segment"},
        {"/a/../b", 3, "dot segments"},
        {"/.", 1, "dot segments"},
        {"/a?b={c}", 2, "'?' ends a path"},
        {"/a#b", 2, "'#' ends a path"},
        {"/a%20b", 2, "not %20"},
        {"/a\tb", 2, "control character 0x09"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        struct cl_pattern pattern;
        struct cl_pattern_error error = {.offset = 0};
        struct cl_str text = cl_str(bad[i].text, strlen(bad[i].text));
        if (cl_pattern_parse(text, &pattern, &error) != CELLO_EINVAL)
            fail_msg("%s: accepted", bad[i].text);
        if (error.offset != bad[i].offset || !strstr(error.text, bad[i].why))
            fail_msg("%s: %zu: %s", bad[i].text, error.offset, error.text);
    }
}

static void limits_have_answers(void **state) {
    (void)state;
    static char text[CL_PATTERN_MAX_BYTES + 1];
    struct cl_pattern pattern;
    struct cl_pattern_error error = {.offset = 0};

    memset(text, 'a', sizeof(text));
    text[0] = '/';
    assert_int_equal(cl_pattern_parse(cl_str(text, sizeof(text) - 1), &pattern, &error), CELLO_OK);
    assert_int_equal(cl_pattern_parse(cl_str(text, sizeof(text)), &pattern, &error), CELLO_ELIMIT);

    for (size_t i = 0; i < 2 * (CL_PATTERN_MAX_SEGMENTS + 1); i += 2)
        memcpy(text + i, "/a", 2);
    size_t len = (size_t)2 * CL_PATTERN_MAX_SEGMENTS;
    assert_int_equal(cl_pattern_parse(cl_str(text, len), &pattern, &error), CELLO_OK);
    assert_int_equal(cl_pattern_parse(cl_str(text, len + 2), &pattern, &error), CELLO_ELIMIT);

    for (size_t i = 0; i <= CL_ROUTER_MAX_PARAMS; i++) {
        memcpy(text + 4 * i, "/{a}", 4);
        text[4 * i + 2] = (char)('a' + i);
    }
    len = (size_t)4 * CL_ROUTER_MAX_PARAMS;
    assert_int_equal(cl_pattern_parse(cl_str(text, len), &pattern, &error), CELLO_OK);
    assert_int_equal(cl_pattern_parse(cl_str(text, len + 4), &pattern, &error), CELLO_ELIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals),
        cmocka_unit_test(parameters),
        cmocka_unit_test(expressions_end_at_their_own_parenthesis),
        cmocka_unit_test(mistakes_are_located_and_explained),
        cmocka_unit_test(limits_have_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
