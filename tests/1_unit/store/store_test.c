#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/counters.h"
#include "store/rings.h"
#include "store/table.h"

enum { RECORDS = 2 };

static struct cl_segment *made(const struct cello_store_config *config) {
    size_t sizes[CL_AREA_COUNT] = {0};
    struct cl_segment *s = NULL;
    assert_int_equal(cl_store_sizes(config, RECORDS, sizes), CELLO_OK);
    assert_int_equal(sizes[CL_AREA_MEMBERS], 0);
    assert_int_equal(cl_segment_new(&s, sizes), CELLO_OK);
    assert_int_equal(cl_store_make(s, config, RECORDS), CELLO_OK);
    return s;
}

static void all_areas_can_be_opened(void **state) {
    (void)state;
    struct cl_segment *s = made(&(struct cello_store_config){0});
    struct cl_table table;
    struct cl_counters counters;
    struct cl_rings rings;
    size_t size;
    void *area = cl_segment_area(s, CL_AREA_TABLE, &size);
    assert_int_equal(size, CL_STORE_TABLE_DEFAULT);
    assert_true(cl_table_open(&table, area, size));
    area = cl_segment_area(s, CL_AREA_COUNTERS, &size);
    assert_true(cl_counters_open(&counters, area, size, RECORDS - 1));
    area = cl_segment_area(s, CL_AREA_RINGS, &size);
    assert_true(cl_rings_open(&rings, area, size));
    assert_int_equal(rings.lane_bytes, CL_STORE_RING_DEFAULT);
    cl_store_close_descriptors(s);
    cl_segment_del(s);
}

/* Numbers of kinds, and numbers that lead far away, by chance. */
static void break_words(uint32_t *words, size_t count, uint32_t *chance) {
    for (size_t i = 0; i < count; i++) {
        *chance = *chance * 1664525 + 1013904223;
        words[i] = *chance >> 31 ? (uint32_t)CL_GAUGE : INT32_MAX;
    }
}

/* As the supervisor does for a worker that has gone. */
static void a_record_of_broken_memory_is_vacated(void **state) {
    (void)state;
    struct cl_segment *s = made(&(struct cello_store_config){0});
    size_t size;
    uint32_t *words = cl_segment_area(s, CL_AREA_COUNTERS, &size), chance = 1;
    size_t records_at = 0;
    while (words[records_at] != RECORDS)
        records_at++;
    break_words(words + records_at + 1, size / sizeof *words - records_at - 1, &chance);
    cl_store_vacate(s, 0);
    cl_store_vacate(s, RECORDS);
    break_words(words, size / sizeof *words, &chance);
    words = cl_segment_area(s, CL_AREA_RINGS, &size);
    cl_store_close_descriptors(s);
    break_words(words, size / sizeof *words, &chance);
    cl_store_vacate(s, 1);
    cl_segment_del(s);
}

static void descriptors_are_inherited_on_request_and_closed(void **state) {
    (void)state;
    struct cl_segment *s = made(&(struct cello_store_config){.ring_bytes = 70000});
    struct cl_rings rings;
    size_t size;
    void *area = cl_segment_area(s, CL_AREA_RINGS, &size);
    assert_true(cl_rings_open(&rings, area, size));
    assert_int_equal(rings.lane_bytes, 131072);
    int bell = cl_rings_bell(&rings, 1);
    cl_store_keep_descriptors(s, true);
    assert_int_equal(fcntl(bell, F_GETFD), 0);
    cl_store_keep_descriptors(s, false);
    assert_int_equal(fcntl(bell, F_GETFD), FD_CLOEXEC);
    cl_store_close_descriptors(s);
    assert_int_equal(fcntl(bell, F_GETFD), -1);
    cl_segment_del(s);
}

static void wrong_sizes_are_refused(void **state) {
    (void)state;
    size_t sizes[CL_AREA_COUNT] = {0};
    assert_int_equal(cl_store_sizes(&(struct cello_store_config){.table_bytes = 1000}, 2, sizes),
                     CELLO_EINVAL);
    assert_int_equal(
        cl_store_sizes(&(struct cello_store_config){.table_bytes = UINT64_MAX}, 2, sizes),
        CELLO_EINVAL);
    assert_int_equal(
        cl_store_sizes(&(struct cello_store_config){.ring_bytes = UINT64_MAX}, 2, sizes),
        CELLO_EINVAL);
    assert_int_equal(cl_store_sizes(&(struct cello_store_config){0}, 0, sizes), CELLO_EINVAL);
}

static void a_segment_without_a_store_has_none(void **state) {
    (void)state;
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = 100};
    struct cl_segment *s = NULL;
    assert_int_equal(cl_segment_new(&s, sizes), CELLO_OK);
    cl_store_keep_descriptors(s, true);
    cl_store_vacate(s, 0);
    cl_store_close_descriptors(s);
    assert_int_equal(cl_store_make(s, &(struct cello_store_config){0}, 2), CELLO_EINVAL);
    cl_segment_del(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_areas_can_be_opened),
        cmocka_unit_test(a_record_of_broken_memory_is_vacated),
        cmocka_unit_test(descriptors_are_inherited_on_request_and_closed),
        cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(a_segment_without_a_store_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
