/* Versions of an API: the routes that share one pattern, and which of them a request means.
 *
 * A request says its version in a header, or in a media type that it accepts: as the last part of a
 * vendor's type (application/vnd.shop.v1+json, RFC 6838 section 3.2) or as the parameter `version`.
 * Case does not matter. A route without a version answers those that no other route of its pattern
 * has.
 *
 * Thread: one while routes are added, then any number may pick. No I/O, no recursion; picking
 * allocates nothing, and its work is bounded by the field's length times the number of routes. */
#ifndef CL_ROUTER_VERSIONS_H
#define CL_ROUTER_VERSIONS_H

#include "base/common.h"

enum cl_version_kind { CL_VERSION_NONE, CL_VERSION_HEADER, CL_VERSION_MEDIA_TYPE };

/* How requests of one application say it. */
struct cl_version_rule {
    enum cl_version_kind kind;
    struct cl_str header;   /* its name; "Accept" for CL_VERSION_MEDIA_TYPE */
    struct cl_str fallback; /* what a request means that says none; may be empty */
};

struct cl_version_item;

/* All zero: none. */
struct cl_versions {
    struct cl_version_item *items;
    size_t count, cap;
    uint32_t methods; /* of all items */
};

/* Frees what was added; targets are not touched. */
void cl_versions_free(struct cl_versions *v);

/* Room for `count` more, so that adding them cannot fail. Errors: CELLO_ENOMEM. */
int cl_versions_reserve(struct cl_versions *v, size_t count) CL_MUST_USE;

/* Where the version of one of these methods was registered; NULL: it is free. */
const char *cl_versions_where(const struct cl_versions *v, uint32_t methods, struct cl_str version);

/* Adds a target for methods (bits 1u << method) of a version; empty: of all that are not named.
 * `version` and `where` (may be NULL) are copied. Errors: CELLO_ENOMEM. */
int cl_versions_add(struct cl_versions *v, uint32_t methods, struct cl_str version,
                    const char *where, void *target) CL_MUST_USE;
/* Takes back the one that was added last. */
void cl_versions_drop_last(struct cl_versions *v);

/* The target for a method, HEAD following GET, by the value of the rule's header (empty: the
 * request has none). NULL: none has the version that it says. */
void *cl_versions_pick(const struct cl_versions *v, const struct cl_version_rule *rule,
                       unsigned method, struct cl_str field);

/* Whether it matters what a request says. */
bool cl_versions_matter(const struct cl_versions *v);

/* "v1, v2": the versions of a method, at most `cap` bytes. Returns the length. */
size_t cl_versions_list(const struct cl_versions *v, unsigned method, char *out, size_t cap);

#endif
