/* The table, too: that it is sorted shows only in what is not found. */
#include "http/mime.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void finds_types(void **state) {
    (void)state;
    static const struct {
        const char *path, *type;
    } cases[] = {
        {"index.html", "text/html; charset=utf-8"},
        {"a/b.min.JS", "text/javascript; charset=utf-8"},
        {"data.json", "application/json"},
        {"x.svg", "image/svg+xml"},
        {"x.tar.gz", "application/gzip"},
        {"x.woff2", "font/woff2"},
        {"x.WebManifest", "application/manifest+json"},
        {"x.unheard-of", "application/octet-stream"},
        {"x.averyverylongextension", "application/octet-stream"},
        {"README", "application/octet-stream"},
        {"html", "application/octet-stream"},
        {"a.html/b", "application/octet-stream"},
        {".html", "text/html; charset=utf-8"},
        {"x.", "application/octet-stream"},
        {"", "application/octet-stream"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_str path = cl_str(cases[i].path, strlen(cases[i].path));
        struct cl_str got = cl_mime_type(path);
        if (!cl_str_eq(got, cl_str(cases[i].type, strlen(cases[i].type))))
            fail_msg("%s: %.*s", cases[i].path, (int)got.len, got.ptr);
    }
}

static void is_sorted(void **state) {
    (void)state;
    for (size_t i = 1; i < CL_ARRAY_LEN(TABLE); i++)
        if (strcmp(TABLE[i - 1].extension, TABLE[i].extension) >= 0)
            fail_msg("%s stands before %s", TABLE[i - 1].extension, TABLE[i].extension);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_types), cmocka_unit_test(is_sorted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
