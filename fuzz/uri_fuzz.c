/* Targets: spans lie inside, dot segments are gone after one pass, and decoding never grows.
 * The first byte chooses the method. */
#include "http/uri.h"

#include "check.h"

static void check_parse(struct cl_str target, enum cl_method method) {
    struct cl_uri uri;
    if (cl_uri_parse(target, method, &uri) != CELLO_OK)
        return;
    check_span(uri.query, target);
    check_span(uri.scheme, target);
    check_span(uri.authority, target);
    CHECK(uri.plain == cl_uri_path_is_plain(uri.path));
    CHECK(uri.has_query || uri.query.len == 0);
    if (uri.form == CL_URI_ABSOLUTE || uri.form == CL_URI_AUTHORITY)
        CHECK(cl_uri_authority_valid(uri.authority));
    if (uri.form == CL_URI_ORIGIN)
        CHECK(uri.path.ptr == target.ptr && uri.path.ptr[0] == '/');
}

static void check_dot_segments(struct cl_str path, char *once, char *twice) {
    size_t n = cl_uri_remove_dot_segments(path, once);
    CHECK(n <= path.len);
    CHECK(path.len == 0 || path.ptr[0] != '/' || (n > 0 && once[0] == '/'));
    size_t m = cl_uri_remove_dot_segments(cl_str(once, n), twice);
    CHECK(m == n && memcmp(once, twice, n) == 0);
    memcpy(twice, path.ptr, path.len);
    m = cl_uri_remove_dot_segments(cl_str(twice, path.len), twice);
    CHECK(m == n && memcmp(once, twice, n) == 0);
    if (n && once[0] == '/' && !memchr(once, '%', n))
        CHECK(cl_uri_path_is_plain(cl_str(once, n)));
}

static void check_decode(struct cl_str raw, char *out, char *in_place) {
    size_t n, m;
    int err = cl_percent_decode(raw, out, &n, true);
    memcpy(in_place, raw.ptr, raw.len);
    CHECK(cl_percent_decode(cl_str(in_place, raw.len), in_place, &m, true) == err);
    if (err == CELLO_OK)
        CHECK(n <= raw.len && m == n && memcmp(out, in_place, n) == 0 && !memchr(out, '\0', n));
    for (size_t i = 0; i < raw.len; i++)
        if ((unsigned char)raw.ptr[i] - 1u >= 0x7f) /* only ASCII can be checked */
            return;
    CHECK((cl_percent_check(raw) == CELLO_OK) == (err == CELLO_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t len = size - 1;
    char *text = copy_bytes(data + 1, len), *a = malloc(len), *b = malloc(len);
    CHECK(a && b);
    struct cl_str s = cl_str(text, len);
    check_parse(s, (enum cl_method)(data[0] % (CL_METHOD_COUNT + 1)));
    (void)cl_uri_authority_valid(s);
    const char *mark = memchr(text, '?', len); /* never part of a path */
    check_dot_segments(cl_str(text, mark ? (size_t)(mark - text) : len), a, b);
    check_decode(s, a, b);
    free(text);
    free(a);
    free(b);
    return 0;
}
