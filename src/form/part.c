#include "form/part.h"

#include "base/utf8.h"

/* ---- characters ---- */

/* RFC 9110 section 5.6.2, a bit for each of 128 characters. */
static bool is_token(unsigned char c) {
    static const uint64_t set[2] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};
    return c < 128 && (set[c / 64] >> c % 64 & 1);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

static struct cl_str trim(struct cl_str s) {
    while (s.len && is_space(s.ptr[0]))
        s = cl_str(s.ptr + 1, s.len - 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_text(struct cl_str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- decoding; all write to `out` and return how many bytes ---- */

/* What browsers write for the three characters that would end a quoted string or a line. */
static char browser_code(const char *p, const char *end) {
    if (end - p < 3 || p[0] != '%')
        return 0;
    if (p[1] == '2' && p[2] == '2')
        return '"';
    if (p[1] == '0' && (p[2] == 'D' || p[2] == 'A'))
        return p[2] == 'D' ? '\r' : '\n';
    return 0;
}

static size_t decode_plain(struct cl_str raw, bool quoted, char *out) {
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    char *start = out;
    while (p < end) {
        char code = browser_code(p, end);
        if (code) {
            *out++ = code;
            p += 3;
            continue;
        }
        if (quoted && *p == '\\' && end - p > 1 && (p[1] == '"' || p[1] == '\\'))
            p++;
        *out++ = *p++;
    }
    return (size_t)(out - start);
}

/* UTF-8'language'percent-encoded, RFC 8187 section 3.2. False: malformed, or another charset. */
static bool decode_extended(struct cl_str raw, char *out, size_t *len) {
    static const struct cl_str charset = CL_STR_INIT("UTF-8");
    const char *end = raw.ptr + raw.len;
    const char *quote = memchr(raw.ptr, '\'', raw.len);
    if (!quote || !cl_str_ieq(cl_str(raw.ptr, (size_t)(quote - raw.ptr)), charset))
        return false;
    quote = memchr(quote + 1, '\'', (size_t)(end - quote - 1));
    if (!quote)
        return false;
    char *start = out;
    for (const char *p = quote + 1; p < end; p++) {
        if (*p != '%') {
            *out++ = *p;
            continue;
        }
        int high = end - p > 2 ? hex_value(p[1]) : -1, low = high < 0 ? -1 : hex_value(p[2]);
        if (low < 0 || high + low == 0) /* NUL is in no file's name */
            return false;
        *out++ = (char)(high << 4 | low);
        p += 2;
    }
    *len = (size_t)(out - start);
    return true;
}

/* ---- Content-Disposition ---- */

enum parameter { PARAM_NAME, PARAM_FILENAME, PARAM_EXTENDED, PARAM_COUNT };

struct disposition {
    struct cl_str raw[PARAM_COUNT];
    bool there[PARAM_COUNT], quoted[PARAM_COUNT];
};

/* The value that starts at *p: a token or a quoted string, without its quotes. */
static bool take_value(const char **p, const char *end, struct cl_str *value, bool *quoted) {
    const char *at = *p;
    *quoted = at < end && *at == '"';
    if (*quoted) {
        for (at++; at < end && *at != '"'; at++)
            if (*at == '\\' && end - at > 1 && (at[1] == '"' || at[1] == '\\'))
                at++;
        if (at >= end)
            return false;
        *value = cl_str(*p + 1, (size_t)(at - *p - 1));
        *p = at + 1;
        return true;
    }
    while (at < end && is_token((unsigned char)*at))
        at++;
    *value = cl_str(*p, (size_t)(at - *p));
    *p = at;
    return value->len > 0;
}

static bool take_parameter(const char **p, const char *end, struct disposition *d) {
    static const struct cl_str names[PARAM_COUNT] = {
        CL_STR_INIT("name"),
        CL_STR_INIT("filename"),
        CL_STR_INIT("filename*"),
    };
    const char *start = *p;
    while (*p < end && is_token((unsigned char)**p))
        ++*p;
    struct cl_str name = cl_str(start, (size_t)(*p - start)), value;
    bool quoted;
    if (name.len == 0 || *p == end || *(*p)++ != '=' || !take_value(p, end, &value, &quoted))
        return false;
    for (int i = 0; i < PARAM_COUNT; i++) {
        if (!cl_str_ieq(name, names[i]))
            continue;
        if (d->there[i])
            return false;
        d->there[i] = true;
        d->raw[i] = value;
        d->quoted[i] = quoted;
    }
    return true;
}

static const char *skip_spaces(const char *p, const char *end) {
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* form-data *( OWS ";" OWS [ parameter ] ) */
static bool read_disposition(struct cl_str value, struct disposition *d) {
    static const struct cl_str type = CL_STR_INIT("form-data");
    const char *p = value.ptr, *end = value.ptr + value.len;
    *d = (struct disposition){0};
    if (value.len < type.len || !cl_str_ieq(cl_str(p, type.len), type))
        return false;
    for (p = skip_spaces(p + type.len, end); p < end; p = skip_spaces(p, end)) {
        if (*p != ';')
            return false;
        p = skip_spaces(p + 1, end);
        if (p < end && *p != ';' && !take_parameter(&p, end, d))
            return false;
    }
    return d->there[PARAM_NAME];
}

static int settle(const struct disposition *d, char *room, struct cl_part *out) {
    size_t n = decode_plain(d->raw[PARAM_NAME], d->quoted[PARAM_NAME], room);
    out->name = cl_str(room, n);
    room += n;
    out->is_file = d->there[PARAM_FILENAME] || d->there[PARAM_EXTENDED];
    if (d->there[PARAM_FILENAME])
        n = decode_plain(d->raw[PARAM_FILENAME], d->quoted[PARAM_FILENAME], room);
    else if (!d->there[PARAM_EXTENDED])
        n = 0;
    else if (d->quoted[PARAM_EXTENDED] || !decode_extended(d->raw[PARAM_EXTENDED], room, &n))
        return CELLO_EPART_HEADER;
    out->filename = cl_str(room, n);
    bool valid = cl_utf8_is_valid(out->name.ptr, out->name.len) && cl_utf8_is_valid(room, n);
    return valid ? CELLO_OK : CELLO_EUTF8;
}

/* ---- lines ---- */

/* A line that begins with white space continues the one before, RFC 5322 section 2.2.3. */
static size_t unfold(char *head, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool folded =
            len - i > 2 && head[i] == '\r' && head[i + 1] == '\n' && is_space(head[i + 2]);
        if (folded)
            i++;
        else
            head[n++] = head[i];
    }
    return n;
}

/* A line without its end; false: there is none, or it does not end in CR LF. */
static bool next_line(struct cl_str *lines, struct cl_str *line) {
    const char *lf = lines->len ? memchr(lines->ptr, '\n', lines->len) : NULL;
    if (!lf || lf == lines->ptr || lf[-1] != '\r')
        return false;
    size_t n = (size_t)(lf - lines->ptr) + 1;
    *line = cl_str(lines->ptr, n - 2);
    *lines = cl_str(lines->ptr + n, lines->len - n);
    return true;
}

bool cl_part_field_next(struct cl_str *fields, struct cl_str *name, struct cl_str *value) {
    struct cl_str line;
    if (!next_line(fields, &line))
        return false;
    const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
    if (!colon)
        return false;
    *name = cl_str(line.ptr, (size_t)(colon - line.ptr));
    *value = trim(cl_str(colon + 1, line.len - name->len - 1));
    return true;
}

static bool is_name(struct cl_str name) {
    for (size_t i = 0; i < name.len; i++)
        if (!is_token((unsigned char)name.ptr[i]))
            return false;
    return name.len > 0;
}

int cl_part_parse(char *head, size_t len, char *room, struct cl_part *out) {
    static const struct cl_str type_name = CL_STR_INIT("content-type");
    static const struct cl_str disposition_name = CL_STR_INIT("content-disposition");
    struct disposition d;
    bool has_type = false, has_disposition = false;
    *out = (struct cl_part){.fields = cl_str(head, unfold(head, len))};
    struct cl_str rest = out->fields, name, value;
    while (rest.len > 0) {
        if (!cl_part_field_next(&rest, &name, &value) || !is_name(name) || !is_text(value))
            return CELLO_EPART_HEADER;
        if (cl_str_ieq(name, type_name)) {
            if (has_type)
                return CELLO_EPART_HEADER;
            has_type = true;
            out->content_type = value;
        } else if (cl_str_ieq(name, disposition_name)) {
            if (has_disposition || !read_disposition(value, &d))
                return CELLO_EPART_HEADER;
            has_disposition = true;
        }
    }
    return has_disposition ? settle(&d, room, out) : CELLO_EPART_HEADER;
}
