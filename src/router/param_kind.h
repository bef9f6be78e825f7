/* The types of path parameters, and the check each makes on a segment's decoded bytes.
 *
 * Thread: any; no state, no allocation. */
#ifndef CL_ROUTER_PARAM_KIND_H
#define CL_ROUTER_PARAM_KIND_H

#include "base/common.h"

/* The order is the precedence between parameters that could take the same segment: the narrower
 * language first (a date is also a slug, an int is also a float). */
enum cl_param_kind {
    CL_PARAM_UUID = 0, /* 8-4-4-4-12 hexadecimal digits, either case */
    CL_PARAM_DATE,     /* YYYY-MM-DD, a day that exists (proleptic Gregorian, years 0001-9999) */
    CL_PARAM_INT,      /* -?[0-9]+ */
    CL_PARAM_FLOAT,    /* -?[0-9]+(\.[0-9]+)? */
    CL_PARAM_ALPHA,    /* [A-Za-z]+ */
    CL_PARAM_SLUG,     /* [A-Za-z0-9_-]+ */
    CL_PARAM_REGEX,    /* a PCRE2 expression, see router/regex.h */
    CL_PARAM_TEXT,     /* {name}: any segment but the empty one */
    CL_PARAM_PATH,     /* the rest of the path, slashes included, not empty */
    CL_PARAM_KIND_COUNT
};

/* The kind written as `{name:word}`; CL_PARAM_KIND_COUNT when there is none. REGEX and TEXT have
 * syntax of their own and no word. */
enum cl_param_kind cl_param_kind_from(struct cl_str word);

/* Whether `value`, decoded, is of this kind. Not for REGEX, which needs its expression. */
bool cl_param_kind_accepts(enum cl_param_kind kind, struct cl_str value);

#endif
