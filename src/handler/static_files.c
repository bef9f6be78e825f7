/* Folders of files as routes: cello_static_files_new. */
#include <errno.h>
#include <unistd.h>

#include <cello/app.h>

#include "base/alloc.h"
#include "handler/file.h"
#include "handler/file_open.h"
#include "handler/listing.h"
#include "http/media.h"
#include "http/redirect.h"
#include "http/response.h"
#include "http/status.h"
#include "http/uri.h"
#include "http/worker.h"

struct folder {
    struct cello_handler super;
    struct cello_file answer; /* root, cache_control and flags of every answer */
    struct cl_str index_file, fallback;
    unsigned open_flags;
    char text[]; /* what the spans point to, each with a NUL */
};

/* ---- what is asked for ---- */

/* The path below the root, decoded. False: it names no file. A slash that was encoded is part of a
 * name, and no file has one. */
static bool find_path(struct cl_request *r, struct cl_str *path) {
    if (r->param_count == 0) {
        *path = cl_str(NULL, 0);
        return true;
    }
    const struct cl_param *p = &r->params[r->param_count - 1];
    for (size_t i = 0; i + 2 < p->raw.len; i++)
        if (p->raw.ptr[i] == '%' && p->raw.ptr[i + 1] == '2' &&
            cl_lower((unsigned char)p->raw.ptr[i + 2]) == 'f')
            return false;
    return cl_request_param(r, p->name, path) == CELLO_OK;
}

/* A page that a browser goes to, and nothing that a page loads: only then does it name HTML. */
static bool wants_page(const struct cl_request *r) {
    const struct cl_header *accept = cl_request_header(r, CL_HEADER_ACCEPT);
    struct cl_str rest = accept ? accept->value : cl_str(NULL, 0);
    struct cl_media range;
    unsigned quality;
    while (cl_accept_next(&rest, &range, &quality))
        if (quality && cl_str_ieq(range.type, CL_STR("text")) &&
            cl_str_ieq(range.subtype, CL_STR("html")))
            return true;
    return false;
}

/* ---- answers ---- */

static void refuse(struct cl_request *r, int err) {
    const char *detail = err == CELLO_ENOENT ? "No file has this path." : cl_error_detail(err);
    int status = err == CELLO_ENOENT ? 404 : cl_error_status(err);
    if (status == 503 && cl_response_header(r, CL_STR("Retry-After"), CL_STR("1")) != CELLO_OK)
        r->response.close = true;
    cl_respond_problem(r, status, cl_str(detail, strlen(detail)));
}

static int get(const struct folder *h, struct cl_request *r, struct cl_str path,
               struct cl_file **file) {
    struct cl_file_cache *cache = cl_file_cache_of(r->worker);
    const struct cl_file_name name = {h->answer.root, path, h->open_flags};
    return cache ? cl_file_get(cache, &name, file) : CELLO_ENOMEM;
}

static int respond(const struct folder *h, struct cl_request *r, struct cl_str path) {
    struct cl_file *file;
    int err = get(h, r, path, &file);
    return err ? err : cl_respond_file(r, file, &h->answer);
}

static void respond_missing(const struct folder *h, struct cl_request *r) {
    static const struct cl_header vary = {
        .name = CL_STR_INIT("Vary"), .value = CL_STR_INIT("Accept"), .id = CL_HEADER_VARY};
    int err = CELLO_ENOENT;
    if (h->fallback.len) {
        /* Without memory for it the answer goes without. */
        if (cl_response_add(r, &vary) == CELLO_OK && wants_page(r))
            err = respond(h, r, h->fallback);
    }
    if (err)
        refuse(r, err);
}

static int list(const struct folder *h, struct cl_request *r, struct cl_str path) {
    struct stat st;
    int fd;
    int err = cl_file_open_below(h->answer.root.ptr, path, h->open_flags, &fd, &st);
    if (err)
        return err;
    if (S_ISDIR(st.st_mode))
        return cl_respond_listing(r, fd);
    close(fd);
    return CELLO_ENOENT;
}

/* `path` without a slash at its end. */
static int respond_folder(const struct folder *h, struct cl_request *r, struct cl_str path) {
    char text[CL_FILE_PATH_MAX];
    size_t len = path.len ? path.len + 1 : 0;
    int err = CELLO_ENOENT;
    if (h->index_file.len && len + h->index_file.len < sizeof text) {
        if (path.len) {
            memcpy(text, path.ptr, path.len);
            text[path.len] = '/';
        }
        memcpy(text + len, h->index_file.ptr, h->index_file.len);
        err = respond(h, r, cl_str(text, len + h->index_file.len));
    }
    if (err == CELLO_ENOENT && (h->answer.flags & CELLO_FILE_LISTING))
        err = list(h, r, path);
    return err;
}

static void on_request(const struct cello_handler *super, struct cl_request *r) {
    const struct folder *h = CL_CONTAINER_OF(super, struct folder, super);
    bool slash = r->path.ptr[r->path.len - 1] == '/';
    struct cl_str path;
    int err = CELLO_ENOENT;
    if (!find_path(r, &path)) {
        respond_missing(h, r);
        return;
    }
    if (slash) {
        path.len -= path.len > 0;
        err = respond_folder(h, r, path);
    } else {
        errno = EISDIR;
        if (path.len)
            err = respond(h, r, path);
        if (err == CELLO_ENOENT && errno == EISDIR) {
            cl_respond_slash_redirect(r);
            return;
        }
    }
    if (err == CELLO_ENOENT)
        respond_missing(h, r);
    else if (err)
        refuse(r, err);
}

/* ---- the handler ---- */

static void del(struct cello_handler *super) {
    cl_free(CL_CONTAINER_OF(super, struct folder, super));
}

static bool is_valid(const struct cello_static_files *how) {
    return how->root.len && how->root.len < CL_FILE_PATH_MAX && how->root.ptr[0] == '/' &&
           !memchr(how->root.ptr, '\0', how->root.len) &&
           (!how->index_file.len || cl_file_name_allowed(how->index_file)) &&
           (!how->fallback.len || cl_file_name_allowed(how->fallback)) &&
           cl_header_value_valid(how->cache_control);
}

static struct cl_str put(char **at, struct cl_str from) {
    char *to = *at;
    if (from.len)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    *at += from.len + 1;
    return cl_str(to, from.len);
}

struct cello_handler *cello_static_files_new(const struct cello_static_files *how) {
    if (!is_valid(how))
        return NULL;
    size_t len =
        how->root.len + how->index_file.len + how->fallback.len + how->cache_control.len + 4;
    struct folder *h = cl_calloc(1, sizeof *h + len);
    if (!h)
        return NULL;
    char *at = h->text;
    h->super = (struct cello_handler){.on_request = on_request, .del = del};
    h->answer.root = put(&at, how->root);
    h->answer.cache_control = put(&at, how->cache_control);
    h->answer.flags = how->flags;
    h->index_file = put(&at, how->index_file);
    h->fallback = put(&at, how->fallback);
    h->open_flags = how->flags & CELLO_FILE_FOLLOW_SYMLINKS ? CL_OPEN_FOLLOW : 0;
    return &h->super;
}
