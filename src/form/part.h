/* The header of one part of multipart/form-data, RFC 7578 section 4: what it is called, which file
 * it was.
 *
 *      Content-Disposition: form-data; name="photo"; filename="sea.jpg"
 *      Content-Type: image/jpeg
 *
 * Names and file names are what their sender had before it wrote them down: quoted pairs (\" and
 * \\; any other backslash is itself, as in the paths of old browsers) and the three codes of the
 * WHATWG (%22, %0D, %0A) are undone. They are UTF-8, and otherwise as the client chose: a file name
 * may be "../../etc/passwd". `filename*` (RFC 8187), which RFC 7578 forbids and old clients send,
 * is read where `filename` is missing, and nowhere else.
 *
 * No state, no allocation. Thread: any. */
#ifndef CL_FORM_PART_H
#define CL_FORM_PART_H

#include "base/common.h"

struct cl_part {
    struct cl_str name;
    struct cl_str filename;     /* with is_file; browsers send "" when nothing was chosen */
    struct cl_str content_type; /* as it came; empty: none */
    struct cl_str fields;       /* all lines, unfolded; see cl_part_field_next */
    bool is_file;               /* there was a file name */
};

/* Read the header section of `len` bytes at `head`, without the empty line that ends it. Folded
 * lines are joined in place; decoded names go to `room`, which has `len` bytes. The spans of `out`
 * point into both. Errors: CELLO_EPART_HEADER: malformed, or a part must not look so (no
 * Content-Disposition, not form-data, no name, something twice); CELLO_EUTF8: a name is not UTF-8.
 */
int cl_part_parse(char *head, size_t len, char *room, struct cl_part *out) CL_MUST_USE;

/* The next line of `fields`, which moves behind it; false at the end. */
bool cl_part_field_next(struct cl_str *fields, struct cl_str *name, struct cl_str *value);

#endif
