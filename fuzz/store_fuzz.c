/* The table and the rings do what a simple model says, whatever the order of operations. Each one
 * is three bytes: what, on which key, with what. Nothing is evicted: what all keys can hold fits.
 */
#include "store/table.h"

#include <stdio.h>

#include "check.h"
#include "store/rings.h"
#include "store/segment.h"

enum { KEYS = 16, VALUE_MAX = 255 * 16, RECORDS = 2, MESSAGES = 4096 };

struct entry {
    bool there;
    uint64_t expires_ns;
    size_t len;
    char value[VALUE_MAX];
};

static struct cl_table table;
static struct cl_rings rings;
static struct entry model[KEYS];
static uint64_t now_ns;

static void open_once(void) {
    static struct cl_segment *segment;
    const size_t sizes[CL_AREA_COUNT] = {
        [CL_AREA_TABLE] = CL_TABLE_BYTES_MIN,
        [CL_AREA_RINGS] = cl_rings_size(RECORDS, CL_RING_BYTES_MIN),
    };
    size_t n;
    if (segment)
        return;
    CHECK(cl_segment_new(&segment, sizes) == CELLO_OK);
    void *area = cl_segment_area(segment, CL_AREA_TABLE, &n);
    CHECK(cl_table_make(area, n) == CELLO_OK && cl_table_open(&table, area, n));
    area = cl_segment_area(segment, CL_AREA_RINGS, &n);
    CHECK(cl_rings_make(area, n, RECORDS, CL_RING_BYTES_MIN) == CELLO_OK &&
          cl_rings_open(&rings, area, n));
}

/* Keys of different lengths, some of more than one cell. */
static struct cl_str key_of(unsigned k, char text[KEYS * 64]) {
    size_t len = 1 + k * 40;
    memset(text, 'a' + (int)k, len);
    return cl_str(text, len);
}

static struct cl_str value_of(uint8_t with, char text[VALUE_MAX]) {
    if (with < 64) /* a number */
        return cl_str(text, (size_t)snprintf(text, VALUE_MAX, "%d", with - 32));
    memset(text, with, (size_t)with * 16);
    return cl_str(text, (size_t)with * 16);
}

static void check_value(unsigned k) {
    char key[KEYS * 64], got[VALUE_MAX];
    size_t len;
    const struct entry *e = &model[k];
    int err = cl_table_get(&table, key_of(k, key), now_ns, got, sizeof got, &len);
    CHECK(err == (e->there ? CELLO_OK : CELLO_ENOENT));
    CHECK(err || (len == e->len && memcmp(got, e->value, len) == 0));
}

static void model_set(struct entry *e, struct cl_str value, uint64_t expires_ns) {
    e->there = true;
    e->expires_ns = expires_ns;
    e->len = value.len;
    memcpy(e->value, value.ptr, value.len);
}

static void increment(struct cl_str key, struct entry *e, int8_t by, uint64_t expires_ns) {
    char text[32], *end = text;
    int64_t sum = 0;
    int err = cl_table_increment(&table, key, by, expires_ns, now_ns, &sum);
    size_t n = e->there && e->len < sizeof text ? e->len : 0;
    memcpy(text, e->value, n);
    text[n] = 0;
    long long old = strtoll(text, &end, 10);
    if (e->there && (!n || *end)) {
        CHECK(err == CELLO_ESTATE);
        return;
    }
    CHECK(err == CELLO_OK && sum == (e->there ? old : 0) + by);
    n = (size_t)snprintf(text, sizeof text, "%lld", (long long)sum);
    model_set(e, cl_str(text, n), e->there ? e->expires_ns : expires_ns);
}

static void operate(uint8_t what, uint8_t on, uint8_t with) {
    static const int absent_or[] = {CELLO_ENOENT, CELLO_OK};
    char key_text[KEYS * 64], value_text[VALUE_MAX];
    unsigned k = on % KEYS, other = on / KEYS;
    struct cl_str key = key_of(k, key_text), value = value_of(with, value_text);
    struct entry *e = &model[k];
    uint64_t expires_ns = what & 8 ? now_ns + with : 0;
    switch (what & 7) {
    case 0: CHECK(cl_table_set(&table, key, value, expires_ns, now_ns) == CELLO_OK); break;
    case 1:
        CHECK(cl_table_add(&table, key, value, expires_ns, now_ns) ==
              (e->there ? CELLO_EEXIST : CELLO_OK));
        if (e->there)
            return;
        break;
    case 2:
        CHECK(cl_table_delete(&table, key, now_ns) == absent_or[e->there]);
        e->there = false;
        return;
    case 3: increment(key, e, (int8_t)with, expires_ns); return;
    case 4: {
        struct cl_str expected = cl_str(model[other].value, model[other].len);
        bool equal = e->there && cl_str_eq(expected, cl_str(e->value, e->len));
        CHECK(cl_table_swap(&table, key, expected, value, expires_ns, now_ns) ==
              (equal                 ? CELLO_OK
               : absent_or[e->there] ? CELLO_ENOENT
                                     : CELLO_EEXIST));
        if (!equal)
            return;
        break;
    }
    case 5:
        CHECK(cl_table_expire(&table, key, expires_ns, now_ns) == absent_or[e->there]);
        e->expires_ns = expires_ns;
        return;
    case 6: now_ns += with; return;
    default: check_value(k); return;
    }
    model_set(e, value, expires_ns);
}

static void forget_expired(void) {
    for (unsigned k = 0; k < KEYS; k++)
        if (model[k].there && model[k].expires_ns && model[k].expires_ns <= now_ns)
            model[k].there = false;
}

static void check_table(const uint8_t *data, size_t size) {
    struct cl_table_stats stats;
    for (unsigned k = 0; k < KEYS; k++)
        model[k].there = false;
    now_ns = 1;
    for (size_t i = 0; i + 2 < size; i += 3) {
        operate(data[i], data[i + 1], data[i + 2]);
        forget_expired();
    }
    for (unsigned k = 0; k < KEYS; k++) {
        char key[KEYS * 64];
        check_value(k);
        CHECK(cl_table_delete(&table, key_of(k, key), now_ns) ==
              (model[k].there ? CELLO_OK : CELLO_ENOENT));
    }
    cl_table_stats(&table, &stats);
    CHECK(stats.evictions == 0 && stats.entries == 0 && stats.bytes == 0);
}

/* Messages of both records: bit 0 says whose, the rest is for length and contents. 0: read. */
static void check_rings(const uint8_t *data, size_t size) {
    struct cl_ring_reader *reader = NULL;
    struct cl_ring_item item;
    static char message[2048], got[2048];
    uint64_t published[RECORDS] = {0}, seen[RECORDS] = {0};
    CHECK(cl_ring_reader_new(&reader, &rings, 0) == CELLO_OK);
    for (size_t i = 0; i <= size; i++) {
        uint8_t byte = i < size ? data[i] : 0;
        if (byte) {
            size_t len = (size_t)byte * byte / 32;
            memset(message, byte, len);
            int err = cl_rings_publish(&rings, byte & 1, cl_str("topic!topic!", 1 + byte % 12u),
                                       byte, cl_str(message, len));
            CHECK(err == (len + 1 + byte % 12u > rings.message_max ? CELLO_ELIMIT : CELLO_OK));
            published[byte & 1] += !err;
            continue;
        }
        while (cl_ring_reader_next(reader, &item)) {
            CHECK(item.message_len == (size_t)item.kind * item.kind / 32 &&
                  item.record == (item.kind & 1) && item.topic.len == 1 + item.kind % 12);
            CHECK(cl_ring_reader_copy(reader, got));
            memset(message, (int)item.kind, item.message_len);
            CHECK(memcmp(got, message, item.message_len) == 0);
            seen[item.record] += 1 + item.lost;
        }
        for (unsigned r = 0; r < RECORDS; r++)
            CHECK(seen[r] == published[r]);
    }
    cl_ring_reader_del(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_once();
    if (size > 3 * MESSAGES)
        return 0;
    check_table(data, size);
    check_rings(data, size);
    return 0;
}
