/* The language of route patterns:
 *
 *     pattern   = 1*( "/" segment )            only the last segment may be empty
 *     segment   = literal | [literal] parameter [literal]
 *     parameter = "{" name [ ":" type ] "}"
 *     type      = "int" | "float" | "uuid" | "alpha" | "slug" | "date" | "path"
 *               | "regex(" expression ")"
 *
 * A pattern is decoded text: write /café, not /caf%C3%A9. `path` stands alone in the last segment.
 * The end of an expression is found by counting parentheses outside of classes and escapes.
 *
 * Thread: any; no state, no allocation. */
#ifndef CL_ROUTER_PATTERN_H
#define CL_ROUTER_PATTERN_H

#include "router/param_kind.h"

#define CL_PATTERN_MAX_BYTES 2048  /* longer than any sensible path of fixed shape */
#define CL_PATTERN_MAX_SEGMENTS 32 /* depth of the route tree, and of a look-up's stack */
#define CL_ROUTER_MAX_PARAMS 16    /* room in every match */

/* Spans point into the pattern's text. */
struct cl_pattern_segment {
    bool is_param;
    enum cl_param_kind kind;
    struct cl_str prefix; /* of a parameter; for a literal segment, all of it */
    struct cl_str suffix;
    struct cl_str name;
    struct cl_str regex; /* the expression, for CL_PARAM_REGEX */
};

struct cl_pattern {
    struct cl_str text;
    unsigned segment_count;
    unsigned param_count;
    struct cl_pattern_segment segments[CL_PATTERN_MAX_SEGMENTS];
};

struct cl_pattern_error {
    size_t offset;  /* byte of the pattern's text where it was noticed */
    char text[160]; /* what is wrong, and what to write instead */
};

/* Parse `text` into `out`; `text` must outlive it. Expressions are delimited, not compiled.
 * Errors: CELLO_EINVAL for bad syntax, CELLO_ELIMIT for one of the limits above; `error` is then
 * set and `out` undefined. */
int cl_pattern_parse(struct cl_str text, struct cl_pattern *out,
                     struct cl_pattern_error *error) CL_MUST_USE;

#endif
