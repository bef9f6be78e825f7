#include "http/disposition.h"

#include "base/utf8.h"

static const char ATTACHMENT[] = "attachment", INLINE[] = "inline";
static const char FILENAME[] = "; filename=\"";
static const char EXTENDED[] = "; filename*=UTF-8''";

size_t cl_disposition_bound(struct cl_str filename) {
    return sizeof ATTACHMENT + sizeof FILENAME + sizeof EXTENDED + 4 * filename.len + 2;
}

/* May stand in the quoted form as it is. Browsers differ about a backslash, and some decode a
 * percent sign: RFC 6266, appendix D. */
static bool is_plain(unsigned char c) {
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '%';
}

/* attr-char of RFC 8187. */
static bool is_attr(unsigned char c) {
    unsigned char l = cl_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$&+-.^_`|~", c));
}

static char *put(char *p, const char *text, size_t n) {
    memcpy(p, text, n);
    return p + n;
}

static char *put_extended(char *p, struct cl_str name) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (is_attr(c)) {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return p;
}

int cl_disposition(struct cl_str name, bool is_inline, char *out, size_t *len) {
    char *p = is_inline ? put(out, INLINE, sizeof INLINE - 1)
                        : put(out, ATTACHMENT, sizeof ATTACHMENT - 1);
    p = put(p, FILENAME, sizeof FILENAME - 1);
    bool plain = true;
    if (!cl_utf8_is_valid(name.ptr, name.len))
        return CELLO_EINVAL;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c < ' ' || c == 0x7f)
            return CELLO_EINVAL;
        if (is_plain(c)) {
            *p++ = (char)c;
            continue;
        }
        plain = false;
        if ((c & 0xc0) != 0x80) /* one for each character, however many bytes it has */
            *p++ = '_';
    }
    *p++ = '"';
    if (!plain)
        p = put_extended(put(p, EXTENDED, sizeof EXTENDED - 1), name);
    *len = (size_t)(p - out);
    return CELLO_OK;
}
