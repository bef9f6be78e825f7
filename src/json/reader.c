#include "json/reader.h"

#include "base/utf8.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/unescape.h"

/* What may come next. */
enum state {
    WANT_VALUE,
    WANT_VALUE_OR_END, /* behind '[' */
    WANT_KEY_OR_END,   /* behind '{' */
    WANT_SEPARATOR,    /* behind a value in a container */
    WANT_END_OF_TEXT,
};

void cl_json_reader_init(struct cl_json_reader *r, struct cl_str text, unsigned max_depth) {
    static const char empty[1] = "";
    *r = (struct cl_json_reader){.state = WANT_VALUE};
    r->begin = r->p = text.len ? text.ptr : empty;
    r->end = r->begin + text.len;
    r->max_depth = CL_JSON_READER_MAX_DEPTH;
    if (max_depth && max_depth < CL_JSON_READER_MAX_DEPTH)
        r->max_depth = max_depth;
}

static int fail_at(struct cl_json_reader *r, const char *p, const char *error) {
    r->p = p;
    r->error = error;
    r->err = CELLO_EJSON;
    return r->err;
}

static bool in_object(const struct cl_json_reader *r) {
    unsigned top = r->depth - 1;
    return (r->is_object[top / 8] >> top % 8 & 1) != 0;
}

static void skip_space(struct cl_json_reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static void behind_value(struct cl_json_reader *r) {
    r->state = r->depth ? WANT_SEPARATOR : WANT_END_OF_TEXT;
}

static int open_container(struct cl_json_reader *r, struct cl_json_token *token, bool is_object) {
    if (r->depth == r->max_depth) {
        r->error = "nested too deep";
        r->err = CELLO_EJSON_DEPTH;
        return r->err;
    }
    unsigned bit = 1U << r->depth % 8;
    uint8_t *byte = &r->is_object[r->depth / 8];
    *byte = (uint8_t)(is_object ? *byte | bit : *byte & ~bit);
    r->depth++;
    r->p++;
    r->state = is_object ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    token->kind = is_object ? CL_JSON_OBJECT_BEGIN : CL_JSON_ARRAY_BEGIN;
    return CELLO_OK;
}

static int close_container(struct cl_json_reader *r, struct cl_json_token *token) {
    token->kind = in_object(r) ? CL_JSON_OBJECT_END : CL_JSON_ARRAY_END;
    r->depth--;
    r->p++;
    behind_value(r);
    return CELLO_OK;
}

/* The string at r->p; r->p moves behind it. */
static int read_string(struct cl_json_reader *r, struct cl_json_token *token) {
    const char *start = r->p + 1, *p = start;
    const char *safe = r->end - start >= CL_VEC_SIZE ? r->end - CL_VEC_SIZE : start - 1;
    bool high = false;
    token->has_escapes = false;
    for (;;) {
        p = cl_scan_string(p, r->end, safe, &high);
        if (p == r->end)
            return fail_at(r, r->p, "string is not closed");
        if (*p == '"')
            break;
        if (*p != '\\')
            return fail_at(r, p, "control character in a string");
        const char *escape = p;
        uint32_t c;
        p = cl_json_read_escape(p, r->end, &c);
        if (!p)
            return fail_at(r, escape, "malformed escape");
        token->has_escapes = true;
    }
    token->text = cl_str(start, (size_t)(p - start));
    size_t valid = high ? cl_utf8_valid_prefix(start, token->text.len) : token->text.len;
    if (valid < token->text.len)
        return fail_at(r, start + valid, "text is not UTF-8");
    r->p = p + 1;
    return CELLO_OK;
}

static int read_number(struct cl_json_reader *r, struct cl_json_token *token) {
    struct cl_json_number number = cl_json_read_number(r->p, r->end);
    switch (number.kind) {
    case CL_JSON_NUMBER_INT:
        token->kind = CL_JSON_INT;
        token->i64 = number.i64;
        break;
    case CL_JSON_NUMBER_BIGINT: token->kind = CL_JSON_BIGINT; break;
    case CL_JSON_NUMBER_DOUBLE:
        token->kind = CL_JSON_DOUBLE;
        token->f64 = number.f64;
        break;
    case CL_JSON_NUMBER_RANGE: return fail_at(r, r->p, "number beyond the largest double");
    case CL_JSON_NUMBER_BAD: return fail_at(r, number.end, "malformed number");
    }
    token->text = cl_str(r->p, (size_t)(number.end - r->p));
    r->p = number.end;
    return CELLO_OK;
}

static int read_literal(struct cl_json_reader *r, struct cl_json_token *token) {
    static const struct {
        struct cl_str text;
        enum cl_json_kind kind;
    } literals[] = {{CL_STR_INIT("true"), CL_JSON_TRUE},
                    {CL_STR_INIT("false"), CL_JSON_FALSE},
                    {CL_STR_INIT("null"), CL_JSON_NULL}};
    size_t left = (size_t)(r->end - r->p);
    for (size_t i = 0; i < CL_ARRAY_LEN(literals); i++) {
        struct cl_str text = literals[i].text;
        if (left < text.len || memcmp(r->p, text.ptr, text.len) != 0)
            continue;
        token->kind = literals[i].kind;
        token->text = cl_str(r->p, text.len);
        r->p += text.len;
        return CELLO_OK;
    }
    return fail_at(r, r->p, "expected a value");
}

static int read_value(struct cl_json_reader *r, struct cl_json_token *token) {
    char c = *r->p;
    if (c == '{' || c == '[')
        return open_container(r, token, c == '{');
    int err;
    if (c == '"') {
        token->kind = CL_JSON_STRING;
        err = read_string(r, token);
    } else if (c == '-' || cl_is_digit(c)) {
        err = read_number(r, token);
    } else {
        err = read_literal(r, token);
    }
    if (!err)
        behind_value(r);
    return err;
}

static int read_key(struct cl_json_reader *r, struct cl_json_token *token) {
    if (*r->p != '"')
        return fail_at(r, r->p, "expected a key in quotes");
    token->kind = CL_JSON_KEY;
    int err = read_string(r, token);
    if (err)
        return err;
    skip_space(r);
    if (r->p == r->end || *r->p != ':')
        return fail_at(r, r->p, "expected ':' behind a key");
    r->p++;
    r->state = WANT_VALUE;
    return CELLO_OK;
}

/* Behind a value: a bracket that closes, or a comma and the next item. */
static int read_separator(struct cl_json_reader *r, struct cl_json_token *token) {
    bool is_object = in_object(r);
    if (*r->p == (is_object ? '}' : ']'))
        return close_container(r, token);
    if (*r->p != ',')
        return fail_at(r, r->p, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    r->p++;
    skip_space(r);
    if (r->p == r->end)
        return fail_at(r, r->p, "unexpected end of the text");
    return is_object ? read_key(r, token) : read_value(r, token);
}

int cl_json_reader_next(struct cl_json_reader *r, struct cl_json_token *token) {
    *token = (struct cl_json_token){.kind = CL_JSON_END};
    if (r->err)
        return r->err;
    skip_space(r);
    if (r->state == WANT_END_OF_TEXT)
        return r->p == r->end ? CELLO_OK : fail_at(r, r->p, "more text behind the value");
    if (r->p == r->end)
        return fail_at(r, r->p, "unexpected end of the text");
    switch ((enum state)r->state) {
    case WANT_VALUE_OR_END: return *r->p == ']' ? close_container(r, token) : read_value(r, token);
    case WANT_KEY_OR_END: return *r->p == '}' ? close_container(r, token) : read_key(r, token);
    case WANT_SEPARATOR: return read_separator(r, token);
    default: return read_value(r, token);
    }
}

int cl_json_reader_skip(struct cl_json_reader *r, const struct cl_json_token *token) {
    struct cl_json_token inner;
    unsigned outside = r->depth;
    if (token->kind == CL_JSON_OBJECT_BEGIN || token->kind == CL_JSON_ARRAY_BEGIN) {
        outside--;
    } else {
        int err = cl_json_reader_next(r, &inner);
        if (err)
            return err;
    }
    while (r->depth > outside) {
        int err = cl_json_reader_next(r, &inner);
        if (err)
            return err;
    }
    return CELLO_OK;
}

size_t cl_json_unescape_text(const struct cl_json_token *token, char *out) {
    const char *p = token->text.ptr, *end = p + token->text.len;
    char *start = out;
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((backslash ? backslash : end) - p);
        memcpy(out, p, run);
        out += run;
        p += run;
        if (!backslash)
            break;
        uint32_t c;
        p = cl_json_read_escape(p, end, &c);
        assert(p); /* the reader has checked it */
        out = cl_put_utf8(out, c);
    }
    return (size_t)(out - start);
}
