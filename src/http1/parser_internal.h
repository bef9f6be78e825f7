/* Private to the head parser: what its instruction set variants share. */
#ifndef CL_HTTP1_PARSER_INTERNAL_H
#define CL_HTTP1_PARSER_INTERNAL_H

#include "http1/parser.h"

/* The parser compiled once per level of base/cpu.h. Contract: cl_h1_parse_head() without `scanned`,
 * so each call starts at the first byte. */
typedef int cl_h1_kernel(const char *buf, size_t len, const struct cl_h1_limits *limits,
                         struct cl_h1_head *head, size_t *consumed);

cl_h1_kernel cl_h1_parse_scalar, cl_h1_parse_sse42, cl_h1_parse_avx2, cl_h1_parse_neon;

/* One field line at the start of [p, end), inside a buffer that begins at `base`. On CELLO_OK
 * `*next` is behind its CRLF and `h` holds spans and id. CELLO_EAGAIN: the line does not end before
 * `end`. Errors: EHEADER_NAME EHEADER_VALUE EOBSFOLD EBARELF. For trailers; heads use an inlined
 * twin. */
int cl_h1_parse_field(const char *p, const char *end, const char *base, struct cl_header *h,
                      const char **next) CL_MUST_USE;

/* Take the meaning of a field with an id up to CL_HEADER_UPGRADE into the head; Host is the
 * kernels' own. `present` does not name this field yet. Errors: ELENGTH EFRAMING ECODING EEXPECT.
 */
int cl_h1_apply_field(struct cl_h1_head *head, const struct cl_header *h) CL_MUST_USE;

/* What only the whole head tells: Host is there, keep-alive, upgrade. Errors: EHOST. */
int cl_h1_finish_head(struct cl_h1_head *head) CL_MUST_USE;

/* "HTTP/1.x" CRLF byte by byte: for lines that are not complete or not the usual one. On CELLO_OK
 * `*p` is behind the LF. CELLO_EAGAIN, EREQLINE EVERSION EBARELF. */
int cl_h1_parse_version(const char **p, const char *end, int *minor) CL_MUST_USE;

#endif
