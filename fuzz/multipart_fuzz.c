/* Forms: data lies inside the input or is what the delimiter begins with, and the events are the
 * same however the input is cut. The first byte chooses the size of the pieces. */
#include "form/multipart.h"

#include "check.h"

enum { MAX_PARTS = 8, MAX_HEAD = 256 };

/* All that was said: names and data, a byte between two events. No longer than `room`. */
struct text {
    char *bytes;
    size_t len, room;
};

static void put(struct text *t, struct cl_str s) {
    CHECK(s.len <= t->room - t->len);
    if (s.len)
        memcpy(t->bytes + t->len, s.ptr, s.len);
    t->len += s.len;
}

static void put_part(struct text *t, struct cl_part part) {
    struct cl_str name, value;
    put(t, part.name);
    put(t, part.filename);
    put(t, part.content_type);
    while (cl_part_field_next(&part.fields, &name, &value)) {
        CHECK(name.len > 0);
        put(t, name);
        put(t, value);
    }
    CHECK(part.fields.len == 0);
}

static int read_pieces(const char *in, size_t len, size_t step, struct text *seen) {
    char head[2 * MAX_HEAD];
    struct cl_multipart m;
    CHECK(cl_multipart_init(&m, CL_STR("-B-"), MAX_PARTS, head, MAX_HEAD) == CELLO_OK);
    int event = CELLO_EAGAIN;
    for (size_t at = 0; event == CELLO_EAGAIN && at < len;) {
        size_t end = CL_MIN(at + step, len);
        do {
            size_t used;
            struct cl_str data;
            event = cl_multipart_next(&m, in + at, end - at, &used, &data);
            CHECK(used <= end - at);
            CHECK((event == CL_MULTIPART_DATA) == (data.len > 0));
            if (data.len && !(data.ptr >= in && data.ptr + data.len <= in + at + used))
                CHECK(data.ptr >= m.delimiter && data.len < m.delimiter_len);
            at += used;
            if (event == CL_MULTIPART_PART)
                put_part(seen, m.part);
            if (event != CL_MULTIPART_DATA)
                put(seen, event == CL_MULTIPART_PART_END ? CL_STR("\n") : CL_STR(""));
            put(seen, data);
        } while (event > 0);
        CHECK(event != CELLO_EAGAIN || at == end);
    }
    return event == CELLO_EAGAIN ? cl_multipart_finish(&m) : event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t step = (size_t)data[0] + 1, len = size - 1;
    struct text whole = {.room = 4 * len + 16}, cut = {.room = 4 * len + 16};
    char *in = copy_bytes(data + 1, len);
    whole.bytes = malloc(whole.room);
    cut.bytes = malloc(cut.room);
    CHECK(whole.bytes && cut.bytes);
    int result = read_pieces(in, len, len, &whole);
    CHECK(read_pieces(in, len, step, &cut) == result);
    CHECK(cut.len == whole.len && memcmp(cut.bytes, whole.bytes, cut.len) == 0);
    free(in);
    free(whole.bytes);
    free(cut.bytes);
    return 0;
}
