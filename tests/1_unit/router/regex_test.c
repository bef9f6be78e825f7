#include "router/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

static struct cl_regex *compiled(const char *text) {
    struct cl_regex *re = NULL;
    char why[128] = "";
    size_t offset;
    int err =
        cl_regex_new(cl_str(text, strlen(text)), CL_REGEX_WHOLE, &re, why, sizeof(why), &offset);
    if (err)
        fail_msg("%s: %s", text, why);
    return re;
}

static enum cl_regex_result match(const char *text, struct cl_str subject) {
    struct cl_regex *re = compiled(text);
    enum cl_regex_result result = cl_regex_match(re, subject);
    cl_regex_del(re);
    return result;
}

static void matches_the_whole_subject(void **state) {
    (void)state;
    assert_int_equal(match("\\d{4}", CL_STR("2024")), CL_REGEX_MATCH);
    assert_int_equal(match("\\d{4}", CL_STR("x2024")), CL_REGEX_NO_MATCH);
    assert_int_equal(match("\\d{4}", CL_STR("20245")), CL_REGEX_NO_MATCH);
    assert_int_equal(match("a|ab", CL_STR("ab")), CL_REGEX_MATCH);
    assert_int_equal(match("\\d+$", CL_STR("1\n")), CL_REGEX_NO_MATCH);
    assert_int_equal(match("a*", CL_STR("")), CL_REGEX_MATCH);
}

static void text_is_utf8_and_classes_are_ascii(void **state) {
    (void)state;
    assert_int_equal(match(".", CL_STR("\xc3\xa9")), CL_REGEX_MATCH);
    assert_int_equal(match("[\xc3\xa9\xc3\xa8]", CL_STR("\xc3\xa8")), CL_REGEX_MATCH);
    assert_int_equal(match("\\d", CL_STR("\xd9\xa3")), CL_REGEX_NO_MATCH);
    assert_int_equal(match(".*", CL_STR("\xff")), CL_REGEX_NO_MATCH);
    assert_int_equal(match(".*", CL_STR("a\xc3")), CL_REGEX_NO_MATCH);
}

static void syntax_errors_tell_where(void **state) {
    (void)state;
    struct cl_regex *re = NULL;
    char why[128];
    size_t offset;
    int err = cl_regex_new(CL_STR("ab[c"), CL_REGEX_WHOLE, &re, why, sizeof(why), &offset);
    assert_int_equal(err, CELLO_EINVAL);
    assert_null(re);
    assert_int_equal(offset, 4);
    assert_non_null(strstr(why, "terminating ]"));
    err = cl_regex_new(CL_STR("\\C"), CL_REGEX_WHOLE, &re, why, sizeof(why), &offset);
    assert_int_equal(err, CELLO_EINVAL);
}

static void hostile_subjects_are_cut_off(void **state) {
    (void)state;
    char subject[64];
    memset(subject, 'a', sizeof(subject));
    subject[sizeof(subject) - 1] = '!';
    struct cl_str hostile = cl_str(subject, sizeof(subject));
    assert_int_equal(match("(a+)+", hostile), CL_REGEX_ABORTED);
    assert_int_equal(match("(a|aa)+", hostile), CL_REGEX_ABORTED);
    assert_int_equal(match("(*NO_JIT)(a|aa)+", hostile), CL_REGEX_ABORTED);
    assert_int_equal(match("(*NO_JIT)(a+)+", hostile), CL_REGEX_ABORTED);
    assert_int_equal(match("[a!]+", hostile), CL_REGEX_MATCH);
    assert_int_equal(match("(*NO_JIT)[a!]+", hostile), CL_REGEX_MATCH);

    static char large[CL_REGEX_MAX_SUBJECT + 1];
    memset(large, 'a', sizeof(large));
    assert_int_equal(match("a+", cl_str(large, CL_REGEX_MAX_SUBJECT)), CL_REGEX_MATCH);
    assert_int_equal(match("a+", cl_str(large, sizeof(large))), CL_REGEX_ABORTED);
    assert_int_equal(match("(*NO_JIT)((a)|b)+", cl_str(large, CL_REGEX_MAX_SUBJECT)),
                     CL_REGEX_ABORTED);
}

/* 1, 0 or an error, as <cello/pattern.h> says. */
static int search(const char *text, struct cl_str subject) {
    struct cl_regex *pattern = NULL;
    char why[128] = "";
    size_t offset;
    if (cello_pattern_new(&pattern, cl_str(text, strlen(text)), why, sizeof(why), &offset) < 0)
        fail_msg("%s: %s", text, why);
    uint64_t before = cl_alloc_count();
    int found = cello_pattern_match(pattern, subject);
    assert_int_equal(cl_alloc_count(), before);
    cello_pattern_del(pattern);
    return found;
}

static void patterns_are_searched(void **state) {
    (void)state;
    assert_int_equal(search("b", CL_STR("abc")), 1);
    assert_int_equal(search("^b", CL_STR("abc")), 0);
    assert_int_equal(search("^abc$", CL_STR("abc")), 1);
    assert_int_equal(search("^abc$", CL_STR("abc\n")), 0);
    assert_int_equal(search("", cl_str(NULL, 0)), 1);
    assert_int_equal(search("x", cl_str(NULL, 0)), 0);
    assert_int_equal(search("b", CL_STR("\xff")), 0);
    struct cl_regex *pattern = NULL;
    char why[128];
    size_t offset;
    assert_int_equal(cello_pattern_new(&pattern, CL_STR("(a"), why, sizeof(why), &offset),
                     CELLO_EINVAL);
    assert_null(pattern);
    assert_int_equal(offset, 2);
    cello_pattern_del(NULL);
}

static void hostile_subjects_end_a_search(void **state) {
    (void)state;
    static char text[CELLO_PATTERN_MAX_SUBJECT + 1];
    memset(text, 'a', sizeof(text));
    struct cl_str longest = cl_str(text, CELLO_PATTERN_MAX_SUBJECT);
    static const char *const hostile[] = {"(a+)+[!;]", "^(a+)+$", "(a|aa)+[!;]", "a*a*a*a*a*[!;]"};
    text[CELLO_PATTERN_MAX_SUBJECT - 1] = '?';
    for (size_t i = 0; i < CL_ARRAY_LEN(hostile); i++) {
        char interpreted[64];
        (void)snprintf(interpreted, sizeof(interpreted), "(*NO_JIT)%s", hostile[i]);
        assert_int_equal(search(hostile[i], longest), CELLO_ELIMIT);
        assert_int_equal(search(interpreted, longest), CELLO_ELIMIT);
        assert_int_equal(search(hostile[i], cl_str(text + longest.len - 40, 40)), CELLO_ELIMIT);
    }
    assert_int_equal(search("[?]$", longest), 1);
    assert_int_equal(search("^[a?]+$", longest), 1);
    assert_int_equal(search("b", longest), 0);
    assert_int_equal(search("a", cl_str(text, sizeof(text))), CELLO_ELIMIT);
}

static void matching_takes_no_heap(void **state) {
    (void)state;
    static const char *const texts[] = {"([a-z]+)-([0-9]+)", "(*NO_JIT)([a-z]+)-([0-9]+)"};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct cl_regex *re = compiled(texts[i]);
        uint64_t before = cl_alloc_count();
        assert_int_equal(cl_regex_match(re, CL_STR("abc-123")), CL_REGEX_MATCH);
        assert_int_equal(cl_regex_match(re, CL_STR("abc-x")), CL_REGEX_NO_MATCH);
        assert_int_equal(cl_alloc_count(), before);
        cl_regex_del(re);
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct cl_regex *re = NULL;
        char why[128];
        size_t offset;
        cl_alloc_fail_nth(n);
        int err = cl_regex_new(CL_STR("([a-z]+)-([0-9]+)"), CL_REGEX_WHOLE, &re, why, sizeof(why),
                               &offset);
        cl_alloc_fail_nth(0);
        if (err == CELLO_OK) {
            /* A failure while JIT compiles leaves the interpreter. */
            assert_int_equal(cl_regex_match(re, CL_STR("abc-123")), CL_REGEX_MATCH);
            cl_regex_del(re);
            if (n > 20)
                break;
        } else {
            assert_int_equal(err, CELLO_ENOMEM);
            assert_null(re);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_whole_subject),
        cmocka_unit_test(text_is_utf8_and_classes_are_ascii),
        cmocka_unit_test(syntax_errors_tell_where),
        cmocka_unit_test(hostile_subjects_are_cut_off),
        cmocka_unit_test(patterns_are_searched),
        cmocka_unit_test(hostile_subjects_end_a_search),
        cmocka_unit_test(matching_takes_no_heap),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
