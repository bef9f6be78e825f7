#include "support/shared_store.h"

void shared_store_open(struct shared_store *s, uint32_t records) {
    const struct cello_store_config config = {.table_bytes = 1 << 20, .ring_bytes = 64 << 10};
    size_t sizes[CL_AREA_COUNT] = {0}, size;
    assert_int_equal(cl_store_sizes(&config, records, sizes), CELLO_OK);
    assert_int_equal(cl_segment_new(&s->segment, sizes), CELLO_OK);
    assert_int_equal(cl_store_make(s->segment, &config, records), CELLO_OK);
    void *area = cl_segment_area(s->segment, CL_AREA_TABLE, &size);
    assert_true(cl_table_open(&s->table, area, size));
    area = cl_segment_area(s->segment, CL_AREA_RINGS, &size);
    assert_true(cl_rings_open(&s->rings, area, size));
}

void shared_store_close(struct shared_store *s) {
    cl_store_close_descriptors(s->segment);
    cl_segment_del(s->segment);
}
