#include "http/header.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Looks up an exact-size heap copy, so that AddressSanitizer sees a read past the end. */
static enum cl_header_id id_of(const char *name, size_t len) {
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, name, len);
    enum cl_header_id id = cl_header_id_from(cl_str(copy, len));
    free(copy);
    return id;
}

static void finds_every_name_in_any_case(void **state) {
    (void)state;
    for (int id = 1; id < CL_HEADER_COUNT; id++) {
        struct cl_str name = cl_header_name((enum cl_header_id)id);
        char text[64], upper[64];
        assert_in_range(name.len, 2, 32);
        for (size_t i = 0; i < name.len; i++) {
            text[i] = name.ptr[i];
            upper[i] = (char)toupper(name.ptr[i]);
        }
        assert_int_equal(id_of(text, name.len), id);
        assert_int_equal(id_of(upper, name.len), id);
    }
    assert_int_equal(cl_header_id_from(CL_STR("Content-Type")), CL_HEADER_CONTENT_TYPE);
    assert_int_equal(cl_header_name(CL_HEADER_OTHER).len, 0);
    assert_int_equal(cl_header_name(CL_HEADER_COUNT).len, 0);
}

/* A name with one byte changed is never taken for another one: 0x0d is '-' without its bit 0x20. */
static void one_wrong_byte_is_another_name(void **state) {
    (void)state;
    for (int id = 1; id < CL_HEADER_COUNT; id++) {
        struct cl_str name = cl_header_name((enum cl_header_id)id);
        char text[64];
        memcpy(text, name.ptr, name.len);
        for (size_t at = 0; at < name.len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                enum cl_header_id found = id_of(text, name.len);
                if (tolower(byte) == name.ptr[at])
                    assert_int_equal(found, id);
                else if (found != CL_HEADER_OTHER) /* the change made another listed name */
                    assert_true(cl_str_ieq(cl_header_name(found), cl_str(text, name.len)));
            }
            text[at] = name.ptr[at];
        }
        assert_int_equal(id_of(text, name.len - 1), CL_HEADER_OTHER);
    }
    assert_int_equal(id_of("", 0), CL_HEADER_OTHER);
    assert_int_equal(id_of("x", 1), CL_HEADER_OTHER);
}

static void token_characters_are_those_of_the_rfc(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char name = (char)c;
        bool expected = (c < 128 && isalnum(c)) || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", c));
        assert_int_equal(cl_header_name_valid(cl_str(&name, 1)), expected);
    }
    assert_false(cl_header_name_valid(CL_STR("")));
    assert_false(cl_header_name_valid(CL_STR("a b")));
    assert_true(cl_header_name_valid(CL_STR("X-Y")));
}

static void values_hold_no_control_characters(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char value[3] = {'a', (char)c, 'b'};
        assert_int_equal(cl_header_value_valid(cl_str(value, 3)),
                         c == '\t' || (c >= 0x20 && c != 0x7f));
    }
    assert_true(cl_header_value_valid(CL_STR("")));
    assert_false(cl_header_value_valid(CL_STR(" a")) || cl_header_value_valid(CL_STR("a\t")));
}

static void trims(void **state) {
    (void)state;
    assert_true(cl_str_eq(cl_header_trim(CL_STR(" \ta b\t ")), CL_STR("a b")));
    assert_int_equal(cl_header_trim(CL_STR(" \t ")).len, 0);
    assert_int_equal(cl_header_trim(cl_str(NULL, 0)).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_name_in_any_case),
        cmocka_unit_test(one_wrong_byte_is_another_name),
        cmocka_unit_test(token_characters_are_those_of_the_rfc),
        cmocka_unit_test(values_hold_no_control_characters),
        cmocka_unit_test(trims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
