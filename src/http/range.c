#include "http/range.h"

#include "http/header.h"
#include "json/integer.h"

/* One element of the set: "0-499", "500-" or "-500". */
struct spec {
    bool has_first, has_last;
    uint64_t first, last; /* last of a suffix: how many */
};

/* 1*DIGIT at the start of *s, which moves behind it; what is beyond 64 bits is as good as the
 * highest number. False: no digit. */
static bool take_number(struct cl_str *s, uint64_t *out) {
    uint64_t value = 0;
    size_t i = 0;
    for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
        unsigned digit = (unsigned)(s->ptr[i] - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *s = cl_str(s->ptr + i, s->len - i);
    *out = value;
    return i > 0;
}

static bool parse_spec(struct cl_str s, struct spec *out) {
    out->has_first = take_number(&s, &out->first);
    if (s.len == 0 || s.ptr[0] != '-')
        return false;
    s = cl_str(s.ptr + 1, s.len - 1);
    out->has_last = take_number(&s, &out->last);
    if (s.len || (!out->has_first && !out->has_last))
        return false;
    return !out->has_first || !out->has_last || out->first <= out->last;
}

/* False: there is no such byte. */
static bool resolve(const struct spec *s, uint64_t size, struct cl_range *out) {
    if (!s->has_first) {
        out->length = CL_MIN(s->last, size);
        out->first = size - out->length;
        return out->length > 0;
    }
    if (s->first >= size)
        return false;
    uint64_t last = s->has_last ? CL_MIN(s->last, size - 1) : size - 1;
    *out = (struct cl_range){.first = s->first, .length = last - s->first + 1};
    return true;
}

/* Ranges end at most at the size of a representation, so that nothing here overflows but the gap,
 * which is on the side of the smaller number. */
static bool touch(const struct cl_range *a, const struct cl_range *b) {
    const struct cl_range *low = a->first <= b->first ? a : b;
    const struct cl_range *high = low == a ? b : a;
    uint64_t end = low->first + low->length;
    return high->first <= end || high->first - end <= CL_RANGE_GAP;
}

static void join(struct cl_range *a, const struct cl_range *b) {
    uint64_t end = CL_MAX(a->first + a->length, b->first + b->length);
    a->first = CL_MIN(a->first, b->first);
    a->length = end - a->first;
}

/* Add a range; it may bring together others that were apart. */
static void add(struct cl_range *ranges, unsigned *count, struct cl_range range) {
    unsigned at = *count, i = 0;
    ranges[(*count)++] = range;
    while (i < *count) {
        if (i == at || !touch(&ranges[i], &ranges[at])) {
            i++;
            continue;
        }
        unsigned keep = CL_MIN(i, at), gone = CL_MAX(i, at);
        join(&ranges[keep], &ranges[gone]);
        memmove(&ranges[gone], &ranges[gone + 1], (*count - gone - 1) * sizeof *ranges);
        (*count)--;
        at = keep;
        i = 0; /* it has grown: look at all of them again */
    }
}

/* The next element of the list; false: none is left. Empty ones are passed over (RFC 9110, 5.6.1).
 */
static bool next_element(struct cl_str *rest, struct cl_str *element) {
    while (rest->len) {
        const char *comma = memchr(rest->ptr, ',', rest->len);
        size_t n = comma ? (size_t)(comma - rest->ptr) : rest->len;
        *element = cl_header_trim(cl_str(rest->ptr, n));
        n += comma != NULL;
        *rest = cl_str(rest->ptr + n, rest->len - n);
        if (element->len)
            return true;
    }
    return false;
}

enum cl_range_result cl_range_parse(struct cl_str value, uint64_t size,
                                    struct cl_range ranges[CL_RANGE_MAX], unsigned *count) {
    static const struct cl_str unit = CL_STR_INIT("bytes=");
    unsigned asked = 0;
    struct cl_str element;
    struct spec spec;
    struct cl_range range;
    *count = 0;
    if (size == 0 || value.len < unit.len || !cl_str_ieq(cl_str(value.ptr, unit.len), unit))
        return CL_RANGE_IGNORED;
    struct cl_str rest = cl_str(value.ptr + unit.len, value.len - unit.len);
    while (next_element(&rest, &element)) {
        if (++asked > CL_RANGE_MAX || !parse_spec(element, &spec))
            return CL_RANGE_IGNORED;
        if (resolve(&spec, size, &range))
            add(ranges, count, range);
    }
    if (asked == 0)
        return CL_RANGE_IGNORED;
    return *count ? CL_RANGE_PARTIAL : CL_RANGE_UNSATISFIABLE;
}

/* ---- Content-Range ---- */

static char *put(char *p, const char *text) {
    size_t n = strlen(text);
    memcpy(p, text, n);
    return p + n;
}

size_t cl_range_content(const struct cl_range *range, uint64_t size, char *out) {
    char *p = cl_put_u64(put(out, "bytes "), range->first);
    p = cl_put_u64(put(p, "-"), range->first + range->length - 1);
    p = cl_put_u64(put(p, "/"), size);
    return (size_t)(p - out);
}

size_t cl_range_content_unsatisfied(uint64_t size, char *out) {
    return (size_t)(cl_put_u64(put(out, "bytes */"), size) - out);
}
