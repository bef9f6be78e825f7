/* Names of files and charsets of fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "form/charset.h"
#include "form/filename.h"

static void check_name(const char *name, const char *expected) {
    char out[CL_FILENAME_MAX];
    size_t n = cl_filename_safe(cl_str(name, strlen(name)), out);
    if (!cl_str_eq(cl_str(out, n), cl_str(expected, strlen(expected))))
        fail_msg("%s: %.*s, not %s", name, (int)n, out, expected);
}

static void makes_names_safe(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"photo.jpg", "photo.jpg"},
        {"Gr\xc3\xbc\xc3\x9f"
         "e \xe2\x82\xac.txt",
         "Gr\xc3\xbc\xc3\x9f"
         "e \xe2\x82\xac.txt"},
        {"../../etc/passwd", "passwd"},
        {"/etc/passwd", "passwd"},
        {"C:\\temp\\a.txt", "a.txt"},
        {"..\\..\\a", "a"},
        {"a/", "file"},
        {"", "file"},
        {".", "file"},
        {"..", "file"},
        {"...", "file"},
        {" . ", "file"},
        {".htaccess", "htaccess"},
        {"a.txt. . ", "a.txt"},
        {"a\r\nb\t\x7f.txt", "a__b__.txt"},
        {"a<b>c:d\"e|f?g*h", "a_b_c_d_e_f_g_h"},
        {"C:evil", "C_evil"},
        {"a.txt:stream", "a.txt_stream"},
        {"con", "_con"},
        {"NUL.txt", "_NUL.txt"},
        {"com1.tar.gz", "_com1.tar.gz"},
        {"com0", "com0"},
        {"com", "com"},
        {"console", "console"},
        {"lpt9", "_lpt9"},
        {"archive.tar.gz", "archive.tar.gz"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++)
        check_name(cases[i][0], cases[i][1]);
}

/* Cut in front of the extension, and never inside a character. */
static void cuts_long_names(void **state) {
    (void)state;
    for (size_t ascii = 0; ascii < 8; ascii++) {
        char name[1000], out[CL_FILENAME_MAX];
        size_t n = ascii;
        memset(name, 'a', ascii);
        for (; n < 900; n += 3)
            memcpy(name + n, "\xe2\x82\xac", 3);
        memcpy(name + n, ".jpeg", 5);
        size_t len = cl_filename_safe(cl_str(name, n + 5), out);
        assert_in_range(len, CL_FILENAME_MAX - 2, CL_FILENAME_MAX);
        assert_true(cl_utf8_is_valid(out, len));
        assert_memory_equal(out + len - 5, ".jpeg", 5);
        memset(name, 'a', n);
        name[0] = 'b';
        name[1] = '.'; /* no extension, so long */
        len = cl_filename_safe(cl_str(name, n), out);
        assert_int_equal(len, CL_FILENAME_MAX);
    }
}

static void reads_charsets(void **state) {
    (void)state;
    static const struct {
        const char *charset, *bytes;
        size_t len;
        int result;
        const char *text;
    } cases[] = {
        {"", "a", 1, CELLO_OK, "a"},
        {"", "", 0, CELLO_OK, ""},
        {"", "\xc3\xa9", 2, CELLO_OK, "\xc3\xa9"},
        {"UTF-8", "\xc3\xa9", 2, CELLO_OK, "\xc3\xa9"},
        {"utf8", "\xe9", 1, CELLO_EUTF8, NULL},
        {"", "a\0b", 3, CELLO_EUTF8, NULL},
        {"us-ascii", "a", 1, CELLO_OK, "a"},
        {"us-ascii", "\xc3\xa9", 2, CELLO_EUTF8, NULL},
        {"ISO-8859-1", "a\xe9\x80", 3, CELLO_OK, "a\xc3\xa9\xe2\x82\xac"},
        {"latin1", "\xff", 1, CELLO_OK, "\xc3\xbf"},
        {"windows-1252", "\x81\x9f", 2, CELLO_OK, "\xc2\x81\xc5\xb8"},
        {"windows-1252", "\0", 1, CELLO_EUTF8, NULL},
        {"utf-7", "a", 1, CELLO_ECHARSET, NULL},
    };
    struct cl_arena arena;
    cl_arena_init(&arena, 10000);
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_str out, charset = cl_str(cases[i].charset, strlen(cases[i].charset));
        int err = cl_charset_decode(charset, cl_str(cases[i].bytes, cases[i].len), &arena, &out);
        assert_int_equal(err, cases[i].result);
        if (cases[i].text)
            assert_true(cl_str_eq(out, cl_str(cases[i].text, strlen(cases[i].text))));
    }
    cl_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_names_safe),
        cmocka_unit_test(cuts_long_names),
        cmocka_unit_test(reads_charsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
