#include "http/uri.h"

#include <arpa/inet.h>

#include "base/utf8.h"

/* ---- authority ---- */

/* What a byte may be in host[:port]; 0 for the characters of a registered name (RFC 3986 section
 * 3.2.2: unreserved and sub-delims), which need no second look. */
enum { HOST_COLON = 1, HOST_PERCENT = 2, HOST_OTHER = 4 };

static const uint8_t host_chars[256] = {
    [0 ... 0x20] = HOST_OTHER, ['"'] = HOST_OTHER,         ['#'] = HOST_OTHER,
    ['%'] = HOST_PERCENT,      ['/'] = HOST_OTHER,         [':'] = HOST_COLON,
    ['<'] = HOST_OTHER,        ['>' ... '@'] = HOST_OTHER, ['[' ... '^'] = HOST_OTHER,
    ['`'] = HOST_OTHER,        ['{' ... '}'] = HOST_OTHER, [0x7f ... 0xff] = HOST_OTHER,
};

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool cl_uri_port_valid(struct cl_str port) {
    if (port.len > 5)
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < port.len; i++) {
        unsigned digit = (unsigned char)port.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    return value <= 65535;
}

static bool reg_name_valid(struct cl_str name) {
    for (size_t i = 0; i < name.len; i++) {
        uint8_t kind = host_chars[(unsigned char)name.ptr[i]];
        if (kind == 0)
            continue;
        if (kind != HOST_PERCENT || cl_percent_byte(cl_str(name.ptr + i, name.len - i)) < 0)
            return false;
        i += 2;
    }
    return name.len > 0;
}

/* What stands between the brackets: "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool ip_future_valid(struct cl_str ip) {
    size_t i = 1;
    while (i < ip.len && hex_value(ip.ptr[i]) >= 0)
        i++;
    if (i == 1 || ip.len - i < 2 || ip.ptr[i] != '.')
        return false;
    while (++i < ip.len)
        if (host_chars[(unsigned char)ip.ptr[i]] & ~HOST_COLON)
            return false;
    return true;
}

static bool ip_literal_valid(struct cl_str ip) {
    if (ip.len > 1 && (ip.ptr[0] | 0x20) == 'v')
        return ip_future_valid(ip);
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (ip.len >= sizeof(text) || memchr(ip.ptr, '\0', ip.len))
        return false;
    memcpy(text, ip.ptr, ip.len);
    text[ip.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool bracketed_valid(struct cl_str authority) {
    const char *end = authority.ptr + authority.len;
    const char *close = memchr(authority.ptr, ']', authority.len);
    if (!close)
        return false;
    const char *start = authority.ptr + 1;
    if (!ip_literal_valid(cl_str(start, (size_t)(close - start))))
        return false;
    if (++close == end)
        return true;
    return *close == ':' && cl_uri_port_valid(cl_str(close + 1, (size_t)(end - close - 1)));
}

bool cl_uri_authority_valid(struct cl_str authority) {
    size_t n = 0;
    while (n < authority.len && host_chars[(unsigned char)authority.ptr[n]] == 0)
        n++;
    if (n == authority.len)
        return n > 0;
    if (authority.ptr[n] == ':')
        return n > 0 && cl_uri_port_valid(cl_str(authority.ptr + n + 1, authority.len - n - 1));
    if (authority.ptr[0] == '[')
        return bracketed_valid(authority);
    const char *colon = memchr(authority.ptr, ':', authority.len);
    n = colon ? (size_t)(colon - authority.ptr) : authority.len;
    if (colon && !cl_uri_port_valid(cl_str(colon + 1, authority.len - n - 1)))
        return false;
    return reg_name_valid(cl_str(authority.ptr, n));
}

/* ---- targets ---- */

/* The bytes of a path that need a second look. */
static const uint8_t path_marks[256] = {['?'] = 1, ['#'] = 1, ['%'] = 1, ['.'] = 1};

/* Whether the dot at `i` begins a segment that is "." or ".."; a segment ends at '/', '?' or the
 * end. */
static bool is_dot_segment(struct cl_str s, size_t i) {
    if (i > 0 && s.ptr[i - 1] != '/')
        return false;
    i++;
    if (i < s.len && s.ptr[i] == '.')
        i++;
    return i == s.len || s.ptr[i] == '/' || s.ptr[i] == '?';
}

static int split_path(struct cl_str s, struct cl_uri *out) {
    out->plain = true;
    out->path = s;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (CL_LIKELY(!path_marks[(unsigned char)c]))
            continue;
        if (c == '#')
            return CELLO_ETARGET;
        if (c == '?') {
            out->path.len = i;
            out->query = cl_str(s.ptr + i + 1, s.len - i - 1);
            out->has_query = true;
            return memchr(out->query.ptr, '#', out->query.len) ? CELLO_ETARGET : CELLO_OK;
        }
        if (c == '%' || is_dot_segment(s, i))
            out->plain = false;
    }
    return CELLO_OK;
}

static int parse_absolute(struct cl_str target, enum cl_method method, struct cl_uri *out) {
    const char *colon = memchr(target.ptr, ':', target.len);
    size_t scheme_len = colon ? (size_t)(colon - target.ptr) : 0;
    out->scheme = cl_str(target.ptr, scheme_len);
    if (!cl_str_ieq(out->scheme, CL_STR("http")) && !cl_str_ieq(out->scheme, CL_STR("https")))
        return CELLO_ETARGET;
    struct cl_str rest = cl_str(colon + 1, target.len - scheme_len - 1);
    if (rest.len < 2 || rest.ptr[0] != '/' || rest.ptr[1] != '/')
        return CELLO_ETARGET;
    rest = cl_str(rest.ptr + 2, rest.len - 2);
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
        n++;
    out->form = CL_URI_ABSOLUTE;
    out->authority = cl_str(rest.ptr, n);
    if (!cl_uri_authority_valid(out->authority))
        return CELLO_ETARGET;
    int err = split_path(cl_str(rest.ptr + n, rest.len - n), out);
    /* RFC 9112 section 3.2.4: OPTIONS without path and query asks about the server as a whole. */
    if (!err && out->path.len == 0)
        out->path = method == CL_METHOD_OPTIONS && !out->has_query ? CL_STR("*") : CL_STR("/");
    return err;
}

int cl_uri_parse(struct cl_str target, enum cl_method method, struct cl_uri *out) {
    *out = (struct cl_uri){.form = CL_URI_ORIGIN, .plain = true};
    if (target.len == 0)
        return CELLO_ETARGET;
    if (CL_UNLIKELY(method == CL_METHOD_CONNECT)) {
        out->form = CL_URI_AUTHORITY;
        out->authority = target;
        /* The port is required: CONNECT has no default one. */
        char last = target.ptr[target.len - 1];
        bool has_port = last >= '0' && last <= '9' && memrchr(target.ptr, ':', target.len);
        return has_port && cl_uri_authority_valid(target) ? CELLO_OK : CELLO_ETARGET;
    }
    if (CL_LIKELY(target.ptr[0] == '/'))
        return split_path(target, out);
    if (method == CL_METHOD_OPTIONS && cl_str_eq(target, CL_STR("*"))) {
        out->form = CL_URI_ASTERISK;
        out->path = target;
        return CELLO_OK;
    }
    return parse_absolute(target, method, out);
}

/* ---- paths ---- */

bool cl_uri_path_is_plain(struct cl_str path) {
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] == '%' || (path.ptr[i] == '.' && is_dot_segment(path, i)))
            return false;
    return true;
}

/* How many dots the segment consists of, when it is nothing but one or two of them; else 0. */
static int count_dots(struct cl_str segment) {
    int dots = 0;
    for (size_t i = 0; i < segment.len; dots++) {
        bool encoded = segment.len - i >= 3 && segment.ptr[i] == '%' && segment.ptr[i + 1] == '2' &&
                       (segment.ptr[i + 2] | 0x20) == 'e';
        if ((!encoded && segment.ptr[i] != '.') || dots == 2)
            return 0;
        i += encoded ? 3 : 1;
    }
    return dots;
}

size_t cl_uri_remove_dot_segments(struct cl_str path, char *out) {
    size_t o = 0;
    if (path.len == 0 || path.ptr[0] != '/') {
        memmove(out, path.ptr, path.len);
        return path.len;
    }
    for (size_t i = 0; i < path.len;) {
        const char *start = path.ptr + i + 1;
        size_t left = path.len - i - 1;
        const char *slash = memchr(start, '/', left);
        size_t n = slash ? (size_t)(slash - start) : left;
        int dots = count_dots(cl_str(start, n));
        if (dots == 2)
            while (o > 0 && out[--o] != '/')
                ;
        if (dots == 0 || !slash) {
            out[o++] = '/';
            if (dots == 0) {
                memmove(out + o, start, n);
                o += n;
            }
        }
        i += 1 + n;
    }
    return o;
}

int cl_percent_byte(struct cl_str s) {
    if (s.len < 3 || s.ptr[0] != '%')
        return -1;
    int high = hex_value(s.ptr[1]), low = hex_value(s.ptr[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int cl_percent_decode(struct cl_str raw, char *out, size_t *out_len, bool plus_is_space) {
    size_t o = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int byte = cl_percent_byte(cl_str(raw.ptr + i, raw.len - i));
            if (byte < 0)
                return CELLO_EPERCENT;
            c = (char)byte;
            i += 2;
        }
        out[o++] = c;
    }
    if (o && (memchr(out, '\0', o) || !cl_utf8_is_valid(out, o)))
        return CELLO_EUTF8;
    *out_len = o;
    return CELLO_OK;
}

int cl_percent_check(struct cl_str raw) {
    size_t i = 0;
    while (i < raw.len) {
        const char *percent = memchr(raw.ptr + i, '%', raw.len - i);
        if (!percent)
            break;
        i = (size_t)(percent - raw.ptr);
        char text[4]; /* one character at least, if it is one */
        size_t n = 0;
        do {
            size_t at = i + 3 * n;
            int byte = cl_percent_byte(cl_str(raw.ptr + at, raw.len - at));
            if (byte < 0)
                return CELLO_EPERCENT;
            text[n++] = (char)byte;
        } while (n < sizeof text && i + 3 * n < raw.len && raw.ptr[i + 3 * n] == '%');
        size_t valid = cl_utf8_valid_prefix(text, n);
        if (valid == 0 || memchr(text, '\0', valid))
            return CELLO_EUTF8;
        i += 3 * valid;
    }
    return CELLO_OK;
}
