/* Chunked bodies: the spans lie inside the input, and the body is the same however the input is
 * cut. The first byte chooses the size of the pieces. */
#include "http1/chunked.h"

#include "check.h"

enum { MAX_TRAILERS = 4, MAX_TRAILER_SIZE = 256 };

/* Decodes in pieces of `step` bytes; the body goes to `body`, which has room for len bytes. */
static int decode(const char *in, size_t len, size_t step, char *body, size_t *body_len,
                  size_t *consumed) {
    struct cl_header trailers[MAX_TRAILERS];
    struct cl_chunked c;
    int result = CELLO_EAGAIN;
    cl_chunked_init(&c, MAX_TRAILER_SIZE, trailers, MAX_TRAILERS);
    *body_len = *consumed = 0;
    for (size_t end = 0; result == CELLO_EAGAIN && end < len;) {
        end = CL_MIN(end + step, len);
        do {
            const char *start = in + *consumed;
            size_t n = end - *consumed, used;
            struct cl_str run;
            result = cl_chunked_decode(&c, start, n, &used, &run);
            CHECK(used <= n);
            CHECK((result == CL_CHUNKED_DATA) == (run.len > 0));
            if (run.len) {
                CHECK(run.ptr >= start && run.ptr + run.len <= start + used);
                memcpy(body + *body_len, run.ptr, run.len);
                *body_len += run.len;
            }
            *consumed += used;
        } while (result == CL_CHUNKED_DATA);
    }
    if (result != CL_CHUNKED_DONE)
        return result;
    CHECK(c.trailer_count <= MAX_TRAILERS);
    for (unsigned i = 0; i < c.trailer_count; i++) {
        CHECK(cl_header_name_valid(trailers[i].name) && cl_header_value_valid(trailers[i].value));
        CHECK(trailers[i].value.ptr + trailers[i].value.len <= in + *consumed);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t step = (size_t)data[0] + 1, len = size - 1;
    char *in = copy_bytes(data + 1, len), *body = malloc(len), *again = malloc(len);
    CHECK(body && again);
    size_t body_len, again_len, consumed, again_consumed;
    int result = decode(in, len, len, body, &body_len, &consumed);
    int pieces = decode(in, len, step, again, &again_len, &again_consumed);
    CHECK(pieces == result || (pieces == CELLO_EAGAIN && result != CL_CHUNKED_DONE));
    CHECK(again_len == body_len && memcmp(body, again, body_len) == 0);
    CHECK(result != CL_CHUNKED_DONE || consumed == again_consumed);
    free(in);
    free(body);
    free(again);
    return 0;
}
