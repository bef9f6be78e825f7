/* Files through whole requests: cello_static_files_new and cello_respond_file. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "handler/listing.h"
#include "support/folder.h"

struct world {
    struct fixture f;
    struct folder folder;
    struct client c;
};

static void add_route(struct world *w, const char *path, const struct cello_static_files *how) {
    char err[200];
    struct cello_route route = {
        .methods = CELLO_GET | CELLO_HEAD,
        .path = cl_str(path, strlen(path)),
        .handler = cello_static_files_new(how),
    };
    assert_non_null(route.handler);
    assert_int_equal(cello_app_route(w->f.app, &route, err, sizeof err), CELLO_OK);
}

static void world_init(struct world *w, const struct cello_static_files *how) {
    folder_init(&w->folder);
    fixture_begin(&w->f, NULL);
    struct cello_static_files all = {
        .root = folder_path(&w->folder),
        .index_file = CL_STR("index.html"),
        .flags = CELLO_FILE_ETAG | CELLO_FILE_LAST_MODIFIED | CELLO_FILE_PRECOMPRESSED,
    };
    if (how) {
        all = *how;
        all.root = folder_path(&w->folder);
    }
    add_route(w, "/files", &all);
    add_route(w, "/files/", &all);
    add_route(w, "/files/{path:path}", &all);
    fixture_serve(&w->f);
    client_open(&w->f, &w->c);
}

static void world_free(struct world *w) {
    client_free(&w->c);
    fixture_free(&w->f);
    folder_free(&w->folder);
}

static struct response ask(struct world *w, const char *method, const char *path,
                           const char *fields) {
    char text[8192];
    struct response r;
    assert_true(snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path,
                         fields) < (int)sizeof text);
    client_send(&w->c, text);
    if (strcmp(method, "HEAD") == 0)
        client_answer_to_head(&w->c, &r);
    else
        client_answer(&w->c, &r);
    client_expect_nothing(&w->c);
    return r;
}

static struct response get(struct world *w, const char *path, const char *fields) {
    return ask(w, "GET", path, fields);
}

static bool body_is(const struct response *r, const char *body) {
    return r->body_len == strlen(body) && memcmp(r->body, body, r->body_len) == 0;
}

static const char *field(const struct response *r, const char *name) {
    static char value[512];
    size_t len;
    const char *found = response_field(r, name, &len);
    if (!found)
        return "";
    assert_true(len < sizeof value);
    memcpy(value, found, len);
    value[len] = '\0';
    return value;
}

static void serves_files(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "a.html", "<p>hello");
    folder_write_old(&w.folder, "deep/er/b.css", "p{}");
    folder_write_old(&w.folder, "empty", "");
    folder_write_old(&w.folder, "with space \xc3\xa4.txt", "odd");
    struct response r = get(&w, "/files/a.html", "");
    assert_true(r.status == 200 && body_is(&r, "<p>hello"));
    assert_string_equal(field(&r, "Content-Type"), "text/html; charset=utf-8");
    assert_string_equal(field(&r, "Accept-Ranges"), "bytes");
    assert_string_equal(field(&r, "Vary"), "Accept-Encoding");
    assert_int_equal(field(&r, "ETag")[0], '"');
    assert_int_equal(strlen(field(&r, "Last-Modified")), 29);
    r = ask(&w, "HEAD", "/files/a.html", "Range: bytes=0-1\r\n");
    assert_true(r.status == 200);
    assert_string_equal(field(&r, "Content-Length"), "8");
    r = get(&w, "/files/deep/er/b.css?v=1", "");
    assert_true(body_is(&r, "p{}"));
    r = get(&w, "/files/empty", "");
    assert_true(r.status == 200 && r.body_len == 0);
    r = get(&w, "/files/with%20space%20%C3%A4.txt", "");
    assert_true(body_is(&r, "odd"));
    r = ask(&w, "POST", "/files/a.html", "Content-Length: 0\r\n");
    assert_int_equal(r.status, 405);
    assert_string_equal(field(&r, "Allow"), "GET, HEAD, OPTIONS");
    world_free(&w);
}

static void serves_folders(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "index.html", "root");
    folder_write_old(&w.folder, "sub/index.html", "sub");
    folder_write_old(&w.folder, "bare/x", "x");
    struct response r = get(&w, "/files/", "");
    assert_true(body_is(&r, "root"));
    r = get(&w, "/files/sub/", "");
    assert_true(body_is(&r, "sub"));
    r = get(&w, "/files", "");
    assert_int_equal(r.status, 307);
    assert_string_equal(field(&r, "Location"), "./files/");
    r = get(&w, "/files/sub?a=b", "");
    assert_int_equal(r.status, 307);
    assert_string_equal(field(&r, "Location"), "./sub/?a=b");
    r = get(&w, "/files/bare/", "");
    assert_int_equal(r.status, 404);
    r = get(&w, "/files/index.html/", "");
    assert_int_equal(r.status, 404);
    world_free(&w);
}

static void leads_nowhere_else(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "a", "1");
    folder_write_old(&w.folder, "deep/x", "2");
    folder_write_old(&w.folder, ".env", "secret");
    folder_write_old(&w.folder, ".git/config", "secret");
    folder_write_old(&w.folder, ".well-known/security.txt", "open");
    folder_link(&w.folder, "/etc", "etc");
    folder_link(&w.folder, "/etc/passwd", "passwd");
    char long_path[4200] = "/files/";
    memset(long_path + 7, 'x', sizeof long_path - 8);
    const char *const nothing[] = {
        "/files/../a",
        "/files/..%2fa",
        "/files/%2e%2e/a",
        "/files/..%5ca",
        "/files/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/files/.env",
        "/files/%2eenv",
        "/files/.git/config",
        "/files/etc/passwd",
        "/files/passwd",
        "/files//etc/passwd",
        "/files/%2fetc/passwd",
        "/files/a%2f",
        "/files/a/",
        "/files/.../a",
        "/files/..;/a",
        "/files/....//a",
        "/files/none",
        "/files/deep%2fx",
        "/files/deep%2Fx",
        "/files/%c3%a4",
        long_path,
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(nothing); i++) {
        struct response r = get(&w, nothing[i], "");
        if (r.status != 404)
            fail_msg("%s: %d", nothing[i], r.status);
    }
    static const char *const malformed[] = {"/files/a%00", "/files/%c0%ae%c0%ae/a", "/files/a%zz",
                                            "/files/%e0%80%af"};
    for (size_t i = 0; i < CL_ARRAY_LEN(malformed); i++) {
        struct response r = get(&w, malformed[i], "");
        if (r.status != 400)
            fail_msg("%s: %d", malformed[i], r.status);
    }
    struct response r = get(&w, "/files/.well-known/security.txt", "");
    assert_true(body_is(&r, "open"));
    world_free(&w);
}

static void answers_conditions(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "a", "0123456789");
    char etag[64], fields[256];
    struct response r = get(&w, "/files/a", "");
    snprintf(etag, sizeof etag, "%s", field(&r, "ETag"));
    snprintf(fields, sizeof fields, "If-None-Match: W/%s\r\n", etag);
    r = get(&w, "/files/a", fields);
    assert_true(r.status == 304 && r.body_len == 0 && !r.has_length);
    assert_string_equal(field(&r, "ETag"), etag);
    assert_string_equal(field(&r, "Vary"), "Accept-Encoding");
    assert_string_equal(field(&r, "Content-Type"), "");
    r = get(&w, "/files/a", "If-Match: \"other\"\r\n");
    assert_int_equal(r.status, 412);
    assert_string_equal(field(&r, "Content-Type"), "application/problem+json");
    snprintf(fields, sizeof fields, "If-Range: %s\r\nRange: bytes=2-4\r\n", etag);
    r = get(&w, "/files/a", fields);
    assert_true(r.status == 206 && body_is(&r, "234"));
    assert_string_equal(field(&r, "Content-Range"), "bytes 2-4/10");
    r = get(&w, "/files/a", "If-Range: \"other\"\r\nRange: bytes=2-4\r\n");
    assert_true(r.status == 200 && body_is(&r, "0123456789"));
    r = get(&w, "/files/a", "Range: bytes=10-\r\n");
    assert_int_equal(r.status, 416);
    assert_string_equal(field(&r, "Content-Range"), "bytes */10");
    world_free(&w);
}

static void sends_several_ranges(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    char text[1001], want[1024];
    for (int i = 0; i < 1000; i++)
        text[i] = (char)('0' + i % 10);
    text[1000] = '\0';
    folder_write_old(&w.folder, "a.txt", text);
    struct response r = get(&w, "/files/a.txt", "Range: bytes=0-1, 500-502, -1\r\n");
    assert_int_equal(r.status, 206);
    const char *type = field(&r, "Content-Type");
    static const char begin[] = "multipart/byteranges; boundary=";
    assert_memory_equal(type, begin, sizeof begin - 1);
    const char *b = type + sizeof begin - 1;
    snprintf(want, sizeof want,
             "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 0-1/1000\r\n\r\n01\r\n"
             "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 500-502/1000\r\n\r\n012\r\n"
             "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 999-999/1000\r\n\r\n9\r\n--%s--\r\n",
             b, b, b, b);
    assert_true(body_is(&r, want));
    world_free(&w);
}

static void negotiates_codings(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "a.js", "plain");
    folder_write_old(&w.folder, "a.js.gz", "GZIP");
    folder_write_old(&w.folder, "a.js.br", "BROTLI");
    folder_age(&w.folder, "a.js", 7200);
    static const struct {
        const char *accept, *coding, *body;
    } cases[] = {
        {"", "", "plain"},
        {"Accept-Encoding: gzip\r\n", "gzip", "GZIP"},
        {"Accept-Encoding: gzip, br\r\n", "br", "BROTLI"},
        {"Accept-Encoding: gzip, br, zstd\r\n", "br", "BROTLI"},
        {"Accept-Encoding: gzip;q=1, br;q=0.5\r\n", "gzip", "GZIP"},
        {"Accept-Encoding: br;q=0, gzip;q=0.1\r\n", "gzip", "GZIP"},
        {"Accept-Encoding: gzip;q=0.5, identity\r\n", "", "plain"},
        {"Accept-Encoding: *\r\n", "br", "BROTLI"},
        {"Accept-Encoding: zstd\r\n", "", "plain"},
        {"Accept-Encoding: deflate\r\n", "", "plain"},
    };
    char etags[CL_ARRAY_LEN(cases)][64];
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct response r = get(&w, "/files/a.js", cases[i].accept);
        if (!body_is(&r, cases[i].body) || strcmp(field(&r, "Content-Encoding"), cases[i].coding))
            fail_msg("%s: %.*s", cases[i].accept, (int)r.body_len, r.body);
        assert_string_equal(field(&r, "Content-Type"), "text/javascript; charset=utf-8");
        assert_string_equal(field(&r, "Vary"), "Accept-Encoding");
        snprintf(etags[i], sizeof etags[i], "%s", field(&r, "ETag"));
    }
    assert_string_not_equal(etags[0], etags[1]);
    assert_string_not_equal(etags[1], etags[2]);
    char fields[256];
    snprintf(fields, sizeof fields, "Accept-Encoding: br\r\nIf-None-Match: %s\r\n", etags[2]);
    assert_int_equal(get(&w, "/files/a.js", fields).status, 304);
    snprintf(fields, sizeof fields, "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n", etags[2]);
    assert_int_equal(get(&w, "/files/a.js", fields).status, 200);
    struct response r = get(&w, "/files/a.js", "Accept-Encoding: br\r\nRange: bytes=1-2\r\n");
    assert_true(r.status == 206 && body_is(&r, "RO"));
    world_free(&w);
}

static void falls_back_for_pages(void **state) {
    (void)state;
    struct world w;
    world_init(&w, &(struct cello_static_files){
                       .index_file = CL_STR("index.html"),
                       .fallback = CL_STR("app.html"),
                       .cache_control = CL_STR("no-cache"),
                   });
    folder_write_old(&w.folder, "app.html", "app");
    folder_write_old(&w.folder, "a.js", "js");
    static const char page[] = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    struct response r = get(&w, "/files/users/7", page);
    assert_true(r.status == 200 && body_is(&r, "app"));
    assert_string_equal(field(&r, "Vary"), "Accept");
    assert_string_equal(field(&r, "Cache-Control"), "no-cache");
    assert_string_equal(field(&r, "ETag"), "");
    assert_true(get(&w, "/files/users/", page).status == 200);
    assert_true(get(&w, "/files/a%2fb", page).status == 200);
    assert_true(get(&w, "/files/none.js", "Accept: */*\r\n").status == 404);
    assert_true(get(&w, "/files/none.js", "Accept: text/html;q=0, */*\r\n").status == 404);
    r = get(&w, "/files/none.js", "");
    assert_int_equal(r.status, 404);
    assert_string_equal(field(&r, "Vary"), "Accept");
    r = get(&w, "/files/a.js", page);
    assert_true(body_is(&r, "js"));
    folder_remove(&w.folder, "app.html");
    fixture_pass(&w.f, CL_NS_PER_MS);
    assert_true(get(&w, "/files/users/7", page).status == 404);
    world_free(&w);
}

static void lists_folders(void **state) {
    (void)state;
    struct world w;
    world_init(&w, &(struct cello_static_files){.flags = CELLO_FILE_LISTING});
    folder_write_old(&w.folder, "b.txt", "x");
    folder_write_old(&w.folder, "a&<\"'>:.txt", "x");
    folder_write_old(&w.folder, "z/x", "x");
    folder_write_old(&w.folder, "c/x", "x");
    folder_write_old(&w.folder, ".hidden", "x");
    folder_write_old(&w.folder, "\xff", "x");
    folder_link(&w.folder, "/etc/passwd", "link");
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", w.folder.path);
    assert_int_equal(mkfifo(fifo, 0644), 0);
    struct response r = get(&w, "/files/", "");
    assert_int_equal(r.status, 200);
    assert_string_equal(field(&r, "Content-Type"), "text/html; charset=utf-8");
    static const char list[] =
        "<h1>/files/</h1>\n<ul>\n"
        "<li><a href=\"./c/\">c/</a></li>\n"
        "<li><a href=\"./z/\">z/</a></li>\n"
        "<li><a href=\"./a%26%3C%22%27%3E%3A.txt\">a&amp;&lt;&quot;&#39;&gt;:.txt</a></li>\n"
        "<li><a href=\"./b.txt\">b.txt</a></li>\n</ul>\n</body>\n";
    if (!memmem(r.body, r.body_len, list, sizeof list - 1))
        fail_msg("%.*s", (int)r.body_len, r.body);
    assert_true(get(&w, "/files/z/", "").status == 200);
    assert_true(get(&w, "/files/none/", "").status == 404);
    assert_true(get(&w, "/files/b.txt/", "").status == 404);
    assert_true(ask(&w, "HEAD", "/files/", "").status == 200);
    world_free(&w);
}

static void bounds_listings(void **state) {
    (void)state;
    struct world w;
    world_init(&w, &(struct cello_static_files){.flags = CELLO_FILE_LISTING});
    char name[32];
    for (int i = 0; i < CL_LISTING_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        folder_write(&w.folder, name, "", 0);
    }
    static const char more[] = "There are more entries";
    struct response r = get(&w, "/files/", "");
    assert_null(memmem(r.body, r.body_len, more, sizeof more - 1));
    assert_non_null(memmem(r.body, r.body_len, ">1999<", 6));
    folder_write(&w.folder, "one-more", "", 0);
    r = get(&w, "/files/", "");
    assert_non_null(memmem(r.body, r.body_len, more, sizeof more - 1));
    world_free(&w);
}

/* ---- cello_respond_file ---- */

#define HOLD "GET /hold HTTP/1.1\r\nHost: a\r\n"

static struct cl_request *hold(struct world *w, const char *fields) {
    char text[512];
    snprintf(text, sizeof text, HOLD "%s\r\n", fields);
    client_send(&w->c, text);
    return fixture_take(&w->f);
}

static struct response answer(struct world *w, struct cl_request *r) {
    struct response got;
    fixture_turn(&w->f);
    client_answer(&w->c, &got);
    cello_request_unref(r);
    return got;
}

static unsigned count(const struct response *r, const char *text) {
    unsigned found = 0;
    size_t n = strlen(text);
    for (size_t at = 0; at + n <= r->head_len; at++)
        found += memcmp(r->head + at, text, n) == 0;
    return found;
}

static void keeps_what_the_program_has_set(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "a.txt", "0123456789");
    const struct cello_file how = {
        .root = folder_path(&w.folder),
        .path = CL_STR("a.txt"),
        .filename = CL_STR("b c.txt"),
        .cache_control = CL_STR("private"),
        .flags = CELLO_FILE_ETAG | CELLO_FILE_LAST_MODIFIED,
    };
    struct cl_request *r = hold(&w, "Range: bytes=1-2\r\n");
    cello_response_type(r, CL_STR("x/y"));
    assert_int_equal(cello_response_header(r, CL_STR("ETag"), CL_STR("\"mine\"")), CELLO_OK);
    assert_int_equal(cello_response_header(r, CL_STR("cache-control"), CL_STR("no-store")),
                     CELLO_OK);
    assert_int_equal(cello_response_header(r, CL_STR("X-A"), CL_STR("1")), CELLO_OK);
    assert_int_equal(cello_respond_file(r, &how), CELLO_OK);
    struct response got = answer(&w, r);
    assert_true(got.status == 206 && body_is(&got, "12"));
    assert_string_equal(field(&got, "Content-Type"), "x/y");
    assert_string_equal(field(&got, "ETag"), "\"mine\"");
    assert_int_equal(count(&got, "ETag:"), 1);
    assert_string_equal(field(&got, "Cache-Control"), "no-store");
    assert_int_equal(count(&got, "ontrol:"), 1);
    assert_string_equal(field(&got, "X-A"), "1");
    assert_string_equal(field(&got, "Content-Disposition"), "attachment; filename=\"b c.txt\"");
    r = hold(&w, "If-None-Match: \"mine\"\r\n");
    assert_int_equal(cello_response_header(r, CL_STR("ETag"), CL_STR("\"mine\"")), CELLO_OK);
    assert_int_equal(cello_respond_file(r, &how), CELLO_OK);
    assert_int_equal(answer(&w, r).status, 304);
    /* Another status is the program's: nothing of it is left out. */
    r = hold(&w, "Range: bytes=1-2\r\nIf-None-Match: *\r\n");
    cello_response_status(r, 404);
    assert_int_equal(cello_respond_file(r, &how), CELLO_OK);
    got = answer(&w, r);
    assert_true(got.status == 404 && body_is(&got, "0123456789"));
    assert_string_equal(field(&got, "Accept-Ranges"), "");
    world_free(&w);
}

static void leaves_the_request_as_it_was(void **state) {
    (void)state;
    struct world w;
    world_init(&w, NULL);
    folder_write_old(&w.folder, "a.txt", "x");
    struct cello_file how = {.root = folder_path(&w.folder), .path = CL_STR("none")};
    struct cl_request *r = hold(&w, "");
    assert_int_equal(cello_response_header(r, CL_STR("X-A"), CL_STR("1")), CELLO_OK);
    assert_int_equal(cello_respond_file(r, &how), CELLO_ENOENT);
    how.path = CL_STR("../a.txt");
    assert_int_equal(cello_respond_file(r, &how), CELLO_ENOENT);
    how.path = CL_STR("a.txt");
    how.filename = CL_STR("a\r\nb");
    assert_int_equal(cello_respond_file(r, &how), CELLO_EINVAL);
    how.filename = CL_STR("");
    how.cache_control = CL_STR("a\nb");
    assert_int_equal(cello_respond_file(r, &how), CELLO_EINVAL);
    how.cache_control = CL_STR("");
    folder_write_old(&w.folder, "b.txt", "x");
    how.path = CL_STR("b.txt");
    for (int n = 1; n < 3; n++) { /* a file that is not known yet needs two allocations */
        cl_alloc_fail_nth((uint64_t)n);
        assert_int_equal(cello_respond_file(r, &how), CELLO_ENOMEM);
        cl_alloc_fail_nth(0);
    }
    cello_respond_bytes(r, CL_STR("other"));
    struct response got = answer(&w, r);
    assert_true(got.status == 200 && body_is(&got, "other"));
    assert_string_equal(field(&got, "X-A"), "1");
    assert_string_equal(field(&got, "ETag"), "");
    world_free(&w);
}

/* More fields than an answer may have: nothing of the file stays behind. */
static void takes_its_fields_back(void **state) {
    (void)state;
    struct world w;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_headers = 3;
    folder_init(&w.folder);
    folder_write_old(&w.folder, "a.txt", "x");
    fixture_init(&w.f, &cfg);
    client_open(&w.f, &w.c);
    const struct cello_file how = {
        .root = folder_path(&w.folder),
        .path = CL_STR("a.txt"),
        .flags = CELLO_FILE_ETAG | CELLO_FILE_LAST_MODIFIED,
    };
    struct cl_request *r = hold(&w, "");
    assert_int_equal(cello_response_header(r, CL_STR("X-A"), CL_STR("1")), CELLO_OK);
    assert_int_equal(cello_response_header(r, CL_STR("X-B"), CL_STR("2")), CELLO_OK);
    assert_int_equal(cello_respond_file(r, &how), CELLO_ENOMEM);
    cello_respond_bytes(r, CL_STR("other"));
    struct response got = answer(&w, r);
    assert_true(body_is(&got, "other") && response_field_is(&got, "X-B", "2"));
    assert_string_equal(field(&got, "ETag"), "");
    assert_string_equal(field(&got, "Content-Type"), "");
    world_free(&w);
}

static void refuses_bad_configurations(void **state) {
    (void)state;
    static const struct cello_static_files bad[] = {
        {.root = CL_STR_INIT("")},
        {.root = CL_STR_INIT("relative")},
        {.root = CL_STR_INIT("/tmp"), .index_file = CL_STR_INIT("../index.html")},
        {.root = CL_STR_INIT("/tmp"), .fallback = CL_STR_INIT("/etc/passwd")},
        {.root = CL_STR_INIT("/tmp"), .cache_control = CL_STR_INIT("a\r\nb: c")},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++)
        assert_null(cello_static_files_new(&bad[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_files),
        cmocka_unit_test(serves_folders),
        cmocka_unit_test(leads_nowhere_else),
        cmocka_unit_test(answers_conditions),
        cmocka_unit_test(sends_several_ranges),
        cmocka_unit_test(negotiates_codings),
        cmocka_unit_test(falls_back_for_pages),
        cmocka_unit_test(lists_folders),
        cmocka_unit_test(bounds_listings),
        cmocka_unit_test(keeps_what_the_program_has_set),
        cmocka_unit_test(leaves_the_request_as_it_was),
        cmocka_unit_test(takes_its_fields_back),
        cmocka_unit_test(refuses_bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
