#include "http/media.h"

#include "http/header.h"

/* The next part of a list that is cut at `separator` outside quoted strings, trimmed; false at the
 * end. `rest` moves behind the separator. */
static bool next_part(struct cl_str *rest, char separator, struct cl_str *part) {
    if (rest->len == 0)
        return false;
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->len; i++) {
        char c = rest->ptr[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
        else if (!quoted && c == separator)
            break;
    }
    i = CL_MIN(i, rest->len); /* a backslash may be the last byte */
    *part = cl_header_trim(cl_str(rest->ptr, i));
    i = CL_MIN(i + 1, rest->len);
    *rest = cl_str(rest->ptr + i, rest->len - i);
    return true;
}

/* Cut `s` at the first `c`; false when there is none. */
static bool cut(struct cl_str s, char c, struct cl_str *before, struct cl_str *behind) {
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    if (!at)
        return false;
    *before = cl_str(s.ptr, (size_t)(at - s.ptr));
    *behind = cl_str(at + 1, s.len - before->len - 1);
    return true;
}

int cl_media_parse(struct cl_str value, struct cl_media *out) {
    struct cl_str essence;
    out->params = value;
    if (!next_part(&out->params, ';', &essence) || !cut(essence, '/', &out->type, &out->subtype) ||
        !cl_header_name_valid(out->type) || !cl_header_name_valid(out->subtype))
        return CELLO_EINVAL;
    return CELLO_OK;
}

bool cl_media_is(struct cl_str value, struct cl_str essence) {
    struct cl_str found;
    return next_part(&value, ';', &found) && cl_str_ieq(found, essence);
}

bool cl_media_is_json(struct cl_str value) {
    static const struct cl_str suffix = CL_STR_INIT("+json");
    struct cl_media m;
    if (cl_media_parse(value, &m) != CELLO_OK)
        return false;
    if (m.subtype.len > suffix.len) {
        const char *tail = m.subtype.ptr + m.subtype.len - suffix.len;
        return cl_str_ieq(cl_str(tail, suffix.len), suffix);
    }
    return cl_str_ieq(m.type, CL_STR("application")) && cl_str_ieq(m.subtype, CL_STR("json"));
}

/* name=token or name="quoted": the value without its quotes. */
static bool split_param(struct cl_str part, struct cl_str *name, struct cl_str *value) {
    if (!cut(part, '=', name, value) || !cl_header_name_valid(*name))
        return false;
    if (value->len >= 2 && value->ptr[0] == '"' && value->ptr[value->len - 1] == '"') {
        *value = cl_str(value->ptr + 1, value->len - 2);
        return true;
    }
    return cl_header_name_valid(*value);
}

bool cl_media_param(const struct cl_media *media, struct cl_str name, struct cl_str *value) {
    struct cl_str rest = media->params, part, found;
    while (next_part(&rest, ';', &part)) {
        if (part.len == 0)
            continue;
        if (!split_param(part, &found, value))
            return false;
        if (cl_str_ieq(found, name))
            return true;
    }
    return false;
}

/* ---- Accept ---- */

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths; -1 when malformed.
 */
static int parse_quality(struct cl_str s) {
    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') ||
        (s.len > 1 && s.ptr[1] != '.'))
        return -1;
    int quality = (s.ptr[0] - '0') * 1000;
    int unit = 100;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        quality += (s.ptr[i] - '0') * unit;
    }
    return quality <= 1000 ? quality : -1;
}

/* One element of an Accept field: what it names and its quality, -1 when it is malformed. */
static int parse_element(struct cl_str element, struct cl_str *name) {
    struct cl_str part, param, value;
    int quality = 1000;
    if (!next_part(&element, ';', name))
        return -1;
    while (next_part(&element, ';', &part)) {
        if (!split_param(part, &param, &value))
            return -1;
        if (cl_str_ieq(param, CL_STR("q")))
            return parse_quality(value);
    }
    return quality;
}

bool cl_accept_next(struct cl_str *accept, struct cl_media *range, unsigned *quality) {
    struct cl_str element, name;
    while (next_part(accept, ',', &element)) {
        int q = parse_element(element, &name);
        if (q < 0 || cl_media_parse(element, range) != CELLO_OK)
            continue;
        *quality = (unsigned)q;
        return true;
    }
    return false;
}

/* 3: the very type, 2: its type with any subtype, 1: anything, 0: no match. */
static int specificity(struct cl_str range, struct cl_str offer) {
    if (cl_str_eq(range, CL_STR("*/*")))
        return 1;
    if (cl_str_ieq(range, offer))
        return 3;
    struct cl_str range_type, range_subtype, type, subtype;
    if (!cut(range, '/', &range_type, &range_subtype) || !cut(offer, '/', &type, &subtype))
        return 0;
    return cl_str_eq(range_subtype, CL_STR("*")) && cl_str_ieq(range_type, type) ? 2 : 0;
}

unsigned cl_accept_media(struct cl_str accept, struct cl_str offer) {
    struct cl_str element, range;
    int best = 0;
    unsigned quality = cl_header_trim(accept).len ? 0 : 1000;
    while (next_part(&accept, ',', &element)) {
        int q = parse_element(element, &range);
        int match = q < 0 ? 0 : specificity(range, offer);
        if (match > best) {
            best = match;
            quality = (unsigned)q;
        }
    }
    return quality;
}

unsigned cl_accept_token(struct cl_str accept, struct cl_str token, unsigned absent) {
    struct cl_str element, name;
    unsigned quality = absent;
    while (next_part(&accept, ',', &element)) {
        int q = parse_element(element, &name);
        if (q < 0)
            continue;
        if (cl_str_ieq(name, token))
            return (unsigned)q;
        if (cl_str_eq(name, CL_STR("*")))
            quality = (unsigned)q;
    }
    return quality;
}
