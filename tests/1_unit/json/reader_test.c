#include "json/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A heap copy of exactly the text's size, so that a sanitizer sees each byte too far. */
static struct cl_str exact_copy(struct cl_str text) {
    char *copy = malloc(text.len ? text.len : 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    return cl_str(copy, text.len);
}

/* The error that reading all of it ends with; *pos is where. */
static int read_all(struct cl_str text, unsigned max_depth, size_t *pos) {
    struct cl_str copy = exact_copy(text);
    struct cl_json_reader r;
    struct cl_json_token token;
    cl_json_reader_init(&r, copy, max_depth);
    int err;
    do {
        err = cl_json_reader_next(&r, &token);
    } while (!err && token.kind != CL_JSON_END);
    assert_int_equal(cl_json_reader_next(&r, &token), err);
    assert_true((err != 0) == (r.error != NULL));
    *pos = (size_t)(r.p - r.begin);
    free((char *)(uintptr_t)copy.ptr);
    return err;
}

static void well_formed_texts(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        " null ",
        "\"\"",
        "[]",
        "{}",
        "[[],{}]",
        "[1,2.5,-3e2,\"x\",true,false,null]",
        "{\"a\":{\"b\":[{}]},\"c\":\"\\u00e9\\ud83d\\ude00\"}",
        "\t\r\n[ 1 , 2 ]\n",
        "{ \"a\" : 1 , \"a\" : 2 }",
        "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "123456789012345678901234567890",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        size_t pos;
        assert_int_equal(read_all(cl_str(texts[i], strlen(texts[i])), 0, &pos), CELLO_OK);
        assert_int_equal(pos, strlen(texts[i]));
    }
}

static void malformed_texts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } texts[] = {
        {"", 0},
        {" ", 1},
        {"nul", 0},
        {"tru", 0},
        {"+1", 0},
        {"[", 1},
        {"{", 1},
        {"[1", 2},
        {"[1,", 3},
        {"[1,]", 3},
        {"[1 2]", 3},
        {"{1:2}", 1},
        {"{\"a\"}", 4},
        {"{\"a\" 1}", 5},
        {"{\"a\":}", 5},
        {"{\"a\":1,}", 7},
        {"{\"a\":1", 6},
        {"]", 0},
        {"[}", 1},
        {"{]", 1},
        {"1 1", 2},
        {"\"abc", 0},
        {"\"a\nb\"", 2},
        {"\"\\x\"", 1},
        {"\"\\u12g4\"", 1},
        {"\"\\ud800\"", 1},
        {"\"\\udc00\"", 1},
        {"\"\\ud800\\u0041\"", 1},
        {"\"\\", 1},
        {"\"\xff\"", 1},
        {"\"a\xc3\"", 2},
        {"\"\xed\xa0\x80\"", 1},
        {"NaN", 0},
        {"1e999", 0},
        {"\xef\xbb\xbf"
         "1",
         0},
        {"01", 1},
        {"'a'", 0},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        size_t pos;
        int err = read_all(cl_str(texts[i].text, strlen(texts[i].text)), 0, &pos);
        if (err != CELLO_EJSON || pos != texts[i].at)
            fail_msg("%s: error %d at %zu", texts[i].text, err, pos);
    }
    size_t pos;
    assert_int_equal(read_all(CL_STR("\"a\0b\""), 0, &pos), CELLO_EJSON);
}

static void depth_is_limited(void **state) {
    (void)state;
    size_t pos, n = 400000;
    char *text = malloc(n);
    memset(text, '[', n);
    assert_int_equal(read_all(cl_str(text, n), 0, &pos), CELLO_EJSON_DEPTH);
    assert_int_equal(pos, CL_JSON_READER_MAX_DEPTH);
    free(text);
    assert_int_equal(read_all(CL_STR("[[1]]"), 2, &pos), CELLO_OK);
    assert_int_equal(read_all(CL_STR("[[[1]]]"), 2, &pos), CELLO_EJSON_DEPTH);
}

static void tokens_in_order(void **state) {
    (void)state;
    struct cl_json_reader r;
    struct cl_json_token t;
    cl_json_reader_init(&r, CL_STR("{\"n\\t\":[-5,2.5,\"a\\u00e9\"],\"b\":true}"), 0);
    static const enum cl_json_kind kinds[] = {
        CL_JSON_OBJECT_BEGIN, CL_JSON_KEY,        CL_JSON_ARRAY_BEGIN, CL_JSON_INT,
        CL_JSON_DOUBLE,       CL_JSON_STRING,     CL_JSON_ARRAY_END,   CL_JSON_KEY,
        CL_JSON_TRUE,         CL_JSON_OBJECT_END, CL_JSON_END,
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(kinds); i++) {
        assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
        assert_int_equal(t.kind, kinds[i]);
        char out[64];
        if (i == 1) {
            assert_true(t.has_escapes);
            assert_int_equal(cl_json_unescape_text(&t, out), 2);
            assert_memory_equal(out, "n\t", 2);
        } else if (i == 3) {
            assert_int_equal(t.i64, -5);
        } else if (i == 5) {
            assert_int_equal(cl_json_unescape_text(&t, out), 3);
            assert_memory_equal(out, "a\xc3\xa9", 3);
        }
    }
}

static void skip_passes_over_values(void **state) {
    (void)state;
    struct cl_json_reader r;
    struct cl_json_token t;
    cl_json_reader_init(&r, CL_STR("{\"a\":[1,[2],{}],\"b\":7,\"c\":{\"d\":1}}"), 0);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_int_equal(cl_json_reader_skip(&r, &t), CELLO_OK);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_true(cl_str_eq(t.text, CL_STR("b")));
    assert_int_equal(cl_json_reader_skip(&r, &t), CELLO_OK);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_int_equal(t.kind, CL_JSON_OBJECT_BEGIN);
    assert_int_equal(cl_json_reader_skip(&r, &t), CELLO_OK);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_int_equal(t.kind, CL_JSON_OBJECT_END);
    assert_int_equal(cl_json_reader_next(&r, &t), CELLO_OK);
    assert_int_equal(t.kind, CL_JSON_END);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_texts),       cmocka_unit_test(malformed_texts),
        cmocka_unit_test(depth_is_limited),        cmocka_unit_test(tokens_in_order),
        cmocka_unit_test(skip_passes_over_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
