#include "json/unescape.h"

/* The value of four hexadecimal digits, or more than 0xffff if they are not there. */
static uint32_t read_hex4(const char *p, const char *end) {
    if (end - p < 4)
        return UINT32_MAX;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        unsigned digit = (unsigned)c - '0';
        if (digit > 9) {
            unsigned letter = (unsigned)(c | 0x20) - 'a';
            if (letter > 5)
                return UINT32_MAX;
            digit = letter + 10;
        }
        value = value << 4 | digit;
    }
    return value;
}

static const char *read_unicode(const char *p, const char *end, uint32_t *c) {
    *c = read_hex4(p + 2, end);
    if (*c > 0xffff)
        return NULL;
    if ((*c & 0xf800) != 0xd800)
        return p + 6;
    if (*c >= 0xdc00 || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return NULL;
    uint32_t low = read_hex4(p + 8, end);
    if ((low & ~(uint32_t)0x3ff) != 0xdc00)
        return NULL;
    *c = 0x10000 + ((*c & 0x3ff) << 10 | (low & 0x3ff));
    return p + 12;
}

const char *cl_json_read_escape(const char *p, const char *end, uint32_t *c) {
    static const char plain[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    if (end - p < 2)
        return NULL;
    if (p[1] == 'u')
        return read_unicode(p, end, c);
    *c = (unsigned char)plain[(unsigned char)p[1]];
    return *c ? p + 2 : NULL;
}
