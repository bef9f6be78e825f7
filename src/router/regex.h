/* `{name:regex(...)}`, and <cello/pattern.h>: the one file that knows PCRE2.
 *
 * An expression matches the whole subject or is searched in it, as UTF-8; bytes that are not UTF-8
 * match nothing. \d, \w and \s are ASCII. JIT is used where the machine allows it.
 *
 * Hostile subjects: every match runs under fixed limits (steps, depth, memory). One that exceeds
 * them is CL_REGEX_ABORTED, which the router takes for "no match" and reports. Matching takes no
 * heap: PCRE2's scratch memory comes from the caller's stack, so a compiled expression is read-only
 * and any number of threads may use it at once. */
#ifndef CL_ROUTER_REGEX_H
#define CL_ROUTER_REGEX_H

#include <cello/pattern.h>

#include "base/common.h"

/* Longest decoded segment that is offered to an expression, and longest text that one is searched
 * in; longer ones count as aborted. */
#define CL_REGEX_MAX_SUBJECT 2048
#define CL_REGEX_MAX_SEARCHED CELLO_PATTERN_MAX_SUBJECT

struct cl_regex;

enum cl_regex_mode { CL_REGEX_WHOLE, CL_REGEX_SEARCH };
enum cl_regex_result { CL_REGEX_NO_MATCH = 0, CL_REGEX_MATCH = 1, CL_REGEX_ABORTED = 2 };

/* Compile `text` (borrowed during the call). On CELLO_EINVAL `errbuf` says why and `*err_offset`
 * is the byte of `text` where. Errors: CELLO_EINVAL, CELLO_ENOMEM. */
int cl_regex_new(struct cl_str text, enum cl_regex_mode mode, struct cl_regex **out, char *errbuf,
                 size_t errlen, size_t *err_offset) CL_MUST_USE;
/* NULL is fine. */
void cl_regex_del(struct cl_regex *re);

enum cl_regex_result cl_regex_match(const struct cl_regex *re, struct cl_str subject);

#endif
