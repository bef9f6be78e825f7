/* The public face of the table: times from now, of one clock. */
#include "store/shared.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/segment.h"

_Static_assert((int)CELLO_STORE_KEY_MAX == (int)CL_TABLE_KEY_MAX &&
                   (int)CELLO_STORE_VALUE_MAX == (int)CL_TABLE_VALUE_MAX,
               "said to the public as they are");

int cello_store_open(struct cl_store **out, struct cl_segment *segment, uint32_t record) {
    struct cl_store *s = cl_calloc(1, sizeof *s);
    if (!s)
        return CELLO_ENOMEM;
    size_t table_size, rings_size;
    void *table = cl_segment_area(segment, CL_AREA_TABLE, &table_size);
    void *rings = cl_segment_area(segment, CL_AREA_RINGS, &rings_size);
    if (!cl_table_open(&s->table, table, table_size) ||
        !cl_rings_open(&s->rings, rings, rings_size) || record >= s->rings.records) {
        cl_free(s);
        return CELLO_ENOENT;
    }
    s->record = record;
    cl_hub_init(&s->hub);
    *out = s;
    return CELLO_OK;
}

void cello_store_close(struct cl_store *s) {
    if (!s)
        return;
    cl_hub_free(&s->hub);
    cl_free(s);
}

/* The end of so long from now. */
static uint64_t end_of(uint64_t in_ns, uint64_t now_ns) {
    if (!in_ns)
        return 0;
    return in_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + in_ns;
}

int cello_store_get(const struct cl_store *s, struct cl_str key, void *to, size_t room,
                    size_t *len) {
    return cl_table_get(&s->table, key, cl_now_ns(), to, room, len);
}

int cello_store_set(const struct cl_store *s, struct cl_str key, struct cl_str value,
                    uint64_t expires_in_ns) {
    uint64_t now_ns = cl_now_ns();
    return cl_table_set(&s->table, key, value, end_of(expires_in_ns, now_ns), now_ns);
}

int cello_store_add(const struct cl_store *s, struct cl_str key, struct cl_str value,
                    uint64_t expires_in_ns) {
    uint64_t now_ns = cl_now_ns();
    return cl_table_add(&s->table, key, value, end_of(expires_in_ns, now_ns), now_ns);
}

int cello_store_delete(const struct cl_store *s, struct cl_str key) {
    return cl_table_delete(&s->table, key, cl_now_ns());
}

int cello_store_increment(const struct cl_store *s, struct cl_str key, int64_t by,
                          uint64_t expires_in_ns, int64_t *sum) {
    uint64_t now_ns = cl_now_ns();
    return cl_table_increment(&s->table, key, by, end_of(expires_in_ns, now_ns), now_ns, sum);
}

int cello_store_swap(const struct cl_store *s, struct cl_str key, struct cl_str expected,
                     struct cl_str value, uint64_t expires_in_ns) {
    uint64_t now_ns = cl_now_ns();
    return cl_table_swap(&s->table, key, expected, value, end_of(expires_in_ns, now_ns), now_ns);
}

int cello_store_expire(const struct cl_store *s, struct cl_str key, uint64_t expires_in_ns) {
    uint64_t now_ns = cl_now_ns();
    return cl_table_expire(&s->table, key, end_of(expires_in_ns, now_ns), now_ns);
}

void cello_store_clear(const struct cl_store *s) {
    cl_table_clear(&s->table);
}

void cello_store_stats(const struct cl_store *s, struct cello_store_stats *out) {
    struct cl_table_stats stats;
    cl_table_stats(&s->table, &stats);
    *out = (struct cello_store_stats){
        .entries = stats.entries,
        .bytes = stats.bytes,
        .capacity = stats.capacity,
        .evictions = stats.evictions,
    };
}
