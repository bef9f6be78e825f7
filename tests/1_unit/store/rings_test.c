#include "store/rings.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "store/segment.h"

enum { RECORDS = 3 };

static struct cl_segment *segment;
static struct cl_rings rings;

static int open_rings(void **state) {
    (void)state;
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_RINGS] =
                                             cl_rings_size(RECORDS, CL_RING_BYTES_MIN)};
    size_t size;
    assert_int_equal(cl_segment_new(&segment, sizes), CELLO_OK);
    void *area = cl_segment_area(segment, CL_AREA_RINGS, &size);
    assert_false(cl_rings_open(&rings, area, size));
    assert_int_equal(cl_rings_make(area, size, RECORDS, CL_RING_BYTES_MIN), CELLO_OK);
    assert_true(cl_rings_open(&rings, area, size));
    return 0;
}

static int close_rings(void **state) {
    (void)state;
    cl_rings_close_bells(&rings);
    cl_segment_del(segment);
    return 0;
}

static struct cl_str text(const char *s) {
    return cl_str(s, strlen(s));
}

static void publish(uint32_t record, const char *topic, const char *message) {
    assert_int_equal(cl_rings_publish(&rings, record, text(topic), 7, text(message)), CELLO_OK);
}

static struct cl_ring_reader *reader_of(uint32_t record) {
    struct cl_ring_reader *reader = NULL;
    assert_int_equal(cl_ring_reader_new(&reader, &rings, record), CELLO_OK);
    return reader;
}

static void assert_next(struct cl_ring_reader *reader, const char *topic, const char *message) {
    struct cl_ring_item item;
    char got[256];
    if (!message) {
        assert_false(cl_ring_reader_next(reader, &item));
        return;
    }
    assert_true(cl_ring_reader_next(reader, &item));
    assert_true(cl_str_eq(item.topic, text(topic)));
    assert_int_equal(item.kind, 7);
    assert_int_equal(item.lost, 0);
    assert_int_equal(item.message_len, strlen(message));
    assert_true(cl_ring_reader_copy(reader, got));
    assert_memory_equal(got, message, item.message_len);
}

static void every_reader_gets_every_message(void **state) {
    (void)state;
    publish(0, "early", "not seen");
    struct cl_ring_reader *a = reader_of(0), *b = reader_of(1);
    publish(0, "news", "one");
    publish(0, "n", "");
    publish(2, "a topic of more than a word", "a message of more than a word");
    for (int i = 0; i < 2; i++) {
        struct cl_ring_reader *reader = i ? a : b;
        assert_next(reader, "news", "one");
        assert_next(reader, "a topic of more than a word", "a message of more than a word");
        assert_next(reader, "n", "");
        assert_next(reader, NULL, NULL);
    }
    cl_ring_reader_del(a);
    cl_ring_reader_del(b);
}

static void a_message_may_be_left_uncopied(void **state) {
    (void)state;
    struct cl_ring_reader *reader = reader_of(0);
    struct cl_ring_item item;
    publish(1, "t", "skipped");
    publish(1, "t", "read");
    assert_true(cl_ring_reader_next(reader, &item));
    assert_next(reader, "t", "read");
    cl_ring_reader_del(reader);
}

/* Numbers of four digits, in messages whose length is one of many. */
static void publish_number(uint32_t record, unsigned n) {
    char message[2048];
    int len = snprintf(message, sizeof message, "%04u%0*d", n, (int)(n * 37 % 1900), 0);
    assert_int_equal(cl_rings_publish(&rings, record, text("t"), 0, cl_str(message, (size_t)len)),
                     CELLO_OK);
}

static void a_slow_reader_loses_the_oldest_and_knows_how_many(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    struct cl_ring_reader *reader = reader_of(0);
    struct cl_ring_item item;
    for (unsigned i = 0; i < COUNT; i++)
        publish_number(1, i);
    unsigned read = 0, lost = 0;
    while (cl_ring_reader_next(reader, &item)) {
        char got[2048] = {0};
        assert_true(cl_ring_reader_copy(reader, got));
        lost += (unsigned)item.lost;
        got[4] = 0;
        assert_int_equal(strtoul(got, NULL, 10), lost + read);
        read++;
    }
    assert_int_equal(read + lost, COUNT);
    assert_true(lost > 0);
    assert_true(read >= CL_RING_BYTES_MIN / 2048 / 2); /* all that the ring still has */
    cl_ring_reader_del(reader);
}

static void what_is_overwritten_while_it_is_read_counts_as_lost(void **state) {
    (void)state;
    struct cl_ring_reader *reader = reader_of(0);
    struct cl_ring_item item;
    char got[2048];
    publish(1, "t", "the first");
    assert_true(cl_ring_reader_next(reader, &item));
    for (unsigned i = 0; i < 200; i++)
        publish_number(1, i);
    assert_false(cl_ring_reader_copy(reader, got));
    uint64_t lost = 0, read = 0;
    for (; cl_ring_reader_next(reader, &item); read++)
        lost += item.lost;
    assert_int_equal(lost + read, 201);
    cl_ring_reader_del(reader);
}

static void limits_are_refused(void **state) {
    (void)state;
    static char big[CL_RING_BYTES_MIN];
    struct cl_str most = cl_str(big, rings.message_max - 1);
    assert_int_equal(cl_rings_publish(&rings, 0, text(""), 0, text("x")), CELLO_EINVAL);
    assert_int_equal(cl_rings_publish(&rings, 0, cl_str(big, CL_TOPIC_MAX + 1), 0, text("x")),
                     CELLO_EINVAL);
    assert_int_equal(cl_rings_publish(&rings, 0, cl_str(big, CL_TOPIC_MAX), 0, text("x")),
                     CELLO_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(cl_rings_publish(&rings, 0, text("t"), 0, most), CELLO_OK);
    most.len++;
    assert_int_equal(cl_rings_publish(&rings, 0, text("t"), 0, most), CELLO_ELIMIT);
    assert_int_equal(cl_rings_publish(&rings, 0, text("t"), 0, cl_str(big, SIZE_MAX / 2)),
                     CELLO_ELIMIT);
}

static bool is_rung(uint32_t record) {
    struct pollfd p = {.fd = cl_rings_bell(&rings, record), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void bells_ring_once_for_those_who_listen(void **state) {
    (void)state;
    struct cl_ring_reader *reader = reader_of(1);
    uint64_t count;
    for (int i = 0; i < 3; i++) {
        publish(0, "t", "x");
        cl_rings_ring_bells(&rings, 0);
    }
    assert_false(is_rung(0)); /* its own */
    assert_false(is_rung(2)); /* does not listen */
    assert_true(is_rung(1));
    assert_int_equal(read(cl_rings_bell(&rings, 1), &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    cl_rings_ring_bells(&rings, 0);
    assert_false(is_rung(1)); /* it has not said that it has heard */
    cl_rings_heard(&rings, 1);
    cl_rings_ring_bells(&rings, 0);
    assert_true(is_rung(1));
    cl_rings_heard(&rings, 1);
    assert_false(is_rung(1));
    cl_ring_reader_del(reader);
    cl_rings_ring_bells(&rings, 0);
    assert_false(is_rung(1));
}

static void bells_are_inherited_on_request_only(void **state) {
    (void)state;
    int bell = cl_rings_bell(&rings, 2);
    assert_int_equal(fcntl(bell, F_GETFD), FD_CLOEXEC);
    cl_rings_keep_bells(&rings, true);
    assert_int_equal(fcntl(bell, F_GETFD), 0);
    cl_rings_keep_bells(&rings, false);
    assert_int_equal(fcntl(bell, F_GETFD), FD_CLOEXEC);
}

enum { WRITERS = 3, MESSAGES = 4000 };

static void *write_numbers(void *record) {
    for (unsigned i = 0; i < MESSAGES; i++) {
        publish_number((uint32_t)(uintptr_t)record, i);
        cl_rings_ring_bells(&rings, (uint32_t)(uintptr_t)record);
    }
    return NULL;
}

/* A number, and as many zeros as belong to it. */
static void assert_untorn(char *got, size_t len) {
    for (size_t i = 4; i < len; i++)
        assert_int_equal(got[i], '0');
    got[4] = 0;
    size_t zeros = strtoul(got, NULL, 10) * 37 % 1900;
    assert_int_equal(len, 4 + (zeros ? zeros : 1));
}

static void readers_see_no_torn_message(void **state) {
    (void)state;
    struct cl_ring_reader *reader = reader_of(0);
    struct cl_ring_item item;
    pthread_t threads[WRITERS];
    for (uintptr_t i = 0; i < WRITERS; i++) /* two of them in one lane */
        pthread_create(&threads[i], NULL, write_numbers, (void *)(i / 2 + 1));
    uint64_t seen = 0;
    for (bool more = true; more; seen += item.lost) {
        struct pollfd p = {.fd = cl_rings_bell(&rings, 0), .events = POLLIN};
        char got[2048];
        item.lost = 0;
        poll(&p, 1, 1000);
        cl_rings_heard(&rings, 0);
        while (cl_ring_reader_next(reader, &item)) {
            seen += item.lost;
            item.lost = 0;
            if (cl_ring_reader_copy(reader, got)) {
                assert_untorn(got, item.message_len);
                seen++;
            }
        }
        more = seen < WRITERS * MESSAGES;
    }
    assert_int_equal(seen, WRITERS * MESSAGES);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    cl_ring_reader_del(reader);
}

static void nothing_is_left_without_memory(void **state) {
    (void)state;
    struct cl_ring_reader *reader = NULL;
    cl_alloc_fail_nth(1);
    assert_int_equal(cl_ring_reader_new(&reader, &rings, 0), CELLO_ENOMEM);
    assert_null(reader);
    cl_rings_ring_bells(&rings, 1);
    assert_false(is_rung(0));
}

static void an_area_of_another_size_is_refused(void **state) {
    (void)state;
    size_t size;
    void *area = cl_segment_area(segment, CL_AREA_RINGS, &size);
    struct cl_rings r;
    assert_int_equal(cl_rings_make(area, size - 1, RECORDS, CL_RING_BYTES_MIN), CELLO_EINVAL);
    assert_false(cl_rings_open(&r, area, size - 1));
    assert_false(cl_rings_open(&r, NULL, 0));
}

#define WITH_RINGS(f) cmocka_unit_test_setup_teardown(f, open_rings, close_rings)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_RINGS(every_reader_gets_every_message),
        WITH_RINGS(a_message_may_be_left_uncopied),
        WITH_RINGS(a_slow_reader_loses_the_oldest_and_knows_how_many),
        WITH_RINGS(what_is_overwritten_while_it_is_read_counts_as_lost),
        WITH_RINGS(limits_are_refused),
        WITH_RINGS(bells_ring_once_for_those_who_listen),
        WITH_RINGS(bells_are_inherited_on_request_only),
        WITH_RINGS(readers_see_no_torn_message),
        WITH_RINGS(nothing_is_left_without_memory),
        WITH_RINGS(an_area_of_another_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
