#include "json/transcode.h"

static bool is_continuation(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

size_t cl_utf8_read(const char *text, const char *end, uint32_t *c) {
    const unsigned char *p = (const unsigned char *)text;
    size_t left = (size_t)(end - text);
    if (left == 0)
        return 0;
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    if (left < 2 || !is_continuation(p[1]))
        return 0;
    if (p[0] < 0xe0) {
        *c = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        return p[0] >= 0xc2 ? 2 : 0;
    }
    if (left < 3 || !is_continuation(p[2]))
        return 0;
    if (p[0] < 0xf0) {
        *c = (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        return *c >= 0x800 && (*c & 0xf800) != 0xd800 ? 3 : 0;
    }
    if (left < 4 || !is_continuation(p[3]) || p[0] > 0xf4)
        return 0;
    *c = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
         (p[3] & 0x3f);
    return *c >= 0x10000 && *c <= 0x10ffff ? 4 : 0;
}
