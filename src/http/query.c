#include "http/query.h"

#include "http/uri.h"

/* What is no plain ASCII text: to be decoded or at least checked. */
static bool needs_decoding(struct cl_str raw) {
    for (size_t i = 0; i < raw.len; i++) {
        signed char c = (signed char)raw.ptr[i];
        if (c <= 0 || c == '%' || c == '+')
            return true;
    }
    return false;
}

static int decode(struct cl_str raw, struct cl_arena *arena, struct cl_str *out) {
    *out = raw;
    if (!needs_decoding(raw))
        return CELLO_OK;
    char *room = cl_arena_alloc(arena, raw.len);
    if (!room)
        return CELLO_ENOMEM;
    out->ptr = room;
    return cl_percent_decode(raw, room, &out->len, true);
}

/* Cut at the first '='; without one the whole is the name. */
static struct cl_pair split_pair(struct cl_str segment) {
    const char *equals = segment.len ? memchr(segment.ptr, '=', segment.len) : NULL;
    if (!equals)
        return (struct cl_pair){segment, cl_str(segment.ptr + segment.len, 0)};
    size_t n = (size_t)(equals - segment.ptr);
    return (struct cl_pair){cl_str(segment.ptr, n), cl_str(equals + 1, segment.len - n - 1)};
}

/* The next segment that is not empty; false at the end. `*at` moves behind its separator. */
static bool next_segment(struct cl_str raw, size_t *at, struct cl_str *segment) {
    while (*at < raw.len) {
        const char *start = raw.ptr + *at;
        const char *end = memchr(start, '&', raw.len - *at);
        size_t n = end ? (size_t)(end - start) : raw.len - *at;
        *at += n + 1;
        *segment = cl_str(start, n);
        if (n > 0)
            return true;
    }
    return false;
}

int cl_query_parse(struct cl_str raw, struct cl_arena *arena, unsigned max, struct cl_pair **out,
                   unsigned *count) {
    struct cl_str segment;
    unsigned n = 0;
    for (size_t at = 0; next_segment(raw, &at, &segment); n++)
        if (n == max)
            return CELLO_ELIMIT;
    *count = n;
    *out = NULL;
    if (n == 0)
        return CELLO_OK;
    struct cl_pair *pairs = cl_arena_alloc(arena, n * sizeof(*pairs));
    if (!pairs)
        return CELLO_ENOMEM;
    size_t at = 0;
    for (unsigned i = 0; i < n && next_segment(raw, &at, &segment); i++) {
        struct cl_pair encoded = split_pair(segment);
        int err = decode(encoded.name, arena, &pairs[i].name);
        if (!err)
            err = decode(encoded.value, arena, &pairs[i].value);
        if (err)
            return err;
    }
    *out = pairs;
    return CELLO_OK;
}

/* Whether `encoded` stands for `name`, decoding as it compares. What is malformed matches nothing.
 */
static bool stands_for(struct cl_str encoded, struct cl_str name) {
    size_t n = 0;
    for (size_t i = 0; i < encoded.len; i++, n++) {
        int c = encoded.ptr[i] == '+' ? ' ' : (unsigned char)encoded.ptr[i];
        if (c == '%') {
            c = cl_percent_byte(cl_str(encoded.ptr + i, encoded.len - i));
            i += 2;
        }
        if (n == name.len || c != (unsigned char)name.ptr[n])
            return false;
    }
    return n == name.len;
}

int cl_query_find(struct cl_str raw, struct cl_str name, struct cl_arena *arena,
                  struct cl_str *value) {
    for (size_t end = raw.len; end > 0;) {
        const char *separator = memrchr(raw.ptr, '&', end);
        size_t start = separator ? (size_t)(separator - raw.ptr) + 1 : 0;
        struct cl_pair pair = split_pair(cl_str(raw.ptr + start, end - start));
        if (end > start && stands_for(pair.name, name))
            return decode(pair.value, arena, value);
        end = separator ? start - 1 : 0;
    }
    return CELLO_ENOENT;
}
