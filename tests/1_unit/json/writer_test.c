#include "json/writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

static void assert_written(const struct cl_heap_sink *h, struct cl_str want) {
    assert_int_equal(cl_sink_len(&h->sink), want.len);
    assert_memory_equal(h->sink.base, want.ptr, want.len);
}

static void a_document(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 1 << 20);
    struct cl_json_writer w;
    cl_json_writer_init(&w, &h.sink);
    cl_json_writer_begin_object(&w);
    cl_json_writer_key(&w, CL_STR("status"));
    cl_json_writer_int(&w, -404);
    cl_json_writer_key(&w, CL_STR("loc"));
    cl_json_writer_begin_array(&w);
    cl_json_writer_string(&w, CL_STR("a\"b\\\n\x01"));
    cl_json_writer_uint(&w, UINT64_MAX);
    cl_json_writer_double(&w, 0.5);
    cl_json_writer_double(&w, NAN);
    cl_json_writer_bool(&w, true);
    cl_json_writer_begin_object(&w);
    cl_json_writer_end_object(&w);
    cl_json_writer_raw(&w, CL_STR("[1]"));
    cl_json_writer_end_array(&w);
    cl_json_writer_key(&w, CL_STR(""));
    cl_json_writer_null(&w);
    cl_json_writer_end_object(&w);
    assert_int_equal(cl_json_writer_finish(&w), CELLO_OK);
    assert_written(&h,
                   CL_STR("{\"status\":-404,\"loc\":[\"a\\\"b\\\\\\n\\u0001\",18446744073709551615,"
                          "0.5,null,true,{},[1]],\"\":null}"));
    cl_heap_sink_free(&h);
}

static void what_is_not_utf8_is_replaced(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 1 << 20);
    struct cl_json_writer w;
    cl_json_writer_init(&w, &h.sink);
    cl_json_writer_string(&w, CL_STR("\xc3\xa9\xff"
                                     "a\xc3"));
    assert_int_equal(cl_json_writer_finish(&w), CELLO_OK);
    assert_written(&h, CL_STR("\"\xc3\xa9\xef\xbf\xbd"
                              "a\xef\xbf\xbd\""));
    cl_heap_sink_free(&h);
}

/* Each byte, at each place in a string of each length: through vectors and their ends. */
static void every_byte_is_escaped_right(void **state) {
    (void)state;
    for (size_t n = 1; n <= 70; n++) {
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 0x80; c += c == '"' ? 1 : 7) {
                char *text = malloc(n);
                memset(text, 'x', n);
                text[at] = (char)c;
                struct cl_heap_sink h;
                cl_heap_sink_init(&h, 1 << 20);
                struct cl_json_writer w;
                cl_json_writer_init(&w, &h.sink);
                cl_json_writer_string(&w, cl_str(text, n));
                assert_int_equal(cl_json_writer_finish(&w), CELLO_OK);
                size_t extra = c == '"' || c == '\\' ? 1 : 0;
                if (c < 0x20)
                    extra = c == '\n' || c == '\t' || c == '\r' || c == '\b' || c == '\f' ? 1 : 5;
                assert_int_equal(cl_sink_len(&h.sink), n + 2 + extra);
                assert_int_equal(h.sink.base[1 + at], extra ? '\\' : c);
                cl_heap_sink_free(&h);
                free(text);
            }
        }
    }
}

static void the_first_error_stays(void **state) {
    (void)state;
    struct cl_heap_sink h;
    cl_heap_sink_init(&h, 4096);
    struct cl_json_writer w;
    cl_json_writer_init(&w, &h.sink);
    char text[600];
    memset(text, 1, sizeof text);
    cl_json_writer_begin_array(&w);
    for (int i = 0; i < 10; i++)
        cl_json_writer_string(&w, cl_str(text, sizeof text));
    cl_json_writer_end_array(&w);
    assert_int_equal(cl_json_writer_finish(&w), CELLO_ELIMIT);
    cl_heap_sink_free(&h);

    cl_heap_sink_init(&h, 4096);
    cl_json_writer_init(&w, &h.sink);
    cl_alloc_fail_nth(1);
    cl_json_writer_begin_array(&w);
    cl_json_writer_end_array(&w);
    assert_int_equal(cl_json_writer_finish(&w), CELLO_ENOMEM);
    cl_heap_sink_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(every_byte_is_escaped_right),
        cmocka_unit_test(the_first_error_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
