/* Queries and forms: application/x-www-form-urlencoded, as the WHATWG URL standard parses it but
 * for malformed input, which is an error here and not a guess.
 *
 * "a=1&b&=c&&d=%20+" is (a, 1) (b, "") ("", c) (d, two spaces). ';' separates nothing.
 *
 * Spans point into `raw` where nothing had to be decoded, else into the arena. Thread: the arena's.
 */
#ifndef CL_HTTP_QUERY_H
#define CL_HTTP_QUERY_H

#include "base/arena.h"
#include "http/pair.h"

/* All pairs in their order, in an array in the arena (NULL when there is none).
 * Errors: CELLO_ELIMIT: more than `max` pairs; CELLO_EPERCENT; CELLO_EUTF8: not UTF-8, or NUL,
 * after decoding; CELLO_ENOMEM. */
int cl_query_parse(struct cl_str raw, struct cl_arena *arena, unsigned max, struct cl_pair **out,
                   unsigned *count) CL_MUST_USE;

/* The last value of `name` (decoded, as the caller writes it) without parsing the other pairs.
 * Errors: CELLO_ENOENT, and those of decoding this value. */
int cl_query_find(struct cl_str raw, struct cl_str name, struct cl_arena *arena,
                  struct cl_str *value) CL_MUST_USE;

#endif
