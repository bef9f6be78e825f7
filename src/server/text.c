/* The public faces of HTTP's text formats: include/cello/text.h. */
#include <cello/multipart.h>
#include <cello/text.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "form/charset.h"
#include "form/upload.h"
#include "http/cookie.h"
#include "http/media.h"
#include "http/query.h"
#include "http/response.h"
#include "http/status.h"
#include "http/uri.h"

int cello_error_status(int err) {
    return cl_error_status(err);
}

const char *cello_error_detail(int err) {
    return cl_error_detail(err);
}

int cello_percent_decode(struct cl_str raw, char *out, size_t *out_len) {
    return cl_percent_decode(raw, out, out_len, false);
}

/* ---- forms ---- */

struct cl_form {
    struct cl_arena arena;
    struct cl_pair *pairs;
    unsigned count;
};

static struct cl_form *form_alloc(void) {
    struct cl_form *form = cl_malloc(sizeof *form);
    /* What is decoded is no longer than the input, and the pairs are counted first. */
    if (form)
        cl_arena_init(&form->arena, SIZE_MAX);
    return form;
}

/* Give out a form that was filled with the result `err`. */
static int form_finish(struct cl_form **out, struct cl_form *form, int err) {
    if (err)
        cello_form_del(form);
    else
        *out = form;
    return err;
}

int cello_form_new(struct cl_form **out, struct cl_str raw, unsigned max) {
    struct cl_form *form = form_alloc();
    if (!form)
        return CELLO_ENOMEM;
    int err = cl_query_parse(raw, &form->arena, max, &form->pairs, &form->count);
    return form_finish(out, form, err);
}

int cello_form_new_cookies(struct cl_form **out, struct cl_str field, unsigned max) {
    struct cl_form *form = form_alloc();
    if (!form)
        return CELLO_ENOMEM;
    const struct cl_header header = {.value = field, .id = CL_HEADER_COOKIE};
    int err = cl_cookie_parse(&header, 1, &form->arena, max, &form->pairs, &form->count);
    return form_finish(out, form, err);
}

/* What a field named _charset_ says of all fields, RFC 7578 section 4.6. */
static struct cl_str charset_of_form(const struct cl_upload *first) {
    for (const struct cl_upload *u = first; u; u = u->next)
        if (!u->part.is_file && cl_str_eq(u->part.name, CL_STR("_charset_")))
            return cl_str(u->bytes, (size_t)u->size);
    return cl_str(NULL, 0);
}

static int read_fields(struct cl_form *form, const struct cl_upload *first) {
    struct cl_str common = charset_of_form(first);
    unsigned n = 0;
    for (const struct cl_upload *u = first; u; u = u->next) {
        if (u->part.is_file)
            continue;
        struct cl_str own = cello_media_charset(u->part.content_type);
        struct cl_pair *pair = &form->pairs[n++];
        pair->name = u->part.name;
        int err = cl_charset_decode(own.len ? own : common, cl_str(u->bytes, (size_t)u->size),
                                    &form->arena, &pair->value);
        if (err)
            return err;
    }
    return CELLO_OK;
}

int cello_form_new_uploads(struct cl_form **out, const struct cl_upload *first) {
    struct cl_form *form = form_alloc();
    if (!form)
        return CELLO_ENOMEM;
    form->pairs = NULL;
    form->count = 0;
    for (const struct cl_upload *u = first; u; u = u->next)
        form->count += !u->part.is_file;
    int err = CELLO_OK;
    if (form->count) {
        form->pairs = cl_arena_alloc(&form->arena, form->count * sizeof *form->pairs);
        err = form->pairs ? read_fields(form, first) : CELLO_ENOMEM;
    }
    return form_finish(out, form, err);
}

void cello_form_del(struct cl_form *form) {
    cl_arena_free(&form->arena);
    cl_free(form);
}

const struct cl_pair *cello_form_pairs(const struct cl_form *form, size_t *count) {
    *count = form->count;
    return form->pairs;
}

/* ---- media types ---- */

bool cello_media_is(struct cl_str content_type, struct cl_str essence) {
    return cl_media_is(content_type, essence);
}

struct cl_str cello_media_charset(struct cl_str content_type) {
    struct cl_media media;
    struct cl_str charset;
    if (cl_media_parse(content_type, &media) == CELLO_OK &&
        cl_media_param(&media, CL_STR("charset"), &charset))
        return charset;
    return cl_str(NULL, 0);
}

unsigned cello_accept_media(struct cl_str accept, struct cl_str media_type) {
    return cl_accept_media(accept, media_type);
}

/* ---- header fields ---- */

bool cello_header_name_valid(struct cl_str name) {
    return cl_header_name_valid(name);
}

bool cello_header_value_valid(struct cl_str value) {
    return cl_header_value_valid(value);
}

bool cello_header_is_framing(struct cl_str name) {
    struct cl_header h;
    return cl_header_name_valid(name) &&
           cl_response_header_check(&h, name, CL_STR("x")) != CELLO_OK;
}

/* ---- cookies ---- */

static int refuse_growth(struct cl_sink *s, size_t need) {
    (void)s;
    (void)need;
    return CELLO_ELIMIT;
}

static int format(const struct cl_cookie *c, char out[CELLO_COOKIE_TEXT_MAX], size_t *len) {
    struct cl_sink sink = {out, out + CELLO_COOKIE_TEXT_MAX, out, refuse_growth};
    int err = cl_cookie_format(&sink, c);
    *len = cl_sink_len(&sink);
    return err;
}

/* Which part is at fault is found by trying again without it. */
static const char *find_fault(const struct cl_cookie *c, char *out) {
    size_t len;
    struct cl_cookie bare = {.name = c->name, .secure = true, .path = CL_STR("/")};
    if (format(&bare, out, &len) != CELLO_OK)
        return "name: it must be a token of at most 4096 bytes";
    bare.value = c->value;
    if (format(&bare, out, &len) != CELLO_OK)
        return "value: it must be ASCII without control characters, spaces and any of \",;\\ , and "
               "at most 4096 bytes with the name";
    struct cl_cookie secure = *c;
    secure.secure = true;
    if (format(&secure, out, &len) == CELLO_OK)
        return "secure: it must be true with samesite=\"none\", partitioned, and names that begin "
               "with __Secure- or __Host-";
    secure.path = CL_STR("/");
    if (format(&secure, out, &len) == CELLO_OK)
        return "path: it must be ASCII, begin with '/' and have no control character and no ';', "
               "and be \"/\" for names that begin with __Host-";
    return "domain: it must be a host name, and absent for names that begin with __Host-";
}

int cello_cookie_format(const struct cello_cookie *cookie, char out[CELLO_COOKIE_TEXT_MAX],
                        size_t *len, const char **fault) {
    _Static_assert(CELLO_COOKIE_TEXT_MAX > CL_COOKIE_MAX_SIZE + CL_COOKIE_MAX_ATTRIBUTE + 255 + 256,
                   "room for the longest cookie and the names of its attributes");
    _Static_assert((int)CELLO_SAME_SITE_LAX == CL_SAME_SITE_LAX &&
                       (int)CELLO_SAME_SITE_NONE == CL_SAME_SITE_NONE,
                   "the public values are the internal ones");
    const struct cl_cookie c = {
        .name = cookie->name,
        .value = cookie->value,
        .domain = cookie->domain,
        .path = cookie->path,
        .max_age = cookie->max_age_s,
        .expires = (time_t)cookie->expires_unix,
        .has_max_age = cookie->has_max_age,
        .has_expires = cookie->has_expires,
        .secure = cookie->secure,
        .http_only = cookie->http_only,
        .partitioned = cookie->partitioned,
        .same_site = (enum cl_same_site)cookie->same_site,
    };
    int err = format(&c, out, len);
    if (err == CELLO_EINVAL)
        *fault = find_fault(&c, out);
    return err;
}
