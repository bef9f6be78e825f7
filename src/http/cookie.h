/* Cookies, RFC 6265 and its successor draft (6265bis): reading Cookie, writing Set-Cookie. */
#ifndef CL_HTTP_COOKIE_H
#define CL_HTTP_COOKIE_H

#include <time.h>

#include "base/arena.h"
#include "base/sink.h"
#include "http/header.h"
#include "http/pair.h"

/* The cookies of all Cookie fields among `headers`, in their order (HTTP/2 clients may send several
 * fields). Lenient as browsers and other servers are: pairs are cut at ';', white space around
 * names and values goes, so does one pair of double quotes around a value; "x" without '=' is a
 * cookie without a name. Values are not decoded; they may hold any byte a field value may.
 * Duplicates are kept; the last one is the value.
 *
 * The array is in the arena (NULL when there is none), its spans point into the headers.
 * Errors: CELLO_ELIMIT: more than `max`; CELLO_ENOMEM. */
int cl_cookie_parse(const struct cl_header *headers, unsigned header_count, struct cl_arena *arena,
                    unsigned max, struct cl_pair **out, unsigned *count) CL_MUST_USE;

enum cl_same_site {
    CL_SAME_SITE_UNSET = 0, /* no attribute: browsers then assume Lax */
    CL_SAME_SITE_LAX,
    CL_SAME_SITE_STRICT,
    CL_SAME_SITE_NONE,
};

struct cl_cookie {
    struct cl_str name;
    struct cl_str value;
    struct cl_str domain; /* empty: none, the cookie belongs to this host alone */
    struct cl_str path;   /* empty: none */
    int64_t max_age;      /* seconds, with has_max_age; 0 or less deletes the cookie */
    time_t expires;       /* with has_expires */
    bool has_max_age;
    bool has_expires;
    bool secure;
    bool http_only;
    bool partitioned;
    enum cl_same_site same_site;
};

/* Browsers ignore a cookie whose name and value are longer than this together. */
#define CL_COOKIE_MAX_SIZE 4096
/* ... and an attribute whose value is longer than this. */
#define CL_COOKIE_MAX_ATTRIBUTE 1024

/* Append the value of a Set-Cookie field to the sink. Errors: those of the sink, and CELLO_EINVAL,
 * with nothing written, for what a browser would refuse or read differently:
 * - a name that is no token; a value with a control character, space, '"', ',', ';', '\' or a byte
 *   above 0x7e (one pair of quotes around the whole is allowed); both longer than the maximum
 * - a domain that is no host name, a path that does not begin with '/' or holds ';', a control
 * character or a byte above 0x7e, or one that is too long
 * - SameSite=None or Partitioned without Secure
 * - a name with prefix "__Secure-" without Secure; "__Host-" without Secure and Path=/, or with a
 *   domain; the prefixes count in any case */
int cl_cookie_format(struct cl_sink *sink, const struct cl_cookie *cookie) CL_MUST_USE;

#endif
