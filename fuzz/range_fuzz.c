/* Range and the preconditions: ranges lie inside the representation, apart from each other, and
 * conditions read no byte beyond their field. The first eight bytes are the size of the
 * representation, what follows is lines: Range, If-Range, If-Match, If-None-Match and dates. */
#include "http/range.h"

#include "check.h"
#include "http/conditional.h"

static void check_ranges(struct cl_str field, uint64_t size) {
    struct cl_range r[CL_RANGE_MAX];
    char text[CL_CONTENT_RANGE_MAX];
    unsigned count;
    enum cl_range_result result = cl_range_parse(field, size, r, &count);
    CHECK(count <= CL_RANGE_MAX &&
          (result == CL_RANGE_PARTIAL) == (result != CL_RANGE_IGNORED && count > 0));
    if (result != CL_RANGE_PARTIAL)
        return;
    for (unsigned i = 0; i < count; i++) {
        CHECK(r[i].length > 0 && r[i].first < size && r[i].length <= size - r[i].first);
        CHECK(cl_range_content(&r[i], size, text) <= sizeof text);
        for (unsigned k = 0; k < i; k++) {
            const struct cl_range *low = r[i].first < r[k].first ? &r[i] : &r[k];
            const struct cl_range *high = low == &r[i] ? &r[k] : &r[i];
            CHECK(high->first - low->first > low->length + CL_RANGE_GAP);
        }
    }
}

static void check_conditions(struct cl_header *headers, size_t count, struct cl_str if_range) {
    const struct cl_validators v = {
        .etag = count ? headers[0].value : cl_str(NULL, 0),
        .has_modified = true,
        .modified_strong = true,
        .modified = 784111777,
    };
    const time_t now = 1700000000;
    enum cl_condition result = cl_condition_check(headers, count, &v, now);
    CHECK(result == CL_CONDITION_PASSED || result == CL_CONDITION_UNCHANGED ||
          result == CL_CONDITION_FAILED);
    (void)cl_condition_range(if_range, &v, now);
    if (cl_etag_valid(v.etag))
        CHECK(cl_etag_in_list(v.etag, v.etag, true));
}

enum { LINES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint16_t ids[LINES] = {
        CL_HEADER_RANGE,    CL_HEADER_IF_RANGE,          CL_HEADER_IF_NONE_MATCH,
        CL_HEADER_IF_MATCH, CL_HEADER_IF_MODIFIED_SINCE, CL_HEADER_IF_UNMODIFIED_SINCE};
    uint64_t length;
    if (size < sizeof length)
        return 0;
    memcpy(&length, data, sizeof length);
    struct cl_header headers[LINES];
    char *lines[LINES];
    size_t count = 0;
    const uint8_t *p = data + sizeof length, *end = data + size;
    while (count < LINES && p < end) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        lines[count] = copy_bytes(p, n);
        headers[count] = (struct cl_header){.value = {lines[count], n}, .id = ids[count]};
        count++;
        p = stop ? stop + 1 : end;
    }
    if (count) {
        check_ranges(headers[0].value, length);
        check_ranges(headers[0].value, length % 4096);
    }
    if (count > 2)
        check_conditions(headers + 2, count - 2, headers[1].value);
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    return 0;
}
