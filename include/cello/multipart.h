/* multipart/form-data, RFC 7578, in three ways: what the engine stored while the body of a
 * CELLO_BODY_FORM route arrived; a body that lies in memory; a stream, piece by piece.
 *
 * Names and file names are UTF-8 as the client chose them: a file name may be "../../etc/passwd".
 */
#ifndef CELLO_MULTIPART_H
#define CELLO_MULTIPART_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_request;
struct cl_multipart_stream;
struct cl_upload;
struct cl_upload_list;

/* What a part says of itself. */
struct cello_part {
    struct cl_str name;
    struct cl_str filename;     /* with is_file; browsers send "" when no file was chosen */
    struct cl_str content_type; /* empty: none */
    struct cl_str fields;       /* the whole header, see cello_part_field_next */
    bool is_file;
};

/* The next field of `fields`, which moves behind it; false at the end. */
CELLO_API bool cello_part_field_next(struct cl_str *fields, struct cl_str *name,
                                     struct cl_str *value);

/* See SECURITY.md; 0 for max_file_size: no limit. */
struct cello_form_limits {
    uint32_t max_form_parts;
    size_t max_part_header;
    size_t max_form_memory;
    uint64_t max_file_size;
};

/* Those of the request's worker. */
CELLO_API void cello_request_form_limits(const struct cl_request *r,
                                         struct cello_form_limits *limits);

/* ---- parts that are complete ---- */

/* Whether the body was stored as a form; cello_request_body is empty then. *first is the first
 * part, NULL when there is none, and stays as long as the request. */
CELLO_API bool cello_request_uploads(const struct cl_request *r, const struct cl_upload **first);

/* The parts of a body in memory, which must stay as it is until cello_upload_list_del. Errors:
 * CELLO_EBOUNDARY ... CELLO_EFILE_TOO_LARGE, CELLO_EUTF8, CELLO_ENOMEM. */
CELLO_API int cello_upload_list_new(struct cl_upload_list **out, struct cl_str content_type,
                                    struct cl_str body, const struct cello_form_limits *limits);
CELLO_API void cello_upload_list_del(struct cl_upload_list *list);
CELLO_API const struct cl_upload *cello_upload_list_first(const struct cl_upload_list *list);

/* NULL: it was the last. */
CELLO_API const struct cl_upload *cello_upload_next(const struct cl_upload *u);
CELLO_API void cello_upload_part(const struct cl_upload *u, struct cello_part *part);
CELLO_API uint64_t cello_upload_size(const struct cl_upload *u);
/* The whole, where it lies in memory, as parts that are no files do; false: it is in a file. */
CELLO_API bool cello_upload_bytes(const struct cl_upload *u, struct cl_str *bytes);
/* Up to `len` bytes from `at` on; fewer at the end only. May wait for a disk. Thread: any. Errors:
 * CELLO_ESYS. */
CELLO_API int cello_upload_read(const struct cl_upload *u, uint64_t at, char *out, size_t len,
                                size_t *n);
/* Give it a name: whole or not at all, in place of a file that has the name. No byte is copied when
 * it lies in an unnamed file of the same file system that has no name yet. May wait for a disk.
 * Thread: any. Errors: CELLO_ESYS, CELLO_ENOSPACE, CELLO_ELIMIT, all with errno. */
CELLO_API int cello_upload_save(const struct cl_upload *u, const char *path);

struct cl_form; /* see cello/text.h */

/* The parts that are no files as pairs, which point into them. Their text is UTF-8 unless the part,
 * or a field named _charset_, says otherwise. Errors: CELLO_ECHARSET, CELLO_EUTF8, CELLO_ENOMEM. */
CELLO_API int cello_form_new_uploads(struct cl_form **out, const struct cl_upload *first);

enum { CELLO_FILENAME_MAX = 255 };

/* The client's file name made safe to use in a folder of one's own: its last component, never
 * empty, never hidden, taken by all systems. Returns how many bytes it has. */
CELLO_API size_t cello_filename_safe(struct cl_str filename, char out[CELLO_FILENAME_MAX]);

/* ---- a stream ---- */

enum cello_multipart_event {
    CELLO_MULTIPART_PART = 1, /* a part begins: cello_multipart_part */
    CELLO_MULTIPART_DATA,     /* the next run of its bytes */
    CELLO_MULTIPART_PART_END,
};

/* Errors: CELLO_EBOUNDARY, CELLO_ENOMEM. */
CELLO_API int cello_multipart_new(struct cl_multipart_stream **out, struct cl_str content_type,
                                  const struct cello_form_limits *limits);
CELLO_API void cello_multipart_del(struct cl_multipart_stream *m);
/* The next event in `in`; of CELLO_MULTIPART_DATA the bytes, which lie in the input or are valid
 * until the next call. `in` moves behind what was used. CELLO_EAGAIN: all was. Errors: those of the
 * parser, CELLO_EFILE_TOO_LARGE; it must not be called again then. */
CELLO_API int cello_multipart_next(struct cl_multipart_stream *m, struct cl_str *in,
                                   struct cl_str *data);
/* Of the part that the last CELLO_MULTIPART_PART began; valid until the next one. */
CELLO_API void cello_multipart_part(const struct cl_multipart_stream *m, struct cello_part *part);
/* The body has ended. Errors: CELLO_EMULTIPART_END. */
CELLO_API int cello_multipart_finish(const struct cl_multipart_stream *m);

/* ---- a part that is saved while it arrives ---- */

struct cl_part_file;

/* An unnamed file in the folder of `path`. All of these may wait for a disk. Errors: CELLO_ENOMEM;
 * CELLO_ELIMIT, CELLO_ENOSPACE, CELLO_ESYS, all with errno. */
CELLO_API int cello_part_file_new(struct cl_part_file **out, const char *path);
CELLO_API int cello_part_file_write(struct cl_part_file *f, struct cl_str bytes);
/* What was written, for cello_upload_save; lives as long as `f`. */
CELLO_API const struct cl_upload *cello_part_file_upload(const struct cl_part_file *f);
CELLO_API void cello_part_file_del(struct cl_part_file *f);

#endif
