/* The nghttp2 that is loaded is at least the one that Cello asks for. */
#include <cello/version.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void is_new_enough(void **state) {
    (void)state;
    char *end = NULL;
    unsigned long major = strtoul(cello_nghttp2_version(), &end, 10);
    assert_int_equal(*end, '.');
    unsigned long minor = strtoul(end + 1, &end, 10);
    assert_true(major > 1 || (major == 1 && minor >= 52));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_new_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
