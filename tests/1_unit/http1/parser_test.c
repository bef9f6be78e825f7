#include "http1/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cpu.h"

enum { MAX_HEADERS = 8 };

static const struct cl_h1_limits limits = {
    .max_request_line = 264, .max_uri = 200, .max_header_size = 600, .max_headers = MAX_HEADERS};

/* Parses an exact-size heap copy, so that AddressSanitizer sees a read past the end. */
struct parsed {
    char *copy;
    struct cl_header headers[MAX_HEADERS];
    struct cl_h1_head head;
    size_t consumed;
    int err;
};

static void parsed_free(struct parsed *r) {
    free(r->copy);
}

/* Begins as {0}, may be parsed into again and again, and frees itself. */
#define PARSED __attribute__((cleanup(parsed_free))) struct parsed

static void parse(struct parsed *r, const char *text, size_t len) {
    size_t scanned = 0;
    parsed_free(r);
    memset(r, 0, sizeof(*r));
    r->copy = malloc(len ? len : 1);
    assert_non_null(r->copy);
    memcpy(r->copy, text, len);
    r->head.headers = r->headers;
    r->err = cl_h1_parse_head(r->copy, len, &scanned, &limits, &r->head, &r->consumed);
}

static void parse_good(struct parsed *r, const char *text) {
    parse(r, text, strlen(text));
    assert_int_equal(r->err, CELLO_OK);
}

static int parse_error(const char *text, size_t len) {
    PARSED r = {0};
    parse(&r, text, len);
    return r.err;
}

static void each_level(void (*check)(void)) {
    for (int level = CL_CPU_SCALAR; level <= CL_CPU_NEON; level++)
        if (cl_cpu_set_level((enum cl_cpu_level)level) == CELLO_OK)
            check();
}

static void assert_span(struct cl_str s, const char *expected) {
    if (s.len != strlen(expected) || memcmp(s.ptr, expected, s.len) != 0)
        fail_msg("'%.*s' is not '%s'", (int)s.len, s.ptr, expected);
}

#define H "Host: a\r\n"
#define CASE(text, err)                                                                            \
    { text, sizeof(text) - 1, err }

static const struct {
    const char *text;
    size_t len;
    int err;
} cases[] = {
    /* good */
    CASE("GET / HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("GET / HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n", CELLO_OK),
    CASE("GET / HTTP/1.0\r\n\r\n", CELLO_OK),
    CASE("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("get / HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("M-SEARCH /a HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("GET / HTTP/1.9\r\n" H "\r\n", CELLO_OK),
    CASE("GET /\"<>[]^`{|}\\ HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("GET /?a=/../%zz?b HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("GET / HTTP/1.1\r\nHost:a\r\n\r\n", CELLO_OK),
    CASE("GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", CELLO_OK),
    CASE("GET / HTTP/1.1\r\nhOsT: a\r\nX:\r\n\r\n", CELLO_OK),
    CASE("GET / HTTP/1.1\r\n" H "X: \x80\xff \t\"\\~\r\n\r\n", CELLO_OK),
    CASE("GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", CELLO_OK),
    CASE("OPTIONS * HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("CONNECT a:443 HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("GET http://b/ HTTP/1.1\r\n" H "\r\n", CELLO_OK),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", CELLO_OK),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n\r\n", CELLO_OK),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 999999999999999999\r\n\r\n", CELLO_OK),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n", CELLO_OK),
    CASE("POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n", CELLO_OK),
    CASE("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", CELLO_OK),

    /* request line */
    CASE("\nGET / HTTP/1.1\r\n" H "\r\n", CELLO_EBARELF),
    CASE("\r\rGET / HTTP/1.1\r\n" H "\r\n", CELLO_EBARELF),
    CASE(" GET / HTTP/1.1\r\n" H "\r\n", CELLO_EMETHOD),
    CASE("\tGET / HTTP/1.1\r\n" H "\r\n", CELLO_EMETHOD),
    CASE("G\x80T / HTTP/1.1\r\n" H "\r\n", CELLO_EMETHOD),
    CASE("GE:T / HTTP/1.1\r\n" H "\r\n", CELLO_EMETHOD),
    CASE("GET\t/ HTTP/1.1\r\n" H "\r\n", CELLO_EMETHOD),
    CASE("\x16\x03\x01\x02", CELLO_EMETHOD),
    CASE("\0GET / HTTP/1.1\r\n", CELLO_EMETHOD),
    CASE("GET\r\n\r\n", CELLO_EREQLINE),
    CASE("GET\n", CELLO_EREQLINE),
    CASE("GET /\r\n", CELLO_EREQLINE),
    CASE("GET /\n", CELLO_EREQLINE),
    CASE("GET  / HTTP/1.1\r\n", CELLO_EREQLINE),
    CASE("GET /  HTTP/1.1\r\n", CELLO_EREQLINE),
    CASE("GET / \r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1.1 \r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1.1\t\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1.10\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/11\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1.\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/a.1\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1.a\r\n", CELLO_EREQLINE),
    CASE("GET / http/1.1\r\n", CELLO_EREQLINE),
    CASE("GET / HTTPS/1.1\r\n", CELLO_EREQLINE),
    CASE("GET / ICY/1.1\r\n", CELLO_EREQLINE),
    CASE("GET / HTTP/1.1\n" H "\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.0\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r" H "\r\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.0\r\r\n", CELLO_EBARELF),
    CASE("GET / HTTP/2.0\r\n\r\n", CELLO_EVERSION),
    CASE("GET / HTTP/0.9\r\n\r\n", CELLO_EVERSION),
    CASE("PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n", CELLO_EVERSION),
    CASE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CELLO_ETARGET),

    /* target */
    CASE("GET x HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET * HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("OPTIONS *a HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET /\x80 HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET /\x7f HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET /\0 HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET /\ta HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET /a#b HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET /a?b#c HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET ftp://b/ HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET http://u@b/ HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("GET http:/// HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("CONNECT / HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("CONNECT a HTTP/1.1\r\n", CELLO_ETARGET),
    CASE("CONNECT http://a:1/ HTTP/1.1\r\n", CELLO_ETARGET),

    /* fields */
    CASE("GET / HTTP/1.1\r\n" H "\r\r\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r\n" H "\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r\n" H "X: a\n\r\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r\n" H "X\n", CELLO_EBARELF),
    CASE("GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", CELLO_EOBSFOLD),
    CASE("GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n", CELLO_EOBSFOLD),
    CASE("GET / HTTP/1.1\r\n Host: a\r\n\r\n", CELLO_EOBSFOLD),
    CASE("GET / HTTP/1.1\r\n" H "X : a\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "X\t: a\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H ": a\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "X\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "X(: a\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "X\xe4: a\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n", CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "a-name-longer-than-one-vector-of-bytes is: a\r\n",
         CELLO_EHEADER_NAME),
    CASE("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n", CELLO_EHEADER_VALUE),
    CASE("GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", CELLO_EHEADER_VALUE),
    CASE("GET / HTTP/1.1\r\n" H "X: a\x1f\r\n\r\n", CELLO_EHEADER_VALUE),
    CASE("GET / HTTP/1.1\r\n" H "X: \x01\r\n\r\n", CELLO_EHEADER_VALUE),
    CASE("GET / HTTP/1.1\r\n" H "X: a\vb\r\n\r\n", CELLO_EHEADER_VALUE),

    /* Host */
    CASE("GET / HTTP/1.1\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nX: a\r\n\r\n", CELLO_EHOST),
    CASE("GET http://b/ HTTP/1.1\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\n" H H "\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.0\r\n" H H "\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost:\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", CELLO_EHOST),
    CASE("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", CELLO_EHOST),

    /* framing */
    CASE("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 1 1\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", CELLO_ELENGTH),
    CASE("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
         CELLO_EFRAMING),
    CASE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
         CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;a=b\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", CELLO_EFRAMING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", CELLO_ECODING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", CELLO_ECODING),
    CASE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", CELLO_ECODING),
    CASE("POST / HTTP/1.1\r\n" H "Expect: more\r\n\r\n", CELLO_EEXPECT),
    CASE("POST / HTTP/1.1\r\n" H "Expect: 100-continue, more\r\n\r\n", CELLO_EEXPECT),
};

static void check_table(void) {
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        int err = parse_error(cases[i].text, cases[i].len);
        if (err != cases[i].err)
            fail_msg("%s: case %zu: %d, not %d: %s", cl_cpu_level_name(cl_cpu_level()), i, err,
                     cases[i].err, cases[i].text);
    }
}

static void answers_every_case(void **state) {
    (void)state;
    each_level(check_table);
}

/* Any prefix asks for more or has the error of the whole; fed byte by byte, the result is the same.
 */
static void check_prefixes(void) {
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        PARSED whole = {0}, part = {0};
        parse(&whole, cases[i].text, cases[i].len);
        size_t scanned = 0, end = whole.err ? cases[i].len : whole.consumed;
        int fed = CELLO_EAGAIN;
        for (size_t n = 0; n <= end; n++) {
            parse(&part, cases[i].text, n);
            if (part.err != CELLO_EAGAIN && (part.err != whole.err || (!part.err && n < end)))
                fail_msg("case %zu cut at %zu: %d, not %d", i, n, part.err, whole.err);
            if (fed == CELLO_EAGAIN) {
                part.head.headers = part.headers;
                fed =
                    cl_h1_parse_head(whole.copy, n, &scanned, &limits, &part.head, &part.consumed);
            }
        }
        /* an error inside an unfinished line may wait for its end */
        if (fed != whole.err && fed != CELLO_EAGAIN)
            fail_msg("case %zu fed: %d, not %d", i, fed, whole.err);
        if (!whole.err)
            assert_int_equal(fed, CELLO_OK);
    }
}

static void is_the_same_however_cut(void **state) {
    (void)state;
    each_level(check_prefixes);
}

/* Every byte at every place of a valid head: the levels agree, and the classes are those of the
 * RFC. */
static void levels_agree_on_every_byte(void **state) {
    (void)state;
    static const char valid[] = "POST /p/%41?q=1 HTTP/1.1\r\nHost: example.org:80\r\n"
                                "X-Some-Longer-Name: a value with some length, 0123456789\r\n"
                                "Content-Length: 12\r\n\r\n";
    char text[sizeof(valid)];
    for (size_t at = 0; at < sizeof(valid) - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, valid, sizeof(valid));
            text[at] = (char)byte;
            assert_int_equal(cl_cpu_set_level(CL_CPU_SCALAR), CELLO_OK);
            PARSED expected = {0}, r = {0};
            parse(&expected, text, sizeof(valid) - 1);
            for (int level = CL_CPU_SSE42; level <= CL_CPU_NEON; level++) {
                if (cl_cpu_set_level((enum cl_cpu_level)level) != CELLO_OK)
                    continue;
                parse(&r, text, sizeof(valid) - 1);
                assert_int_equal(r.err, expected.err);
                if (!r.err) {
                    assert_int_equal(r.head.header_count, expected.head.header_count);
                    assert_memory_equal(&r.head.present, &expected.head.present,
                                        sizeof(r.head.present));
                }
            }
        }
    }
}

static void gives_spans(void **state) {
    (void)state;
    static const char text[] = "\r\nPUT /a/b?c=d HTTP/1.1\r\n"
                               "Host: example.org:8080\r\n"
                               "x-one:  two words \t\r\n"
                               "Accept: a\r\nACCEPT: b\r\n\r\nBODY";
    PARSED r = {0};
    parse_good(&r, text);
    assert_int_equal(r.consumed, sizeof(text) - 1 - 4);
    assert_int_equal(r.head.method_id, CL_METHOD_PUT);
    assert_span(r.head.method, "PUT");
    assert_span(r.head.target, "/a/b?c=d");
    assert_span(r.head.uri.path, "/a/b");
    assert_span(r.head.uri.query, "c=d");
    assert_true(r.head.uri.plain);
    assert_int_equal(r.head.version_minor, 1);
    assert_span(r.head.host, "example.org:8080");
    assert_int_equal(r.head.header_count, 4);
    assert_span(r.headers[1].name, "x-one");
    assert_span(r.headers[1].value, "two words");
    assert_int_equal(r.headers[1].id, CL_HEADER_OTHER);
    assert_int_equal(r.headers[3].id, CL_HEADER_ACCEPT);
    assert_true(cl_header_set_has(&r.head.present, CL_HEADER_ACCEPT));
    assert_true(cl_header_set_has(&r.head.present, CL_HEADER_HOST));
    assert_false(cl_header_set_has(&r.head.present, CL_HEADER_COOKIE));
}

/* The scan of a target and cl_uri_parse() agree wherever a mark meets the edge of a block. */
static void check_marks(void) {
    static const char *const marks[] = {"/../x", "/.", "/a.b", "?q", "?a?b/.", "/%41", "%?", "./"};
    for (size_t n = 1; n < 80; n++) {
        for (size_t i = 0; i < CL_ARRAY_LEN(marks); i++) {
            char text[256];
            (void)snprintf(
                text, sizeof(text), "GET /%.*s%s HTTP/1.1\r\n" H "\r\n", (int)n,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                marks[i]);
            PARSED r = {0};
            struct cl_uri expected;
            parse_good(&r, text);
            assert_int_equal(cl_uri_parse(r.head.target, CL_METHOD_GET, &expected), CELLO_OK);
            assert_int_equal(r.head.uri.plain, expected.plain);
            assert_int_equal(r.head.uri.has_query, expected.has_query);
            assert_true(cl_str_eq(r.head.uri.path, expected.path));
            assert_true(cl_str_eq(r.head.uri.query, expected.query));
        }
    }
}

static void splits_targets_at_block_edges(void **state) {
    (void)state;
    each_level(check_marks);
}

static void target_wins_over_host(void **state) {
    (void)state;
    PARSED r = {0};
    static const char text[] = "GET http://b:81/x HTTP/1.1\r\n" H "\r\n";
    parse_good(&r, text);
    assert_span(r.head.host, "b:81");
    assert_span(r.head.uri.path, "/x");
}

static void persistence_follows_the_rfc(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool keep_alive;
    } table[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: CLOSE\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: x , close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: x\r\nConnection: ,close,\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(table); i++) {
        PARSED r = {0};
        parse_good(&r, table[i].text);
        if (r.head.keep_alive != table[i].keep_alive)
            fail_msg("keep_alive of %s", table[i].text);
    }
}

static void takes_framing_and_options(void **state) {
    (void)state;
    PARSED r = {0};
    static const char length[] = "POST / HTTP/1.1\r\n" H "Content-Length: 1234567890123\r\n"
                                 "Expect: 100-continue\r\n\r\n";
    parse_good(&r, length);
    assert_true(r.head.has_content_length && r.head.expect_continue && !r.head.chunked);
    assert_int_equal(r.head.content_length, 1234567890123);

    static const char upgrade[] = "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
                                  "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n";
    parse_good(&r, upgrade);
    assert_true(r.head.chunked && r.head.upgrade && !r.head.has_content_length);
    assert_int_equal(r.head.connection, CL_H1_OPTION_KEEP_ALIVE | CL_H1_OPTION_UPGRADE);

    static const char old[] = "GET / HTTP/1.0\r\nExpect: 100-continue\r\n"
                              "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    parse_good(&r, old);
    assert_false(r.head.upgrade || r.head.expect_continue);
}

/* ---- limits: the last size that passes, the first that does not, and lines that never end ---- */

static size_t put(char *out, size_t at, const char *text) {
    memcpy(out + at, text, strlen(text));
    return at + strlen(text);
}

static size_t put_fill(char *out, size_t at, char c, size_t n) {
    memset(out + at, c, n);
    return at + n;
}

static int target_of(size_t len, bool finish) {
    char text[1024];
    size_t n = put(text, 0, "GET /");
    n = put_fill(text, n, 'a', len - 1);
    if (finish)
        n = put(text, n, " HTTP/1.1\r\n" H "\r\n");
    return parse_error(text, n);
}

static void limits_the_target(void **state) {
    (void)state;
    assert_int_equal(target_of(limits.max_uri, true), CELLO_OK);
    assert_int_equal(target_of(limits.max_uri + 1, true), CELLO_EURI_TOO_LONG);
    assert_int_equal(target_of(limits.max_uri, false), CELLO_EAGAIN);
    assert_int_equal(target_of(limits.max_uri + 1, false), CELLO_EURI_TOO_LONG);
}

static void limits_the_request_line(void **state) {
    (void)state;
    char text[1024];
    size_t n = put_fill(text, 0, 'A', limits.max_request_line);
    assert_int_equal(parse_error(text, n), CELLO_EAGAIN);
    assert_int_equal(parse_error(text, put(text, n, "A")), CELLO_EMETHOD);

    for (n = 0; n < limits.max_request_line;)
        n = put(text, n, "\r\n");
    assert_int_equal(parse_error(text, n), CELLO_EAGAIN);
    assert_int_equal(parse_error(text, put(text, n, "\r\n")), CELLO_EREQLINE);

    n = put_fill(text, 0, 'A', limits.max_request_line - 10);
    n = put(text, n, " / HTTP/1.1\r\n");
    assert_int_equal(parse_error(text, n), CELLO_EURI_TOO_LONG);
}

static int section_of(size_t len, bool finish) {
    char text[1024];
    size_t n = put(text, 0, "GET / HTTP/1.0\r\nX: ");
    n = put_fill(text, n, 'a', len - 3 - (finish ? 4 : 0));
    if (finish)
        n = put(text, n, "\r\n\r\n");
    return parse_error(text, n);
}

static void limits_the_header_section(void **state) {
    (void)state;
    assert_int_equal(section_of(limits.max_header_size, true), CELLO_OK);
    assert_int_equal(section_of(limits.max_header_size + 1, true), CELLO_EHEAD_TOO_LARGE);
    assert_int_equal(section_of(limits.max_header_size, false), CELLO_EAGAIN);
    assert_int_equal(section_of(limits.max_header_size + 1, false), CELLO_EHEAD_TOO_LARGE);
}

static void limits_the_number_of_headers(void **state) {
    (void)state;
    char text[1024];
    size_t n = put(text, 0, "GET / HTTP/1.0\r\n");
    for (int i = 0; i < MAX_HEADERS; i++)
        n = put(text, n, "a: b\r\n");
    assert_int_equal(parse_error(text, put(text, n, "\r\n")), CELLO_OK);
    assert_int_equal(parse_error(text, put(text, n, "c")), CELLO_EHEAD_TOO_LARGE);
}

/* An unfinished line that is fed in small pieces is noticed when it passes a limit. */
static void limits_hold_for_slow_input(void **state) {
    (void)state;
    char text[2048];
    memset(text, 'a', sizeof(text));
    struct parsed r = {0};
    r.head.headers = r.headers;
    size_t scanned = 0, len = 1;
    for (r.err = CELLO_EAGAIN; r.err == CELLO_EAGAIN; len++)
        r.err = cl_h1_parse_head(text, len, &scanned, &limits, &r.head, &r.consumed);
    assert_int_equal(r.err, CELLO_EMETHOD);
    assert_true(len <= limits.max_request_line + 2);

    put(text, 0, "GET / HTTP/1.1\r\nx: ");
    scanned = 0, len = 1;
    for (r.err = CELLO_EAGAIN; r.err == CELLO_EAGAIN; len++)
        r.err = cl_h1_parse_head(text, len, &scanned, &limits, &r.head, &r.consumed);
    assert_int_equal(r.err, CELLO_EHEAD_TOO_LARGE);
    assert_true(len <= limits.max_request_line + limits.max_header_size + 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_every_case),
        cmocka_unit_test(is_the_same_however_cut),
        cmocka_unit_test(levels_agree_on_every_byte),
        cmocka_unit_test(gives_spans),
        cmocka_unit_test(splits_targets_at_block_edges),
        cmocka_unit_test(target_wins_over_host),
        cmocka_unit_test(persistence_follows_the_rfc),
        cmocka_unit_test(takes_framing_and_options),
        cmocka_unit_test(limits_the_target),
        cmocka_unit_test(limits_the_request_line),
        cmocka_unit_test(limits_the_header_section),
        cmocka_unit_test(limits_the_number_of_headers),
        cmocka_unit_test(limits_hold_for_slow_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
