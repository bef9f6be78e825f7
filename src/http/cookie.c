#include "http/cookie.h"

#include <inttypes.h>
#include <stdio.h>

#include "http/date.h"

/* ---- Cookie ---- */

static struct cl_str unquote(struct cl_str s) {
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        return cl_str(s.ptr + 1, s.len - 2);
    return s;
}

/* The next cookie of a field; false at the end. `rest` moves behind it. */
static bool next_cookie(struct cl_str *rest, struct cl_pair *out) {
    while (rest->len) {
        const char *end = memchr(rest->ptr, ';', rest->len);
        size_t n = end ? (size_t)(end - rest->ptr) : rest->len;
        struct cl_str part = cl_str(rest->ptr, n);
        n += end != NULL;
        *rest = cl_str(rest->ptr + n, rest->len - n);
        const char *equals = part.len ? memchr(part.ptr, '=', part.len) : NULL;
        size_t name_len = equals ? (size_t)(equals - part.ptr) : 0;
        out->name = cl_header_trim(cl_str(part.ptr, name_len));
        if (equals)
            part = cl_str(equals + 1, part.len - name_len - 1);
        out->value = unquote(cl_header_trim(part));
        if (out->name.len || out->value.len)
            return true;
    }
    return false;
}

int cl_cookie_parse(const struct cl_header *headers, unsigned header_count, struct cl_arena *arena,
                    unsigned max, struct cl_pair **out, unsigned *count) {
    struct cl_pair pair;
    unsigned total = 0;
    for (unsigned i = 0; i < header_count; i++) {
        if (headers[i].id != CL_HEADER_COOKIE)
            continue;
        for (struct cl_str rest = headers[i].value; next_cookie(&rest, &pair); total++)
            if (total == max)
                return CELLO_ELIMIT;
    }
    *count = total;
    *out = NULL;
    if (total == 0)
        return CELLO_OK;
    struct cl_pair *pairs = cl_arena_alloc(arena, total * sizeof(*pairs));
    if (!pairs)
        return CELLO_ENOMEM;
    unsigned n = 0;
    for (unsigned i = 0; i < header_count; i++)
        if (headers[i].id == CL_HEADER_COOKIE)
            for (struct cl_str rest = headers[i].value; next_cookie(&rest, &pair);)
                pairs[n++] = pair;
    *out = pairs;
    return CELLO_OK;
}

/* ---- Set-Cookie ---- */

/* RFC 6265 section 4.1.1, cookie-octet. */
static bool value_valid(struct cl_str value) {
    value = unquote(value);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= ' ' || c == '"' || c == ',' || c == ';' || c == '\\' || c >= 0x7f)
            return false;
    }
    return true;
}

static bool domain_valid(struct cl_str domain) {
    for (size_t i = 0; i < domain.len; i++) {
        unsigned char c = (unsigned char)domain.ptr[i], lower = cl_lower(c);
        bool alnum = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && c != '-' && c != '.')
            return false;
    }
    return domain.len <= 255;
}

static bool path_valid(struct cl_str path) {
    if (path.len == 0)
        return true;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c < ' ' || c == ';' || c >= 0x7f)
            return false;
    }
    return path.ptr[0] == '/' && path.len <= CL_COOKIE_MAX_ATTRIBUTE;
}

static bool has_prefix(struct cl_str name, struct cl_str prefix) {
    return name.len >= prefix.len && cl_str_ieq(cl_str(name.ptr, prefix.len), prefix);
}

static bool cookie_valid(const struct cl_cookie *c) {
    if (!cl_header_name_valid(c->name) || !value_valid(c->value) ||
        c->name.len + c->value.len > CL_COOKIE_MAX_SIZE)
        return false;
    if (!domain_valid(c->domain) || !path_valid(c->path))
        return false;
    if (!c->secure && (c->same_site == CL_SAME_SITE_NONE || c->partitioned ||
                       has_prefix(c->name, CL_STR("__Secure-"))))
        return false;
    if (has_prefix(c->name, CL_STR("__Host-")))
        return c->secure && c->domain.len == 0 && cl_str_eq(c->path, CL_STR("/"));
    return true;
}

static void put(struct cl_sink *sink, struct cl_str s) {
    if (s.len)
        cl_sink_put(sink, s.ptr, s.len);
}

static void put_max_age(struct cl_sink *sink, int64_t seconds) {
    int n = snprintf(sink->p, (size_t)(sink->end - sink->p), "; Max-Age=%" PRId64, seconds);
    sink->p += n;
}

int cl_cookie_format(struct cl_sink *sink, const struct cl_cookie *c) {
    static const struct cl_str same_site[] = {
        [CL_SAME_SITE_UNSET] = CL_STR_INIT(""),
        [CL_SAME_SITE_LAX] = CL_STR_INIT("; SameSite=Lax"),
        [CL_SAME_SITE_STRICT] = CL_STR_INIT("; SameSite=Strict"),
        [CL_SAME_SITE_NONE] = CL_STR_INIT("; SameSite=None"),
    };
    /* The names of all attributes, a date, and a number with its NUL. */
    enum { ATTRIBUTES_ROOM = 192 };
    if ((unsigned)c->same_site >= CL_ARRAY_LEN(same_site) || !cookie_valid(c))
        return CELLO_EINVAL;
    int err = cl_sink_reserve(sink, c->name.len + c->value.len + c->domain.len + c->path.len +
                                        ATTRIBUTES_ROOM);
    if (err)
        return err;
    put(sink, c->name);
    put(sink, CL_STR("="));
    put(sink, c->value);
    if (c->domain.len) {
        put(sink, CL_STR("; Domain="));
        put(sink, c->domain);
    }
    if (c->path.len) {
        put(sink, CL_STR("; Path="));
        put(sink, c->path);
    }
    if (c->has_max_age)
        put_max_age(sink, c->max_age);
    if (c->has_expires) {
        char date[CL_HTTP_DATE_LEN + 1];
        cl_http_date_format(c->expires, date);
        put(sink, CL_STR("; Expires="));
        put(sink, cl_str(date, CL_HTTP_DATE_LEN));
    }
    if (c->secure)
        put(sink, CL_STR("; Secure"));
    if (c->http_only)
        put(sink, CL_STR("; HttpOnly"));
    put(sink, same_site[c->same_site]);
    if (c->partitioned)
        put(sink, CL_STR("; Partitioned"));
    return CELLO_OK;
}
