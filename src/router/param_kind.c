#include "router/param_kind.h"

#include <cello/scalar.h>

enum { DIGIT = 1, LETTER = 2, HEX = 4, DASH = 8 };

static unsigned char_class(char c) {
    unsigned char u = (unsigned char)c;
    if ((unsigned char)(u - '0') < 10)
        return DIGIT | HEX;
    unsigned char low = cl_lower(u);
    if ((unsigned char)(low - 'a') < 26)
        return low <= 'f' ? LETTER | HEX : LETTER;
    return u == '_' || u == '-' ? DASH : 0;
}

/* Length of the run of `classes` that starts at `from`. */
static size_t span(struct cl_str s, size_t from, unsigned classes) {
    size_t i = from;
    while (i < s.len && (char_class(s.ptr[i]) & classes))
        i++;
    return i - from;
}

static bool all_of(struct cl_str s, unsigned classes) {
    return s.len > 0 && span(s, 0, classes) == s.len;
}

static bool is_int(struct cl_str s) {
    size_t sign = s.len > 0 && s.ptr[0] == '-';
    return s.len > sign && span(s, sign, DIGIT) == s.len - sign;
}

static bool is_float(struct cl_str s) {
    size_t sign = s.len > 0 && s.ptr[0] == '-';
    size_t whole = span(s, sign, DIGIT);
    size_t dot = sign + whole;
    if (whole == 0)
        return false;
    if (dot == s.len)
        return true;
    return s.ptr[dot] == '.' && s.len > dot + 1 && span(s, dot + 1, DIGIT) == s.len - dot - 1;
}

static bool is_uuid(struct cl_str s) {
    if (s.len != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? s.ptr[i] != '-' : !(char_class(s.ptr[i]) & HEX))
            return false;
    }
    return true;
}

static bool is_date(struct cl_str s) {
    struct cello_date date;
    const char *why;
    return cello_date_parse(s, &date, &why) == CELLO_OK;
}

enum cl_param_kind cl_param_kind_from(struct cl_str word) {
    static const struct {
        struct cl_str word;
        enum cl_param_kind kind;
    } words[] = {
        {CL_STR_INIT("int"), CL_PARAM_INT},   {CL_STR_INIT("float"), CL_PARAM_FLOAT},
        {CL_STR_INIT("uuid"), CL_PARAM_UUID}, {CL_STR_INIT("alpha"), CL_PARAM_ALPHA},
        {CL_STR_INIT("slug"), CL_PARAM_SLUG}, {CL_STR_INIT("date"), CL_PARAM_DATE},
        {CL_STR_INIT("path"), CL_PARAM_PATH},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(words); i++)
        if (cl_str_eq(words[i].word, word))
            return words[i].kind;
    return CL_PARAM_KIND_COUNT;
}

bool cl_param_kind_accepts(enum cl_param_kind kind, struct cl_str value) {
    switch (kind) {
    case CL_PARAM_UUID: return is_uuid(value);
    case CL_PARAM_DATE: return is_date(value);
    case CL_PARAM_INT: return is_int(value);
    case CL_PARAM_FLOAT: return is_float(value);
    case CL_PARAM_ALPHA: return all_of(value, LETTER);
    case CL_PARAM_SLUG: return all_of(value, LETTER | DIGIT | DASH);
    case CL_PARAM_TEXT:
    case CL_PARAM_PATH: return value.len > 0;
    case CL_PARAM_REGEX:
    case CL_PARAM_KIND_COUNT: break;
    }
    return false;
}
