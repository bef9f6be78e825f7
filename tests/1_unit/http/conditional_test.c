#include "http/conditional.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AT "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

enum { MODIFIED = 784111777, NOW = 1700000000 }; /* AT, and long after it */

static struct cl_str str(const char *text) {
    return cl_str(text, strlen(text));
}

struct fields {
    const char *match, *unmodified, *none_match, *modified;
};

static enum cl_condition check(const struct fields *f, const struct cl_validators *v) {
    struct cl_header headers[5];
    size_t n = 0;
    headers[n++] = (struct cl_header){.value = str("other"), .id = CL_HEADER_HOST};
    if (f->match)
        headers[n++] = (struct cl_header){.value = str(f->match), .id = CL_HEADER_IF_MATCH};
    if (f->unmodified)
        headers[n++] =
            (struct cl_header){.value = str(f->unmodified), .id = CL_HEADER_IF_UNMODIFIED_SINCE};
    if (f->none_match)
        headers[n++] =
            (struct cl_header){.value = str(f->none_match), .id = CL_HEADER_IF_NONE_MATCH};
    if (f->modified)
        headers[n++] =
            (struct cl_header){.value = str(f->modified), .id = CL_HEADER_IF_MODIFIED_SINCE};
    return cl_condition_check(headers, n, v, NOW);
}

static struct cl_validators validators(const char *etag) {
    return (struct cl_validators){
        .etag = str(etag), .has_modified = true, .modified_strong = true, .modified = MODIFIED};
}

/* The table of RFC 9110 section 13.2.2: each field alone, and which one wins. */
static void has_precedence(void **state) {
    (void)state;
    static const struct {
        struct fields fields;
        enum cl_condition want;
    } cases[] = {
        {{0}, CL_CONDITION_PASSED},
        {{.match = "\"a\""}, CL_CONDITION_PASSED},
        {{.match = "*"}, CL_CONDITION_PASSED},
        {{.match = "\"b\""}, CL_CONDITION_FAILED},
        {{.match = "\"b\", \"a\""}, CL_CONDITION_PASSED},
        {{.match = "W/\"a\""}, CL_CONDITION_FAILED},
        {{.unmodified = BEFORE}, CL_CONDITION_FAILED},
        {{.unmodified = AT}, CL_CONDITION_PASSED},
        {{.unmodified = AFTER}, CL_CONDITION_PASSED},
        {{.unmodified = "yesterday"}, CL_CONDITION_PASSED},
        {{.none_match = "\"a\""}, CL_CONDITION_UNCHANGED},
        {{.none_match = "W/\"a\""}, CL_CONDITION_UNCHANGED},
        {{.none_match = "*"}, CL_CONDITION_UNCHANGED},
        {{.none_match = "\"b\""}, CL_CONDITION_PASSED},
        {{.none_match = "\"b\", W/\"a\""}, CL_CONDITION_UNCHANGED},
        {{.none_match = "a"}, CL_CONDITION_PASSED},
        {{.modified = BEFORE}, CL_CONDITION_PASSED},
        {{.modified = AT}, CL_CONDITION_UNCHANGED},
        {{.modified = AFTER}, CL_CONDITION_UNCHANGED},
        {{.modified = "0"}, CL_CONDITION_PASSED},
        /* If-Match before If-Unmodified-Since */
        {{.match = "\"a\"", .unmodified = BEFORE}, CL_CONDITION_PASSED},
        {{.match = "\"b\"", .unmodified = AFTER}, CL_CONDITION_FAILED},
        /* If-None-Match before If-Modified-Since */
        {{.none_match = "\"b\"", .modified = AFTER}, CL_CONDITION_PASSED},
        {{.none_match = "\"a\"", .modified = BEFORE}, CL_CONDITION_UNCHANGED},
        /* 412 before 304 */
        {{.match = "\"b\"", .none_match = "\"a\""}, CL_CONDITION_FAILED},
        {{.match = "\"a\"", .none_match = "\"a\""}, CL_CONDITION_UNCHANGED},
        {{.match = "\"a\"", .modified = AT}, CL_CONDITION_UNCHANGED},
        {{.unmodified = BEFORE, .none_match = "\"a\""}, CL_CONDITION_FAILED},
        {{.unmodified = AT, .modified = AT}, CL_CONDITION_UNCHANGED},
    };
    const struct cl_validators v = validators("\"a\"");
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        enum cl_condition got = check(&cases[i].fields, &v);
        if (got != cases[i].want)
            fail_msg("case %zu: %d, not %d", i, (int)got, (int)cases[i].want);
    }
}

static void does_without_validators(void **state) {
    (void)state;
    const struct cl_validators none = {0};
    assert_int_equal(check(&(struct fields){.match = "\"a\""}, &none), CL_CONDITION_FAILED);
    assert_int_equal(check(&(struct fields){.match = "*"}, &none), CL_CONDITION_PASSED);
    assert_int_equal(check(&(struct fields){.none_match = "\"a\", \"\""}, &none),
                     CL_CONDITION_PASSED);
    assert_int_equal(check(&(struct fields){.none_match = "*"}, &none), CL_CONDITION_UNCHANGED);
    assert_int_equal(check(&(struct fields){.modified = AFTER}, &none), CL_CONDITION_PASSED);
    assert_int_equal(check(&(struct fields){.unmodified = BEFORE}, &none), CL_CONDITION_PASSED);
}

static void compares_weak_tags(void **state) {
    (void)state;
    const struct cl_validators v = validators("W/\"a\"");
    assert_int_equal(check(&(struct fields){.match = "\"a\""}, &v), CL_CONDITION_FAILED);
    assert_int_equal(check(&(struct fields){.match = "W/\"a\""}, &v), CL_CONDITION_FAILED);
    assert_int_equal(check(&(struct fields){.none_match = "\"a\""}, &v), CL_CONDITION_UNCHANGED);
    assert_int_equal(check(&(struct fields){.none_match = "W/\"a\""}, &v), CL_CONDITION_UNCHANGED);
}

static void reads_lists(void **state) {
    (void)state;
    static const struct {
        const char *list;
        bool has;
    } cases[] = {
        {"\"a\"", true},
        {" , \"b\" ,\t\"a\",", true},
        {"\"a,b\", \"a\"", true},
        {"\"b\"\"a\"", false},
        {"\"b\" \"a\"", false},
        {"\"b\", a, \"a\"", false},
        {"\"a", false},
        {"", false},
        {",", false},
        {"\"b c\", \"a\"", false},
        {"w/\"a\"", false},
        {"W/ \"a\"", false},
        {"\"A\"", false},
        {"W/", false},
        {"*", false},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++)
        if (cl_etag_in_list(str(cases[i].list), str("\"a\""), false) != cases[i].has)
            fail_msg("%s", cases[i].list);
    assert_true(cl_etag_valid(str("\"\"")) && cl_etag_valid(str("W/\"x\"")));
    assert_false(cl_etag_valid(str("")) || cl_etag_valid(str("x")) || cl_etag_valid(str("\"x")));
    assert_false(cl_etag_valid(str("\"x\" ")) || cl_etag_valid(str("\"x y\"")));
}

/* A field may be sent in several lines. */
static void looks_at_every_line(void **state) {
    (void)state;
    const struct cl_validators v = validators("\"a\"");
    const struct cl_header headers[] = {
        {.value = CL_STR_INIT("\"b\""), .id = CL_HEADER_IF_NONE_MATCH},
        {.value = CL_STR_INIT("\"a\""), .id = CL_HEADER_IF_NONE_MATCH},
    };
    assert_int_equal(cl_condition_check(headers, 1, &v, NOW), CL_CONDITION_PASSED);
    assert_int_equal(cl_condition_check(headers, 2, &v, NOW), CL_CONDITION_UNCHANGED);
}

static void guards_ranges(void **state) {
    (void)state;
    struct cl_validators v = validators("\"a\"");
    assert_true(cl_condition_range(str("\"a\""), &v, NOW));
    assert_true(cl_condition_range(str(AT), &v, NOW));
    assert_false(cl_condition_range(str("\"b\""), &v, NOW));
    assert_false(cl_condition_range(str("W/\"a\""), &v, NOW));
    assert_false(cl_condition_range(str("\"b\", \"a\""), &v, NOW));
    assert_false(cl_condition_range(str("*"), &v, NOW));
    assert_false(cl_condition_range(str(""), &v, NOW));
    assert_false(cl_condition_range(str(BEFORE), &v, NOW));
    assert_false(cl_condition_range(str(AFTER), &v, NOW));
    v.modified_strong = false;
    assert_false(cl_condition_range(str(AT), &v, NOW));
    const struct cl_validators weak = validators("W/\"a\"");
    assert_false(cl_condition_range(str("W/\"a\""), &weak, NOW));
    const struct cl_validators none = {0};
    assert_false(cl_condition_range(str("\"\""), &none, NOW));
    assert_false(cl_condition_range(str("Thu, 01 Jan 1970 00:00:00 GMT"), &none, NOW));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_precedence),      cmocka_unit_test(does_without_validators),
        cmocka_unit_test(compares_weak_tags),  cmocka_unit_test(reads_lists),
        cmocka_unit_test(looks_at_every_line), cmocka_unit_test(guards_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
