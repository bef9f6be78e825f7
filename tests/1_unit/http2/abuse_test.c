/* Token buckets: a burst, then a rate; full again after a rest. And what work pays for. */
#include "http2/abuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

#define NOW (1000 * CL_NS_PER_S)

static const struct cl_h2_work no_work;

static unsigned burst(struct cl_h2_abuse *a, enum cl_h2_act act, const struct cl_h2_work *work,
                      uint64_t now_ns) {
    unsigned n = 0;
    while (cl_h2_abuse_count(a, act, work, now_ns))
        n++;
    return n;
}

static void a_burst_then_a_rate(void **state) {
    (void)state;
    struct cl_h2_abuse a = {0};
    for (int i = 0; i < CL_H2_ACTS; i++) {
        enum cl_h2_act act = (enum cl_h2_act)i;
        unsigned all = burst(&a, act, &no_work, NOW);
        assert_in_range(all, 50, 2000);
        unsigned second = burst(&a, act, &no_work, NOW + CL_NS_PER_S);
        assert_in_range(second, 1, 200);
        assert_int_equal(burst(&a, act, &no_work, NOW + 2 * CL_NS_PER_S), second);
        assert_int_equal(burst(&a, act, &no_work, NOW + 3600 * CL_NS_PER_S), all);
    }
}

/* How many `work` pays for, beside the bucket. */
static unsigned paid(enum cl_h2_act act, struct cl_h2_work work) {
    struct cl_h2_abuse a = {0};
    (void)burst(&a, act, &no_work, NOW);
    return burst(&a, act, &work, NOW);
}

static void work_pays(void **state) {
    (void)state;
    struct cl_h2_work requests = {.requests = 10}, answers = {.answers = 10};
    struct cl_h2_work frames = {.frames = 10}, bytes = {.bytes = 1000000};
    assert_int_equal(paid(CL_H2_ACT_RESET, answers), 40);
    assert_int_equal(paid(CL_H2_ACT_RESET, requests), 0); /* or each would pay for its own */
    assert_int_equal(paid(CL_H2_ACT_REFUSED, answers), 10);
    assert_int_equal(paid(CL_H2_ACT_SETTINGS, bytes), 15);
    assert_int_equal(paid(CL_H2_ACT_PING, requests), 10);
    assert_int_equal(paid(CL_H2_ACT_PING, frames), 10);
    assert_int_equal(paid(CL_H2_ACT_PRIORITY, requests), 40);
    assert_int_equal(paid(CL_H2_ACT_EMPTY, requests), 20);
    assert_int_equal(paid(CL_H2_ACT_EMPTY, frames), 10);
    assert_int_equal(paid(CL_H2_ACT_WINDOW, requests), 40);
    assert_int_equal(paid(CL_H2_ACT_WINDOW, frames), 20);
    assert_int_equal(paid(CL_H2_ACT_WINDOW, bytes), 15625);
}

/* Also while nothing was asked for: a client may be late. Not without end. */
static void what_is_paid_for_can_be_saved_up(void **state) {
    (void)state;
    struct cl_h2_abuse a = {0};
    struct cl_h2_work work = {.frames = 1500};
    assert_int_equal(burst(&a, CL_H2_ACT_WINDOW, &work, NOW), 3000 + 1000);
    work.frames += UINT32_MAX;
    assert_int_equal(burst(&a, CL_H2_ACT_WINDOW, &work, NOW), CL_H2_SAVED_MAX);
    assert_int_equal(burst(&a, CL_H2_ACT_WINDOW, &work, NOW), 0);
    work.frames += 5;
    assert_int_equal(burst(&a, CL_H2_ACT_WINDOW, &work, NOW), 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_a_rate),
        cmocka_unit_test(work_pays),
        cmocka_unit_test(what_is_paid_for_can_be_saved_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
