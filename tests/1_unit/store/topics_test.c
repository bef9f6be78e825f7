#include <cello/topics.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "store/store.h"

enum { RECORDS = 2 };

static struct cl_segment *segment;
static struct cl_store *stores[RECORDS]; /* as if of two processes */

static int open_stores(void **state) {
    (void)state;
    const struct cello_store_config config = {.ring_bytes = 64 << 10, .table_bytes = 1 << 20};
    size_t sizes[CL_AREA_COUNT] = {0};
    assert_int_equal(cl_store_sizes(&config, RECORDS, sizes), CELLO_OK);
    assert_int_equal(cl_segment_new(&segment, sizes), CELLO_OK);
    assert_int_equal(cl_store_make(segment, &config, RECORDS), CELLO_OK);
    for (uint32_t i = 0; i < RECORDS; i++)
        assert_int_equal(cello_store_open(&stores[i], segment, i), CELLO_OK);
    return 0;
}

static int close_stores(void **state) {
    (void)state;
    for (size_t i = 0; i < RECORDS; i++)
        cello_store_close(stores[i]);
    cl_store_close_descriptors(segment);
    cl_segment_del(segment);
    return 0;
}

struct listener {
    struct cello_subscriber super;
    char heard[512]; /* "topic=message;" for each */
    uint64_t count, lost;
    struct cello_message *last; /* kept */
};

static void on_message(struct cello_subscriber *s, struct cello_message *m) {
    struct listener *l = CL_CONTAINER_OF(s, struct listener, super);
    size_t n = strlen(l->heard);
    snprintf(l->heard + n, sizeof l->heard - n, "%.*s=%.*s;", (int)m->topic.len, m->topic.ptr,
             (int)CL_MIN(m->bytes.len, 32), m->bytes.ptr);
    l->count++;
    if (l->last)
        cello_message_unref(l->last);
    l->last = cello_message_ref(m);
}

static void on_lost(struct cello_subscriber *s, uint64_t count) {
    CL_CONTAINER_OF(s, struct listener, super)->lost += count;
}

static struct listener listener(void) {
    return (struct listener){.super = {.on_message = on_message, .on_lost = on_lost}};
}

static void forget(struct cl_store *s, struct listener *l) {
    cello_unsubscribe_all(s, &l->super);
    if (l->last)
        cello_message_unref(l->last);
    l->last = NULL;
}

static struct cl_str text(const char *s) {
    return cl_str(s, strlen(s));
}

static void subscribe(unsigned i, struct listener *l, const char *topic) {
    assert_int_equal(cello_subscribe(stores[i], &l->super, text(topic)), CELLO_OK);
}

static void publish(unsigned i, const char *topic, const char *message) {
    assert_int_equal(cello_publish(stores[i], text(topic), CELLO_MESSAGE_TEXT, text(message)),
                     CELLO_OK);
}

static bool is_rung(unsigned i) {
    struct pollfd p = {.fd = cello_topics_bell(stores[i]), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void messages_reach_those_who_want_them(void **state) {
    (void)state;
    struct listener a = listener(), b = listener(), other = listener();
    subscribe(0, &a, "x");
    subscribe(0, &a, "y");
    subscribe(0, &a, "x"); /* twice is once */
    subscribe(0, &b, "y");
    subscribe(1, &other, "x");
    publish(0, "x", "1");
    publish(0, "y", "2");
    publish(0, "z", "3");
    assert_string_equal(a.heard, "x=1;y=2;"); /* at once */
    assert_string_equal(b.heard, "y=2;");
    assert_string_equal(other.heard, "");
    assert_true(is_rung(1));
    assert_false(is_rung(0));
    cello_topics_read(stores[1]);
    assert_false(is_rung(1));
    assert_string_equal(other.heard, "x=1;");
    forget(stores[0], &a);
    forget(stores[0], &b);
    forget(stores[1], &other);
}

static void who_has_left_hears_nothing(void **state) {
    (void)state;
    struct listener a = listener();
    assert_int_equal(cello_unsubscribe(stores[0], &a.super, text("x")), CELLO_ENOENT);
    subscribe(0, &a, "x");
    subscribe(0, &a, "y");
    assert_int_equal(cello_unsubscribe(stores[0], &a.super, text("x")), CELLO_OK);
    assert_int_equal(cello_unsubscribe(stores[0], &a.super, text("x")), CELLO_ENOENT);
    publish(0, "x", "1");
    publish(0, "y", "2");
    assert_string_equal(a.heard, "y=2;");
    forget(stores[0], &a);
    publish(0, "y", "3");
    subscribe(0, &a, "y"); /* again: what was said meanwhile is not heard */
    publish(1, "y", "4");
    cello_topics_read(stores[0]);
    assert_string_equal(a.heard, "y=2;y=4;");
    forget(stores[0], &a);
    publish(1, "y", "5");
    assert_false(is_rung(0)); /* nobody listens */
}

static void many_topics_and_subscribers(void **state) {
    (void)state;
    enum { COUNT = 300 };
    struct listener *l = calloc(COUNT, sizeof *l);
    char topic[16];
    assert_non_null(l);
    for (unsigned i = 0; i < COUNT; i++) {
        l[i] = listener();
        for (unsigned k = 0; k < 3; k++) {
            snprintf(topic, sizeof topic, "t%u", (i + k * 7) % 100);
            subscribe(0, &l[i], topic);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(topic, sizeof topic, "t%u", i);
        publish(0, topic, "m");
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(l[i].count, 3);
        forget(stores[0], &l[i]);
    }
    free(l);
}

static void all_are_told_of_what_was_lost(void **state) {
    (void)state;
    struct listener a = listener(), b = listener();
    subscribe(0, &a, "x");
    subscribe(0, &b, "other");
    char long_message[1000];
    memset(long_message, 'm', sizeof long_message);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(cello_publish(stores[1], text("x"), CELLO_MESSAGE_BYTES,
                                       cl_str(long_message, sizeof long_message)),
                         CELLO_OK);
    cello_topics_read(stores[0]);
    assert_int_equal(a.count + a.lost, 200);
    assert_true(a.count > 50);
    assert_int_equal(b.lost, a.lost);
    assert_int_equal(a.last->kind, CELLO_MESSAGE_BYTES);
    assert_int_equal(a.last->bytes.len, sizeof long_message);
    forget(stores[0], &a);
    forget(stores[0], &b);
}

static void a_flood_leaves_room_for_other_work(void **state) {
    (void)state;
    struct listener a = listener();
    subscribe(0, &a, "x");
    for (unsigned i = 0; i < 1100; i++)
        publish(1, "x", "m");
    cello_topics_read(stores[0]);
    assert_int_equal(a.count, 1024);
    assert_true(is_rung(0));
    cello_topics_read(stores[0]);
    assert_int_equal(a.count, 1100);
    assert_false(is_rung(0));
    forget(stores[0], &a);
}

static void out_of_memory_is_a_lost_message(void **state) {
    (void)state;
    struct listener a = listener();
    static const unsigned nth[] = {1, 2, 2,
                                   3}; /* buckets, which stay; topic, subscription, reader */
    for (size_t i = 0; i < CL_ARRAY_LEN(nth); i++) {
        cl_alloc_fail_nth(nth[i]);
        assert_int_equal(cello_subscribe(stores[0], &a.super, text("x")), CELLO_ENOMEM);
        assert_null(a.super.first);
        publish(0, "x", "nobody hears it");
    }
    cl_alloc_fail_nth(0);
    subscribe(0, &a, "x");
    cl_alloc_fail_nth(1);
    publish(0, "x", "1");
    publish(0, "x", "2");
    assert_int_equal(a.lost, 1);
    assert_string_equal(a.heard, "x=2;");
    forget(stores[0], &a);
}

static void topics_have_a_length(void **state) {
    (void)state;
    struct listener a = listener();
    char name[CELLO_TOPIC_MAX + 1];
    memset(name, 't', sizeof name);
    assert_int_equal(cello_subscribe(stores[0], &a.super, text("")), CELLO_EINVAL);
    assert_int_equal(cello_subscribe(stores[0], &a.super, cl_str(name, sizeof name)), CELLO_EINVAL);
    assert_int_equal(
        cello_publish(stores[0], cl_str(name, sizeof name), CELLO_MESSAGE_TEXT, text("x")),
        CELLO_EINVAL);
    assert_int_equal(cello_subscribe(stores[0], &a.super, cl_str(name, CELLO_TOPIC_MAX)), CELLO_OK);
    forget(stores[0], &a);
}

static void other_processes_are_woken(void **state) {
    (void)state;
    struct listener a = listener();
    subscribe(0, &a, "x");
    pid_t pid = fork();
    if (pid == 0) {
        publish(1, "x", "from afar");
        _exit(0);
    }
    struct pollfd p = {.fd = cello_topics_bell(stores[0]), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    cello_topics_read(stores[0]);
    assert_string_equal(a.heard, "x=from afar;");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    forget(stores[0], &a);
}

static void a_store_is_of_a_record_that_is_there(void **state) {
    (void)state;
    struct cl_store *s = NULL;
    assert_int_equal(cello_store_open(&s, segment, RECORDS), CELLO_ENOENT);
    assert_null(s);
    cl_alloc_fail_nth(1);
    assert_int_equal(cello_store_open(&s, segment, 0), CELLO_ENOMEM);
    cello_store_close(NULL);
}

static void keys_and_values_are_shared(void **state) {
    (void)state;
    char got[8];
    size_t len;
    int64_t sum;
    struct cello_store_stats stats;
    const uint64_t hour_ns = UINT64_C(3600) * 1000000000;
    assert_int_equal(cello_store_set(stores[0], text("k"), text("v"), hour_ns), CELLO_OK);
    assert_int_equal(cello_store_get(stores[1], text("k"), got, sizeof got, &len), CELLO_OK);
    assert_int_equal(len, 1);
    assert_int_equal(cello_store_add(stores[1], text("k"), text("w"), 0), CELLO_EEXIST);
    assert_int_equal(cello_store_swap(stores[1], text("k"), text("v"), text("5"), UINT64_MAX),
                     CELLO_OK);
    assert_int_equal(cello_store_increment(stores[0], text("k"), 2, 0, &sum), CELLO_OK);
    assert_int_equal(sum, 7);
    cello_store_stats(stores[1], &stats);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(cello_store_expire(stores[0], text("k"), 1), CELLO_OK);
    assert_int_equal(cello_store_get(stores[1], text("k"), got, sizeof got, &len), CELLO_ENOENT);
    assert_int_equal(cello_store_delete(stores[0], text("k")), CELLO_ENOENT);
    assert_int_equal(cello_store_set(stores[0], text("k"), text("v"), 0), CELLO_OK);
    cello_store_clear(stores[1]);
    assert_int_equal(cello_store_get(stores[0], text("k"), got, sizeof got, &len), CELLO_ENOENT);
}

#define WITH_STORES(f) cmocka_unit_test_setup_teardown(f, open_stores, close_stores)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STORES(messages_reach_those_who_want_them),
        WITH_STORES(who_has_left_hears_nothing),
        WITH_STORES(many_topics_and_subscribers),
        WITH_STORES(all_are_told_of_what_was_lost),
        WITH_STORES(a_flood_leaves_room_for_other_work),
        WITH_STORES(out_of_memory_is_a_lost_message),
        WITH_STORES(topics_have_a_length),
        WITH_STORES(other_processes_are_woken),
        WITH_STORES(a_store_is_of_a_record_that_is_there),
        WITH_STORES(keys_and_values_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
