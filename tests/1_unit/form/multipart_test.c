#include "form/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_PARTS = 3, MAX_HEAD = 200, LOG_ROOM = 2048 };

/* What a message said, as text: [name|filename|type]data;  and how it ended. */
struct seen {
    char log[LOG_ROOM];
    size_t len;
    int result;
};

static void note(struct seen *s, const char *bytes, size_t n) {
    assert_true(s->len + n < LOG_ROOM);
    if (n)
        memcpy(s->log + s->len, bytes, n);
    s->len += n;
}

static void note_str(struct seen *s, struct cl_str text) {
    note(s, text.ptr, text.len);
}

static void note_event(struct seen *s, int event, const struct cl_multipart *m,
                       struct cl_str data) {
    if (event == CL_MULTIPART_PART) {
        note(s, "[", 1);
        note_str(s, m->part.name);
        if (m->part.is_file)
            note(s, "|", 1);
        note_str(s, m->part.filename);
        if (m->part.content_type.len)
            note(s, "|", 1);
        note_str(s, m->part.content_type);
        note(s, "]", 1);
    } else if (event == CL_MULTIPART_DATA) {
        assert_true(data.len > 0);
        note_str(s, data);
    } else {
        note(s, ";", 1);
    }
}

/* Feeds one piece, an exact-size copy, so that AddressSanitizer sees a read past its end. */
static int feed(struct cl_multipart *m, struct seen *s, const char *piece, size_t n) {
    char *copy = malloc(n ? n : 1);
    int event;
    assert_non_null(copy);
    memcpy(copy, piece, n);
    size_t at = 0;
    do {
        size_t used;
        struct cl_str data;
        event = cl_multipart_next(m, copy + at, n - at, &used, &data);
        at += used;
        assert_true(at <= n);
        if (event > 0)
            note_event(s, event, m, data);
    } while (event > 0);
    assert_true(event != CELLO_EAGAIN || at == n);
    free(copy);
    return event;
}

static int read_pieces(struct seen *s, const char *boundary, const char *text, size_t len,
                       size_t first, size_t step) {
    char head[2 * MAX_HEAD];
    struct cl_multipart m;
    memset(s, 0, sizeof *s);
    int err = cl_multipart_init(&m, cl_str(boundary, strlen(boundary)), MAX_PARTS, head, MAX_HEAD);
    if (err)
        return err;
    int event = CELLO_EAGAIN;
    for (size_t at = 0; event == CELLO_EAGAIN && at < len;) {
        size_t n = CL_MIN(at ? step : first, len - at);
        event = feed(&m, s, text + at, n);
        at += n;
    }
    return event == CELLO_EAGAIN ? cl_multipart_finish(&m) : event;
}

#define PART "--B\r\nContent-Disposition: form-data; "
#define END "\r\n--B--\r\n"
#define A PART "name=a\r\n\r\n"
#define CASE(text, result, log)                                                                    \
    { text, sizeof(text) - 1, result, log }

static const struct {
    const char *text;
    size_t len;
    int result;
    const char *log; /* NULL: whatever came before the error */
} cases[] = {
    CASE(A "x" END, CELLO_OK, "[a]x;"),
    CASE(A "x\r\n--B--", CELLO_OK, "[a]x;"),
    CASE(A "x" END "epilogue\r\n--B\r\n", CELLO_OK, "[a]x;"),
    CASE("preamble\r\n" A "x" END, CELLO_OK, "[a]x;"),
    CASE("\r\n" A "x" END, CELLO_OK, "[a]x;"),
    CASE("--A--\r\n--\r\r\n-\r\n--\r\n" A "x" END, CELLO_OK, "[a]x;"),
    CASE(A "x\r\n" PART "name=\"b\"\r\n\r\ny" END, CELLO_OK, "[a]x;[b]y;"),
    CASE("--B--", CELLO_OK, ""),
    CASE("--B--\r\n", CELLO_OK, ""),
    CASE(A END, CELLO_OK, "[a];"),
    CASE(A "--B--\r\n", CELLO_OK, "[a];"), /* its head ends where the delimiter begins */
    CASE(A "--A" END, CELLO_OK, "[a]--A;"),
    CASE(A "--" END, CELLO_OK, "[a]--;"),
    CASE(A "\r\n\r\n--\r\n-\r\r\n" END, CELLO_OK, "[a]\r\n\r\n--\r\n-\r\r\n;"),
    CASE(A "\n--B\n--B--\r--B" END, CELLO_OK, "[a]\n--B\n--B--\r--B;"),
    CASE(A "\r\n--\r\n--b\r\n--\r\n--" END, CELLO_OK, "[a]\r\n--\r\n--b\r\n--\r\n--;"),
    CASE("--B \t \r\nContent-Disposition:form-data;name=a\r\n\r\nx\r\n--B-- \t\r\n", CELLO_OK,
         "[a]x;"),
    CASE("--B\r\ncontent-TYPE: text/plain\r\nX: y\r\ncontent-disposition: FORM-DATA ; NAME=a"
         "\r\n\r\nx" END,
         CELLO_OK, "[a|text/plain]x;"),
    /* names */
    CASE(PART "name=\"a \\\"b\\\\ %22%0D%0A%0a%20%\"\r\n\r\n" END, CELLO_OK,
         "[a \"b\\ \"\r\n%0a%20%];"),
    CASE(PART "name=\"\"; filename=\"\"\r\n\r\n" END, CELLO_OK, "[|];"),
    CASE(PART "name=a; filename=\"C:\\dir\\x.txt\"\r\n\r\n" END, CELLO_OK, "[a|C:\\dir\\x.txt];"),
    CASE(PART "filename=\"; name=\\\"b\\\"\"; name=a\r\n\r\n" END, CELLO_OK, "[a|; name=\"b\"];"),
    CASE(PART "name=a; filename=\"\xc3\xa9\xe2\x82\xac\"\r\n\r\n" END, CELLO_OK,
         "[a|\xc3\xa9\xe2\x82\xac];"),
    CASE(PART "name=a; filename*=utf-8'en'%e2%82%ac%20x'y\r\n\r\n" END, CELLO_OK,
         "[a|\xe2\x82\xac x'y];"),
    CASE(PART "name=a; filename*=UTF-8''x; filename=y\r\n\r\n" END, CELLO_OK, "[a|y];"),
    CASE(PART "name=a; filename*=latin1''x; filename=y\r\n\r\n" END, CELLO_OK, "[a|y];"),
    CASE(PART "name=a; size=3; ; x=\";\" ;\r\n\r\n" END, CELLO_OK, "[a];"),
    CASE(PART "name=\"a\r\n  b\";\r\n\tfilename=c\r\n\r\n" END, CELLO_OK, "[a  b|c];"),

    /* delimiters */
    CASE("", CELLO_EMULTIPART_END, ""),
    CASE("x", CELLO_EMULTIPART_END, ""),
    CASE("--B", CELLO_EMULTIPART_END, ""),
    CASE("--B-", CELLO_EMULTIPART_END, ""),
    CASE("--B--\r", CELLO_EMULTIPART_END, ""),
    CASE("--B\r\n", CELLO_EMULTIPART_END, ""),
    CASE(A, CELLO_EMULTIPART_END, "[a]"),
    CASE(A "x", CELLO_EMULTIPART_END, "[a]x"),
    CASE(A "x\r\n--B", CELLO_EMULTIPART_END, "[a]x;"),
    CASE("--B\n", CELLO_EMULTIPART, ""),
    CASE("--B\rx", CELLO_EMULTIPART, ""),
    CASE("--Bo\r\n", CELLO_EMULTIPART, ""),
    CASE("--B-o", CELLO_EMULTIPART, ""),
    CASE("--B -", CELLO_EMULTIPART, ""),
    CASE("--B--x", CELLO_EMULTIPART, ""),
    CASE("--B--\n", CELLO_EMULTIPART, ""),
    CASE("--B--\r-", CELLO_EMULTIPART, ""),
    CASE(A "x\r\n--Bc\r\n", CELLO_EMULTIPART,
         "[a]x;"), /* an inner boundary that begins with ours */

    /* heads */
    CASE("--B\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Type: text/plain\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition: form-data\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition: attachment; name=a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition: form-datas; name=a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition : form-data; name=a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\n Content-Disposition: form-data; name=a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\n: a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition: form-data; name=a\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition: form-data; name=a\r\n\nx" END, CELLO_EPART_HEADER, ""),
    CASE("--B\r\nContent-Disposition: form-data; name=a\rX: y\r\n\r\nx" END, CELLO_EPART_HEADER,
         ""),
    CASE(PART "name=\"a\0\"\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=\"a\x01\"\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=\"a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=\"a\\\"\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=\"a\"b\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a b\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name =a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "=a; name=a\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; NAME=b\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename=b; filename=c\r\n\r\nx" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a\r\nContent-Disposition: form-data; name=a\r\n\r\n" END, CELLO_EPART_HEADER,
         ""),
    CASE(PART "name=a\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n" END, CELLO_EPART_HEADER,
         ""),
    CASE(PART "name=a; filename*=x\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=UTF-8'x\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=latin1''x\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=UTF-8''%\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=UTF-8''%0\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=UTF-8''%0g\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=UTF-8''%00\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=a; filename*=\"UTF-8''x\"\r\n\r\n" END, CELLO_EPART_HEADER, ""),
    CASE(PART "name=\"\xe9\"\r\n\r\nx" END, CELLO_EUTF8, ""),
    CASE(PART "name=a; filename=\"\xe9\"\r\n\r\nx" END, CELLO_EUTF8, ""),
    CASE(PART "name=a; filename*=UTF-8''%e9\r\n\r\nx" END, CELLO_EUTF8, ""),

    /* limits */
    CASE(A "1\r\n" A "2\r\n" A "3" END, CELLO_OK, "[a]1;[a]2;[a]3;"),
    CASE(A "1\r\n" A "2\r\n" A "3\r\n" A "4" END, CELLO_EPARTS, "[a]1;[a]2;[a]3;"),
};

static void check(size_t i, size_t first, size_t step) {
    struct seen s;
    int result = read_pieces(&s, "B", cases[i].text, cases[i].len, first, step);
    if (result != cases[i].result || s.len != strlen(cases[i].log) ||
        memcmp(s.log, cases[i].log, s.len) != 0)
        fail_msg("case %zu by %zu, %zu: %d, not %d: %.*s: %s", i, first, step, result,
                 cases[i].result, (int)s.len, s.log, cases[i].text);
}

static void answers_every_case_however_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        check(i, cases[i].len, 1);
        for (size_t cut = 1; cut < cases[i].len; cut++) {
            check(i, cut, cut);
            check(i, cut, cases[i].len - cut);
        }
    }
}

static void limits_the_head_of_a_part(void **state) {
    (void)state;
    static const char start[] = "--B\r\n", name[] = "Content-Disposition: form-data; name=a\r\nX: ";
    for (size_t len = MAX_HEAD - 1; len <= MAX_HEAD + 1; len++) {
        char text[sizeof start + MAX_HEAD + 16];
        size_t fill = len - (sizeof name - 1) - 4;
        int n = snprintf(text, sizeof text, "%s%s%0*d\r\n\r\n\r\n--B--", start, name, (int)fill, 0);
        for (size_t step = 1; step <= (size_t)n; step++) {
            struct seen s;
            int result = read_pieces(&s, "B", text, (size_t)n, step, step);
            assert_int_equal(result, len > MAX_HEAD ? CELLO_EPART_HEADER_TOO_LARGE : CELLO_OK);
        }
    }
}

static void checks_the_boundary(void **state) {
    (void)state;
    static const char longest[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-.";
    static const char *const valid[] = {longest, "/:=?", "a b", "----WebKitFormBoundaryABC", "-"};
    static const char *const invalid[] = {"", "a ", "a\"", "a\\", "a*", "\r", "\xc3\xa9", "a;b"};
    struct seen s;
    for (size_t i = 0; i < CL_ARRAY_LEN(valid); i++) {
        char text[2 * CL_MULTIPART_BOUNDARY_MAX + 100];
        int n = snprintf(text, sizeof text,
                         "--%s\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--%s--",
                         valid[i], valid[i]);
        for (size_t step = 1; step <= (size_t)n; step++) {
            assert_int_equal(read_pieces(&s, valid[i], text, (size_t)n, step, step), CELLO_OK);
            assert_int_equal(s.len, 5);
            assert_memory_equal(s.log, "[a]x;", 5);
        }
    }
    for (size_t i = 0; i < CL_ARRAY_LEN(invalid); i++)
        assert_int_equal(read_pieces(&s, invalid[i], "", 0, 1, 1), CELLO_EBOUNDARY);
    char too_long[CL_MULTIPART_BOUNDARY_MAX + 2] = {0};
    memset(too_long, 'a', CL_MULTIPART_BOUNDARY_MAX + 1);
    assert_int_equal(read_pieces(&s, too_long, "", 0, 1, 1), CELLO_EBOUNDARY);
}

/* Data full of what a delimiter begins with, against a search that compares everywhere. */
static void finds_delimiters_as_a_plain_search_does(void **state) {
    (void)state;
    static const char head[] = "--B-\r\nContent-Disposition: form-data; name=a\r\n\r\n";
    static const char letters[] = "\r\n-Bx";
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        char text[sizeof head + 64];
        size_t n = sizeof head - 1, data = n;
        memcpy(text, head, n);
        for (int i = 0; i < 40; i++) {
            random = random * 1664525 + 1013904223;
            text[n++] = letters[(random >> 24) % 5];
        }
        memcpy(text + n, "\r\n--B---", 8);
        n += 8;
        size_t end = data - 2; /* the delimiter may begin with the end of the head */
        while (memcmp(text + end, "\r\n--B-", 6) != 0)
            end++;
        for (size_t step = 1; step < 48; step++) {
            struct seen s;
            (void)read_pieces(&s, "B-", text, n, data + step % 7, step);
            size_t expected = end < data ? 0 : end - data;
            assert_int_equal(s.len, 3 + expected + 1);
            assert_memory_equal(s.log + 3, text + data, expected);
        }
    }
}

static void lists_the_fields_of_a_part(void **state) {
    (void)state;
    char head[] = "Content-Disposition: form-data; name=a\r\nX-One:  1\t\r\nX-Two:\r\n";
    char room[sizeof head];
    struct cl_part part;
    struct cl_str name, value;
    assert_int_equal(cl_part_parse(head, sizeof head - 1, room, &part), CELLO_OK);
    assert_true(cl_part_field_next(&part.fields, &name, &value));
    assert_true(cl_str_eq(name, CL_STR("Content-Disposition")));
    assert_true(cl_str_eq(value, CL_STR("form-data; name=a")));
    assert_true(cl_part_field_next(&part.fields, &name, &value));
    assert_true(cl_str_eq(name, CL_STR("X-One")) && cl_str_eq(value, CL_STR("1")));
    assert_true(cl_part_field_next(&part.fields, &name, &value));
    assert_true(cl_str_eq(name, CL_STR("X-Two")) && value.len == 0);
    assert_false(cl_part_field_next(&part.fields, &name, &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_every_case_however_cut),
        cmocka_unit_test(limits_the_head_of_a_part),
        cmocka_unit_test(checks_the_boundary),
        cmocka_unit_test(finds_delimiters_as_a_plain_search_does),
        cmocka_unit_test(lists_the_fields_of_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
