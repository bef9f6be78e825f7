#include "base/utf8.h"

/* Bytes of the character that begins with `lead`, and the least and greatest second byte; 0 if none
 * begins so. RFC 3629, section 4. */
struct form {
    unsigned size;
    unsigned char low;
    unsigned char high;
};

static struct form form_of(unsigned char lead) {
    if (lead < 0x80)
        return (struct form){1, 0, 0};
    if (lead < 0xc2)
        return (struct form){0, 0, 0};
    if (lead < 0xe0)
        return (struct form){2, 0x80, 0xbf};
    if (lead < 0xf0)
        return (struct form){3, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf};
    if (lead < 0xf5)
        return (struct form){4, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf};
    return (struct form){0, 0, 0};
}

static bool is_continuation(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

static bool is_character(const unsigned char *p, size_t left, struct form form) {
    if (form.size == 0 || form.size > left)
        return false;
    if (form.size > 1 && (p[1] < form.low || p[1] > form.high))
        return false;
    for (unsigned i = 2; i < form.size; i++)
        if (!is_continuation(p[i]))
            return false;
    return true;
}

size_t cl_utf8_valid_prefix(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if ((eight & 0x8080808080808080) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        struct form form = form_of(p[i]);
        if (!is_character(p + i, n - i, form))
            return i;
        i += form.size;
    }
    return n;
}
