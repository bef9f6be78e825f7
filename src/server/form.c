/* Forms: what feeds the bodies of CELLO_BODY_FORM routes to the store of uploads while they arrive,
 * and the public faces of include/cello/multipart.h. */
#include <cello/multipart.h>

#include <unistd.h>

#include "base/alloc.h"
#include "form/filename.h"
#include "form/spool.h"
#include "http/media.h"
#include "http/request.h"
#include "http/worker.h"
#include "server/server_internal.h"

/* ---- bodies that arrive ---- */

struct form_sink {
    struct cl_body_sink super;
    struct cl_uploads uploads;
};

static struct form_sink *sink_of(struct cl_body_sink *s) {
    return CL_CONTAINER_OF(s, struct form_sink, super);
}

static int sink_write(struct cl_body_sink *s, struct cl_str piece) {
    return cl_uploads_write(&sink_of(s)->uploads, piece);
}

static int sink_end(struct cl_body_sink *s) {
    return cl_uploads_end(&sink_of(s)->uploads);
}

static void sink_del(struct cl_body_sink *s) {
    cl_uploads_free(&sink_of(s)->uploads);
}

static int find_boundary(struct cl_str content_type, struct cl_str *boundary) {
    struct cl_media media;
    if (cl_media_parse(content_type, &media) != CELLO_OK ||
        !cl_media_param(&media, CL_STR("boundary"), boundary))
        return CELLO_EBOUNDARY;
    return CELLO_OK;
}

static struct cl_uploads_config config_of(const struct cello_form_limits *limits) {
    return (struct cl_uploads_config){
        .max_parts = limits->max_form_parts,
        .max_part_header = limits->max_part_header,
        .max_memory = limits->max_form_memory,
        .max_file_size = limits->max_file_size,
    };
}

int cl_server_expect_form(struct cl_server *s, struct cl_request *r) {
    const struct cl_header *type = cl_request_header(r, CL_HEADER_CONTENT_TYPE);
    if (!type || !cl_media_is(type->value, CL_STR("multipart/form-data")))
        return CELLO_OK;
    struct cello_form_limits limits;
    cello_request_form_limits(r, &limits);
    struct cl_uploads_config config = config_of(&limits);
    config.directory = s->upload_directory ? s->upload_directory : "/tmp";
    int err = find_boundary(type->value, &config.boundary);
    if (err)
        return err;
    struct form_sink *sink = cl_arena_alloc(&r->arena, sizeof *sink);
    if (!sink)
        return CELLO_ENOMEM;
    sink->super = (struct cl_body_sink){sink_write, sink_end, sink_del};
    err = cl_uploads_init(&sink->uploads, cl_loop_pool(s->worker.loop), &config);
    if (!err)
        r->body_sink = &sink->super;
    return err;
}

bool cello_request_uploads(const struct cl_request *r, const struct cl_upload **first) {
    *first = NULL;
    if (!r->body_sink || r->body_sink->write != sink_write)
        return false;
    *first = sink_of(r->body_sink)->uploads.first;
    return true;
}

void cello_request_form_limits(const struct cl_request *r, struct cello_form_limits *limits) {
    const struct cl_limits *all = &r->worker->limits;
    *limits = (struct cello_form_limits){
        .max_form_parts = all->max_form_parts,
        .max_part_header = all->max_part_header,
        .max_form_memory = all->max_form_memory,
        .max_file_size = all->max_file_size,
    };
}

/* ---- bodies in memory ---- */

struct cl_upload_list {
    struct cl_block_pool pool; /* of its own: lists are made on any thread */
    struct cl_uploads uploads;
};

int cello_upload_list_new(struct cl_upload_list **out, struct cl_str content_type,
                          struct cl_str body, const struct cello_form_limits *limits) {
    struct cl_uploads_config config = config_of(limits);
    int err = find_boundary(content_type, &config.boundary);
    if (err)
        return err;
    struct cl_upload_list *list = cl_calloc(1, sizeof *list);
    if (!list)
        return CELLO_ENOMEM;
    cl_block_pool_init(&list->pool, 0);
    err = cl_uploads_init(&list->uploads, &list->pool, &config);
    if (!err)
        err = cl_uploads_read(&list->uploads, body);
    if (err) {
        cello_upload_list_del(list);
        return err == CELLO_ELIMIT ? CELLO_ENOMEM : err;
    }
    *out = list;
    return CELLO_OK;
}

void cello_upload_list_del(struct cl_upload_list *list) {
    cl_uploads_free(&list->uploads);
    cl_block_pool_free(&list->pool);
    cl_free(list);
}

const struct cl_upload *cello_upload_list_first(const struct cl_upload_list *list) {
    return list->uploads.first;
}

/* ---- uploads ---- */

static void show_part(const struct cl_part *p, struct cello_part *out) {
    *out = (struct cello_part){p->name, p->filename, p->content_type, p->fields, p->is_file};
}

const struct cl_upload *cello_upload_next(const struct cl_upload *u) {
    return u->next;
}

void cello_upload_part(const struct cl_upload *u, struct cello_part *part) {
    show_part(&u->part, part);
}

uint64_t cello_upload_size(const struct cl_upload *u) {
    return u->size;
}

bool cello_upload_bytes(const struct cl_upload *u, struct cl_str *bytes) {
    *bytes = cl_str(u->bytes, (size_t)u->size);
    return !u->file;
}

int cello_upload_read(const struct cl_upload *u, uint64_t at, char *out, size_t len, size_t *n) {
    return cl_upload_read_at(u, at, out, len, n);
}

int cello_upload_save(const struct cl_upload *u, const char *path) {
    return cl_upload_save(u, path);
}

bool cello_part_field_next(struct cl_str *fields, struct cl_str *name, struct cl_str *value) {
    return cl_part_field_next(fields, name, value);
}

size_t cello_filename_safe(struct cl_str filename, char out[CELLO_FILENAME_MAX]) {
    _Static_assert((int)CELLO_FILENAME_MAX == (int)CL_FILENAME_MAX, "the same");
    return cl_filename_safe(filename, out);
}

/* ---- streams ---- */

struct cl_multipart_stream {
    struct cl_multipart parser;
    uint64_t max_file_size, part_size;
    char head[];
};

int cello_multipart_new(struct cl_multipart_stream **out, struct cl_str content_type,
                        const struct cello_form_limits *limits) {
    struct cl_str boundary;
    int err = find_boundary(content_type, &boundary);
    if (err)
        return err;
    struct cl_multipart_stream *m = cl_malloc(sizeof *m + 2 * limits->max_part_header);
    if (!m)
        return CELLO_ENOMEM;
    m->max_file_size = limits->max_file_size;
    m->part_size = 0;
    err = cl_multipart_init(&m->parser, boundary, limits->max_form_parts, m->head,
                            limits->max_part_header);
    if (err)
        cello_multipart_del(m);
    else
        *out = m;
    return err;
}

void cello_multipart_del(struct cl_multipart_stream *m) {
    cl_free(m);
}

int cello_multipart_next(struct cl_multipart_stream *m, struct cl_str *in, struct cl_str *data) {
    size_t used;
    int event = cl_multipart_next(&m->parser, in->ptr, in->len, &used, data);
    *in = cl_str(in->ptr + used, in->len - used);
    if (event == CL_MULTIPART_PART)
        m->part_size = 0;
    m->part_size += data->len;
    bool too_large = m->max_file_size && m->part_size > m->max_file_size;
    return event == CL_MULTIPART_DATA && too_large ? CELLO_EFILE_TOO_LARGE : event;
}

void cello_multipart_part(const struct cl_multipart_stream *m, struct cello_part *part) {
    show_part(&m->parser.part, part);
}

int cello_multipart_finish(const struct cl_multipart_stream *m) {
    return cl_multipart_finish(&m->parser);
}

/* ---- files of streams ---- */

struct cl_part_file {
    struct cl_upload_file file;
    struct cl_upload upload;
};

/* The folder of a path, allocated; NULL: no memory. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return cl_strndup(".", 1);
    return cl_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int cello_part_file_new(struct cl_part_file **out, const char *path) {
    char *folder = folder_of(path);
    struct cl_part_file *f = folder ? cl_calloc(1, sizeof *f) : NULL;
    int err = f ? cl_spool_open(folder, &f->file.fd) : CELLO_ENOMEM;
    cl_free(folder);
    if (err) {
        cl_free(f);
        return err;
    }
    f->upload.file = &f->file;
    *out = f;
    return CELLO_OK;
}

int cello_part_file_write(struct cl_part_file *f, struct cl_str bytes) {
    int err = cl_spool_write(f->file.fd, f->upload.size, bytes, cl_str(NULL, 0));
    if (!err)
        f->upload.size += bytes.len;
    return err;
}

const struct cl_upload *cello_part_file_upload(const struct cl_part_file *f) {
    return &f->upload;
}

void cello_part_file_del(struct cl_part_file *f) {
    (void)close(f->file.fd);
    cl_free(f);
}
