#include "server/ip_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/random.h"

static struct cl_addr v4(uint32_t host) {
    struct cl_addr a = {.len = sizeof a.in};
    a.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = host};
    return a;
}

/* `network` is the upper half of the address, `host` the lower one. */
static struct cl_addr v6(uint64_t network, uint64_t host) {
    struct cl_addr a = {.len = sizeof a.in6};
    a.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    memcpy(a.in6.sin6_addr.s6_addr, &network, 8);
    memcpy(a.in6.sin6_addr.s6_addr + 8, &host, 8);
    return a;
}

static struct cl_addr mapped(uint32_t host) {
    struct cl_addr a = v6(0, 0);
    memset(a.in6.sin6_addr.s6_addr + 10, 0xff, 2);
    memcpy(a.in6.sin6_addr.s6_addr + 12, &host, 4);
    return a;
}

static void test_counts(void **state) {
    (void)state;
    struct cl_ip_table t;
    cl_ip_table_init(&t);
    struct cl_addr a = v4(1), b = v4(2);
    cl_ip_table_remove(&t, &a); /* empty: nothing happens */
    assert_int_equal(cl_ip_table_add(&t, &a, 2), CELLO_OK);
    assert_int_equal(cl_ip_table_add(&t, &a, 2), CELLO_OK);
    assert_int_equal(cl_ip_table_add(&t, &a, 2), CELLO_ELIMIT);
    assert_int_equal(cl_ip_table_add(&t, &b, 2), CELLO_OK);
    cl_ip_table_remove(&t, &a);
    assert_int_equal(cl_ip_table_add(&t, &a, 2), CELLO_OK);
    assert_int_equal(cl_ip_table_add(&t, &a, 2), CELLO_ELIMIT);
    cl_ip_table_free(&t);
}

static void test_what_is_one_client(void **state) {
    (void)state;
    struct cl_ip_table t;
    cl_ip_table_init(&t);
    struct cl_addr a = v6(7, 1), b = v6(7, 2), c = v6(8, 1), d = mapped(1), e = mapped(2),
                   f = v4(1);
    assert_int_equal(cl_ip_table_add(&t, &a, 1), CELLO_OK);
    assert_int_equal(cl_ip_table_add(&t, &b, 1), CELLO_ELIMIT); /* the same /64 */
    assert_int_equal(cl_ip_table_add(&t, &c, 1), CELLO_OK);
    assert_int_equal(cl_ip_table_add(&t, &d, 1), CELLO_OK);
    assert_int_equal(cl_ip_table_add(&t, &e, 1), CELLO_OK); /* no /64 of all IPv4 clients */
    assert_int_equal(cl_ip_table_add(&t, &f, 1), CELLO_ELIMIT);
    struct cl_addr local = {.len = sizeof local.un, .un = {.sun_family = AF_UNIX}}, unknown = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cl_ip_table_add(&t, &local, 1), CELLO_OK);
        assert_int_equal(cl_ip_table_add(&t, &unknown, 1), CELLO_OK);
    }
    cl_ip_table_remove(&t, &local);
    cl_ip_table_free(&t);
}

static void test_no_memory(void **state) {
    (void)state;
    struct cl_ip_table t;
    cl_ip_table_init(&t);
    struct cl_addr a = v4(1);
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_ip_table_add(&t, &a, 1), CELLO_ENOMEM);
    assert_int_equal(cl_ip_table_add(&t, &a, 1), CELLO_OK);
    cl_ip_table_free(&t);
}

/* Against an array of counters, over more clients than the first table holds. */
static void test_random(void **state) {
    (void)state;
    enum { CLIENTS = 700, STEPS = 200000, MAX = 3 };
    static uint32_t counts[CLIENTS];
    struct cl_ip_table t;
    cl_ip_table_init(&t);
    for (int step = 0; step < STEPS; step++) {
        uint64_t random = next_random();
        /* Grows to nearly all clients, then shrinks, in turns. */
        bool add = (random >> 40) % 10 < (step / 20000 % 2 ? 3u : 7u);
        uint32_t i = (uint32_t)(random % CLIENTS);
        struct cl_addr a = i % 2 ? v4(i) : v6(i, random);
        if (add) {
            int expected = counts[i] < MAX ? CELLO_OK : CELLO_ELIMIT;
            assert_int_equal(cl_ip_table_add(&t, &a, MAX), expected);
            counts[i] += expected == CELLO_OK;
        } else {
            cl_ip_table_remove(&t, &a);
            counts[i] -= counts[i] > 0;
        }
        if (step % 1000)
            continue;
        size_t used = 0;
        for (size_t k = 0; k < CLIENTS; k++)
            used += counts[k] > 0;
        assert_int_equal(t.used, used);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct cl_addr a = i % 2 ? v4(i) : v6(i, 0);
        for (; counts[i]; counts[i]--)
            cl_ip_table_remove(&t, &a);
    }
    assert_int_equal(t.used, 0);
    for (size_t i = 0; i < t.cap; i++)
        assert_int_equal(t.slots[i].count, 0);
    cl_ip_table_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_what_is_one_client),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
