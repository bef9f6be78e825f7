#include "router/pattern.h"

#include <stdarg.h>
#include <stdio.h>

struct parser {
    struct cl_str text;
    size_t pos;
    struct cl_pattern *out;
    struct cl_pattern_error *error;
};

CL_COLD CL_PRINTF(4, 5) static int fail(struct parser *p, int err, size_t offset, const char *fmt,
                                        ...) {
    va_list args;
    va_start(args, fmt);
    p->error->offset = offset;
    vsnprintf(p->error->text, sizeof(p->error->text), fmt, args);
    va_end(args);
    return err;
}

/* printf arguments of "%.*s"; what is quoted in messages stays short. */
#define SHOWN(s) (int)CL_MIN((s).len, (size_t)40), (s).ptr

static int peek(const struct parser *p) {
    return p->pos < p->text.len ? (unsigned char)p->text.ptr[p->pos] : -1;
}

static struct cl_str slice(const struct parser *p, size_t from, size_t to) {
    return cl_str(p->text.ptr + from, to - from);
}

static bool is_hex(char c) {
    unsigned char low = cl_lower((unsigned char)c);
    return (unsigned char)(c - '0') < 10 || (unsigned char)(low - 'a') < 6;
}

/* Bytes beyond ASCII are accepted: Python's identifiers may be written in any script. */
static bool is_name_char(int c, bool first) {
    if (c >= 0x80 || c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return true;
    return !first && c >= '0' && c <= '9';
}

/* Other frameworks' notations get an answer that says what to write here. */
static int check_foreign_notation(struct parser *p) {
    size_t end = p->pos;
    while (end < p->text.len && p->text.ptr[end] != '/')
        end++;
    struct cl_str segment = slice(p, p->pos, end);
    if (segment.len < 1)
        return CELLO_OK;
    if (segment.ptr[0] == '*')
        return fail(p, CELLO_EINVAL, p->pos, "write {name:path} for the rest of the path, not *");
    if (segment.len < 2)
        return CELLO_OK;
    struct cl_str rest = cl_str(segment.ptr + 1, segment.len - 1);
    if (segment.ptr[0] == ':' && is_name_char((unsigned char)rest.ptr[0], true))
        return fail(p, CELLO_EINVAL, p->pos, "write {%.*s} instead of :%.*s", SHOWN(rest),
                    SHOWN(rest));
    if (segment.ptr[0] == '<' && segment.ptr[segment.len - 1] == '>')
        return fail(p, CELLO_EINVAL, p->pos, "write {name} or {name:type} instead of %.*s",
                    SHOWN(segment));
    return CELLO_OK;
}

/* A literal ends at '/', '{', or the end. */
static int parse_literal(struct parser *p, struct cl_str *out) {
    size_t start = p->pos;
    for (int c = peek(p); c >= 0 && c != '/' && c != '{'; c = peek(p)) {
        if (c == '}')
            return fail(p, CELLO_EINVAL, p->pos, "'}' without '{'");
        if (c == '?' || c == '#')
            return fail(p, CELLO_EINVAL, p->pos, "'%c' ends a path and cannot stand in one", c);
        if (c < 0x20 || c == 0x7f)
            return fail(p, CELLO_EINVAL, p->pos, "control character 0x%02x", (unsigned)c);
        if (c == '%' && p->pos + 2 < p->text.len && is_hex(p->text.ptr[p->pos + 1]) &&
            is_hex(p->text.ptr[p->pos + 2]))
            return fail(p, CELLO_EINVAL, p->pos,
                        "percent-encoding: write the character itself, not %.3s",
                        p->text.ptr + p->pos);
        p->pos++;
    }
    *out = slice(p, start, p->pos);
    return CELLO_OK;
}

static int parse_name(struct parser *p, struct cl_pattern_segment *s) {
    size_t start = p->pos;
    while (is_name_char(peek(p), p->pos == start) && peek(p) >= 0)
        p->pos++;
    s->name = slice(p, start, p->pos);
    int c = peek(p);
    if (c < 0 || c == '/' || c == '{')
        return fail(p, CELLO_EINVAL, start - 1, "unclosed '{'");
    if (c != ':' && c != '}')
        return fail(p, CELLO_EINVAL, p->pos, "a parameter name is letters, digits and '_'");
    if (s->name.len == 0)
        return fail(p, CELLO_EINVAL, p->pos, "a parameter without a name");
    for (unsigned i = 0; i < p->out->segment_count; i++)
        if (p->out->segments[i].is_param && cl_str_eq(p->out->segments[i].name, s->name))
            return fail(p, CELLO_EINVAL, start, "a second parameter named '%.*s'", SHOWN(s->name));
    return CELLO_OK;
}

/* From behind a '[' to behind the ']' that closes the class; a first ']' is a member. */
static void skip_class(struct parser *p) {
    if (peek(p) == '^')
        p->pos++;
    if (peek(p) == ']')
        p->pos++;
    for (int c = peek(p); c >= 0; c = peek(p)) {
        p->pos++;
        if (c == ']')
            return;
        if (c == '\\' && peek(p) >= 0)
            p->pos++;
    }
}

/* From behind "regex(" to behind its ')'. */
static int parse_regex(struct parser *p, struct cl_pattern_segment *s) {
    size_t start = p->pos;
    unsigned depth = 1;
    for (int c = peek(p); c >= 0; c = peek(p)) {
        p->pos++;
        if (c == '\\' && peek(p) >= 0)
            p->pos++;
        else if (c == '[')
            skip_class(p);
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            break;
    }
    if (depth != 0)
        return fail(p, CELLO_EINVAL, start - 1, "unclosed '(' of regex(...)");
    s->kind = CL_PARAM_REGEX;
    s->regex = slice(p, start, p->pos - 1);
    if (s->regex.len == 0)
        return fail(p, CELLO_EINVAL, start, "regex() without an expression");
    return CELLO_OK;
}

static int parse_type(struct parser *p, struct cl_pattern_segment *s) {
    static const struct cl_str regex = CL_STR_INIT("regex(");
    if (p->text.len - p->pos >= regex.len &&
        cl_str_eq(slice(p, p->pos, p->pos + regex.len), regex)) {
        p->pos += regex.len;
        return parse_regex(p, s);
    }
    size_t start = p->pos;
    while (is_name_char(peek(p), false))
        p->pos++;
    struct cl_str word = slice(p, start, p->pos);
    s->kind = cl_param_kind_from(word);
    if (s->kind == CL_PARAM_KIND_COUNT)
        return fail(p, CELLO_EINVAL, start,
                    "unknown type '%.*s': write int, float, uuid, alpha, slug, date, path or "
                    "regex(...)",
                    SHOWN(word));
    return CELLO_OK;
}

/* From the '{' to behind the '}'. */
static int parse_param(struct parser *p, struct cl_pattern_segment *s) {
    size_t brace = p->pos++;
    s->is_param = true;
    s->kind = CL_PARAM_TEXT;
    int err = parse_name(p, s);
    if (!err && peek(p) == ':') {
        p->pos++;
        err = parse_type(p, s);
    }
    if (err)
        return err;
    if (peek(p) != '}') {
        if (s->kind == CL_PARAM_REGEX && peek(p) >= 0)
            return fail(p, CELLO_EINVAL, p->pos, "'}' expected behind regex(...)");
        return fail(p, CELLO_EINVAL, brace, "unclosed '{'");
    }
    p->pos++;
    if (++p->out->param_count > CL_ROUTER_MAX_PARAMS)
        return fail(p, CELLO_ELIMIT, brace, "more than %d parameters", CL_ROUTER_MAX_PARAMS);
    return CELLO_OK;
}

static int parse_segment(struct parser *p, struct cl_pattern_segment *s) {
    size_t start = p->pos;
    int err = check_foreign_notation(p);
    if (!err)
        err = parse_literal(p, &s->prefix);
    if (!err && peek(p) == '{') {
        err = parse_param(p, s);
        if (!err)
            err = parse_literal(p, &s->suffix);
    }
    if (err)
        return err;
    if (peek(p) == '{')
        return fail(p, CELLO_EINVAL, p->pos, "a second parameter in one segment");
    if (!s->is_param && (cl_str_eq(s->prefix, CL_STR(".")) || cl_str_eq(s->prefix, CL_STR(".."))))
        return fail(p, CELLO_EINVAL, start, "dot segments are removed before routing");
    if (s->is_param && s->kind == CL_PARAM_PATH) {
        if (s->prefix.len + s->suffix.len > 0)
            return fail(p, CELLO_EINVAL, start, "{%.*s:path} must be the whole segment",
                        SHOWN(s->name));
        if (peek(p) == '/')
            return fail(p, CELLO_EINVAL, p->pos, "{%.*s:path} must be the last segment",
                        SHOWN(s->name));
    }
    if (!s->is_param && s->prefix.len == 0 && peek(p) == '/')
        return fail(p, CELLO_EINVAL, start, "an empty segment ('//')");
    return CELLO_OK;
}

int cl_pattern_parse(struct cl_str text, struct cl_pattern *out, struct cl_pattern_error *error) {
    struct parser p = {.text = text, .out = out, .error = error};
    out->text = text;
    out->segment_count = 0;
    out->param_count = 0;
    if (text.len > CL_PATTERN_MAX_BYTES)
        return fail(&p, CELLO_ELIMIT, CL_PATTERN_MAX_BYTES, "longer than %d bytes",
                    CL_PATTERN_MAX_BYTES);
    if (peek(&p) != '/')
        return fail(&p, CELLO_EINVAL, 0, "a path starts with '/'");
    while (peek(&p) == '/') {
        if (out->segment_count == CL_PATTERN_MAX_SEGMENTS)
            return fail(&p, CELLO_ELIMIT, p.pos, "more than %d segments", CL_PATTERN_MAX_SEGMENTS);
        p.pos++;
        struct cl_pattern_segment *s = &out->segments[out->segment_count];
        *s = (struct cl_pattern_segment){.is_param = false};
        int err = parse_segment(&p, s);
        if (err)
            return err;
        out->segment_count++;
    }
    return CELLO_OK;
}
