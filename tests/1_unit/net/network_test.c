#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/network.h"

static bool parses(const char *text) {
    struct cl_networks n;
    return cl_networks_parse(&n, cl_str(text, strlen(text))) == CELLO_OK;
}

static bool have(const char *networks, const char *host) {
    struct cl_networks n;
    struct cl_addr a;
    assert_int_equal(cl_networks_parse(&n, cl_str(networks, strlen(networks))), CELLO_OK);
    assert_int_equal(cl_addr_parse(&a, host, 1), CELLO_OK);
    return cl_networks_have(&n, &a);
}

static void finds_members(void **state) {
    (void)state;
    assert_true(have("10.0.0.0/8", "10.255.0.1"));
    assert_false(have("10.0.0.0/8", "11.0.0.0"));
    assert_true(have("10.1.2.3", "10.1.2.3"));
    assert_false(have("10.1.2.3", "10.1.2.2"));
    assert_true(have("192.168.4.0/22", "192.168.7.255"));
    assert_false(have("192.168.4.0/22", "192.168.8.0"));
    assert_true(have("1.2.3.4/32, ::1 ,2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(have("1.2.3.4/32, ::1 ,2001:db8::/33", "2001:db8:8000::1"));
    assert_true(have("1.2.3.4/32, ::1 ,2001:db8::/33", "::1"));
    assert_true(have("0.0.0.0/0", "203.0.113.9"));
    assert_false(have("0.0.0.0/0", "2001:db8::1"));
    assert_true(have("::/0", "2001:db8::1"));
}

static void sees_mapped_addresses_as_ipv4(void **state) {
    (void)state;
    assert_true(have("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_false(have("10.0.0.0/8", "::ffff:11.1.2.3"));
    assert_true(have("::ffff:10.0.0.0/104", "10.1.2.3"));
}

static void has_no_unix_sockets(void **state) {
    (void)state;
    struct cl_networks n;
    struct cl_addr a;
    assert_int_equal(cl_networks_parse(&n, CL_STR("::/0")), CELLO_OK);
    assert_int_equal(cl_addr_unix(&a, "/run/x"), CELLO_OK);
    assert_false(cl_networks_have(&n, &a));
    a.len = 0;
    assert_false(cl_networks_have(&n, &a));
}

static void refuses_what_is_no_network(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",           " ",         ",",           "10.0.0.0/8,", ",::1",       "10.0.0.0/33",
        "10.0.0.0/",  "10.0.0/8",  "10.0.0.1/8",  "10.0.0.0/08", "10.0.0.0/a", "::1/129",
        "2001::1/64", "localhost", "10.0.0.0 /8", "unix:",       "[::1]",      "1.2.3.4/-1",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(wrong); i++)
        if (parses(wrong[i]))
            fail_msg("read: %s", wrong[i]);
}

static void has_a_limit(void **state) {
    (void)state;
    char text[CL_NETWORKS_MAX * 4 + 8];
    struct cl_networks n;
    for (size_t i = 0; i <= CL_NETWORKS_MAX; i++)
        memcpy(text + 4 * i, "::1,", 4);
    assert_int_equal(cl_networks_parse(&n, cl_str(text, 4 * CL_NETWORKS_MAX - 1)), CELLO_OK);
    assert_int_equal(n.count, CL_NETWORKS_MAX);
    assert_int_equal(cl_networks_parse(&n, cl_str(text, 4 * CL_NETWORKS_MAX + 3)), CELLO_ELIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_members),       cmocka_unit_test(sees_mapped_addresses_as_ipv4),
        cmocka_unit_test(has_no_unix_sockets), cmocka_unit_test(refuses_what_is_no_network),
        cmocka_unit_test(has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
