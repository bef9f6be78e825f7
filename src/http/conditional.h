/* Preconditions: RFC 9110 section 13, and the entity tags of section 8.8.3.
 *
 * Thread: any; no state, no allocation. */
#ifndef CL_HTTP_CONDITIONAL_H
#define CL_HTTP_CONDITIONAL_H

#include <time.h>

#include "base/common.h"
#include "http/header.h"

/* What is known of the selected representation. */
struct cl_validators {
    struct cl_str etag;   /* with its quotes, W/ in front of a weak one; empty: none */
    bool has_modified;    /* `modified` is sent as Last-Modified */
    bool modified_strong; /* it cannot have changed again within that second (8.8.2.2) */
    time_t modified;
};

enum cl_condition {
    CL_CONDITION_PASSED,    /* answer as if there were no conditions */
    CL_CONDITION_UNCHANGED, /* 304 */
    CL_CONDITION_FAILED,    /* 412 */
};

/* If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since of a GET or HEAD, in the order
 * of section 13.2.2. A field may come in several lines. Dates that are none are ignored; from an
 * entity tag that is malformed on, the rest of a list names nothing. */
enum cl_condition cl_condition_check(const struct cl_header *headers, size_t count,
                                     const struct cl_validators *v, time_t now);

/* If-Range (13.1.5): whether a Range field is to be looked at. */
bool cl_condition_range(struct cl_str if_range, const struct cl_validators *v, time_t now);

/* Whether a list of entity tags ("*" is not one) has `etag`, by the weak or the strong comparison
 * (8.8.3.2). */
bool cl_etag_in_list(struct cl_str list, struct cl_str etag, bool weak);

/* An entity tag: quotes around characters that may stand between them. */
bool cl_etag_valid(struct cl_str etag);

#endif
