/* HTTP's text formats, for code that reads or writes them outside of a request: forms, media types,
 * header fields, cookies.
 *
 * Thread: any; no state. Spans are borrowed for the call. */
#ifndef CELLO_TEXT_H
#define CELLO_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

struct cl_pair; /* see cello/request.h */

/* ---- percent-encoding, RFC 3986 ---- */

/* Decodes %XX; the result is UTF-8 without NUL. `out` has room for raw.len bytes and may be
 * raw.ptr. Errors: CELLO_EPERCENT, CELLO_EUTF8; `out` is then undefined. */
CELLO_API int cello_percent_decode(struct cl_str raw, char *out, size_t *out_len);

/* ---- application/x-www-form-urlencoded, and Cookie ---- */

struct cl_form; /* pairs and their memory */

/* The pairs of a body, or of a query, in their order. The form points into `raw`, which must stay
 * as it is until cello_form_del. Errors: CELLO_ELIMIT: more than `max` pairs; CELLO_EPERCENT;
 * CELLO_EUTF8; CELLO_ENOMEM. */
CELLO_API int cello_form_new(struct cl_form **out, struct cl_str raw, unsigned max);
/* The same for the value of a Cookie field; it cannot fail by its text. */
CELLO_API int cello_form_new_cookies(struct cl_form **out, struct cl_str field, unsigned max);
CELLO_API void cello_form_del(struct cl_form *form);
/* Read them with cello_pair_name and cello_pair_value. */
CELLO_API const struct cl_pair *cello_form_pairs(const struct cl_form *form, size_t *count);

/* ---- media types, RFC 9110 sections 8.3 and 12.5.1 ---- */

/* Whether a Content-Type names this type, its parameters aside. */
CELLO_API bool cello_media_is(struct cl_str content_type, struct cl_str essence);
/* The parameter `charset`, without quotes; empty when there is none. */
CELLO_API struct cl_str cello_media_charset(struct cl_str content_type);
/* How much an Accept field wants `media_type`: 0 (not at all) to 1000. */
CELLO_API unsigned cello_accept_media(struct cl_str accept, struct cl_str media_type);

/* ---- header fields, RFC 9110 section 5 ---- */

/* A token. */
CELLO_API bool cello_header_name_valid(struct cl_str name);
/* No control character but HTAB, no white space at either end. */
CELLO_API bool cello_header_value_valid(struct cl_str value);
/* A field that only the engine writes: Content-Length, Date, Connection and the like. */
CELLO_API bool cello_header_is_framing(struct cl_str name);

/* ---- Set-Cookie, RFC 6265 ---- */

enum cello_same_site {
    CELLO_SAME_SITE_UNSET,
    CELLO_SAME_SITE_LAX,
    CELLO_SAME_SITE_STRICT,
    CELLO_SAME_SITE_NONE,
};

/* Empty strings: no such attribute. */
struct cello_cookie {
    struct cl_str name, value, domain, path;
    int64_t max_age_s;    /* with has_max_age; 0 or less deletes the cookie */
    int64_t expires_unix; /* seconds since 1970, with has_expires */
    bool has_max_age, has_expires;
    bool secure, http_only, partitioned;
    enum cello_same_site same_site;
};

/* What a cookie's text needs at most. */
enum { CELLO_COOKIE_TEXT_MAX = 6144 };

/* The field's value. Errors: CELLO_EINVAL: a browser would refuse it or read it differently;
 * *fault then says what is wrong with which part (static). */
CELLO_API int cello_cookie_format(const struct cello_cookie *cookie,
                                  char out[CELLO_COOKIE_TEXT_MAX], size_t *len, const char **fault);

#endif
