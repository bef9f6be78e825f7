/* Forms: fields that are text, and files. */
#include "plan/converter.h"
#include "plan/plan_internal.h"
#include "types/text.h"
#include "types/upload.h"

static bool is_multipart(struct cl_str type) {
    return cello_media_is(type, CL_LITERAL("multipart/form-data"));
}

/* 0, with the form when there is a body; -1: exception set. */
static int open_multipart(struct cl_walk *w, struct cl_str type) {
    PyObject *request = cl_call_request(w->bridge, w->call, w->r);
    w->parts = request ? cl_form_parts_new(w->ext, request, type) : NULL;
    if (!w->parts)
        return -1;
    int err = cello_form_new_uploads(&w->form, cl_form_parts_of(w->parts)->first);
    if (err) {
        w->form = NULL;
        cl_form_raise(w->ext, err);
    }
    return err ? -1 : 0;
}

static int open_urlencoded(struct cl_walk *w, struct cl_str body) {
    struct cello_form_limits limits;
    cl_form_limits(w->r, &limits);
    int err = cello_form_new(&w->form, body, limits.max_form_parts);
    if (err) {
        w->form = NULL;
        cl_text_raise(w->ext, err, "form");
    }
    return err ? -1 : 0;
}

static int open_form(struct cl_walk *w, bool with_files) {
    struct cl_str body = cello_request_body(w->r), type = {NULL, 0};
    const struct cl_upload *first;
    if (!body.len && !cello_request_uploads(w->r, &first))
        return 0;
    (void)cello_request_header(w->r, CL_LITERAL("content-type"), &type);
    if (is_multipart(type))
        return w->parts ? 0 : open_multipart(w, type);
    if (with_files) {
        cl_text_raise_http(w->ext, 415, "The body must be multipart/form-data.");
        return -1;
    }
    if (w->form)
        return 0;
    if (cello_media_is(type, CL_LITERAL("application/x-www-form-urlencoded")))
        return open_urlencoded(w, body);
    cl_text_raise_http(w->ext, 415,
                       "The body must be application/x-www-form-urlencoded or "
                       "multipart/form-data.");
    return -1;
}

int cl_walk_form_pairs(struct cl_walk *w, const struct cl_pair **pairs, size_t *count) {
    *count = 0;
    if (open_form(w, false) < 0)
        return -1;
    if (w->form)
        *pairs = cello_form_pairs(w->form, count);
    return 0;
}

/* ---- files ---- */

/* The next part from `u` on that has the field's name. */
static const struct cl_upload *find_part(const struct cl_upload *u, struct cl_str name) {
    for (; u; u = cello_upload_next(u)) {
        struct cello_part part;
        cello_upload_part(u, &part);
        if (cl_text_eq(part.name, name) && !cl_form_part_is_blank(u))
            break;
    }
    return u;
}

static int refuse_text(struct cl_walk *w, const struct cl_field *f, Py_ssize_t index) {
    struct cl_field_error error = {.index = index};
    if (cl_field_error_set(&error, "file_type", "Input should be a file") < 0)
        return -1;
    int err = cl_walk_refuse(w, f, error.type, error.msg, index);
    cl_field_error_clear(&error);
    return err;
}

/* What the handler gets of one part. NULL and 0: refused. -1: exception set. */
static int convert_part(struct cl_walk *w, const struct cl_field *f, const struct cl_upload *u,
                        Py_ssize_t index, PyObject **value) {
    struct cello_part part;
    cello_upload_part(u, &part);
    if (f->source == CL_SOURCE_FILE_BYTES || f->source == CL_SOURCE_FILES_BYTES)
        *value = cl_upload_io_read(w->parts, u, 0, SIZE_MAX);
    else if (part.is_file)
        *value = cl_pyupload_new(w->ext, w->parts, u);
    else
        return refuse_text(w, f, index);
    return *value ? 0 : -1;
}

static int convert_parts(struct cl_walk *w, const struct cl_field *f, const struct cl_upload *u,
                         PyObject **slot) {
    PyObject *list = PyList_New(0);
    int err = list ? 0 : -1;
    bool refused = false;
    for (; u && !err && !refused; u = find_part(cello_upload_next(u), f->name)) {
        PyObject *value = NULL;
        err = convert_part(w, f, u, PyList_GET_SIZE(list), &value);
        refused = !err && !value;
        if (value && PyList_Append(list, value) < 0)
            err = -1;
        Py_XDECREF(value);
    }
    if (err || refused)
        Py_CLEAR(list);
    *slot = list;
    return err;
}

int cl_walk_file(struct cl_walk *w, const struct cl_field *f, PyObject **slot) {
    if (open_form(w, true) < 0)
        return -1;
    const struct cl_upload *first = w->parts ? cl_form_parts_of(w->parts)->first : NULL;
    const struct cl_upload *found = find_part(first, f->name), *next = found;
    if (!found)
        return cl_walk_missing(w, f, slot);
    if (f->source == CL_SOURCE_FILES || f->source == CL_SOURCE_FILES_BYTES)
        return convert_parts(w, f, found, slot);
    while ((next = find_part(cello_upload_next(next), f->name)))
        found = next; /* the last one, as with text */
    return convert_part(w, f, found, -1, slot);
}
