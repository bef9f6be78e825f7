/* Cookies: parsed spans lie inside the field, and a cookie that can be written reads back the same.
 */
#include "http/cookie.h"

#include "check.h"

enum { MAX_COOKIES = 32 };

static void check_round_trip(struct cl_pair pair, struct cl_arena *arena) {
    struct cl_heap_sink out;
    cl_heap_sink_init(&out, 1 << 16);
    struct cl_cookie cookie = {.name = pair.name, .value = pair.value};
    if (cl_cookie_format(&out.sink, &cookie) == CELLO_OK) {
        struct cl_header header = {
            .value = cl_str(out.sink.base, cl_sink_len(&out.sink)),
            .id = CL_HEADER_COOKIE,
        };
        struct cl_pair *again;
        unsigned count;
        CHECK(cl_cookie_parse(&header, 1, arena, MAX_COOKIES, &again, &count) == CELLO_OK);
        CHECK(count == 1 && cl_str_eq(again->name, pair.name));
        CHECK(cl_header_value_valid(header.value));
    }
    cl_heap_sink_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = copy_bytes(data, size);
    struct cl_header header = {.value = cl_str(text, size), .id = CL_HEADER_COOKIE};
    struct cl_arena arena;
    cl_arena_init(&arena, 1 << 20);
    struct cl_pair *pairs;
    unsigned count;
    if (cl_cookie_parse(&header, 1, &arena, MAX_COOKIES, &pairs, &count) == CELLO_OK) {
        for (unsigned i = 0; i < count; i++) {
            CHECK(pairs[i].name.len + pairs[i].value.len > 0);
            CHECK(pairs[i].value.ptr >= text &&
                  pairs[i].value.ptr + pairs[i].value.len <= text + size);
            check_round_trip(pairs[i], &arena);
        }
    }
    cl_arena_free(&arena);
    free(text);
    return 0;
}
