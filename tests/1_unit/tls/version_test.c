/* The OpenSSL that is loaded is of the kind that Cello was built for, and keeps nothing that a leak
 * checker would mind. */
#include <cello/version.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ssl.h>

static void is_what_was_built_for(void **state) {
    (void)state;
    char *end = NULL;
    assert_int_equal(strtoul(cello_openssl_version(), &end, 10), OPENSSL_VERSION_MAJOR);
    assert_int_equal(*end, '.');
}

static void leaks_nothing(void **state) {
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert_non_null(context);
    SSL *ssl = SSL_new(context);
    assert_non_null(ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_was_built_for),
        cmocka_unit_test(leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
