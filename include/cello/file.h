/* Answering with files: all that HTTP says about one (type, validators, conditions, ranges), and
 * native handlers for folders of them. The engine sends files without reading them. */
#ifndef CELLO_FILE_H
#define CELLO_FILE_H

#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cello_handler;
struct cl_request;

enum cello_file_flags {
    CELLO_FILE_ETAG = 1 << 0,
    CELLO_FILE_LAST_MODIFIED = 1 << 1,
    CELLO_FILE_PRECOMPRESSED = 1 << 2,   /* path.zst, path.br, path.gz, as the client takes it */
    CELLO_FILE_FOLLOW_SYMLINKS = 1 << 3, /* below a root: those that stay there */
    CELLO_FILE_LISTING = 1 << 4,         /* static files: of folders without an index */
    CELLO_FILE_INLINE = 1 << 5,          /* filename: to be shown, not saved */
};

struct cello_file {
    /* Empty: `path` is the program's own and may lead anywhere. Else the path of a folder, without
     * a slash at its end, and `path` may come from a client: it leads to no other place. */
    struct cl_str root;
    struct cl_str path;
    struct cl_str filename;      /* in Content-Disposition; empty: no such field */
    struct cl_str cache_control; /* empty: no such field */
    unsigned flags;              /* enum cello_file_flags */
};

/* Answer with a regular file. Status, type and headers that were set are kept, and go before its
 * own; with a status other than 200 the conditions and Range of the request are not looked at, nor
 * with a method other than GET and HEAD. The spans need to be valid during the call only. On an
 * error the request is not answered, and is as before: CELLO_ENOENT (no such file, or none that may
 * be read; errno tells why), CELLO_EINVAL (a control character in filename or cache_control),
 * CELLO_ELIMIT (no descriptors left), CELLO_ENOMEM, CELLO_ESYS (errno). Thread: the worker's. */
CELLO_API int cello_respond_file(struct cl_request *r, const struct cello_file *file);

/* The media type of a file, by its name; text comes with its charset, which is UTF-8. Static. */
CELLO_API struct cl_str cello_file_type(struct cl_str path);

/* A folder of files. Everything is copied. */
struct cello_static_files {
    struct cl_str root;          /* absolute, without a slash at its end */
    struct cl_str index_file;    /* what answers for a folder; empty: nothing */
    struct cl_str fallback;      /* below root, for pages that are not found; empty: 404 */
    struct cl_str cache_control; /* empty: no such field */
    unsigned flags;              /* enum cello_file_flags */
};

/* A native handler for GET and HEAD. What it serves is the last path parameter of its route, or
 * root itself when the route has none. NULL: out of memory, or a value that cannot be a header or
 * names no file below root. */
CELLO_API struct cello_handler *cello_static_files_new(const struct cello_static_files *how);

#endif
