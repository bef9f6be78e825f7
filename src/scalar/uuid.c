/* UUIDs, RFC 9562. */
#include "scalar/scalar_internal.h"

enum { HEX_BYTES = 32, HYPHENATED_BYTES = 36, IS_HEX = 16 };

/* The value of a hexadecimal digit, and IS_HEX. */
static const uint8_t HEX[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
    ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
    ['A'] = 26, ['B'] = 27, ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31,
};

/* Where the bytes' digits are, without and with hyphens. */
static const uint8_t PLACES[2][16] = {
    {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30},
    {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34},
};

/* What is within braces or behind the name space of URNs. */
static struct cl_str unwrap(struct cl_str s) {
    const struct cl_str urn = CL_STR_INIT("urn:uuid:");
    if (s.len > urn.len && cl_str_ieq(cl_str(s.ptr, urn.len), urn))
        return cl_str(s.ptr + urn.len, s.len - urn.len);
    if (s.len > 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}')
        return cl_str(s.ptr + 1, s.len - 2);
    return s;
}

int cello_uuid_parse(struct cl_str text, uint8_t out[16], const char **why) {
    struct cl_str s = unwrap(text);
    bool has_hyphens = s.len == HYPHENATED_BYTES;
    if (!has_hyphens && s.len != HEX_BYTES)
        return cl_text_refuse(why, "invalid length");
    const char *p = s.ptr;
    if (has_hyphens && !(p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-'))
        return cl_text_refuse(why, "invalid group length");
    uint8_t bytes[16];
    unsigned all = IS_HEX;
    for (unsigned i = 0; i < sizeof bytes; i++) {
        const char *digits = p + PLACES[has_hyphens][i];
        unsigned high = HEX[(unsigned char)digits[0]], low = HEX[(unsigned char)digits[1]];
        all &= high & low;
        bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    if (!all)
        return cl_text_refuse(why, "invalid character");
    memcpy(out, bytes, sizeof bytes);
    return CELLO_OK;
}
