/* Queries: what is parsed is also found, and the last value wins. */
#include "http/query.h"

#include "check.h"

enum { MAX_PAIRS = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = copy_bytes(data, size);
    struct cl_str raw = cl_str(text, size);
    struct cl_arena arena;
    cl_arena_init(&arena, 1 << 20);
    struct cl_pair *pairs;
    unsigned count;
    if (cl_query_parse(raw, &arena, MAX_PAIRS, &pairs, &count) == CELLO_OK) {
        CHECK(count <= MAX_PAIRS);
        for (unsigned i = 0; i < count; i++) {
            struct cl_str value, last = pairs[i].value;
            for (unsigned k = i + 1; k < count; k++)
                if (cl_str_eq(pairs[k].name, pairs[i].name))
                    last = pairs[k].value;
            CHECK(cl_query_find(raw, pairs[i].name, &arena, &value) == CELLO_OK);
            CHECK(cl_str_eq(value, last));
        }
    }
    cl_arena_free(&arena);
    free(text);
    return 0;
}
