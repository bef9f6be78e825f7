#include "handler/listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "handler/file_open.h"
#include "http/response.h"

/* Entries are read with the system call: readdir() has a heap of its own. */
enum { READ_SIZE = 16384 };

struct entry {
    struct entry *next;
    bool folder;
    struct cl_str name;
};

struct listing {
    struct cl_request *r;
    struct entry *entries;
    unsigned count;
    bool more;
};

/* ---- reading ---- */

static bool find_type(int fd, const struct dirent64 *d, bool *folder) {
    struct stat st;
    if (d->d_type == DT_UNKNOWN) { /* the file system keeps no types */
        if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return false;
        *folder = S_ISDIR(st.st_mode);
        return *folder || S_ISREG(st.st_mode);
    }
    *folder = d->d_type == DT_DIR;
    return *folder || d->d_type == DT_REG;
}

static int take(struct listing *l, int fd, const struct dirent64 *d) {
    struct cl_str name = cl_str(d->d_name, strlen(d->d_name));
    bool folder;
    if (!cl_file_name_allowed(name) || !cl_utf8_is_valid(name.ptr, name.len) ||
        !find_type(fd, d, &folder))
        return CELLO_OK;
    if (l->count == CL_LISTING_MAX) {
        l->more = true;
        return CELLO_OK;
    }
    struct entry *e = cl_arena_alloc(&l->r->arena, sizeof *e);
    struct cl_str copy = e ? cl_arena_dup(&l->r->arena, name) : name;
    if (!e || !copy.ptr)
        return CELLO_ENOMEM;
    *e = (struct entry){.next = l->entries, .folder = folder, .name = copy};
    l->entries = e;
    l->count++;
    return CELLO_OK;
}

static int read_entries(struct listing *l, int fd) {
    _Alignas(struct dirent64) char buffer[READ_SIZE];
    int err = CELLO_OK;
    while (!err && !l->more) {
        ssize_t n = getdents64(fd, buffer, sizeof buffer);
        if (n <= 0)
            return n < 0 ? CELLO_ESYS : CELLO_OK;
        for (ssize_t at = 0; !err && at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(void *)(buffer + at);
            err = take(l, fd, d);
            at += d->d_reclen;
        }
    }
    return err;
}

/* ---- order ---- */

static bool before(const struct entry *a, const struct entry *b) {
    if (a->folder != b->folder)
        return a->folder;
    int order = memcmp(a->name.ptr, b->name.ptr, CL_MIN(a->name.len, b->name.len));
    return order ? order < 0 : a->name.len < b->name.len;
}

static struct entry *merge(struct entry *a, struct entry *b) {
    struct entry *first = NULL, **end = &first;
    while (a && b) {
        struct entry **least = before(b, a) ? &b : &a;
        *end = *least;
        end = &(*least)->next;
        *least = *end;
    }
    *end = a ? a : b;
    return first;
}

/* Runs of 1, 2, 4 ... entries wait in their places to be merged with one of their size. */
static struct entry *sort(struct entry *list) {
    struct entry *runs[16] = {NULL}, *sorted = NULL;
    _Static_assert(CL_LISTING_MAX < 1 << 16, "a run for each bit of the count");
    while (list) {
        struct entry *run = list;
        size_t i = 0;
        list = list->next;
        run->next = NULL;
        for (; runs[i]; i++) {
            run = merge(runs[i], run);
            runs[i] = NULL;
        }
        runs[i] = run;
    }
    for (size_t i = 0; i < CL_ARRAY_LEN(runs); i++)
        sorted = merge(runs[i], sorted);
    return sorted;
}

/* ---- the page ---- */

/* The longest that a byte becomes: "&quot;". */
enum { ESCAPE_MAX = 6, URL_MAX = 3 };

static void put_html(struct cl_sink *s, struct cl_str text) {
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&': cl_sink_put(s, "&amp;", 5); break;
        case '<': cl_sink_put(s, "&lt;", 4); break;
        case '>': cl_sink_put(s, "&gt;", 4); break;
        case '"': cl_sink_put(s, "&quot;", 6); break;
        case '\'': cl_sink_put(s, "&#39;", 5); break;
        default: *s->p++ = text.ptr[i];
        }
    }
}

/* Unreserved characters (RFC 3986) stay: what is left cannot end an attribute either. */
static void put_url(struct cl_sink *s, struct cl_str text) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i], l = cl_lower(c);
        if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c)) {
            *s->p++ = (char)c;
        } else {
            *s->p++ = '%';
            *s->p++ = hex[c >> 4];
            *s->p++ = hex[c & 15];
        }
    }
}

#define PUT(sink, literal) cl_sink_put((sink), (literal), sizeof(literal) - 1)

static int put_entry(struct cl_sink *s, const struct entry *e) {
    enum { FIXED = 64 };
    int err = cl_sink_reserve(s, FIXED + (ESCAPE_MAX + URL_MAX) * e->name.len);
    if (err)
        return err;
    /* "./": a name with a colon would be read as a scheme. */
    PUT(s, "<li><a href=\"./");
    put_url(s, e->name);
    cl_sink_put(s, "/", e->folder);
    PUT(s, "\">");
    put_html(s, e->name);
    cl_sink_put(s, "/", e->folder);
    PUT(s, "</a></li>\n");
    return CELLO_OK;
}

static int put_page(struct cl_sink *s, const struct listing *l) {
    enum { FIXED = 512 };
    struct cl_str path = l->r->path;
    int err = cl_sink_reserve(s, FIXED + 2 * ESCAPE_MAX * path.len);
    if (err)
        return err;
    PUT(s, "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    put_html(s, path);
    PUT(s, "</title>\n</head>\n<body>\n<h1>");
    put_html(s, path);
    PUT(s, "</h1>\n<ul>\n");
    for (const struct entry *e = l->entries; !err && e; e = e->next)
        err = put_entry(s, e);
    if (!err)
        err = cl_sink_reserve(s, FIXED);
    if (err)
        return err;
    PUT(s, "</ul>\n");
    if (l->more)
        PUT(s, "<p>There are more entries, which are not shown.</p>\n");
    PUT(s, "</body>\n</html>\n");
    return CELLO_OK;
}

int cl_respond_listing(struct cl_request *r, int fd) {
    struct listing l = {.r = r};
    int err = read_entries(&l, fd);
    close(fd);
    if (err)
        return err;
    l.entries = sort(l.entries);
    struct cl_sink *s = cl_response_sink(r, CL_BLOCK_SIZE);
    if (!s)
        return CELLO_ENOMEM;
    err = put_page(s, &l);
    if (err) {
        cl_response_sink_drop(r);
        return err;
    }
    r->response.content_type = CL_STR("text/html; charset=utf-8");
    cl_respond_sink(r);
    return CELLO_OK;
}
