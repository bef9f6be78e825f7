#include "store/table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/segment.h"

static struct cl_segment *segment;
static struct cl_table table;

static int open_table(void **state) {
    (void)state;
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_TABLE] = CL_TABLE_BYTES_MIN};
    size_t size;
    assert_int_equal(cl_segment_new(&segment, sizes), CELLO_OK);
    void *area = cl_segment_area(segment, CL_AREA_TABLE, &size);
    assert_false(cl_table_open(&table, area, size));
    assert_int_equal(cl_table_make(area, size), CELLO_OK);
    assert_true(cl_table_open(&table, area, size));
    return 0;
}

static int close_table(void **state) {
    (void)state;
    cl_segment_del(segment);
    return 0;
}

static struct cl_str text(const char *s) {
    return cl_str(s, strlen(s));
}

static int set(const char *key, const char *value) {
    return cl_table_set(&table, text(key), text(value), 0, 1);
}

static void assert_value(const char *key, uint64_t now_ns, const char *value) {
    char got[256];
    size_t len;
    int err = cl_table_get(&table, text(key), now_ns, got, sizeof got, &len);
    if (!value) {
        assert_int_equal(err, CELLO_ENOENT);
        return;
    }
    assert_int_equal(err, CELLO_OK);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(got, value, len);
}

static void what_is_set_is_there(void **state) {
    (void)state;
    assert_value("a", 1, NULL);
    assert_int_equal(set("a", "one"), CELLO_OK);
    assert_value("a", 1, "one");
    assert_int_equal(set("a", ""), CELLO_OK);
    assert_value("a", 1, "");
    assert_int_equal(cl_table_delete(&table, text("a"), 1), CELLO_OK);
    assert_int_equal(cl_table_delete(&table, text("a"), 1), CELLO_ENOENT);
    assert_value("a", 1, NULL);
}

static void add_leaves_what_is_there(void **state) {
    (void)state;
    assert_int_equal(cl_table_add(&table, text("k"), text("1"), 0, 1), CELLO_OK);
    assert_int_equal(cl_table_add(&table, text("k"), text("2"), 0, 1), CELLO_EEXIST);
    assert_value("k", 1, "1");
}

static void swap_needs_the_expected_value(void **state) {
    (void)state;
    struct cl_str k = text("k");
    int64_t sum;
    assert_int_equal(cl_table_swap(&table, k, text("1"), text("2"), 0, 1), CELLO_ENOENT);
    assert_int_equal(set("k", "1"), CELLO_OK);
    assert_int_equal(cl_table_swap(&table, k, text("0"), text("2"), 0, 1), CELLO_EEXIST);
    assert_int_equal(cl_table_swap(&table, k, text("11"), text("2"), 0, 1), CELLO_EEXIST);
    assert_value("k", 1, "1");
    assert_int_equal(cl_table_swap(&table, k, text("1"), text("2"), 5, 1), CELLO_OK);
    assert_value("k", 1, "2");
    assert_value("k", 5, NULL);
    assert_int_equal(cl_table_increment(&table, k, 12, 0, 5, &sum), CELLO_OK);
    assert_int_equal(cl_table_swap(&table, k, text("12"), text("x"), 0, 5), CELLO_OK);
    assert_value("k", 5, "x");
}

static void entries_expire_at_their_time(void **state) {
    (void)state;
    struct cl_str k = text("k");
    assert_int_equal(cl_table_set(&table, k, text("v"), 100, 1), CELLO_OK);
    assert_value("k", 99, "v");
    assert_value("k", 100, NULL);
    assert_int_equal(cl_table_set(&table, k, text("v"), 100, 1), CELLO_OK);
    assert_int_equal(cl_table_expire(&table, k, 200, 99), CELLO_OK);
    assert_value("k", 150, "v");
    assert_int_equal(cl_table_expire(&table, k, 0, 150), CELLO_OK);
    assert_value("k", UINT64_MAX, "v");
    assert_int_equal(cl_table_expire(&table, k, 10, 20), CELLO_OK); /* the past is now */
    assert_value("k", 20, NULL);
    assert_int_equal(cl_table_expire(&table, k, 300, 20), CELLO_ENOENT);
    assert_int_equal(cl_table_set(&table, k, text("v"), 100, 1), CELLO_OK);
    assert_int_equal(cl_table_add(&table, k, text("w"), 0, 100), CELLO_OK); /* expired: absent */
    assert_int_equal(set("k", "x"), CELLO_OK);
    assert_value("k", UINT64_MAX, "x"); /* set forgets the time */
}

static void numbers_count(void **state) {
    (void)state;
    struct cl_str k = text("k");
    int64_t sum;
    assert_int_equal(cl_table_increment(&table, k, 5, 100, 1, &sum), CELLO_OK);
    assert_int_equal(sum, 5);
    assert_int_equal(cl_table_increment(&table, k, -7, 900, 50, &sum), CELLO_OK);
    assert_int_equal(sum, -2);
    assert_value("k", 99, "-2");
    assert_int_equal(cl_table_increment(&table, k, 1, 0, 100, &sum), CELLO_OK); /* a new window */
    assert_int_equal(sum, 1);
    assert_int_equal(cl_table_set(&table, k, text("9223372036854775806"), 500, 1), CELLO_OK);
    assert_int_equal(cl_table_increment(&table, k, 1, 0, 1, &sum), CELLO_OK);
    assert_true(sum == INT64_MAX);
    assert_int_equal(cl_table_increment(&table, k, 1, 0, 1, &sum), CELLO_ELIMIT);
    assert_value("k", 499, "9223372036854775807");
    assert_value("k", 500, NULL); /* text that becomes a number keeps its time */
    static const char *const none[] = {
        "", "-", "x", "1x", "01", "-0", "+1", " 1", "9223372036854775808", "-9223372036854775809"};
    for (size_t i = 0; i < CL_ARRAY_LEN(none); i++) {
        assert_int_equal(set("k", none[i]), CELLO_OK);
        assert_int_equal(cl_table_increment(&table, k, 1, 0, 1, &sum), CELLO_ESTATE);
        assert_value("k", 1, none[i]);
    }
    assert_int_equal(set("k", "-9223372036854775808"), CELLO_OK);
    assert_int_equal(cl_table_increment(&table, k, 0, 0, 1, &sum), CELLO_OK);
    assert_true(sum == INT64_MIN);
}

static void values_of_all_lengths_come_back(void **state) {
    (void)state;
    static char value[CL_TABLE_VALUE_MAX], got[CL_TABLE_VALUE_MAX];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)(i * 31 + i / 251);
    char key[CL_TABLE_KEY_MAX];
    memset(key, 'k', sizeof key);
    static const size_t keys[] = {1, 87, 88, 89, 213, CL_TABLE_KEY_MAX};
    for (size_t k = 0; k < CL_ARRAY_LEN(keys); k++) {
        for (size_t n = 0; n < 700; n++) {
            size_t len;
            struct cl_str name = cl_str(key, keys[k]);
            assert_int_equal(cl_table_set(&table, name, cl_str(value, n), 0, 1), CELLO_OK);
            assert_int_equal(cl_table_get(&table, name, 1, got, sizeof got, &len), CELLO_OK);
            assert_int_equal(len, n);
            assert_memory_equal(got, value, n);
        }
    }
    struct cl_table_stats stats;
    cl_table_stats(&table, &stats);
    assert_int_equal(stats.entries, CL_ARRAY_LEN(keys)); /* one cell leaked would show below */
    cl_table_clear(&table);
    cl_table_stats(&table, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
}

static void limits_are_refused(void **state) {
    (void)state;
    static char big[CL_TABLE_VALUE_MAX + 1];
    char key[CL_TABLE_KEY_MAX + 1] = {0}, got[2];
    int64_t sum;
    size_t len;
    assert_int_equal(set("", "v"), CELLO_EINVAL);
    assert_int_equal(cl_table_increment(&table, text(""), 1, 0, 1, &sum), CELLO_EINVAL);
    assert_int_equal(cl_table_set(&table, cl_str(key, sizeof key), text("v"), 0, 1), CELLO_EINVAL);
    assert_int_equal(cl_table_set(&table, cl_str(key, CL_TABLE_KEY_MAX), text("v"), 0, 1),
                     CELLO_OK);
    assert_int_equal(cl_table_set(&table, text("k"), cl_str(big, sizeof big), 0, 1), CELLO_ELIMIT);
    assert_value("k", 1, NULL);
    assert_int_equal(cl_table_set(&table, text("k"), cl_str(big, sizeof big - 1), 0, 1), CELLO_OK);
    assert_int_equal(cl_table_get(&table, text("k"), 1, got, sizeof got, &len), CELLO_ELIMIT);
    assert_int_equal(len, CL_TABLE_VALUE_MAX);
}

static void fill_up(char *value, size_t n, unsigned count, uint64_t expires_ns) {
    char key[32];
    for (unsigned i = 0; i < count; i++) {
        struct cl_str k = cl_str(key, (size_t)snprintf(key, sizeof key, "fill %u", i));
        assert_int_equal(cl_table_set(&table, k, cl_str(value, n), expires_ns, 1), CELLO_OK);
    }
}

static void a_full_table_gives_up_what_is_not_used(void **state) {
    (void)state;
    static char value[1000];
    char got[8];
    size_t len;
    struct cl_table_stats stats;
    assert_int_equal(set("kept", "yes"), CELLO_OK);
    for (int i = 0; i < 100; i++) {
        fill_up(value, sizeof value, 100 + (unsigned)i, 0);
        assert_int_equal(cl_table_get(&table, text("kept"), 1, got, sizeof got, &len), CELLO_OK);
    }
    fill_up(value, sizeof value, 2000, 0);
    cl_table_stats(&table, &stats);
    assert_true(stats.evictions > 0);
    assert_true(stats.bytes <= stats.capacity);
    assert_true(stats.bytes > stats.capacity - 2 * sizeof value);
}

static void what_has_expired_goes_first(void **state) {
    (void)state;
    static char value[1000];
    struct cl_table_stats stats;
    fill_up(value, sizeof value, 800, 10);
    char key[32];
    for (int i = 0; i < 800; i++) {
        struct cl_str k = cl_str(key, (size_t)snprintf(key, sizeof key, "later %d", i));
        assert_int_equal(cl_table_set(&table, k, cl_str(value, sizeof value), 0, 10), CELLO_OK);
    }
    cl_table_stats(&table, &stats);
    assert_int_equal(stats.evictions, 0);
    for (int i = 0; i < 800; i++) {
        size_t len;
        struct cl_str k = cl_str(key, (size_t)snprintf(key, sizeof key, "later %d", i));
        assert_int_equal(cl_table_get(&table, k, 10, value, sizeof value, &len), CELLO_OK);
    }
}

static void the_largest_value_replaces_itself_in_a_full_table(void **state) {
    (void)state;
    static char big[CL_TABLE_VALUE_MAX];
    char small[100] = {0};
    fill_up(small, sizeof small, 10000, 0);
    for (int i = 0; i < 10; i++) {
        big[0] = (char)('a' + i);
        struct cl_str old = cl_str(big, sizeof big), k = text("big");
        assert_int_equal(cl_table_set(&table, k, old, 0, 1), CELLO_OK);
        assert_int_equal(cl_table_swap(&table, k, old, old, 0, 1), CELLO_OK);
    }
}

static void *count_up(void *unused) {
    (void)unused;
    int64_t sum;
    char key[8];
    for (int i = 0; i < 8000; i++) {
        struct cl_str k = cl_str(key, (size_t)snprintf(key, sizeof key, "n%d", i % 10));
        if (cl_table_increment(&table, k, 1, 0, 1, &sum))
            abort();
    }
    return NULL;
}

static void threads_agree(void **state) {
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < CL_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (size_t i = 0; i < CL_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_value("n0", 1, "3200");
    assert_value("n9", 1, "3200");
}

static void an_area_that_is_too_small_is_refused(void **state) {
    (void)state;
    size_t size;
    void *area = cl_segment_area(segment, CL_AREA_TABLE, &size);
    struct cl_table t;
    assert_int_equal(cl_table_make(area, CL_TABLE_BYTES_MIN - 1), CELLO_EINVAL);
    assert_int_equal(cl_table_make(NULL, 0), CELLO_EINVAL);
    assert_false(cl_table_open(&t, area, size / 2));
    assert_false(cl_table_open(&t, NULL, 0));
}

#define WITH_TABLE(f) cmocka_unit_test_setup_teardown(f, open_table, close_table)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_TABLE(what_is_set_is_there),
        WITH_TABLE(add_leaves_what_is_there),
        WITH_TABLE(swap_needs_the_expected_value),
        WITH_TABLE(entries_expire_at_their_time),
        WITH_TABLE(numbers_count),
        WITH_TABLE(values_of_all_lengths_come_back),
        WITH_TABLE(limits_are_refused),
        WITH_TABLE(a_full_table_gives_up_what_is_not_used),
        WITH_TABLE(what_has_expired_goes_first),
        WITH_TABLE(the_largest_value_replaces_itself_in_a_full_table),
        WITH_TABLE(threads_agree),
        WITH_TABLE(an_area_that_is_too_small_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
