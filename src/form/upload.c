#include "form/upload.h"

#include <unistd.h>

#include "form/spool.h"

int cl_uploads_init(struct cl_uploads *u, struct cl_block_pool *pool,
                    const struct cl_uploads_config *config) {
    *u = (struct cl_uploads){.config = *config, .pool = pool};
    u->head = cl_block_new(pool, 2 * config->max_part_header);
    if (!u->head)
        return CELLO_ELIMIT;
    int err = cl_multipart_init(&u->parser, config->boundary, config->max_parts, u->head->data,
                                config->max_part_header);
    if (err)
        cl_uploads_free(u);
    return err;
}

/* What is needed only while the body arrives. */
static void drop_work(struct cl_uploads *u) {
    cl_block_drop(&u->head);
    cl_block_drop(&u->pending);
}

void cl_uploads_free(struct cl_uploads *u) {
    drop_work(u);
    for (struct cl_upload_file *f = u->files; f; f = f->next)
        (void)close(f->fd);
    while (u->blocks) {
        struct cl_block *block = u->blocks;
        u->blocks = block->next;
        cl_block_unref(block);
    }
    *u = (struct cl_uploads){0};
}

/* ---- memory: blocks that are filled one behind the other ---- */

/* Make room for `need` bytes behind the last `keep` ones, which move when they must. False: no
 * memory. */
static bool reserve(struct cl_uploads *u, size_t keep, size_t need) {
    struct cl_block *top = u->blocks;
    if (top && cl_block_room(top) >= need)
        return true;
    size_t cap = keep ? 2 * (keep + need) : need; /* what grew once may grow again */
    struct cl_block *block = cl_block_new(u->pool, CL_MAX(cap, (size_t)CL_BLOCK_SIZE));
    if (!block)
        return false;
    if (keep) {
        top->wr -= keep;
        memcpy(block->data, cl_block_wr(top), keep);
        block->wr = keep;
    }
    block->next = top;
    u->blocks = block;
    if (top && top->wr == 0) { /* all of it has moved */
        block->next = top->next;
        cl_block_unref(top);
    }
    return true;
}

/* `size` bytes for a struct and what follows it. */
static void *take(struct cl_uploads *u, size_t size) {
    const size_t align = _Alignof(max_align_t);
    if (!reserve(u, 0, size + align))
        return NULL;
    struct cl_block *top = u->blocks;
    top->wr = (top->wr + align - 1) & ~(align - 1);
    void *mem = cl_block_wr(top);
    top->wr += size;
    return mem;
}

static struct cl_str put(char **at, struct cl_str s) {
    char *start = *at;
    if (s.len)
        memcpy(start, s.ptr, s.len);
    *at += s.len;
    return cl_str(start, s.len);
}

/* ---- parts ---- */

static int charge(struct cl_uploads *u, size_t n) {
    if (n > u->config.max_memory - u->memory)
        return CELLO_EFORM_TOO_LARGE;
    u->memory += n;
    return CELLO_OK;
}

static int begin_part(struct cl_uploads *u) {
    const struct cl_part *p = &u->parser.part;
    size_t text = p->fields.len + p->name.len + p->filename.len;
    int err = charge(u, text);
    if (err)
        return err;
    struct cl_upload *upload = take(u, sizeof *upload + text);
    if (!upload)
        return CELLO_ELIMIT;
    char *at = (char *)(upload + 1);
    *upload = (struct cl_upload){.part.is_file = p->is_file};
    upload->part.fields = put(&at, p->fields);
    upload->part.name = put(&at, p->name);
    upload->part.filename = put(&at, p->filename);
    if (p->content_type.len) /* a span of the fields */
        upload->part.content_type = cl_str(
            upload->part.fields.ptr + (p->content_type.ptr - p->fields.ptr), p->content_type.len);
    upload->bytes = at;
    if (u->last)
        u->last->next = upload;
    else
        u->first = upload;
    u->last = upload;
    u->count++;
    return CELLO_OK;
}

/* ---- files ---- */

static struct cl_upload_file *new_file(struct cl_uploads *u, int *err) {
    struct cl_upload_file *file = take(u, sizeof *file);
    *err = CELLO_ELIMIT;
    if (!file)
        return NULL;
    *file = (struct cl_upload_file){.next = u->files};
    *err = cl_spool_open(u->config.directory, &file->fd);
    if (*err)
        return NULL;
    u->files = file;
    return file;
}

/* The file that a part goes to which does not fit into memory. */
static int choose_file(struct cl_uploads *u, bool large, struct cl_upload_file **file) {
    int err;
    if (large && u->own_files < CL_UPLOAD_OWN_FILES) {
        *file = new_file(u, &err);
        u->own_files++;
        return *file ? CELLO_OK : err;
    }
    if (!u->shared) {
        u->shared = new_file(u, &err);
        if (!u->shared)
            return err;
        u->shared->shared = true;
    }
    *file = u->shared;
    return CELLO_OK;
}

static int write_out(struct cl_uploads *u, struct cl_str more) {
    struct cl_upload_file *file = u->last->file;
    struct cl_str pending = cl_str(u->pending->data, u->pending->wr);
    int err = cl_spool_write(file->fd, file->size, pending, more);
    file->size += pending.len + more.len;
    u->pending->wr = 0;
    return err;
}

static int append_to_file(struct cl_uploads *u, struct cl_str data) {
    if (data.len >= CL_UPLOAD_WRITE / 2 || data.len > cl_block_room(u->pending))
        return write_out(u, data);
    memcpy(cl_block_wr(u->pending), data.ptr, data.len);
    u->pending->wr += data.len;
    return CELLO_OK;
}

/* Move the part that is in memory so far to a file. */
static int move_to_file(struct cl_uploads *u, bool large) {
    struct cl_upload *upload = u->last;
    struct cl_str so_far = cl_str(upload->bytes, (size_t)upload->size);
    if (!u->pending)
        u->pending = cl_block_new(u->pool, CL_UPLOAD_WRITE);
    if (!u->pending)
        return CELLO_ELIMIT;
    memcpy(u->pending->data, so_far.ptr, so_far.len);
    u->pending->wr = so_far.len;
    u->blocks->wr -= so_far.len;
    u->file_memory -= so_far.len;
    int err = choose_file(u, large, &upload->file);
    if (!err)
        upload->offset = upload->file->size;
    return err;
}

static int end_part(struct cl_uploads *u) {
    return u->last->file && u->pending->wr ? write_out(u, cl_str(NULL, 0)) : CELLO_OK;
}

/* ---- data ---- */

static int append_to_memory(struct cl_uploads *u, struct cl_str data) {
    struct cl_upload *upload = u->last;
    size_t there = (size_t)upload->size;
    if (!reserve(u, there, data.len))
        return CELLO_ELIMIT;
    char *at = cl_block_wr(u->blocks);
    memcpy(at, data.ptr, data.len);
    u->blocks->wr += data.len;
    upload->bytes = at - there;
    return CELLO_OK;
}

static int append_field(struct cl_uploads *u, struct cl_str data) {
    int err = charge(u, data.len);
    return err ? err : append_to_memory(u, data);
}

static int append_file(struct cl_uploads *u, struct cl_str data) {
    struct cl_upload *upload = u->last;
    uint64_t max = u->config.max_file_size;
    if (max && data.len > max - upload->size)
        return CELLO_EFILE_TOO_LARGE;
    if (!upload->file) {
        bool large = data.len > CL_UPLOAD_SMALL - upload->size;
        if (!large && data.len <= CL_UPLOAD_MEMORY - u->file_memory) {
            u->file_memory += data.len;
            return append_to_memory(u, data);
        }
        int err = move_to_file(u, large);
        if (err)
            return err;
    }
    return append_to_file(u, data);
}

/* The body is one piece, so the runs of a part lie behind each other. */
static int note_in_place(struct cl_uploads *u, struct cl_str data) {
    struct cl_upload *upload = u->last;
    uint64_t max = u->config.max_file_size;
    if (upload->size == 0)
        upload->bytes = data.ptr;
    assert(upload->bytes + upload->size == data.ptr);
    if (!upload->part.is_file)
        return charge(u, data.len);
    return max && data.len > max - upload->size ? CELLO_EFILE_TOO_LARGE : CELLO_OK;
}

static int append(struct cl_uploads *u, struct cl_str data) {
    struct cl_upload *upload = u->last;
    int err;
    if (u->in_place)
        err = note_in_place(u, data);
    else
        err = upload->part.is_file ? append_file(u, data) : append_field(u, data);
    upload->size += data.len;
    return err;
}

int cl_uploads_write(struct cl_uploads *u, struct cl_str piece) {
    for (;;) {
        size_t used;
        struct cl_str data;
        int event = cl_multipart_next(&u->parser, piece.ptr, piece.len, &used, &data), err;
        piece = cl_str(piece.ptr + used, piece.len - used);
        switch (event) {
        case CELLO_EAGAIN: return CELLO_OK;
        case CL_MULTIPART_PART: err = begin_part(u); break;
        case CL_MULTIPART_DATA: err = append(u, data); break;
        case CL_MULTIPART_PART_END: err = end_part(u); break;
        default: return event;
        }
        if (err)
            return err;
    }
}

int cl_uploads_end(struct cl_uploads *u) {
    drop_work(u);
    return cl_multipart_finish(&u->parser);
}

int cl_uploads_read(struct cl_uploads *u, struct cl_str body) {
    u->in_place = true;
    int err = cl_uploads_write(u, body);
    return err ? err : cl_uploads_end(u);
}
