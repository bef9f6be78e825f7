#include "store/store.h"

#include "store/counters.h"
#include "store/rings.h"
#include "store/table.h"

static size_t or_default(uint64_t bytes, size_t otherwise) {
    return bytes ? (size_t)bytes : otherwise;
}

static size_t ring_bytes_of(const struct cello_store_config *config) {
    return or_default(config->ring_bytes, CL_STORE_RING_DEFAULT);
}

int cl_store_sizes(const struct cello_store_config *config, uint32_t records,
                   size_t sizes[CL_AREA_COUNT]) {
    size_t table = or_default(config->table_bytes, CL_STORE_TABLE_DEFAULT);
    if (!records || table < CL_TABLE_BYTES_MIN || table > (size_t)INT64_MAX ||
        ring_bytes_of(config) > CL_RING_BYTES_MAX)
        return CELLO_EINVAL;
    sizes[CL_AREA_TABLE] = table;
    sizes[CL_AREA_COUNTERS] = cl_counters_size(records);
    sizes[CL_AREA_RINGS] = cl_rings_size(records, ring_bytes_of(config));
    return CELLO_OK;
}

int cl_store_make(struct cl_segment *s, const struct cello_store_config *config, uint32_t records) {
    size_t size;
    void *area = cl_segment_area(s, CL_AREA_TABLE, &size);
    int err = cl_table_make(area, size);
    if (err)
        return err;
    area = cl_segment_area(s, CL_AREA_COUNTERS, &size);
    err = cl_counters_make(area, size, records);
    if (err)
        return err;
    area = cl_segment_area(s, CL_AREA_RINGS, &size);
    return cl_rings_make(area, size, records, ring_bytes_of(config));
}

static bool rings_of(const struct cl_segment *s, struct cl_rings *r) {
    size_t size;
    void *area = cl_segment_area(s, CL_AREA_RINGS, &size);
    return cl_rings_open(r, area, size);
}

void cl_store_keep_descriptors(const struct cl_segment *s, bool keep) {
    struct cl_rings r;
    if (rings_of(s, &r))
        cl_rings_keep_bells(&r, keep);
}

void cl_store_close_descriptors(const struct cl_segment *s) {
    struct cl_rings r;
    if (rings_of(s, &r))
        cl_rings_close_bells(&r);
}

void cl_store_vacate(const struct cl_segment *s, uint32_t record) {
    struct cl_rings r;
    struct cl_counters c;
    size_t size;
    void *area = cl_segment_area(s, CL_AREA_COUNTERS, &size);
    if (rings_of(s, &r) && record < r.records)
        cl_rings_vacate(&r, record);
    if (cl_counters_open(&c, area, size, record))
        cl_counters_vacate(&c, record);
}
