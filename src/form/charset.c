#include "form/charset.h"

#include "base/utf8.h"

enum charset { UTF_8, ASCII, WINDOWS_1252, UNKNOWN };

static enum charset find(struct cl_str name) {
    static const struct {
        struct cl_str name;
        enum charset charset;
    } known[] = {
        {CL_STR_INIT(""), UTF_8},
        {CL_STR_INIT("utf-8"), UTF_8},
        {CL_STR_INIT("utf8"), UTF_8},
        {CL_STR_INIT("us-ascii"), ASCII},
        {CL_STR_INIT("iso-8859-1"), WINDOWS_1252},
        {CL_STR_INIT("latin1"), WINDOWS_1252},
        {CL_STR_INIT("windows-1252"), WINDOWS_1252},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(known); i++)
        if (cl_str_ieq(name, known[i].name))
            return known[i].charset;
    return UNKNOWN;
}

/* 0x80 to 0x9f of the WHATWG's windows-1252. */
static const uint16_t WINDOWS[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

static char *put_character(char *out, unsigned c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

static int decode_windows(struct cl_str bytes, struct cl_arena *arena, struct cl_str *out) {
    char *start = bytes.len < SIZE_MAX / 3 ? cl_arena_alloc(arena, 3 * bytes.len) : NULL;
    char *p = start;
    if (!start)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned c = (unsigned char)bytes.ptr[i];
        p = put_character(p, c >= 0x80 && c < 0xa0 ? WINDOWS[c - 0x80] : c);
    }
    *out = cl_str(start, (size_t)(p - start));
    return CELLO_OK;
}

static bool is_ascii(struct cl_str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x80)
            return false;
    return true;
}

int cl_charset_decode(struct cl_str charset, struct cl_str bytes, struct cl_arena *arena,
                      struct cl_str *out) {
    enum charset known = find(charset);
    *out = bytes;
    if (known == UNKNOWN)
        return CELLO_ECHARSET;
    if (bytes.len && memchr(bytes.ptr, 0, bytes.len))
        return CELLO_EUTF8;
    if (is_ascii(bytes))
        return CELLO_OK;
    if (known == WINDOWS_1252)
        return decode_windows(bytes, arena, out);
    return known == UTF_8 && cl_utf8_is_valid(bytes.ptr, bytes.len) ? CELLO_OK : CELLO_EUTF8;
}
