#include "handler/file.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "handler/file_open.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/disposition.h"
#include "http/media.h"
#include "http/mime.h"
#include "http/range.h"
#include "http/response.h"
#include "http/worker.h"

/* One answer in the making. */
struct answer {
    struct cl_request *r;
    const struct cello_file *how;
    struct cl_file *file;      /* what is sent: the file, or the one in a coding; a reference */
    enum cl_coding coding;     /* CL_CODING_COUNT: none */
    bool selects;              /* a 200 to GET or HEAD: conditions, codings and ranges count */
    uint64_t now_ns;           /* wall clock */
    struct cl_str etag, date;  /* in the arena; empty: not sent */
    struct cl_str disposition; /* likewise */
    struct cl_str cache_control;
    struct cl_validators validators;
};

/* ---- fields ---- */

static struct cl_header field(enum cl_header_id id, struct cl_str name, struct cl_str value) {
    return (struct cl_header){.name = name, .value = value, .id = (uint16_t)id};
}

/* The program's own field stays; an empty value is none. */
static int add(struct cl_request *r, struct cl_header h) {
    return !h.value.len || cl_response_has(r, &h) ? CELLO_OK : cl_response_add(r, &h);
}

/* What the program has set; empty: nothing. */
static struct cl_str set_already(const struct cl_request *r, enum cl_header_id id) {
    for (uint16_t i = 0; i < r->response.header_count; i++)
        if (r->response.headers[i].id == id)
            return r->response.headers[i].value;
    return cl_str(NULL, 0);
}

static int copy(struct cl_request *r, struct cl_str from, struct cl_str *to) {
    *to = from.len ? cl_arena_dup(&r->arena, from) : cl_str(NULL, 0);
    return from.len && !to->ptr ? CELLO_ENOMEM : CELLO_OK;
}

/* With the name of the coding inside: all forms of a file may have one size and date. */
static int make_etag(struct answer *a) {
    struct cl_str etag = cl_file_etag(a->file, a->now_ns);
    struct cl_str coding =
        a->coding == CL_CODING_COUNT ? cl_str(NULL, 0) : cl_coding_name(a->coding);
    char *text = cl_arena_alloc(&a->r->arena, etag.len + coding.len + 1);
    if (!text)
        return CELLO_ENOMEM;
    memcpy(text, etag.ptr, etag.len);
    a->etag = cl_str(text, etag.len);
    if (coding.len) {
        text[etag.len - 1] = '-';
        memcpy(text + etag.len, coding.ptr, coding.len);
        text[etag.len + coding.len] = '"';
        a->etag.len += coding.len + 1;
    }
    return CELLO_OK;
}

static int make_disposition(struct answer *a) {
    struct cl_str name = a->how->filename;
    if (!name.len)
        return CELLO_OK;
    char *text = cl_arena_alloc(&a->r->arena, cl_disposition_bound(name));
    if (!text)
        return CELLO_ENOMEM;
    a->disposition.ptr = text;
    bool is_inline = (a->how->flags & CELLO_FILE_INLINE) != 0;
    return cl_disposition(name, is_inline, text, &a->disposition.len);
}

/* Everything that can be refused, before the response is touched. */
static int prepare(struct answer *a) {
    const struct cello_file *how = a->how;
    if (!cl_header_value_valid(how->cache_control))
        return CELLO_EINVAL;
    int err = make_disposition(a);
    if (!err)
        err = copy(a->r, how->cache_control, &a->cache_control);
    if (!err && (how->flags & CELLO_FILE_ETAG))
        err = make_etag(a);
    if (!err && (how->flags & CELLO_FILE_LAST_MODIFIED))
        err = copy(a->r, cl_str(a->file->date, CL_FILE_DATE_MAX), &a->date);
    return err;
}

/* What a cache keeps with the answer, also when that is a 304 (RFC 9110 section 15.4.5). */
static int add_metadata(struct answer *a, bool body) {
    struct cl_request *r = a->r;
    int err = add(r, field(CL_HEADER_ETAG, CL_STR("ETag"), a->etag));
    if (!err && (body || !a->etag.len))
        err = add(r, field(CL_HEADER_LAST_MODIFIED, CL_STR("Last-Modified"), a->date));
    if (!err)
        err = add(r, field(CL_HEADER_CACHE_CONTROL, CL_STR("Cache-Control"), a->cache_control));
    if (!err && (a->how->flags & CELLO_FILE_PRECOMPRESSED)) {
        /* Beside one that the program may have set. */
        struct cl_header vary = field(CL_HEADER_VARY, CL_STR("Vary"), CL_STR("Accept-Encoding"));
        err = cl_response_add(r, &vary);
    }
    return err;
}

static int add_representation(struct answer *a) {
    struct cl_request *r = a->r;
    int err = add_metadata(a, true);
    if (!r->response.content_type.len)
        r->response.content_type = a->file->type;
    if (!err && a->coding != CL_CODING_COUNT)
        err = add(r, field(CL_HEADER_CONTENT_ENCODING, CL_STR("Content-Encoding"),
                           cl_coding_name(a->coding)));
    if (!err)
        err = add(
            r, field(CL_HEADER_CONTENT_DISPOSITION, CL_STR("Content-Disposition"), a->disposition));
    if (!err && a->selects)
        err = add(r, field(CL_HEADER_ACCEPT_RANGES, CL_STR("Accept-Ranges"), CL_STR("bytes")));
    return err;
}

static int add_content_range(struct cl_request *r, const struct cl_range *range, uint64_t size) {
    char *text = cl_arena_alloc(&r->arena, CL_CONTENT_RANGE_MAX);
    if (!text)
        return CELLO_ENOMEM;
    size_t n =
        range ? cl_range_content(range, size, text) : cl_range_content_unsatisfied(size, text);
    struct cl_header h = field(CL_HEADER_CONTENT_RANGE, CL_STR("Content-Range"), cl_str(text, n));
    return cl_response_add(r, &h);
}

/* ---- bodies ---- */

static void release(void *file) {
    cl_file_release(file);
}

static struct cello_segment part_of(const struct cl_file *f, uint64_t first, uint64_t length) {
    if (f->fd < 0)
        return (struct cello_segment){.bytes = {f->content + first, (size_t)length}, .fd = -1};
    return (struct cello_segment){.fd = f->fd, .offset = first, .length = length};
}

static void send_range(struct answer *a, uint64_t first, uint64_t length) {
    struct cello_segment part = part_of(a->file, first, length);
    if (part.fd < 0)
        cl_respond_pinned(a->r, part.bytes, release, a->file);
    else
        cl_respond_segments(a->r, &part, 1, release, a->file);
}

/* A text that no file has: nobody outside can know it before it is sent. */
static void make_boundary(const struct answer *a, char out[static 17]) {
    const struct cl_hash_key key = cl_hash_process_key();
    const uint64_t seed[] = {a->now_ns, (uintptr_t)a->r, cl_now_ns()};
    snprintf(out, 17, "%016llx", (unsigned long long)cl_hash_bytes(&key, seed, sizeof seed));
}

static int respond_parts(struct answer *a, const struct cl_range *ranges, unsigned count) {
    enum { FIXED = 128 };
    struct cello_segment segments[2 * CL_RANGE_MAX + 1];
    struct cl_request *r = a->r;
    struct cl_str type = r->response.content_type;
    char boundary[17];
    size_t n = 0, room = FIXED + type.len + CL_CONTENT_RANGE_MAX;
    char *text = cl_arena_alloc(&r->arena, (count + 2) * room);
    if (!text)
        return CELLO_ENOMEM;
    make_boundary(a, boundary);
    for (unsigned i = 0; i < count; i++, text += room) {
        char range[CL_CONTENT_RANGE_MAX];
        int len =
            snprintf(text, room, "%s--%s\r\nContent-Type: %.*s\r\nContent-Range: %.*s\r\n\r\n",
                     i ? "\r\n" : "", boundary, (int)type.len, type.ptr,
                     (int)cl_range_content(&ranges[i], a->file->size, range), range);
        segments[n++] = (struct cello_segment){.bytes = {text, (size_t)len}, .fd = -1};
        segments[n++] = part_of(a->file, ranges[i].first, ranges[i].length);
    }
    int len = snprintf(text, room, "\r\n--%s--\r\n", boundary);
    segments[n++] = (struct cello_segment){.bytes = {text, (size_t)len}, .fd = -1};
    text += room;
    len = snprintf(text, room, "multipart/byteranges; boundary=%s", boundary);
    r->response.content_type = cl_str(text, (size_t)len);
    cl_respond_segments(r, segments, n, release, a->file);
    return CELLO_OK;
}

/* ---- which answer ---- */

static int respond_whole(struct answer *a) {
    int err = add_representation(a);
    if (!err)
        send_range(a, 0, a->file->size);
    return err;
}

static int respond_unchanged(struct answer *a) {
    int err = add_metadata(a, false);
    if (err)
        return err;
    a->r->response.status = 304;
    a->r->response.content_type = cl_str(NULL, 0);
    cl_file_release(a->file);
    cl_respond_empty(a->r);
    return CELLO_OK;
}

static int refuse(struct answer *a, int status, struct cl_str detail) {
    cl_file_release(a->file);
    cl_respond_problem(a->r, status, detail);
    return CELLO_OK;
}

static int respond_ranges(struct answer *a, struct cl_str value) {
    struct cl_range ranges[CL_RANGE_MAX];
    unsigned count;
    enum cl_range_result result = cl_range_parse(value, a->file->size, ranges, &count);
    if (result == CL_RANGE_IGNORED)
        return respond_whole(a);
    if (result == CL_RANGE_UNSATISFIABLE) {
        int err = add_content_range(a->r, NULL, a->file->size);
        return err ? err : refuse(a, 416, CL_STR("The file has none of these bytes."));
    }
    int err = add_representation(a);
    if (!err && count == 1)
        err = add_content_range(a->r, &ranges[0], a->file->size);
    if (err)
        return err;
    a->r->response.status = 206;
    if (count > 1)
        return respond_parts(a, ranges, count);
    send_range(a, ranges[0].first, ranges[0].length);
    return CELLO_OK;
}

static int respond_selected(struct answer *a) {
    struct cl_request *r = a->r;
    time_t now = (time_t)(a->now_ns / CL_NS_PER_S);
    switch (cl_condition_check(r->headers, r->header_count, &a->validators, now)) {
    case CL_CONDITION_UNCHANGED: return respond_unchanged(a);
    case CL_CONDITION_FAILED: return refuse(a, 412, CL_STR("The file is another one by now."));
    case CL_CONDITION_PASSED: break;
    }
    const struct cl_header *range = cl_request_header(r, CL_HEADER_RANGE);
    if (CL_LIKELY(!range) || r->method != CL_METHOD_GET)
        return respond_whole(a);
    const struct cl_header *guard = cl_request_header(r, CL_HEADER_IF_RANGE);
    if (guard && !cl_condition_range(guard->value, &a->validators, now))
        return respond_whole(a);
    return respond_ranges(a, range->value);
}

/* ---- what is sent ---- */

/* The coding that the client likes best, of those that are there. */
static void choose_coding(struct answer *a) {
    const struct cl_header *accept = cl_request_header(a->r, CL_HEADER_ACCEPT_ENCODING);
    if (!accept || !(a->how->flags & CELLO_FILE_PRECOMPRESSED) || !a->selects ||
        set_already(a->r, CL_HEADER_CONTENT_ENCODING).len)
        return;
    struct cl_file *plain = a->file, *best = NULL;
    unsigned most = cl_accept_token(accept->value, CL_STR("identity"), 1);
    for (enum cl_coding c = 0; c < CL_CODING_COUNT; c++) {
        unsigned quality = cl_accept_token(accept->value, cl_coding_name(c), 0);
        if (quality == 0 || quality < most || (best && quality == most))
            continue;
        struct cl_file *found = cl_file_beside(plain, c);
        if (!found)
            continue;
        if (best)
            cl_file_release(best);
        best = found;
        most = quality;
        a->coding = c;
    }
    if (!best)
        return;
    if (!a->r->response.content_type.len)
        a->r->response.content_type = plain->type;
    cl_file_release(plain);
    a->file = best;
}

/* The program's own fields count where it has set them. */
static void find_validators(struct answer *a) {
    struct cl_validators *v = &a->validators;
    struct cl_str etag = set_already(a->r, CL_HEADER_ETAG);
    struct cl_str date = set_already(a->r, CL_HEADER_LAST_MODIFIED);
    v->etag = etag.len ? etag : a->etag;
    v->modified_strong = !cl_file_is_young(a->file, a->now_ns);
    if (date.len) {
        time_t now = (time_t)(a->now_ns / CL_NS_PER_S);
        v->has_modified = cl_http_date_parse(date, now, &v->modified) == CELLO_OK;
    } else if (a->date.len) {
        v->has_modified = true;
        v->modified = a->file->st.st_mtim.tv_sec;
    }
}

int cl_respond_file(struct cl_request *r, struct cl_file *f, const struct cello_file *how) {
    const struct cl_response before = r->response;
    struct answer a = {
        .r = r,
        .how = how,
        .file = f,
        .coding = CL_CODING_COUNT,
        .selects = (r->method == CL_METHOD_GET || r->method == CL_METHOD_HEAD) &&
                   (before.status == 200 || before.status == 0),
        .now_ns = cl_wall_ns(),
    };
    choose_coding(&a);
    int err = prepare(&a);
    if (!err) {
        find_validators(&a);
        err = a.selects ? respond_selected(&a) : respond_whole(&a);
    }
    if (CL_UNLIKELY(err)) {
        r->response = before;
        cl_file_release(a.file);
    }
    return err;
}

struct cl_str cello_file_type(struct cl_str path) {
    return cl_mime_type(path);
}

int cello_respond_file(struct cl_request *r, const struct cello_file *how) {
    struct cl_file_cache *cache = cl_file_cache_of(r->worker);
    const struct cl_file_name name = {
        .root = how->root,
        .path = how->path,
        .flags = how->root.len && (how->flags & CELLO_FILE_FOLLOW_SYMLINKS) ? CL_OPEN_FOLLOW : 0,
    };
    struct cl_file *f;
    int err = cache ? cl_file_get(cache, &name, &f) : CELLO_ENOMEM;
    return err ? err : cl_respond_file(r, f, how);
}
