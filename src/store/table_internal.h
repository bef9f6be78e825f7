/* The shards of a table and their cells: what the operations of table.c stand on.
 *
 * Everything here is called with the shard's lock in hand. What can be reached from the buckets
 * (bucket -> entry -> its `next`, and of each entry its cells by `more`) is the truth. It changes
 * by cl_publish alone. */
#ifndef CL_STORE_TABLE_INTERNAL_H
#define CL_STORE_TABLE_INTERNAL_H

#include <stdatomic.h>

#include "base/hash.h"
#include "store/lock.h"
#include "store/table.h"

enum { CELL = 128, CELL_BYTES = CELL - 4, ENTRY_BYTES = CELL - 40 };

/* Cells have numbers from 1; 0 is none. */
struct cl_cell {
    uint32_t more; /* the next one of the same entry, or of the free ones */
    char bytes[CELL_BYTES];
};

enum cl_entry_kind { CL_ENTRY_VALUE, CL_ENTRY_COUNT };

/* The first cell of an entry. Constant once published, but for the atomic fields and `used`. */
struct cl_entry {
    uint32_t more;
    _Atomic uint32_t next; /* entry of the same bucket */
    uint64_t hash;
    _Atomic uint64_t expires_ns; /* 0: never */
    _Atomic int64_t count;       /* the value, if that is the kind */
    uint32_t value_len;
    uint16_t key_len;
    uint8_t kind;
    uint8_t used; /* since the hand was last here */
    char bytes[ENTRY_BYTES];
};

_Static_assert(sizeof(struct cl_cell) == CELL && sizeof(struct cl_entry) == CELL,
               "an entry begins with a cell");
_Static_assert(offsetof(struct cl_cell, more) == offsetof(struct cl_entry, more),
               "both are linked alike");
_Static_assert(CL_TABLE_KEY_MAX <= UINT16_MAX, "its length is 16 bits");

struct cl_shard {
    _Alignas(128) struct cl_lock lock;
    /* All of these can be found again: cl_shard_repair. */
    uint32_t fresh;  /* cells 1 to fresh have been used at least once */
    uint32_t free;   /* first of those that are free again */
    uint32_t in_use; /* cells */
    uint32_t entries;
    uint32_t hand; /* the bucket that is looked at next */
    /* Only counted. */
    uint64_t evictions;
};

struct cl_table_area {
    struct cl_hash_key key;
    uint64_t shard_bytes;
    uint32_t cells;   /* of each shard */
    uint32_t buckets; /* of each shard, a power of two */
    uint32_t shards;  /* a power of two; 0: not made yet */
    struct cl_shard at[];
};

/* A shard with its memory, as this process sees it. */
struct cl_shard_view {
    struct cl_shard *shard;
    _Atomic uint32_t *buckets;
    uint8_t *marks; /* a bit for each cell, for the repair alone */
    struct cl_cell *cells;
    uint32_t cell_count;
    uint32_t bucket_mask;
};

static inline struct cl_entry *cl_entry_at(const struct cl_shard_view *s, uint32_t cell) {
    return (struct cl_entry *)(void *)&s->cells[cell];
}

static inline uint32_t cl_link_get(const _Atomic uint32_t *link) {
    return atomic_load_explicit(link, memory_order_relaxed);
}

/* The change: everything before it is in memory before it, everything after it, after it. Both only
 * for the eyes of who comes after our death, hence no more than an order of instructions. */
static inline void cl_publish(_Atomic uint32_t *link, uint32_t cell) {
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(link, cell, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline bool cl_entry_is_expired(const struct cl_entry *e, uint64_t now_ns) {
    uint64_t at = atomic_load_explicit(&e->expires_ns, memory_order_relaxed);
    return at && at <= now_ns;
}

/* Cells that an entry of so many bytes of key and value takes. */
static inline uint32_t cl_cells_for(size_t bytes) {
    if (bytes <= ENTRY_BYTES)
        return 1;
    return 1 + (uint32_t)((bytes - ENTRY_BYTES + CELL_BYTES - 1) / CELL_BYTES);
}

/* Where bytes of an entry are written or read, in turn. */
struct cl_entry_cursor {
    const struct cl_shard_view *shard;
    char *at;
    size_t left; /* in this cell */
    uint32_t more;
};

struct cl_entry_cursor cl_entry_cursor(const struct cl_shard_view *s, struct cl_entry *e);
void cl_entry_write(struct cl_entry_cursor *c, struct cl_str bytes);
void cl_entry_read(struct cl_entry_cursor *c, char *to, size_t n);
void cl_entry_skip(struct cl_entry_cursor *c, size_t n);
/* Goes on behind them only if they are equal. */
bool cl_entry_equals(struct cl_entry_cursor *c, struct cl_str bytes);

/* A chain of so many cells, of those that cl_shard_reserve has made sure of; to be published. */
struct cl_entry *cl_entry_take(const struct cl_shard_view *s, uint32_t cells, uint32_t *cell);

/* The entry at the link is not any more; its cells are free. */
void cl_entry_unlink(const struct cl_shard_view *s, _Atomic uint32_t *link);
/* The same of an entry that no link leads to. */
void cl_entry_free(const struct cl_shard_view *s, uint32_t cell);

/* So many cells are free afterwards, at the cost of any entry but `keep` (its cell, or 0). */
void cl_shard_reserve(const struct cl_shard_view *s, uint32_t cells, uint32_t keep,
                      uint64_t now_ns);
/* Makes whole what one who died has left. It may be killed, too, and begun again. */
void cl_shard_repair(const struct cl_shard_view *s);

#endif
