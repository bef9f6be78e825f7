#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/addr.h"

static void reads_and_writes_addresses(void **state) {
    (void)state;
    static const struct {
        const char *host, *text;
        int family;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", AF_INET},
        {"0.0.0.0", "0.0.0.0", AF_INET},
        {"::1", "::1", AF_INET6},
        {"[::1]", "::1", AF_INET6},
        {"::", "::", AF_INET6},
        {"[2001:DB8::1]", "2001:db8::1", AF_INET6},
        {"255.255.255.255", "255.255.255.255", AF_INET},
        {"::ffff:10.1.2.3", "10.1.2.3", AF_INET6}, /* an IPv4 peer of a dual-stack socket */
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        struct cl_addr a;
        char text[CL_ADDR_TEXT_MAX];
        assert_int_equal(cl_addr_parse(&a, cases[i].host, 8080), CELLO_OK);
        assert_int_equal(a.sa.sa_family, cases[i].family);
        assert_int_equal(cl_addr_host(&a, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        assert_int_equal(cl_addr_port(&a), 8080);
    }
}

static void resolves_names(void **state) {
    (void)state;
    struct cl_addr a;
    char text[CL_ADDR_TEXT_MAX];
    assert_int_equal(cl_addr_parse(&a, "localhost", 0), CELLO_OK);
    assert_true(cl_addr_host(&a, text) > 0);
    assert_int_equal(cl_addr_port(&a), 0);
}

static void refuses_nonsense(void **state) {
    (void)state;
    static const char *const cases[] = {"", "[", "[]", "[::1", "[127.0.0.1]", ":::", "1:2", "::g"};
    struct cl_addr a;
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++)
        assert_int_equal(cl_addr_parse(&a, cases[i], 80), CELLO_EINVAL);
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(cl_addr_parse(&a, longest, 80), CELLO_EINVAL);
    assert_int_equal(cl_addr_parse(&a, "no.such.name.invalid", 80), CELLO_ENOENT);
}

static void unix_paths(void **state) {
    (void)state;
    struct cl_addr a;
    char text[CL_ADDR_TEXT_MAX], path[200];
    assert_int_equal(cl_addr_unix(&a, "/run/x.sock"), CELLO_OK);
    assert_int_equal(cl_addr_host(&a, text), strlen("unix:/run/x.sock"));
    assert_string_equal(text, "unix:/run/x.sock");
    assert_int_equal(cl_addr_port(&a), 0);
    /* The longest: 107 bytes and the NUL. */
    memset(path, 'p', sizeof path);
    path[107] = '\0';
    assert_int_equal(cl_addr_unix(&a, path), CELLO_OK);
    assert_int_equal(cl_addr_host(&a, text), 5 + 107);
    path[107] = 'p';
    path[108] = '\0';
    assert_int_equal(cl_addr_unix(&a, path), CELLO_EINVAL);
    assert_int_equal(cl_addr_unix(&a, ""), CELLO_EINVAL);
    /* A path that the kernel gave without its NUL. */
    a.sa.sa_family = AF_UNIX;
    memset(a.un.sun_path, 'q', sizeof a.un.sun_path);
    a.len = sizeof a.un;
    assert_int_equal(cl_addr_host(&a, text), 5 + 108);
}

static void unknown_addresses_are_empty(void **state) {
    (void)state;
    struct cl_addr a = {0};
    char text[CL_ADDR_TEXT_MAX];
    assert_int_equal(cl_addr_host(&a, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(cl_addr_port(&a), 0);
    /* An unnamed unix socket: the family and nothing else. */
    a.sa.sa_family = AF_UNIX;
    a.len = sizeof a.sa.sa_family;
    assert_int_equal(cl_addr_host(&a, text), 5);
    assert_string_equal(text, "unix:");
    a.sa.sa_family = AF_PACKET;
    assert_int_equal(cl_addr_host(&a, text), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_addresses),
        cmocka_unit_test(resolves_names),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(unix_paths),
        cmocka_unit_test(unknown_addresses_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
