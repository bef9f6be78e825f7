/* Media types and content negotiation: RFC 9110 sections 8.3 and 12.
 *
 * Spans point into the caller's bytes. Thread: any; no state, no allocation. */
#ifndef CL_HTTP_MEDIA_H
#define CL_HTTP_MEDIA_H

#include "base/common.h"

struct cl_media {
    struct cl_str type;    /* "text" */
    struct cl_str subtype; /* "html" */
    struct cl_str params;  /* all behind the first ';', raw; empty when there is none */
};

/* Split "type/subtype; name=value; ...". Type and subtype are checked, parameters when they are
 * asked for. Errors: CELLO_EINVAL. */
int cl_media_parse(struct cl_str value, struct cl_media *out) CL_MUST_USE;

/* Whether a Content-Type names this type, parameters aside ("application/json"). */
bool cl_media_is(struct cl_str value, struct cl_str essence);

/* application/json, or any type with the suffix +json (RFC 6839). */
bool cl_media_is_json(struct cl_str value);

/* The value of a parameter (its name in any case) without the quotes around it; backslash pairs in
 * quoted strings stay as they are. false: absent, or the parameters are malformed before it. */
bool cl_media_param(const struct cl_media *media, struct cl_str name, struct cl_str *value);

/* The next media range of an Accept field and its quality, 0 to 1000; malformed ones are skipped.
 * `accept` moves behind it. false: there is no more. */
bool cl_accept_next(struct cl_str *accept, struct cl_media *range, unsigned *quality);

/* How much an Accept field wants `offer` ("application/json"): 0 (not at all) to 1000. The most
 * specific range decides: the very type, then any of its subtypes, then anything. Parameters but q
 * are ignored, malformed elements skipped; an empty field wants everything. */
unsigned cl_accept_media(struct cl_str accept, struct cl_str offer);

/* The same for fields that list tokens, such as Accept-Encoding ("gzip;q=0.5, *;q=0"): the quality
 * of `token`, by name or else by '*'; `absent` when neither is listed. */
unsigned cl_accept_token(struct cl_str accept, struct cl_str token, unsigned absent);

#endif
