/* The decoder's rarer strings: with escapes, and of more than ASCII. */
#include "convert/json_decode_internal.h"

#include "base/utf8.h"

PyObject *cl_json_new_wide_str(struct cl_json_decoder *d, const char *text, size_t n) {
    (void)d;
    PyObject *str = PyUnicode_DecodeUTF8(text, (Py_ssize_t)n, NULL);
    if (!str && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        return cl_json_fail(d, CELLO_EJSON, d->begin, "text is not UTF-8");
    }
    return str;
}

/* The value of four hexadecimal digits, or above 0xffff if they are not. */
static uint32_t read_hex4(const char *p, const char *end) {
    if (end - p < 4)
        return UINT32_MAX;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        unsigned digit = (unsigned)(c - '0');
        if (digit > 9) {
            digit = (unsigned)((c | 0x20) - 'a') + 10;
            if (digit < 10 || digit > 15)
                return UINT32_MAX;
        }
        value = value << 4 | digit;
    }
    return value;
}

static char *put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xe0 | c >> 12);
        } else {
            *out++ = (char)(0xf0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

/* \uXXXX, or two of them for a character outside the basic plane. */
static char *unescape_unicode(struct cl_json_decoder *d, char *out, const char **at) {
    const char *p = *at;
    uint32_t c = read_hex4(p + 2, d->end);
    if (c > 0xffff)
        return cl_json_fail(d, CELLO_EJSON, p, "malformed \\u escape");
    *at += 6;
    if ((c & 0xf800) == 0xd800) {
        uint32_t low = UINT32_MAX;
        if (c < 0xdc00 && d->end - p >= 12 && p[6] == '\\' && p[7] == 'u')
            low = read_hex4(p + 8, d->end);
        if ((low & ~(uint32_t)0x3ff) != 0xdc00)
            return cl_json_fail(d, CELLO_EJSON, p, "escape of a lone surrogate");
        *at += 6;
        c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
    }
    return put_utf8(out, c);
}

char *cl_json_unescape(struct cl_json_decoder *d, char *out, const char **at) {
    static const char plain[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    const char *p = *at;
    if (p[1] == 'u')
        return unescape_unicode(d, out, at);
    char c = plain[(unsigned char)p[1]];
    if (!c)
        return cl_json_fail(d, CELLO_EJSON, p, "unknown escape");
    *out = c;
    *at += 2;
    return out + 1;
}
