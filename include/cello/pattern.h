/* Regular expressions over what clients send: PCRE2, UTF-8, under limits.
 *
 * An expression is searched in the subject; write ^ and $ for all of it ($ is the very end). \d, \w
 * and \s are ASCII. Bytes that are not UTF-8 match nothing.
 *
 * A compiled pattern is read-only: any number of threads may match with it at once. Matching takes
 * no heap, but some 30 KB of stack. */
#ifndef CELLO_PATTERN_H
#define CELLO_PATTERN_H

#include <stddef.h>

#include <cello/api.h>
#include <cello/error.h>
#include <cello/str.h>

/* Longest subject; no longer text comes from a head, and forms rarely have one. */
#define CELLO_PATTERN_MAX_SUBJECT 16384

struct cl_regex; /* a compiled pattern */

/* Compile `text`, which is borrowed for the call. Errors: CELLO_EINVAL: `why` says why, and *offset
 * is the byte of `text` where; CELLO_ENOMEM. */
CELLO_API int cello_pattern_new(struct cl_regex **out, struct cl_str text, char *why,
                                size_t why_size, size_t *offset);
/* NULL is fine. */
CELLO_API void cello_pattern_del(struct cl_regex *pattern);

/* 1: found; 0: not. CELLO_ELIMIT: the subject is longer than CELLO_PATTERN_MAX_SUBJECT, or it took
 * more steps than an honest one takes. */
CELLO_API int cello_pattern_match(const struct cl_regex *pattern, struct cl_str subject);

#endif
