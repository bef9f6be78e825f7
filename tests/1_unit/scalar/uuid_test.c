/* The UUIDs of <cello/scalar.h>. */
#include <cello/scalar.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/common.h"

static const uint8_t WANT[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                 0x0f, 0xed, 0xcb, 0xa9, 0x87, 0x65, 0x43, 0x21};

static void spellings(void **state) {
    (void)state;
    static const char *const good[] = {
        "12345678-9abc-def0-0fed-cba987654321",
        "12345678-9ABC-DEF0-0FED-CBA987654321",
        "123456789abcdef00fedcba987654321",
        "{12345678-9abc-def0-0fed-cba987654321}",
        "{123456789abcdef00fedcba987654321}",
        "urn:uuid:12345678-9abc-def0-0fed-cba987654321",
        "URN:UUID:123456789abcdef00fedcba987654321",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(good); i++) {
        uint8_t bytes[16] = {0};
        const char *why = NULL;
        assert_int_equal(cello_uuid_parse(cl_str(good[i], strlen(good[i])), bytes, &why), CELLO_OK);
        assert_memory_equal(bytes, WANT, sizeof WANT);
        assert_null(why);
    }
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        {"", "invalid length"},
        {"1234", "invalid length"},
        {"{}", "invalid length"},
        {"urn:uuid:", "invalid length"},
        {"{12345678-9abc-def0-0fed-cba987654321", "invalid length"},
        {"12345678-9abc-def0-0fed-cba9876543210", "invalid length"},
        {" 12345678-9abc-def0-0fed-cba98765432", "invalid group length"},
        {"1234567 -9abc-def0-0fed-cba987654321", "invalid character"},
        {"12345678-9abc-def0-0fed-cba98765432g", "invalid character"},
        {"12345678-9abc-def0-0fed-cba98765432\xc3", "invalid character"},
        {"1234567-89abc-def0-0fed-cba987654321", "invalid group length"},
        {"123456789-abc-def0-0fed-cba987654321", "invalid group length"},
        {"12345678-9abcd-ef0-0fed-cba987654321", "invalid group length"},
        {"{{123456789abcdef00fedcba987654321}}", "invalid length"},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        uint8_t bytes[16] = {7, 7};
        const char *why = NULL;
        struct cl_str text = cl_str(bad[i].text, strlen(bad[i].text));
        assert_int_equal(cello_uuid_parse(text, bytes, &why), CELLO_EINVAL);
        assert_string_equal(why, bad[i].why);
        assert_int_equal(bytes[0], 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
