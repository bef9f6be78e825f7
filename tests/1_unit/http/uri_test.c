#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cl_str str(const char *text) {
    return cl_str(text, strlen(text));
}

static void splits_targets(void **state) {
    (void)state;
    static const struct {
        const char *target;
        enum cl_method method;
        enum cl_uri_form form;
        const char *authority, *path, *query;
        bool has_query, plain;
    } cases[] = {
        {"/", CL_METHOD_GET, CL_URI_ORIGIN, "", "/", "", false, true},
        {"/a/b.c?d=e?f", CL_METHOD_GET, CL_URI_ORIGIN, "", "/a/b.c", "d=e?f", true, true},
        {"/a?", CL_METHOD_GET, CL_URI_ORIGIN, "", "/a", "", true, true},
        {"/?/../%", CL_METHOD_GET, CL_URI_ORIGIN, "", "/", "/../%", true, true},
        {"/a%20b", CL_METHOD_GET, CL_URI_ORIGIN, "", "/a%20b", "", false, false},
        {"/..?x", CL_METHOD_GET, CL_URI_ORIGIN, "", "/..", "x", true, false},
        {"//b/c", CL_METHOD_GET, CL_URI_ORIGIN, "", "//b/c", "", false, true},
        {"*", CL_METHOD_OPTIONS, CL_URI_ASTERISK, "", "*", "", false, true},
        {"http://h", CL_METHOD_GET, CL_URI_ABSOLUTE, "h", "/", "", false, true},
        {"http://h", CL_METHOD_OPTIONS, CL_URI_ABSOLUTE, "h", "*", "", false, true},
        {"http://h/", CL_METHOD_OPTIONS, CL_URI_ABSOLUTE, "h", "/", "", false, true},
        {"http://h?q", CL_METHOD_GET, CL_URI_ABSOLUTE, "h", "/", "q", true, true},
        {"HTTPS://[::1]:8/a/./b?q", CL_METHOD_GET, CL_URI_ABSOLUTE, "[::1]:8", "/a/./b", "q", true,
         false},
        {"h:443", CL_METHOD_CONNECT, CL_URI_AUTHORITY, "h:443", "", "", false, true},
        {"[::1]:443", CL_METHOD_CONNECT, CL_URI_AUTHORITY, "[::1]:443", "", "", false, true},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_uri u;
        if (cl_uri_parse(str(cases[i].target), cases[i].method, &u) != CELLO_OK)
            fail_msg("%s is refused", cases[i].target);
        assert_int_equal(u.form, cases[i].form);
        assert_true(cl_str_eq(u.authority, str(cases[i].authority)));
        assert_true(cl_str_eq(u.path, str(cases[i].path)));
        assert_true(cl_str_eq(u.query, str(cases[i].query)));
        assert_int_equal(u.has_query, cases[i].has_query);
        assert_int_equal(u.plain, cases[i].plain);
        if (u.form == CL_URI_ORIGIN)
            assert_int_equal(u.plain, cl_uri_path_is_plain(u.path));
    }
}

static void refuses_targets(void **state) {
    (void)state;
    static const struct {
        const char *target;
        enum cl_method method;
    } cases[] = {
        {"", CL_METHOD_GET},
        {"a", CL_METHOD_GET},
        {"*", CL_METHOD_GET},
        {"**", CL_METHOD_OPTIONS},
        {"/#", CL_METHOD_GET},
        {"/?#", CL_METHOD_GET},
        {"http:", CL_METHOD_GET},
        {"http:/h", CL_METHOD_GET},
        {"http://", CL_METHOD_GET},
        {"http:///a", CL_METHOD_GET},
        {"http://u@h/", CL_METHOD_GET},
        {"http://h:x/", CL_METHOD_GET},
        {"http://h#", CL_METHOD_GET},
        {"ws://h/", CL_METHOD_GET},
        {"://h/", CL_METHOD_GET},
        {"h:443", CL_METHOD_GET},
        {"h", CL_METHOD_CONNECT},
        {"h:", CL_METHOD_CONNECT},
        {":443", CL_METHOD_CONNECT},
        {"[::1]", CL_METHOD_CONNECT},
        {"[1]", CL_METHOD_CONNECT},
        {"/", CL_METHOD_CONNECT},
        {"h:443/", CL_METHOD_CONNECT},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_uri u;
        if (cl_uri_parse(str(cases[i].target), cases[i].method, &u) != CELLO_ETARGET)
            fail_msg("%s is taken", cases[i].target);
    }
}

static void judges_authorities(void **state) {
    (void)state;
    static const char *const good[] = {"a",
                                       "example.org",
                                       "example.org:80",
                                       "127.0.0.1:8000",
                                       "a:",
                                       "a:0",
                                       "a:65535",
                                       "a:00080",
                                       "a_b~c!$&'()*+,;=",
                                       "%41.a%7E",
                                       "[::1]",
                                       "[::]:80",
                                       "[2001:db8::ffff:192.0.2.1]:8080",
                                       "[v1.a:b]",
                                       "[vF.~]:1"};
    static const char *const bad[] = {"",
                                      ":",
                                      ":80",
                                      "a:b",
                                      "a:65536",
                                      "a:000080",
                                      "a:-1",
                                      "a:8 0",
                                      "a b",
                                      "a/",
                                      "a?",
                                      "a#",
                                      "u@a",
                                      "a\\b",
                                      "a\"",
                                      "<a>",
                                      "%4",
                                      "%",
                                      "%gg",
                                      "\xc3\xa4",
                                      "a\x7f",
                                      "[",
                                      "]",
                                      "[]",
                                      "[::1",
                                      "::1",
                                      "[::1]80",
                                      "[::1]:x",
                                      "[::1]a",
                                      "[1.2.3.4]",
                                      "[::g]",
                                      "[::1%25eth0]",
                                      "[v.a]",
                                      "[v1.]",
                                      "[vg.a]",
                                      "[v1.a/]",
                                      "[1:2:3:4:5:6:7:8:9]"};
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++)
        if (!cl_uri_authority_valid(str(good[i])))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        if (cl_uri_authority_valid(str(bad[i])))
            fail_msg("%s is taken", bad[i]);
    assert_false(cl_uri_authority_valid(cl_str("[::1\0]", 6)));
}

static void removes_dot_segments(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"/", "/"},
        {"/a", "/a"},
        {"/a/", "/a/"},
        {"/.", "/"},
        {"/./", "/"},
        {"/..", "/"},
        {"/../", "/"},
        {"/../..", "/"},
        {"/../../a", "/a"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/../b", "/b"},
        {"/a/./b", "/a/b"},
        {"/a/b/c/./../../g", "/a/g"},
        {"/a/b/../../../../c", "/c"},
        {"/a//../b", "/a/b"},
        {"//..", "/"},
        {"/.../a..b/.c", "/.../a..b/.c"},
        {"/%2e", "/"},
        {"/a/%2E%2e/b", "/b"},
        {"/a/.%2e", "/"},
        {"/a/%2e./b", "/b"},
        {"/%2e%2e%2e", "/%2e%2e%2e"},
        {"/%2f../a", "/%2f../a"},
        {"/a/%2f/..", "/a/"},
        {"*", "*"},
        {"", ""},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        char out[64], place[64];
        size_t n = cl_uri_remove_dot_segments(str(cases[i][0]), out);
        if (!cl_str_eq(cl_str(out, n), str(cases[i][1])))
            fail_msg("%s became %.*s", cases[i][0], (int)n, out);
        memcpy(place, cases[i][0], strlen(cases[i][0]));
        n = cl_uri_remove_dot_segments(cl_str(place, strlen(cases[i][0])), place);
        assert_true(cl_str_eq(cl_str(place, n), str(cases[i][1])));
    }
}

static void knows_plain_paths(void **state) {
    (void)state;
    static const char *const plain[] = {"/", "/a.b/..c/d../...", "//", "/a/.b"};
    static const char *const other[] = {"/.", "/..", "/a/./b", "/a/../b", "/%41", "/a/."};
    for (size_t i = 0; i < CL_ARRAY_LEN(plain); i++)
        assert_true(cl_uri_path_is_plain(str(plain[i])));
    for (size_t i = 0; i < CL_ARRAY_LEN(other); i++)
        assert_false(cl_uri_path_is_plain(str(other[i])));
}

static void decodes_percents(void **state) {
    (void)state;
    static const struct {
        const char *raw;
        bool plus;
        int err;
        const char *decoded;
    } cases[] = {
        {"", false, CELLO_OK, ""},
        {"abc", false, CELLO_OK, "abc"},
        {"%41%2f%2F+", false, CELLO_OK, "A//+"},
        {"a+b%2B", true, CELLO_OK, "a b+"},
        {"%C3%A4\xc3\xa4", false, CELLO_OK, "\xc3\xa4\xc3\xa4"},
        {"%F0%9F%98%80", false, CELLO_OK, "\xf0\x9f\x98\x80"},
        {"%", false, CELLO_EPERCENT, NULL},
        {"a%4", false, CELLO_EPERCENT, NULL},
        {"%4g", false, CELLO_EPERCENT, NULL},
        {"%%41", false, CELLO_EPERCENT, NULL},
        {"% 1", true, CELLO_EPERCENT, NULL},
        {"%+1", true, CELLO_EPERCENT, NULL},
        {"%00", false, CELLO_EUTF8, NULL},
        {"%C3", false, CELLO_EUTF8, NULL},
        {"%C0%80", false, CELLO_EUTF8, NULL},
        {"%ED%A0%80", false, CELLO_EUTF8, NULL},
        {"\xff", false, CELLO_EUTF8, NULL},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        char buf[64];
        size_t n = strlen(cases[i].raw), len = 99;
        memcpy(buf, cases[i].raw, n);
        assert_int_equal(cl_percent_decode(cl_str(buf, n), buf, &len, cases[i].plus), cases[i].err);
        if (cases[i].err == CELLO_OK)
            assert_true(cl_str_eq(cl_str(buf, len), str(cases[i].decoded)));
    }
}

/* Every string of up to five of these tokens: checked as it would be decoded. */
static void checks_percents_without_decoding(void **state) {
    (void)state;
    static const char *const tokens[] = {"a",   "%",   "%4",  "%41", "%00", "%7F", "%80", "%C3",
                                         "%E2", "%82", "%AC", "%ED", "%F0", "%9F", "%FF"};
    enum { TOKENS = CL_ARRAY_LEN(tokens), LONGEST = 5 };
    size_t strings = 1;
    for (int i = 0; i < LONGEST; i++)
        strings *= TOKENS + 1;
    for (size_t which = 0; which < strings; which++) {
        char raw[LONGEST * 3], out[LONGEST * 3];
        size_t n = 0, len;
        for (size_t rest = which; rest; rest /= TOKENS + 1) {
            const char *token = rest % (TOKENS + 1) ? tokens[rest % (TOKENS + 1) - 1] : "";
            memcpy(raw + n, token, strlen(token));
            n += strlen(token);
        }
        int decoded = cl_percent_decode(cl_str(raw, n), out, &len, false);
        int checked = cl_percent_check(cl_str(raw, n));
        if ((decoded == CELLO_OK) != (checked == CELLO_OK))
            fail_msg("%.*s: %d when decoded, %d when checked", (int)n, raw, decoded, checked);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_targets),
        cmocka_unit_test(refuses_targets),
        cmocka_unit_test(judges_authorities),
        cmocka_unit_test(removes_dot_segments),
        cmocka_unit_test(knows_plain_paths),
        cmocka_unit_test(decodes_percents),
        cmocka_unit_test(checks_percents_without_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
