#include "http1/chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_TRAILERS = 3, MAX_TRAILER_SIZE = 64, BODY_ROOM = 512 };

struct decoded {
    char body[BODY_ROOM];
    size_t body_len;
    size_t consumed;
    struct cl_header trailers[MAX_TRAILERS];
    unsigned trailer_count;
    int result; /* CL_CHUNKED_DONE, CELLO_EAGAIN or an error */
};

/* Feeds `text` in pieces of `step` bytes as a connection does: what was not used is offered again.
 * Each piece is an exact-size heap copy, so that AddressSanitizer sees a read past its end. */
static void decode(struct decoded *d, const char *text, size_t len, size_t step) {
    memset(d, 0, sizeof(*d));
    struct cl_chunked c;
    cl_chunked_init(&c, MAX_TRAILER_SIZE, d->trailers, MAX_TRAILERS);
    d->result = CELLO_EAGAIN;
    for (size_t end = 0; d->result == CELLO_EAGAIN && end < len;) {
        end = CL_MIN(end + step, len);
        do {
            size_t n = end - d->consumed, used;
            char *copy = malloc(n ? n : 1);
            struct cl_str data;
            assert_non_null(copy);
            memcpy(copy, text + d->consumed, n);
            d->result = cl_chunked_decode(&c, copy, n, &used, &data);
            assert_true(used <= n);
            assert_int_equal(d->result == CL_CHUNKED_DATA, data.len > 0);
            if (data.len) {
                assert_true(data.ptr >= copy && data.ptr + data.len <= copy + used);
                assert_true(d->body_len + data.len <= BODY_ROOM);
                memcpy(d->body + d->body_len, data.ptr, data.len);
                d->body_len += data.len;
            }
            d->consumed += used;
            free(copy);
        } while (d->result == CL_CHUNKED_DATA);
    }
    d->trailer_count = d->result == CL_CHUNKED_DONE ? c.trailer_count : 0;
}

#define CASE(text, result, body)                                                                   \
    { text, sizeof(text) - 1, result, body }

static const struct {
    const char *text;
    size_t len;
    int result;
    const char *body; /* when it is done */
} cases[] = {
    CASE("0\r\n\r\n", CL_CHUNKED_DONE, ""),
    CASE("000\r\n\r\n", CL_CHUNKED_DONE, ""),
    CASE("5\r\nhello\r\n0\r\n\r\n", CL_CHUNKED_DONE, "hello"),
    CASE("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", CL_CHUNKED_DONE, "hello world"),
    CASE("00000000000000A\r\n0123456789\r\n0\r\n\r\nrest", CL_CHUNKED_DONE, "0123456789"),
    CASE("a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", CL_CHUNKED_DONE, "\r\n\r\n\r\n\r\n\r\n"),
    CASE("1;a\r\nx\r\n0;b=c;d=\"e;\\\"\r\t\xff\"\r\n\r\n", CELLO_ECHUNK, NULL), /* CR in quotes */
    CASE("1;a\r\nx\r\n0;b=c;d=\"e;\\\"\t\xff\";f\r\n\r\n", CL_CHUNKED_DONE, "x"),
    CASE("1 ; a = b ; c\r\nx\r\n0\r\n\r\n", CL_CHUNKED_DONE, "x"),
    CASE("1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", CL_CHUNKED_DONE, "x"),
    CASE("0\r\nHost: b\r\n\r\n", CL_CHUNKED_DONE, ""),

    CASE("\r\n", CELLO_ECHUNK, NULL),
    CASE("g\r\n", CELLO_ECHUNK, NULL),
    CASE("-1\r\n", CELLO_ECHUNK, NULL),
    CASE("+1\r\n", CELLO_ECHUNK, NULL),
    CASE(" 1\r\n", CELLO_ECHUNK, NULL),
    CASE("0x1\r\n", CELLO_ECHUNK, NULL),
    CASE("1 \r\nx\r\n", CELLO_ECHUNK, NULL),
    CASE("1\nx\r\n", CELLO_ECHUNK, NULL),
    CASE("1\rx\r\n", CELLO_ECHUNK, NULL),
    CASE("1\r\r\n", CELLO_ECHUNK, NULL),
    CASE("1\r\nxy\r\n", CELLO_ECHUNK, NULL),
    CASE("1\r\nx\n0\r\n\r\n", CELLO_ECHUNK, NULL),
    CASE("1\r\nx\r0\r\n\r\n", CELLO_ECHUNK, NULL),
    CASE("1\r\nx0\r\n\r\n", CELLO_ECHUNK, NULL),
    CASE("0000000000000001\r\nx\r\n", CELLO_ECHUNK, NULL),
    CASE("FFFFFFFFFFFFFFFF1\r\n", CELLO_ECHUNK, NULL),
    CASE("1;\r\n", CELLO_ECHUNK, NULL),
    CASE("1; \r\n", CELLO_ECHUNK, NULL),
    CASE("1;=a\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a=\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a b\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a \r\n", CELLO_ECHUNK, NULL),
    CASE("1;a=b c\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a\"b\"\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a=\"b\"c\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a=\"b\nc\"\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a=\"\\\n\"\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a\nx\r\n", CELLO_ECHUNK, NULL),
    CASE("1;a\0\r\n", CELLO_ECHUNK, NULL),

    CASE("0\r\nA : b\r\n\r\n", CELLO_EHEADER_NAME, NULL),
    CASE("0\r\nA: b\r\n c\r\n\r\n", CELLO_EOBSFOLD, NULL),
    CASE("0\r\nA: \x01\r\n\r\n", CELLO_EHEADER_VALUE, NULL),
    CASE("0\r\nA: b\n\r\n", CELLO_EBARELF, NULL),
    CASE("0\r\n\n", CELLO_EBARELF, NULL),
    CASE("0\r\n\rx\n", CELLO_EBARELF, NULL),
    CASE("0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n", CELLO_EHEAD_TOO_LARGE, NULL),
    CASE("0\r\nA: 0123456789012345678901234567890123456789012345678901234567890123456789",
         CELLO_EHEAD_TOO_LARGE, NULL),

    CASE("5\r\nhello\r\n", CELLO_EAGAIN, NULL),
    CASE("0\r\nA: b\r\n", CELLO_EAGAIN, NULL),
};

static void answers_every_case_however_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].len; step++) {
            struct decoded d;
            decode(&d, cases[i].text, cases[i].len, step);
            if (d.result != cases[i].result)
                fail_msg("case %zu by %zu: %d, not %d: %s", i, step, d.result, cases[i].result,
                         cases[i].text);
            if (cases[i].body) {
                assert_int_equal(d.body_len, strlen(cases[i].body));
                assert_memory_equal(d.body, cases[i].body, d.body_len);
            }
        }
    }
}

static void leaves_what_follows(void **state) {
    (void)state;
    struct decoded d;
    decode(&d, "1\r\nx\r\n0\r\n\r\nGET /", 16, 16);
    assert_int_equal(d.result, CL_CHUNKED_DONE);
    assert_int_equal(d.consumed, 11);
}

/* The spans of trailers point into the last input, which decode() has freed: use one call here. */
static void gives_trailers_but_known_names(void **state) {
    (void)state;
    static const char text[] = "\r\nX-Sum: 1\r\nAuthorization: x\r\nEtag: \"a\"\r\n\r\n";
    struct cl_header trailers[4];
    struct cl_chunked c;
    struct cl_str data;
    size_t used;
    cl_chunked_init(&c, 100, trailers, 4);
    assert_int_equal(cl_chunked_decode(&c, "0", 1, &used, &data), CELLO_EAGAIN);
    assert_int_equal(cl_chunked_decode(&c, text, sizeof(text) - 1, &used, &data), CL_CHUNKED_DONE);
    assert_int_equal(used, sizeof(text) - 1);
    assert_int_equal(c.trailer_count, 2);
    assert_true(cl_str_eq(trailers[0].name, CL_STR("X-Sum")));
    assert_true(cl_str_eq(trailers[0].value, CL_STR("1")));
    assert_int_equal(trailers[1].id, CL_HEADER_ETAG);

    cl_chunked_init(&c, 100, NULL, 4);
    assert_int_equal(cl_chunked_decode(&c, "0", 1, &used, &data), CELLO_EAGAIN);
    assert_int_equal(cl_chunked_decode(&c, text, sizeof(text) - 1, &used, &data), CL_CHUNKED_DONE);
    assert_int_equal(c.trailer_count, 0);
}

static int decode_all(const char *text, size_t len) {
    struct cl_chunked c;
    cl_chunked_init(&c, 100, NULL, 4);
    for (size_t at = 0;;) {
        size_t used;
        struct cl_str data;
        int result = cl_chunked_decode(&c, text + at, len - at, &used, &data);
        at += used;
        if (result != CL_CHUNKED_DATA)
            return result;
    }
}

static void bounds_extensions(void **state) {
    (void)state;
    enum { PART = 64, PARTS = CL_CHUNKED_MAX_EXTENSIONS / PART };
    static char text[(PART + 8) * (PARTS + 1)];
    size_t n = 0;
    for (int i = 0; i < PARTS; i++) { /* exactly the allowed number of bytes, in many chunks */
        text[n++] = '1';
        text[n++] = ';';
        memset(text + n, 'a', PART - 1);
        n += PART - 1;
        memcpy(text + n, "\r\nx\r\n", 5);
        n += 5;
    }
    memcpy(text + n, "0\r\n\r\n", 5);
    assert_int_equal(decode_all(text, n + 5), CL_CHUNKED_DONE);
    memcpy(text + n, "0;b\r\n\r\n", 7);
    assert_int_equal(decode_all(text, n + 7), CELLO_ECHUNK);
}

static void takes_many_small_chunks(void **state) {
    (void)state;
    enum { CHUNKS = 40000 };
    char *text = malloc(CHUNKS * 6 + 5);
    assert_non_null(text);
    for (size_t i = 0; i < CHUNKS; i++)
        memcpy(text + i * 6, "1\r\nx\r\n", 6);
    memcpy(text + CHUNKS * 6, "0\r\n\r\n", 5);
    assert_int_equal(decode_all(text, CHUNKS * 6 + 5), CL_CHUNKED_DONE);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_every_case_however_cut), cmocka_unit_test(leaves_what_follows),
        cmocka_unit_test(gives_trailers_but_known_names), cmocka_unit_test(bounds_extensions),
        cmocka_unit_test(takes_many_small_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
