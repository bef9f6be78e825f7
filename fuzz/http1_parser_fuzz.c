/* Request heads: every level gives the same answer, every span lies inside the input, and input
 * that comes in pieces ends like the whole. The first byte chooses where to cut. */
#include "http1/parser.h"

#include "base/cpu.h"
#include "check.h"

enum { MAX_HEADERS = 16 };

static const struct cl_h1_limits limits = {
    .max_request_line = 320, .max_uri = 256, .max_header_size = 1024, .max_headers = MAX_HEADERS};

struct result {
    struct cl_header headers[MAX_HEADERS];
    struct cl_h1_head head;
    size_t consumed;
    int err;
};

static void check_head(const struct result *r, const char *buf) {
    const struct cl_h1_head *h = &r->head;
    struct cl_str all = cl_str(buf, r->consumed);
    check_span(h->method, all);
    check_span(h->target, all);
    check_span(h->host, all);
    check_span(h->uri.query, all);
    check_span(h->uri.authority, all);
    CHECK(cl_header_name_valid(h->method) && h->target.len <= limits.max_uri);
    CHECK(h->header_count <= MAX_HEADERS);
    CHECK(!(h->chunked && h->has_content_length));
    for (unsigned i = 0; i < h->header_count; i++) {
        const struct cl_header *field = &h->headers[i];
        check_span(field->name, all);
        check_span(field->value, all);
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
    char *buf = copy_bytes(data + 1, len);

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
