/* multipart/form-data, RFC 7578 and RFC 2046 section 5.1: an incremental parser that copies no
 * data.
 *
 *      preamble CRLF --B CRLF  head  CRLF CRLF  data  CRLF --B CRLF ... CRLF --B-- CRLF epilogue
 *      dropped       |         PART             DATA  PART_END
 *
 * The input may be cut anywhere: the events are the same, and the bytes of DATA are, though not in
 * how many runs they come. What may turn out to be the start of a delimiter when the input ends is
 * not kept but counted, for it can only be what the delimiter begins with.
 *
 * Strict where others might read something else: lines end in CR LF; a line that begins with the
 * delimiter is one, and has nothing but white space behind it, or "--"; a part needs a name. A
 * preamble and an epilogue are dropped, a message of no parts is one, and so is a part of no bytes.
 * Parts are not looked into: a multipart/mixed inside is data.
 *
 * Owner: whoever embeds it. Thread: one at a time. No allocation. */
#ifndef CL_FORM_MULTIPART_H
#define CL_FORM_MULTIPART_H

#include "form/part.h"

/* RFC 2046 section 5.1.1. */
enum { CL_MULTIPART_BOUNDARY_MAX = 70 };

enum cl_multipart_event {
    CL_MULTIPART_PART = 1, /* a part begins: `part` is filled */
    CL_MULTIPART_DATA,     /* `data` holds the next run of its bytes, never empty */
    CL_MULTIPART_PART_END,
};

struct cl_multipart {
    struct cl_part part; /* from PART until the call after PART_END */
    char *head;          /* the caller's: the header section, and what was decoded of it */
    size_t head_len, max_head;
    uint32_t parts, max_parts;
    uint8_t state;
    uint8_t matched; /* bytes of the delimiter at the end of what was seen */
    uint8_t
        implied; /* of these, not of the data: the line end that a part or message begins with */
    uint8_t delimiter_len;
    char delimiter[4 + CL_MULTIPART_BOUNDARY_MAX]; /* CR LF "--" boundary */
};

/* `head` has room for 2 * max_head bytes and stays the caller's. Errors: CELLO_EBOUNDARY: 1 to 70
 * characters of a set, the last one no space. */
int cl_multipart_init(struct cl_multipart *m, struct cl_str boundary, uint32_t max_parts,
                      char *head, size_t max_head) CL_MUST_USE;

/* An event; or CELLO_EAGAIN: all was used; or an error: CELLO_EMULTIPART, CELLO_EPARTS (more than
 * max_parts), CELLO_EPART_HEADER_TOO_LARGE, and those of cl_part_parse. `data` points into the
 * input, or into the parser until the next call. After an error it must not be called again. */
int cl_multipart_next(struct cl_multipart *m, const char *in, size_t in_len, size_t *in_used,
                      struct cl_str *data) CL_MUST_USE;

/* There is no more input. Errors: CELLO_EMULTIPART_END: the final delimiter has not come. */
int cl_multipart_finish(const struct cl_multipart *m) CL_MUST_USE;

#endif
