/* Range requests: RFC 9110 section 14, byte ranges only.
 *
 * What a client asks for is bounded in two ways (section 14.2 allows both): a field with more than
 * CL_RANGE_MAX ranges is ignored, and ranges that overlap or nearly touch become one, so that an
 * answer never carries a byte of the representation twice.
 *
 * Thread: any; no state, no allocation. */
#ifndef CL_HTTP_RANGE_H
#define CL_HTTP_RANGE_H

#include "base/common.h"

/* Readers of large documents ask for a dozen at once; each costs an answer a part with a head. */
enum { CL_RANGE_MAX = 32 };

/* Ranges with a gap up to this become one: the head of a part of its own would be longer. */
enum { CL_RANGE_GAP = 80 };

struct cl_range {
    uint64_t first;  /* byte of the representation, from 0 */
    uint64_t length; /* at least 1 */
};

enum cl_range_result {
    CL_RANGE_IGNORED,       /* answer as if there were no such field: 200 */
    CL_RANGE_PARTIAL,       /* 206 with these ranges */
    CL_RANGE_UNSATISFIABLE, /* 416 */
};

/* What the value of a Range field means for a representation of `size` bytes. Ranges are in the
 * order of the field, inside the representation, and apart from each other by more than
 * CL_RANGE_GAP. Ignored are: other units, what does not follow the grammar (a last byte before the
 * first one included), more than CL_RANGE_MAX ranges, and every range of an empty representation,
 * which no 206 could say anything about. */
enum cl_range_result cl_range_parse(struct cl_str value, uint64_t size,
                                    struct cl_range ranges[CL_RANGE_MAX], unsigned *count);

/* "bytes 0-499/1234" and "bytes * /1234" (without the space), the values of Content-Range; they
 * need CL_CONTENT_RANGE_MAX bytes at most. Both return the length; no NUL. */
enum { CL_CONTENT_RANGE_MAX = 6 + 20 + 1 + 20 + 1 + 20 };
size_t cl_range_content(const struct cl_range *range, uint64_t size, char *out);
size_t cl_range_content_unsatisfied(uint64_t size, char *out);

#endif
