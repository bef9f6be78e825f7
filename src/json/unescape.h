/* Escapes in JSON strings, one at a time. Nothing at or behind `end` is read. Thread: any. */
#ifndef CL_JSON_UNESCAPE_H
#define CL_JSON_UNESCAPE_H

#include "base/common.h"

/* The escape at `p` (a backslash). *c is the character it stands for; two escapes of surrogates are
 * one. Returns its end, or NULL if it is malformed, cut off, or a surrogate without its other half.
 */
const char *cl_json_read_escape(const char *p, const char *end, uint32_t *c);

/* `c` as UTF-8. Room for four bytes. Returns the end. */
CL_INLINE char *cl_put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        *out = (char)c;
        return out + 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return out + 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return out + 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return out + 4;
}

#endif
