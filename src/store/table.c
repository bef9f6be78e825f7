/* The operations. Each finds the entry, decides, makes room if it needs any (which may take away
 * any other entry, so that links are looked up again), and publishes. */
#include "store/table_internal.h"

#include <stdio.h>

enum { SHARD_BYTES = 1 << 20, SHARDS_MAX = 4096 };

/* ---- layout ---- */

static uint32_t power_below(uint64_t n) {
    uint32_t power = 1;
    while (power <= n / 2 && power < 1u << 31)
        power *= 2;
    return power;
}

static size_t before_cells(uint32_t cells, uint32_t buckets) {
    size_t n = buckets * sizeof(uint32_t) + cells / 8 + 1;
    return (n + CELL - 1) & ~(size_t)(CELL - 1);
}

int cl_table_make(void *memory, size_t size) {
    struct cl_table_area *area = memory;
    if (!area || size < CL_TABLE_BYTES_MIN)
        return CELLO_EINVAL;
    uint32_t shards = CL_MIN(power_below(size / SHARD_BYTES), SHARDS_MAX);
    size_t room = size - sizeof *area - shards * sizeof area->at[0];
    area->shard_bytes = room / shards & ~(size_t)(CELL - 1);
    /* A cell takes itself, a bucket at most, and a bit; and there is no cell 0. */
    uint64_t cells = (area->shard_bytes - 2 * CELL) / (CELL + sizeof(uint32_t) + 1) - 1;
    area->cells = (uint32_t)CL_MIN(cells, UINT32_MAX / 2);
    area->buckets = power_below(area->cells);
    cl_hash_key_init(&area->key);
    for (uint32_t i = 0; i < shards; i++)
        cl_lock_init(&area->at[i].lock);
    area->shards = shards;
    return CELLO_OK;
}

bool cl_table_open(struct cl_table *t, void *memory, size_t size) {
    struct cl_table_area *area = memory;
    if (!area || size < sizeof *area || !area->shards)
        return false;
    size_t heads = sizeof *area + area->shards * sizeof area->at[0];
    if (size < heads || (size - heads) / area->shards < area->shard_bytes)
        return false;
    *t = (struct cl_table){.area = area, .memory = (char *)memory + heads};
    return true;
}

static struct cl_shard_view view_of(const struct cl_table *t, uint32_t i) {
    const struct cl_table_area *area = t->area;
    char *memory = t->memory + i * area->shard_bytes;
    return (struct cl_shard_view){
        .shard = &t->area->at[i],
        .buckets = (_Atomic uint32_t *)(void *)memory,
        .marks = (uint8_t *)memory + area->buckets * sizeof(uint32_t),
        /* Cell 0 is not there; its place is never touched. */
        .cells = (struct cl_cell *)(void *)(memory + before_cells(area->cells, area->buckets)),
        .cell_count = area->cells,
        .bucket_mask = area->buckets - 1,
    };
}

/* ---- an operation on a key ---- */

struct operation {
    struct cl_shard_view s;
    struct cl_str key;
    uint64_t hash;
    uint64_t now_ns;
};

static void lock_shard(const struct cl_shard_view *s) {
    if (CL_UNLIKELY(cl_lock_take(&s->shard->lock)))
        cl_shard_repair(s);
}

static int begin(struct operation *op, const struct cl_table *t, struct cl_str key,
                 uint64_t now_ns) {
    if (!key.len || key.len > CL_TABLE_KEY_MAX)
        return CELLO_EINVAL;
    uint64_t hash = cl_hash_bytes(&t->area->key, key.ptr, key.len);
    *op = (struct operation){
        .s = view_of(t, (uint32_t)(hash >> 32) & (t->area->shards - 1)),
        .key = key,
        .hash = hash,
        .now_ns = now_ns,
    };
    lock_shard(&op->s);
    return CELLO_OK;
}

static int end(const struct operation *op, int err) {
    cl_lock_give(&op->s.shard->lock);
    return err;
}

static bool is_key(const struct operation *op, struct cl_entry *e) {
    if (e->hash != op->hash || e->key_len != op->key.len)
        return false;
    struct cl_entry_cursor c = cl_entry_cursor(&op->s, e);
    return cl_entry_equals(&c, op->key);
}

/* The link that leads to the key's entry; NULL: no such key. What has expired goes. */
static _Atomic uint32_t *find(const struct operation *op) {
    _Atomic uint32_t *link = &op->s.buckets[op->hash & op->s.bucket_mask];
    uint32_t cell;
    while ((cell = cl_link_get(link)) != 0) {
        struct cl_entry *e = cl_entry_at(&op->s, cell);
        if (is_key(op, e)) {
            if (!cl_entry_is_expired(e, op->now_ns))
                return link;
            cl_entry_unlink(&op->s, link);
            return NULL;
        }
        link = &e->next;
    }
    return NULL;
}

static struct cl_entry *entry_of(const struct operation *op, const _Atomic uint32_t *link) {
    return cl_entry_at(&op->s, cl_link_get(link));
}

/* Begins with the key's entry, which counts as used. CELLO_ENOENT: there is none; nothing was
 * begun. */
static int begin_use(struct operation *op, const struct cl_table *t, struct cl_str key,
                     uint64_t now_ns, struct cl_entry **out) {
    int err = begin(op, t, key, now_ns);
    if (err)
        return err;
    const _Atomic uint32_t *link = find(op);
    if (!link)
        return end(op, CELLO_ENOENT);
    *out = entry_of(op, link);
    (*out)->used = 1;
    return CELLO_OK;
}

/* ---- values ---- */

struct value {
    enum cl_entry_kind kind;
    struct cl_str bytes;
    int64_t count;
    uint64_t expires_ns;
};

static void fill(const struct operation *op, struct cl_entry *e, const struct value *v) {
    e->hash = op->hash;
    atomic_store_explicit(&e->expires_ns, v->expires_ns, memory_order_relaxed);
    atomic_store_explicit(&e->count, v->count, memory_order_relaxed);
    e->value_len = (uint32_t)v->bytes.len;
    e->key_len = (uint16_t)op->key.len;
    e->kind = (uint8_t)v->kind;
    e->used = 1;
    struct cl_entry_cursor c = cl_entry_cursor(&op->s, e);
    cl_entry_write(&c, op->key);
    cl_entry_write(&c, v->bytes);
}

/* A new entry for the key, in the place of the one at `link` if that is not NULL. */
static void put(const struct operation *op, _Atomic uint32_t *link, const struct value *v) {
    const struct cl_shard_view *s = &op->s;
    uint32_t cells = cl_cells_for(op->key.len + v->bytes.len), cell;
    cl_shard_reserve(s, cells, link ? cl_link_get(link) : 0, op->now_ns);
    struct cl_entry *e = cl_entry_take(s, cells, &cell);
    fill(op, e, v);
    link = link ? find(op) : NULL; /* what led to it may have gone */
    if (link) {
        uint32_t old = cl_link_get(link);
        uint32_t next = cl_link_get(&cl_entry_at(s, old)->next);
        atomic_store_explicit(&e->next, next, memory_order_relaxed);
        cl_publish(link, cell);
        cl_entry_free(s, old);
    } else {
        link = &s->buckets[op->hash & s->bucket_mask];
        atomic_store_explicit(&e->next, cl_link_get(link), memory_order_relaxed);
        cl_publish(link, cell);
    }
}

static size_t digits_of(const struct cl_entry *e, char digits[CL_TABLE_NUMBER_MAX + 1]) {
    long long count = (long long)atomic_load_explicit(&e->count, memory_order_relaxed);
    return (size_t)snprintf(digits, CL_TABLE_NUMBER_MAX + 1, "%lld", count);
}

/* Where the value begins. */
static struct cl_entry_cursor value_cursor(const struct operation *op, struct cl_entry *e) {
    struct cl_entry_cursor c = cl_entry_cursor(&op->s, e);
    cl_entry_skip(&c, e->key_len);
    return c;
}

static bool value_equals(const struct operation *op, struct cl_entry *e, struct cl_str expected) {
    char digits[CL_TABLE_NUMBER_MAX + 1];
    if (e->kind == CL_ENTRY_COUNT)
        return cl_str_eq(cl_str(digits, digits_of(e, digits)), expected);
    struct cl_entry_cursor c = value_cursor(op, e);
    return e->value_len == expected.len && cl_entry_equals(&c, expected);
}

static int copy_value(const struct operation *op, struct cl_entry *e, char *to, size_t room,
                      size_t *len) {
    char digits[CL_TABLE_NUMBER_MAX + 1];
    bool is_count = e->kind == CL_ENTRY_COUNT;
    *len = is_count ? digits_of(e, digits) : e->value_len;
    if (*len > room)
        return CELLO_ELIMIT;
    if (is_count) {
        memcpy(to, digits, *len);
    } else {
        struct cl_entry_cursor c = value_cursor(op, e);
        cl_entry_read(&c, to, *len);
    }
    return CELLO_OK;
}

/* ---- get, set, add, delete, swap, expire ---- */

int cl_table_get(const struct cl_table *t, struct cl_str key, uint64_t now_ns, void *to,
                 size_t room, size_t *len) {
    struct operation op;
    struct cl_entry *e;
    int err = begin_use(&op, t, key, now_ns, &e);
    if (err)
        return err;
    return end(&op, copy_value(&op, e, to, room, len));
}

static int begin_write(struct operation *op, const struct cl_table *t, struct cl_str key,
                       struct cl_str value, uint64_t now_ns) {
    return value.len > CL_TABLE_VALUE_MAX ? CELLO_ELIMIT : begin(op, t, key, now_ns);
}

int cl_table_set(const struct cl_table *t, struct cl_str key, struct cl_str value,
                 uint64_t expires_ns, uint64_t now_ns) {
    struct operation op;
    int err = begin_write(&op, t, key, value, now_ns);
    if (err)
        return err;
    put(&op, find(&op), &(struct value){.bytes = value, .expires_ns = expires_ns});
    return end(&op, CELLO_OK);
}

int cl_table_add(const struct cl_table *t, struct cl_str key, struct cl_str value,
                 uint64_t expires_ns, uint64_t now_ns) {
    struct operation op;
    int err = begin_write(&op, t, key, value, now_ns);
    if (err)
        return err;
    if (find(&op))
        return end(&op, CELLO_EEXIST);
    put(&op, NULL, &(struct value){.bytes = value, .expires_ns = expires_ns});
    return end(&op, CELLO_OK);
}

int cl_table_delete(const struct cl_table *t, struct cl_str key, uint64_t now_ns) {
    struct operation op;
    int err = begin(&op, t, key, now_ns);
    if (err)
        return err;
    _Atomic uint32_t *link = find(&op);
    if (link)
        cl_entry_unlink(&op.s, link);
    return end(&op, link ? CELLO_OK : CELLO_ENOENT);
}

int cl_table_swap(const struct cl_table *t, struct cl_str key, struct cl_str expected,
                  struct cl_str value, uint64_t expires_ns, uint64_t now_ns) {
    struct operation op;
    int err = begin_write(&op, t, key, value, now_ns);
    if (err)
        return err;
    _Atomic uint32_t *link = find(&op);
    if (!link)
        return end(&op, CELLO_ENOENT);
    if (!value_equals(&op, entry_of(&op, link), expected))
        return end(&op, CELLO_EEXIST);
    put(&op, link, &(struct value){.bytes = value, .expires_ns = expires_ns});
    return end(&op, CELLO_OK);
}

int cl_table_expire(const struct cl_table *t, struct cl_str key, uint64_t expires_ns,
                    uint64_t now_ns) {
    struct operation op;
    struct cl_entry *e;
    int err = begin_use(&op, t, key, now_ns, &e);
    if (err)
        return err;
    atomic_store_explicit(&e->expires_ns, expires_ns, memory_order_relaxed);
    return end(&op, CELLO_OK);
}

/* ---- numbers ---- */

/* Only as this file would write it: no blanks, no "+", no zeros in front. False: none. */
static bool parse_number(const char *p, size_t n, int64_t *out) {
    bool negative = n && *p == '-';
    if (negative)
        p++, n--;
    if (!n || n > CL_TABLE_NUMBER_MAX - 1 || (*p == '0' && (n > 1 || negative)))
        return false;
    uint64_t value = 0;
    for (; n; p++, n--) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

static bool count_of(const struct operation *op, struct cl_entry *e, int64_t *out) {
    if (e->kind == CL_ENTRY_COUNT) {
        *out = atomic_load_explicit(&e->count, memory_order_relaxed);
        return true;
    }
    char digits[CL_TABLE_NUMBER_MAX];
    if (e->value_len > sizeof digits)
        return false;
    struct cl_entry_cursor c = value_cursor(op, e);
    cl_entry_read(&c, digits, e->value_len);
    return parse_number(digits, e->value_len, out);
}

static int increment(const struct operation *op, int64_t by, uint64_t expires_ns, int64_t *sum) {
    _Atomic uint32_t *link = find(op);
    if (!link) {
        *sum = by;
        put(op, NULL,
            &(struct value){.kind = CL_ENTRY_COUNT, .count = by, .expires_ns = expires_ns});
        return CELLO_OK;
    }
    struct cl_entry *e = entry_of(op, link);
    int64_t count;
    if (!count_of(op, e, &count))
        return CELLO_ESTATE;
    if (__builtin_add_overflow(count, by, sum))
        return CELLO_ELIMIT;
    e->used = 1;
    if (e->kind == CL_ENTRY_COUNT) {
        atomic_store_explicit(&e->count, *sum, memory_order_relaxed);
        return CELLO_OK;
    }
    put(op, link,
        &(struct value){
            .kind = CL_ENTRY_COUNT,
            .count = *sum,
            .expires_ns = atomic_load_explicit(&e->expires_ns, memory_order_relaxed),
        });
    return CELLO_OK;
}

int cl_table_increment(const struct cl_table *t, struct cl_str key, int64_t by, uint64_t expires_ns,
                       uint64_t now_ns, int64_t *sum) {
    struct operation op;
    int err = begin(&op, t, key, now_ns);
    return err ? err : end(&op, increment(&op, by, expires_ns, sum));
}

/* ---- the whole ---- */

void cl_table_clear(const struct cl_table *t) {
    for (uint32_t i = 0; i < t->area->shards; i++) {
        struct cl_shard_view s = view_of(t, i);
        lock_shard(&s);
        for (uint32_t k = 0; k <= s.bucket_mask; k++)
            while (cl_link_get(&s.buckets[k]))
                cl_entry_unlink(&s, &s.buckets[k]);
        cl_lock_give(&s.shard->lock);
    }
}

void cl_table_stats(const struct cl_table *t, struct cl_table_stats *out) {
    *out = (struct cl_table_stats){
        .capacity = (uint64_t)t->area->shards * t->area->cells * CELL,
    };
    for (uint32_t i = 0; i < t->area->shards; i++) {
        struct cl_shard_view s = view_of(t, i);
        lock_shard(&s);
        out->entries += s.shard->entries;
        out->bytes += (uint64_t)s.shard->in_use * CELL;
        out->evictions += s.shard->evictions;
        cl_lock_give(&s.shard->lock);
    }
}
