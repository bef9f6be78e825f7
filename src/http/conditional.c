#include "http/conditional.h"

#include "http/date.h"

static bool is_weak(struct cl_str etag) {
    return etag.len >= 2 && etag.ptr[0] == 'W' && etag.ptr[1] == '/';
}

/* Without the mark of a weak one. */
static struct cl_str opaque(struct cl_str etag) {
    return is_weak(etag) ? cl_str(etag.ptr + 2, etag.len - 2) : etag;
}

/* The length of the entity tag at the start of `s`; 0: there is none. etagc is %x21 / %x23-7E /
 * obs-text: no quote can stand inside, and nothing is escaped. */
static size_t etag_len(struct cl_str s) {
    size_t i = is_weak(s) ? 2 : 0;
    if (i >= s.len || s.ptr[i] != '"')
        return 0;
    for (i++; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"')
            return i + 1;
        if (c <= ' ' || c == 0x7f)
            return 0;
    }
    return 0;
}

bool cl_etag_valid(struct cl_str etag) {
    return etag.len && etag_len(etag) == etag.len;
}

static bool etag_same(struct cl_str a, struct cl_str b, bool weak) {
    return (weak || (!is_weak(a) && !is_weak(b))) && cl_str_eq(opaque(a), opaque(b));
}

/* Moves over commas and white space; false at the end. */
static bool skip_separators(struct cl_str *s) {
    while (s->len && (s->ptr[0] == ',' || s->ptr[0] == ' ' || s->ptr[0] == '\t'))
        *s = cl_str(s->ptr + 1, s->len - 1);
    return s->len > 0;
}

bool cl_etag_in_list(struct cl_str list, struct cl_str etag, bool weak) {
    while (skip_separators(&list)) {
        size_t n = etag_len(list);
        if (n == 0)
            return false;
        if (etag.len && etag_same(cl_str(list.ptr, n), etag, weak))
            return true;
        list = cl_str(list.ptr + n, list.len - n);
        struct cl_str rest = cl_header_trim(list);
        if (rest.len && rest.ptr[0] != ',')
            return false;
    }
    return false;
}

/* ---- the fields of a request ---- */

static bool is_star(struct cl_str value) {
    return value.len == 1 && value.ptr[0] == '*';
}

/* Whether one of the lines of a field names the representation, which exists. */
static bool field_matches(const struct cl_header *headers, size_t count, enum cl_header_id id,
                          const struct cl_validators *v) {
    bool weak = id == CL_HEADER_IF_NONE_MATCH;
    for (size_t i = 0; i < count; i++)
        if (headers[i].id == id &&
            (is_star(headers[i].value) || cl_etag_in_list(headers[i].value, v->etag, weak)))
            return true;
    return false;
}

/* The representation was modified after the date of the field; `otherwise` when the field, or what
 * is known, says nothing. */
static bool modified_since(const struct cl_header *field, const struct cl_validators *v, time_t now,
                           bool otherwise) {
    time_t date;
    if (!field || !v->has_modified || cl_http_date_parse(field->value, now, &date) != CELLO_OK)
        return otherwise;
    return v->modified > date;
}

struct conditions {
    bool match, none_match;
    const struct cl_header *modified, *unmodified; /* If-Modified-Since, If-Unmodified-Since */
};

static bool collect(const struct cl_header *headers, size_t count, struct conditions *c) {
    bool any = false;
    *c = (struct conditions){0};
    for (size_t i = 0; i < count; i++) {
        switch (headers[i].id) {
        case CL_HEADER_IF_MATCH: c->match = true; break;
        case CL_HEADER_IF_NONE_MATCH: c->none_match = true; break;
        case CL_HEADER_IF_MODIFIED_SINCE: c->modified = &headers[i]; break;
        case CL_HEADER_IF_UNMODIFIED_SINCE: c->unmodified = &headers[i]; break;
        default: continue;
        }
        any = true;
    }
    return any;
}

enum cl_condition cl_condition_check(const struct cl_header *headers, size_t count,
                                     const struct cl_validators *v, time_t now) {
    struct conditions c;
    if (CL_LIKELY(!collect(headers, count, &c)))
        return CL_CONDITION_PASSED;
    if (c.match) {
        if (!field_matches(headers, count, CL_HEADER_IF_MATCH, v))
            return CL_CONDITION_FAILED;
    } else if (modified_since(c.unmodified, v, now, false)) {
        return CL_CONDITION_FAILED;
    }
    bool changed = c.none_match ? !field_matches(headers, count, CL_HEADER_IF_NONE_MATCH, v)
                                : modified_since(c.modified, v, now, true);
    return changed ? CL_CONDITION_PASSED : CL_CONDITION_UNCHANGED;
}

bool cl_condition_range(struct cl_str if_range, const struct cl_validators *v, time_t now) {
    time_t date;
    if (cl_etag_valid(if_range))
        return v->etag.len && etag_same(if_range, v->etag, false);
    return v->has_modified && v->modified_strong &&
           cl_http_date_parse(if_range, now, &date) == CELLO_OK && date == v->modified;
}
