/* Request heads: every level gives the same answer, every span lies inside the input, and input
 * that comes in pieces ends like the whole. The first byte chooses where to cut. */
#include "http1/parser.h"

#include <stdlib.h>

#include "base/cpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

enum { MAX_HEADERS = 16 };

static const struct cl_h1_limits limits = {
    .max_request_line = 320, .max_uri = 256, .max_header_size = 1024, .max_headers = MAX_HEADERS};

struct result {
    struct cl_header headers[MAX_HEADERS];
    struct cl_h1_head head;
    size_t consumed;
    int err;
};

static void check_span(struct cl_str s, const char *buf, size_t len) {
    CHECK(s.len == 0 || (s.ptr >= buf && s.ptr + s.len <= buf + len));
}

static void check_head(const struct result *r, const char *buf) {
    const struct cl_h1_head *h = &r->head;
    check_span(h->method, buf, r->consumed);
    check_span(h->target, buf, r->consumed);
    check_span(h->host, buf, r->consumed);
    check_span(h->uri.query, buf, r->consumed);
    check_span(h->uri.authority, buf, r->consumed);
    CHECK(cl_header_name_valid(h->method) && h->target.len <= limits.max_uri);
    CHECK(h->header_count <= MAX_HEADERS);
    CHECK(!(h->chunked && h->has_content_length));
    for (unsigned i = 0; i < h->header_count; i++) {
        const struct cl_header *field = &h->headers[i];
        check_span(field->name, buf, r->consumed);
        check_span(field->value, buf, r->consumed);
        CHECK(cl_header_name_valid(field->name) && cl_header_value_valid(field->value));
        CHECK(field->id == cl_header_id_from(field->name));
        CHECK(cl_header_set_has(&h->present, (enum cl_header_id)field->id));
    }
}

static void parse(struct result *r, const char *buf, size_t len, size_t *scanned) {
    r->head.headers = r->headers;
    r->consumed = 0;
    r->err = cl_h1_parse_head(buf, len, scanned, &limits, &r->head, &r->consumed);
    if (r->err == CELLO_OK) {
        CHECK(r->consumed > 0 && r->consumed <= len);
        check_head(r, buf);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct result whole, other;
    if (size == 0)
        return 0;
    size_t step = (size_t)data[0] + 1, len = size - 1;
    char *buf = malloc(len ? len : 1); /* its own allocation, so that any overread is seen */
    CHECK(buf);
    memcpy(buf, data + 1, len);

    CHECK(cl_cpu_set_level(CL_CPU_SCALAR) == CELLO_OK);
    size_t scanned = 0;
    parse(&whole, buf, len, &scanned);
    for (int level = CL_CPU_SSE42; level <= CL_CPU_NEON; level++) {
        if (cl_cpu_set_level((enum cl_cpu_level)level) != CELLO_OK)
            continue;
        scanned = 0;
        parse(&other, buf, len, &scanned);
        CHECK(other.err == whole.err && other.consumed == whole.consumed);
    }

    scanned = 0;
    other.err = CELLO_EAGAIN;
    for (size_t n = 0; other.err == CELLO_EAGAIN && n < len;) {
        n = CL_MIN(n + step, len);
        parse(&other, buf, n, &scanned);
    }
    /* An error inside an unfinished line may be noticed only at its end. */
    CHECK(other.err == whole.err || (other.err == CELLO_EAGAIN && whole.err != CELLO_OK));
    CHECK(whole.err != CELLO_OK || other.consumed == whole.consumed);
    free(buf);
    return 0;
}
