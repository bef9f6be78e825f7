/* Token buckets: a burst, then a rate; full again after a rest. */
#include "http2/abuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

static unsigned burst(struct cl_h2_abuse *a, enum cl_h2_act act, uint64_t now_ns) {
    unsigned n = 0;
    while (cl_h2_abuse_count(a, act, now_ns))
        n++;
    return n;
}

static void a_burst_then_a_rate(void **state) {
    (void)state;
    struct cl_h2_abuse a = {0};
    uint64_t now = 1000 * CL_NS_PER_S;
    for (int act = 0; act < CL_H2_ACTS; act++) {
        unsigned all = burst(&a, (enum cl_h2_act)act, now);
        assert_in_range(all, 50, 1000);
        unsigned second = burst(&a, (enum cl_h2_act)act, now + CL_NS_PER_S);
        assert_in_range(second, 5, 200);
        assert_int_equal(burst(&a, (enum cl_h2_act)act, now + 2 * CL_NS_PER_S), second);
        assert_int_equal(burst(&a, (enum cl_h2_act)act, now + 3600 * CL_NS_PER_S), all);
    }
}

static void what_is_earned_comes_on_top(void **state) {
    (void)state;
    struct cl_h2_abuse a = {0};
    uint64_t now = 1000 * CL_NS_PER_S;
    (void)burst(&a, CL_H2_ACT_WINDOW, now);
    cl_h2_abuse_earn(&a, CL_H2_ACT_WINDOW, 7);
    assert_int_equal(burst(&a, CL_H2_ACT_WINDOW, now), 7);
    /* Also what was earned while nothing was asked for: a client may be late with its answers. */
    cl_h2_abuse_earn(&a, CL_H2_ACT_WINDOW, 3000);
    unsigned all = burst(&a, CL_H2_ACT_WINDOW, now + 3600 * CL_NS_PER_S);
    assert_int_equal(all - burst(&a, CL_H2_ACT_WINDOW, now + 7200 * CL_NS_PER_S), 3000);
    /* Not without end. */
    for (int i = 0; i < 100000; i++)
        cl_h2_abuse_earn(&a, CL_H2_ACT_WINDOW, 1000);
    assert_int_equal(burst(&a, CL_H2_ACT_WINDOW, now + 7200 * CL_NS_PER_S), CL_H2_EARNED_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_a_rate),
        cmocka_unit_test(what_is_earned_comes_on_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
