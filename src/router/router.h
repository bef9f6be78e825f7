/* From method and path to the route that answers: filled at registration, frozen at start, then
 * read-only.
 *
 * Rules
 * - A path is split on '/' while still percent-encoded, then each segment is compared decoded:
 *   "%2F" never ends a segment, "/%68ello" is "/hello". Case matters; empty segments matter.
 * - Within one segment the narrower alternative is tried first: literal text; parameters with
 *   literal text around them, most text first; then uuid, date, int, float, alpha, slug, regex (in
 *   order of registration), {name}; last {name:path}, which takes the rest of the path. If what
 *   follows does not fit, the next alternative is tried.
 * - A pattern that fits but lacks the method does not hide a later one that has it.
 * - HEAD is answered by the GET route where no HEAD route has the same pattern.
 *
 * Bounds: every node of the tree stands at one depth and has one parent, so a look-up enters each
 * node at most once: its work is bounded by the table, whatever the client sends. It allocates
 * nothing and does not recurse. Regular expressions run under limits of their own (router/regex.h),
 * and after the first one that exceeds them no other is tried in that look-up.
 *
 * Owner: whoever called cl_router_new(). Thread: one until cl_router_freeze(); after that any
 * number of threads may look up at once. No function needs the GIL. */
#ifndef CL_ROUTER_ROUTER_H
#define CL_ROUTER_ROUTER_H

#include "http/method.h"
#include "router/pattern.h"

#define CL_ROUTER_MAX_METHODS 32      /* bits of allow_mask */
#define CL_ROUTER_MAX_ALTERNATIVES 64 /* parameters that compete for one segment */
/* Decoded bytes of one path's segments, for paths with percent-encoding; what is longer is not
 * found. Twice the default of LimitsConfig.max_uri. */
#define CL_ROUTER_MAX_DECODED 16384

struct cl_router;

enum cl_route_result {
    CL_ROUTE_FOUND = 0,   /* `target` answers */
    CL_ROUTE_NOT_FOUND,   /* 404: no method of any route fits the path */
    CL_ROUTE_NOT_ALLOWED, /* 405: the path exists for the methods of allow_mask only */
};

struct cl_route_param {
    struct cl_str name; /* belongs to the router */
    struct cl_str raw;  /* part of the path that was looked up, still percent-encoded */
};

/* Only the first `param_count` entries of `params` are written, and those only when found. */
struct cl_route_match {
    void *target; /* as given to cl_router_add(); NULL unless found */
    uint32_t
        allow_mask; /* 1u << method: complete for NOT_ALLOWED; for FOUND the methods of the
                       matched pattern; 0 for NOT_FOUND. HEAD follows GET, OPTIONS is always in */
    unsigned param_count;
    bool slash_redirect; /* NOT_FOUND only: found if the trailing '/' is added, or taken away */
    bool regex_aborted;  /* an expression hit its limits and was taken for "no match" */
    struct cl_route_param params[CL_ROUTER_MAX_PARAMS];
};

/* NULL when memory is out. */
struct cl_router *cl_router_new(void) CL_MUST_USE;
/* NULL is fine. Targets are not touched. */
void cl_router_del(struct cl_router *r);

/* Register `pattern` (decoded text, see router/pattern.h) for one method, 0..31 and usually enum
 * cl_method. `pattern` and `where` ("app.py:12", may be NULL) are copied; `target` is opaque and
 * must not be NULL. After any error the router is as before and `errbuf` (errlen > 0) says why.
 * Errors: CELLO_EINVAL malformed pattern; CELLO_EEXIST the same method has an equivalent pattern
 * (parameter names do not tell patterns apart); CELLO_ELIMIT; CELLO_ENOMEM; CELLO_ESTATE frozen. */
int cl_router_add(struct cl_router *r, unsigned method, struct cl_str pattern, const char *where,
                  void *target, char *errbuf, size_t errlen) CL_MUST_USE;

/* The same for several methods, bits 1u << method, at least one: all of them or, after an error,
 * none. */
int cl_router_add_all(struct cl_router *r, uint32_t methods, struct cl_str pattern,
                      const char *where, void *target, char *errbuf, size_t errlen) CL_MUST_USE;

/* Lay the table out for look-ups. Errors: CELLO_ENOMEM (may be called again), CELLO_ELIMIT,
 * CELLO_ESTATE when it is frozen already. */
int cl_router_freeze(struct cl_router *r) CL_MUST_USE;

/* Look `path` up: raw, without the query, dot segments removed, starting with '/' (anything else is
 * not found). The router must be frozen. `m` refers to `path` and to the router afterwards.
 * Malformed percent-encoding, NUL or invalid UTF-8 is not found where a segment is compared, and
 * not always in the rest that {name:path} takes: callers who answer 400 check the path first. */
enum cl_route_result cl_router_find(const struct cl_router *r, unsigned method, struct cl_str path,
                                    struct cl_route_match *m);

/* Every method that some route answers on `path`, as 1u << method; 0 when there is none. What
 * `Allow` says for OPTIONS and 405; slower than a look-up that finds. */
uint32_t cl_router_allow(const struct cl_router *r, struct cl_str path);

struct cl_route_info {
    unsigned method;
    struct cl_str pattern; /* this and `where` belong to the router */
    const char *where;     /* never NULL */
    void *target;
};

/* Every registered route in order of registration, before or after the freeze. A result of `visit`
 * other than 0 ends the walk and is returned. */
int cl_router_walk(const struct cl_router *r, int (*visit)(void *ctx, const struct cl_route_info *),
                   void *ctx);

#endif
