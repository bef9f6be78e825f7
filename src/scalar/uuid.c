/* UUIDs, RFC 9562. */
#include "scalar/scalar_internal.h"

enum { HEX_BYTES = 32, HYPHENATED_BYTES = 36, NOT_HEX = 16 };

static unsigned hex_value(char c) {
    unsigned digit = (unsigned char)c - '0';
    if (digit < 10)
        return digit;
    unsigned letter = (unsigned)cl_lower((unsigned char)c) - 'a';
    return letter < 6 ? letter + 10 : NOT_HEX;
}

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
    uint8_t bytes[16];
    const char *p = s.ptr;
    for (unsigned i = 0; i < sizeof bytes; i++, p += 2) {
        bool starts_group = i == 4 || i == 6 || i == 8 || i == 10;
        if (has_hyphens && starts_group && *p++ != '-')
            return cl_text_refuse(why, "invalid group length");
        unsigned high = hex_value(p[0]), low = hex_value(p[1]);
        if ((high | low) >= NOT_HEX)
            return cl_text_refuse(why, "invalid character");
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(out, bytes, sizeof bytes);
    return CELLO_OK;
}
