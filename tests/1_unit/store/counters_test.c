#include "store/counters.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/segment.h"
#include "store/store.h"

enum { RECORDS = 4 };

static struct cl_segment *segment;
static struct cl_counters lanes[RECORDS];

static int open_counters(void **state) {
    (void)state;
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_COUNTERS] = cl_counters_size(RECORDS)};
    size_t size;
    assert_int_equal(cl_segment_new(&segment, sizes), CELLO_OK);
    void *area = cl_segment_area(segment, CL_AREA_COUNTERS, &size);
    assert_false(cl_counters_open(&lanes[0], area, size, 0));
    assert_int_equal(cl_counters_make(area, size - 1, RECORDS), CELLO_EINVAL);
    assert_int_equal(cl_counters_make(area, size, RECORDS), CELLO_OK);
    for (uint32_t i = 0; i < RECORDS; i++)
        assert_true(cl_counters_open(&lanes[i], area, size, i));
    assert_false(cl_counters_open(&lanes[0], area, size, RECORDS));
    return 0;
}

static int close_counters(void **state) {
    (void)state;
    cl_segment_del(segment);
    return 0;
}

static struct cl_counter counter(uint32_t record, const char *name, enum cl_counter_kind kind) {
    struct cl_counter c;
    assert_int_equal(
        cl_counter_register(&lanes[record], &c, cl_str(name, strlen(name)), kind, NULL, 0),
        CELLO_OK);
    return c;
}

static void sums_are_over_all_lanes(void **state) {
    (void)state;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct cl_counter requests = counter(i, "requests", CL_COUNTER);
        struct cl_counter open = counter(i, "open", CL_GAUGE);
        cl_counter_add(&requests, i + 1);
        cl_counter_add(&open, 10);
        cl_counter_add(&open, (uint64_t)-3);
    }
    struct cl_counter requests = counter(0, "requests", CL_COUNTER);
    struct cl_counter open = counter(0, "open", CL_GAUGE);
    assert_int_equal(cl_counter_sum(&lanes[2], &requests), 10);
    assert_int_equal(cl_counter_sum(&lanes[2], &open), 28);
    cl_gauge_set(&open, -1);
    assert_true((int64_t)cl_counter_sum(&lanes[1], &open) == 20);
}

static void the_gauges_of_one_that_has_ended_are_gone(void **state) {
    (void)state;
    struct cl_counter requests = counter(1, "requests", CL_COUNTER);
    struct cl_counter open = counter(1, "open", CL_GAUGE);
    cl_counter_add(&requests, 5);
    cl_gauge_set(&open, 5);
    cl_store_vacate(segment, 1);
    cl_store_vacate(segment, RECORDS); /* no such record */
    assert_int_equal(cl_counter_sum(&lanes[0], &requests), 5);
    assert_int_equal(cl_counter_sum(&lanes[0], &open), 0);
    cl_counter_add(&requests, 1); /* its successor */
    assert_int_equal(cl_counter_sum(&lanes[0], &requests), 6);
}

static void steps_hold_what_they_say(void **state) {
    (void)state;
    struct cl_counter h = counter(0, "h", CL_HISTOGRAM);
    assert_int_equal(cl_histogram_buckets(&h), CL_HISTOGRAM_STEPS);
    uint64_t values = 0, sum = 0;
    for (uint32_t i = 0; i < CL_HISTOGRAM_STEPS; i++) {
        uint64_t bound = cl_histogram_bound(&h, i);
        assert_true(!i || bound > cl_histogram_bound(&h, i - 1));
        cl_histogram_observe(&h, bound);
        assert_int_equal(cl_histogram_count(&lanes[0], &h, i), 1 + (i > 0));
        sum += bound;
        values++;
        if (bound < UINT64_MAX) {
            cl_histogram_observe(&h, bound + 1);
            sum += bound + 1;
            assert_int_equal(cl_histogram_count(&lanes[0], &h, i + 1), 1);
        }
    }
    assert_int_equal(cl_histogram_bound(&h, 3), 3);
    assert_int_equal(cl_histogram_bound(&h, 4), 4);
    assert_int_equal(cl_histogram_bound(&h, 8), 9);
    assert_int_equal(values, CL_HISTOGRAM_STEPS);
    assert_true(cl_counter_sum(&lanes[0], &h) == sum); /* the sum wraps, as this one does */
}

static void given_bounds_are_inclusive(void **state) {
    (void)state;
    static const uint64_t bounds[] = {10, 100};
    struct cl_counter h;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(cl_counter_register(&lanes[i], &h, CL_STR("h"), CL_HISTOGRAM, bounds, 2),
                         CELLO_OK);
        cl_histogram_observe(&h, 10);
        cl_histogram_observe(&h, 11);
        cl_histogram_observe(&h, 101);
    }
    assert_int_equal(cl_histogram_buckets(&h), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cl_histogram_count(&lanes[3], &h, i), 2);
    assert_int_equal(cl_counter_sum(&lanes[3], &h), 244);
    assert_int_equal(cl_histogram_bound(&h, 1), 100);
    assert_true(cl_histogram_bound(&h, 2) == UINT64_MAX);
}

static void names_mean_the_same_everywhere(void **state) {
    (void)state;
    static const uint64_t bounds[] = {1, 2, 2}, others[] = {1, 3};
    struct cl_counter c;
    char name[CL_COUNTER_NAME_MAX + 1] = {0};
    counter(0, "a", CL_COUNTER);
    assert_int_equal(cl_counter_register(&lanes[1], &c, CL_STR("a"), CL_GAUGE, NULL, 0),
                     CELLO_EEXIST);
    assert_int_equal(cl_counter_register(&lanes[1], &c, CL_STR("h"), CL_HISTOGRAM, bounds, 2),
                     CELLO_OK);
    assert_int_equal(cl_counter_register(&lanes[1], &c, CL_STR("h"), CL_HISTOGRAM, others, 2),
                     CELLO_EEXIST);
    assert_int_equal(cl_counter_register(&lanes[1], &c, CL_STR("i"), CL_HISTOGRAM, bounds, 3),
                     CELLO_EINVAL);
    assert_int_equal(cl_counter_register(&lanes[1], &c, CL_STR("i"), CL_COUNTER, bounds, 1),
                     CELLO_EINVAL);
    assert_int_equal(cl_counter_register(&lanes[1], &c, CL_STR(""), CL_COUNTER, NULL, 0),
                     CELLO_EINVAL);
    assert_int_equal(
        cl_counter_register(&lanes[1], &c, cl_str(name, sizeof name), CL_COUNTER, NULL, 0),
        CELLO_EINVAL);
    struct cl_str found;
    enum cl_counter_kind kind;
    assert_int_equal(cl_counters_count(&lanes[2]), 2);
    cl_counters_at(&lanes[2], 1, &c, &found, &kind);
    assert_true(cl_str_eq(found, CL_STR("h")));
    assert_int_equal(kind, CL_HISTOGRAM);
}

static void there_is_an_end_to_names_and_slots(void **state) {
    (void)state;
    char name[16];
    struct cl_counter c;
    int err = CELLO_OK;
    unsigned n = 0;
    for (; !err; n++)
        err = cl_counter_register(&lanes[0], &c,
                                  cl_str(name, (size_t)snprintf(name, sizeof name, "h%u", n)),
                                  CL_HISTOGRAM, NULL, 0);
    assert_int_equal(err, CELLO_ELIMIT);
    assert_int_equal(n - 1, CL_COUNTER_SLOTS / (CL_HISTOGRAM_STEPS + 1));
    for (err = CELLO_OK, n = 0; !err; n++)
        err = cl_counter_register(&lanes[0], &c,
                                  cl_str(name, (size_t)snprintf(name, sizeof name, "c%u", n)),
                                  CL_COUNTER, NULL, 0);
    assert_int_equal(err, CELLO_ELIMIT);
    assert_true(cl_counters_count(&lanes[0]) <= CL_COUNTERS_MAX);
}

/* Adds and says so, until it is killed. */
static void count_for_ever(uint32_t record, int told) {
    struct cl_counter c = counter(record, "n", CL_COUNTER);
    for (;;) {
        cl_counter_add(&c, 1);
        if (write(told, "x", 1) != 1)
            _exit(1);
    }
}

static void counts_of_killed_processes_are_kept(void **state) {
    (void)state;
    uint64_t told = 0, killed = 0;
    for (int round = 0; round < 20; round++) {
        int ends[2];
        char buffer[4096];
        ssize_t n;
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0)
            count_for_ever((uint32_t)round % RECORDS, ends[1]);
        close(ends[1]);
        assert_int_equal(read(ends[0], buffer, 1), 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        told++;
        killed++;
        while ((n = read(ends[0], buffer, sizeof buffer)) > 0)
            told += (uint64_t)n;
        close(ends[0]);
    }
    struct cl_counter c = counter(0, "n", CL_COUNTER);
    uint64_t sum = cl_counter_sum(&lanes[0], &c);
    assert_in_range(sum, told, told + killed); /* each may have added, and not said so yet */
}

#define WITH_COUNTERS(f) cmocka_unit_test_setup_teardown(f, open_counters, close_counters)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_COUNTERS(sums_are_over_all_lanes),
        WITH_COUNTERS(the_gauges_of_one_that_has_ended_are_gone),
        WITH_COUNTERS(steps_hold_what_they_say),
        WITH_COUNTERS(given_bounds_are_inclusive),
        WITH_COUNTERS(names_mean_the_same_everywhere),
        WITH_COUNTERS(there_is_an_end_to_names_and_slots),
        WITH_COUNTERS(counts_of_killed_processes_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
