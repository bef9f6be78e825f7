/* The timer wheel, on a clock of the test's own. */
#include "fixture.h"

#include "event/timer.h"
#include "support/random.h"

#define TICK_NS (CL_TIMER_TICK_MS * CL_NS_PER_MS)

struct probe {
    struct cl_timer super;
    struct cl_timer_wheel *wheel;
    uint64_t *now_ns;
    uint64_t wanted_ns; /* never earlier than this */
    uint64_t again_ns;  /* set again after firing */
    struct cl_timer *stop;
    int fired;
};

static void fire_probe(struct cl_timer *t) {
    struct probe *p = CL_CONTAINER_OF(t, struct probe, super);
    assert_null(t->next);
    assert_true(*p->now_ns >= p->wanted_ns);
    p->fired++;
    if (p->stop)
        cl_timer_stop(p->wheel, p->stop);
    if (p->again_ns) {
        p->wanted_ns = *p->now_ns + p->again_ns;
        cl_timer_set(p->wheel, t, p->wanted_ns);
    }
}

static struct cl_timer_wheel wheel;
static uint64_t now_ns;

static void start(uint64_t at_ns) {
    now_ns = at_ns;
    cl_timer_wheel_init(&wheel, now_ns);
}

static void probe_init(struct probe *p) {
    *p = (struct probe){.wheel = &wheel, .now_ns = &now_ns};
    cl_timer_init(&p->super, fire_probe);
}

static void probe_set(struct probe *p, uint64_t deadline_ns) {
    p->wanted_ns = deadline_ns;
    cl_timer_set(&wheel, &p->super, deadline_ns);
}

static void run_at(uint64_t at_ns) {
    now_ns = at_ns;
    cl_timer_wheel_run(&wheel, now_ns);
}

static void fires_within_a_tick(void **state) {
    (void)state;
    static const uint64_t delays[] = {0, 1, TICK_NS - 1, TICK_NS, TICK_NS + 1, 10 * TICK_NS + 7};
    for (size_t i = 0; i < CL_ARRAY_LEN(delays); i++) {
        start(1000 * TICK_NS + 12345);
        struct probe p;
        probe_init(&p);
        uint64_t deadline_ns = now_ns + delays[i];
        probe_set(&p, deadline_ns);
        while (!p.fired && now_ns < deadline_ns + 3 * TICK_NS)
            run_at(now_ns + CL_NS_PER_MS);
        assert_int_equal(p.fired, 1);
        assert_true(now_ns <= deadline_ns + TICK_NS + CL_NS_PER_MS);
        assert_int_equal(wheel.count, 0);
        run_at(now_ns + 100 * TICK_NS);
        assert_int_equal(p.fired, 1);
    }
}

static void tells_when_to_run(void **state) {
    (void)state;
    start(5 * CL_NS_PER_S + 1);
    assert_int_equal(cl_timer_wheel_next_ns(&wheel), UINT64_MAX);
    struct probe p;
    probe_init(&p);
    /* Every distance, so that every word of the bitmap and every bit is looked at. */
    for (uint64_t ticks = 1; ticks < CL_TIMER_SLOTS - 1; ticks++) {
        probe_set(&p, now_ns + ticks * TICK_NS);
        uint64_t next_ns = cl_timer_wheel_next_ns(&wheel);
        assert_true(next_ns >= p.wanted_ns);
        assert_true(next_ns < p.wanted_ns + TICK_NS);
        run_at(next_ns - 1);
        assert_int_equal(p.fired, 0);
        run_at(next_ns);
        assert_int_equal(p.fired, 1);
        assert_int_equal(cl_timer_wheel_next_ns(&wheel), UINT64_MAX);
        p.fired = 0;
    }
}

static void moves_lazily(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    struct probe p;
    probe_init(&p);
    probe_set(&p, now_ns + 5 * TICK_NS);
    uint64_t slot_ns = p.super.slot_ns;
    for (int i = 0; i < 300; i++) {
        run_at(now_ns + TICK_NS);
        probe_set(&p, now_ns + 5 * TICK_NS); /* a request came: not yet */
        if (i < 4)
            assert_int_equal(p.super.slot_ns, slot_ns); /* one store, nothing moved */
    }
    assert_int_equal(p.fired, 0);
    run_at(now_ns + 6 * TICK_NS);
    assert_int_equal(p.fired, 1);
}

static void moves_forward(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    struct probe p;
    probe_init(&p);
    probe_set(&p, now_ns + 500 * TICK_NS);
    probe_set(&p, now_ns + 3 * TICK_NS);
    assert_int_equal(wheel.count, 1);
    run_at(now_ns + 4 * TICK_NS);
    assert_int_equal(p.fired, 1);
}

static void beyond_one_turn_of_the_wheel(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    struct probe p;
    probe_init(&p);
    uint64_t deadline_ns = now_ns + 5 * CL_TIMER_SLOTS * TICK_NS + 3;
    probe_set(&p, deadline_ns);
    while (!p.fired) {
        uint64_t next_ns = cl_timer_wheel_next_ns(&wheel);
        assert_true(next_ns > now_ns && next_ns != UINT64_MAX);
        run_at(next_ns);
    }
    assert_true(now_ns < deadline_ns + 2 * TICK_NS);
}

static void never_means_never(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    struct probe p;
    probe_init(&p);
    probe_set(&p, UINT64_MAX);
    assert_int_equal(wheel.count, 0);
    probe_set(&p, now_ns + TICK_NS);
    cl_timer_set(&wheel, &p.super, UINT64_MAX); /* filed still, and dropped when the slot comes */
    run_at(now_ns + 10 * TICK_NS);
    assert_int_equal(p.fired, 0);
    assert_int_equal(wheel.count, 0);
    cl_timer_stop(&wheel, &p.super);
    cl_timer_stop(&wheel, &p.super);
}

static void stop_inside_fire(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    struct probe p[4];
    for (size_t i = 0; i < 4; i++) {
        probe_init(&p[i]);
        probe_set(&p[i], now_ns + TICK_NS); /* all in one slot */
    }
    p[0].stop = &p[0].super;
    p[1].stop = &p[2].super; /* the next one of the same slot */
    p[3].stop = &p[0].super;
    run_at(now_ns + 2 * TICK_NS);
    assert_int_equal(p[0].fired, 1);
    assert_int_equal(p[1].fired, 1);
    assert_int_equal(p[2].fired, 0);
    assert_int_equal(p[3].fired, 1);
    assert_int_equal(wheel.count, 0);
    assert_int_equal(cl_timer_wheel_next_ns(&wheel), UINT64_MAX);
}

static void set_again_inside_fire(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    struct probe p;
    probe_init(&p);
    p.again_ns = 1;
    probe_set(&p, now_ns + 1);
    for (int i = 1; i < 50; i++) {
        run_at(now_ns + TICK_NS);
        assert_int_equal(p.fired, i); /* once a tick, not for ever */
    }
    /* A clock that leaps: it fires once, too. */
    run_at(now_ns + 5000 * TICK_NS);
    assert_int_equal(p.fired, 50);
}

static void a_leap_of_the_clock(void **state) {
    (void)state;
    start(CL_NS_PER_S);
    enum { N = 100 };
    static struct probe p[N];
    for (size_t i = 0; i < N; i++) {
        probe_init(&p[i]);
        probe_set(&p[i], now_ns + i * 37 * TICK_NS + 1);
    }
    run_at(now_ns + 50 * CL_TIMER_SLOTS * TICK_NS);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(p[i].fired, 1);
    assert_int_equal(wheel.count, 0);
    run_at(now_ns - TICK_NS); /* a clock that does not move is no trouble */
}

/* Ten thousand timers, set, moved and stopped at random, against the plain definition. */
static void ten_thousand_timers(void **state) {
    (void)state;
    enum { N = 10000, STEPS = 3000 };
    static struct probe p[N];
    start(7 * CL_NS_PER_S);
    for (size_t i = 0; i < N; i++) {
        probe_init(&p[i]);
        probe_set(&p[i], now_ns + next_random() % (60 * CL_NS_PER_S));
    }
    for (int step = 0; step < STEPS; step++) {
        for (int k = 0; k < 20; k++) {
            struct probe *q = &p[next_random() % N];
            if (q->fired)
                continue;
            if (next_random() % 4 == 0) {
                cl_timer_stop(&wheel, &q->super);
                q->fired = -1;
            } else {
                probe_set(q, now_ns + next_random() % (40 * CL_NS_PER_S));
            }
        }
        run_at(now_ns + next_random() % (2 * TICK_NS));
    }
    uint64_t limit_ns = now_ns + 61 * CL_NS_PER_S;
    while (wheel.count && now_ns < limit_ns)
        run_at(cl_timer_wheel_next_ns(&wheel));
    assert_int_equal(wheel.count, 0);
    for (size_t i = 0; i < N; i++)
        assert_true(p[i].fired == 1 || p[i].fired == -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_within_a_tick),
        cmocka_unit_test(tells_when_to_run),
        cmocka_unit_test(moves_lazily),
        cmocka_unit_test(moves_forward),
        cmocka_unit_test(beyond_one_turn_of_the_wheel),
        cmocka_unit_test(never_means_never),
        cmocka_unit_test(stop_inside_fire),
        cmocka_unit_test(set_again_inside_fire),
        cmocka_unit_test(a_leap_of_the_clock),
        cmocka_unit_test(ten_thousand_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
