/* Cells: where entries lie, how room is made, and what is done when a holder of the lock has died.
 */
#include "store/table_internal.h"

/* ---- bytes ---- */

struct cl_entry_cursor cl_entry_cursor(const struct cl_shard_view *s, struct cl_entry *e) {
    return (struct cl_entry_cursor){
        .shard = s,
        .at = e->bytes,
        .left = ENTRY_BYTES,
        .more = e->more,
    };
}

/* How many of `n` bytes lie here. */
static size_t piece(struct cl_entry_cursor *c, size_t n) {
    if (!c->left) {
        struct cl_cell *cell = &c->shard->cells[c->more];
        c->at = cell->bytes;
        c->left = CELL_BYTES;
        c->more = cell->more;
    }
    return CL_MIN(n, c->left);
}

static void advance(struct cl_entry_cursor *c, size_t n) {
    c->at += n;
    c->left -= n;
}

void cl_entry_write(struct cl_entry_cursor *c, struct cl_str bytes) {
    while (bytes.len) {
        size_t n = piece(c, bytes.len);
        memcpy(c->at, bytes.ptr, n);
        advance(c, n);
        bytes = cl_str(bytes.ptr + n, bytes.len - n);
    }
}

void cl_entry_read(struct cl_entry_cursor *c, char *to, size_t n) {
    while (n) {
        size_t here = piece(c, n);
        memcpy(to, c->at, here);
        advance(c, here);
        to += here;
        n -= here;
    }
}

void cl_entry_skip(struct cl_entry_cursor *c, size_t n) {
    while (n) {
        size_t here = piece(c, n);
        advance(c, here);
        n -= here;
    }
}

bool cl_entry_equals(struct cl_entry_cursor *c, struct cl_str bytes) {
    while (bytes.len) {
        size_t n = piece(c, bytes.len);
        if (memcmp(c->at, bytes.ptr, n) != 0)
            return false;
        advance(c, n);
        bytes = cl_str(bytes.ptr + n, bytes.len - n);
    }
    return true;
}

/* ---- cells ---- */

void cl_entry_free(const struct cl_shard_view *s, uint32_t cell) {
    struct cl_shard *shard = s->shard;
    uint32_t last = cell, count = 1;
    while (s->cells[last].more) {
        last = s->cells[last].more;
        count++;
    }
    s->cells[last].more = shard->free;
    shard->free = cell;
    shard->in_use -= count;
    shard->entries--;
}

void cl_entry_unlink(const struct cl_shard_view *s, _Atomic uint32_t *link) {
    uint32_t cell = cl_link_get(link);
    cl_publish(link, cl_link_get(&cl_entry_at(s, cell)->next));
    cl_entry_free(s, cell);
}

static uint32_t take_cell(const struct cl_shard_view *s) {
    struct cl_shard *shard = s->shard;
    uint32_t cell = shard->free;
    if (cell)
        shard->free = s->cells[cell].more;
    else
        cell = ++shard->fresh;
    assert(cell <= s->cell_count);
    shard->in_use++;
    return cell;
}

struct cl_entry *cl_entry_take(const struct cl_shard_view *s, uint32_t cells, uint32_t *cell) {
    uint32_t last = *cell = take_cell(s);
    while (--cells) {
        uint32_t next = take_cell(s);
        s->cells[last].more = next;
        last = next;
    }
    s->cells[last].more = 0;
    s->shard->entries++;
    return cl_entry_at(s, *cell);
}

/* ---- making room ---- */

/* Look at the bucket under the hand: what has expired goes; if `evict`, what was not used since the
 * last time, too. */
static void sweep_bucket(const struct cl_shard_view *s, bool evict, uint32_t keep,
                         uint64_t now_ns) {
    _Atomic uint32_t *link = &s->buckets[s->shard->hand];
    s->shard->hand = (s->shard->hand + 1) & s->bucket_mask;
    uint32_t cell;
    while ((cell = cl_link_get(link)) != 0) {
        struct cl_entry *e = cl_entry_at(s, cell);
        bool expired = cl_entry_is_expired(e, now_ns);
        if (cell != keep && (expired || (evict && !e->used))) {
            s->shard->evictions += !expired;
            cl_entry_unlink(s, link);
            continue;
        }
        if (evict)
            e->used = 0;
        link = &e->next;
    }
}

void cl_shard_reserve(const struct cl_shard_view *s, uint32_t cells, uint32_t keep,
                      uint64_t now_ns) {
    /* A little with each new entry, so that cells of what has expired are used before new ones. */
    enum { LOOK = 2 };
    for (unsigned i = 0; i < LOOK; i++)
        sweep_bucket(s, false, keep, now_ns);
    /* Everything but `keep` has gone after two rounds, and an entry is at most a quarter. */
    while (s->cell_count - s->shard->in_use < cells)
        sweep_bucket(s, true, keep, now_ns);
}

/* ---- after a death ---- */

/* False: it is marked, and so of another entry. That cannot be, but would never end. */
static bool mark(const struct cl_shard_view *s, uint32_t cell) {
    uint8_t bit = (uint8_t)(1u << (cell % 8));
    if (cell > s->cell_count || s->marks[cell / 8] & bit)
        return false;
    s->marks[cell / 8] |= bit;
    s->shard->in_use++;
    if (cell > s->shard->fresh)
        s->shard->fresh = cell;
    return true;
}

static void mark_entry(const struct cl_shard_view *s, uint32_t cell) {
    s->shard->entries++;
    while ((cell = s->cells[cell].more) != 0 && mark(s, cell))
        continue;
}

void cl_shard_repair(const struct cl_shard_view *s) {
    struct cl_shard *shard = s->shard;
    memset(s->marks, 0, s->cell_count / 8 + 1);
    shard->fresh = shard->free = shard->in_use = shard->entries = 0;
    shard->hand &= s->bucket_mask;
    for (uint32_t i = 0; i <= s->bucket_mask; i++) {
        _Atomic uint32_t *link = &s->buckets[i];
        uint32_t cell;
        while ((cell = cl_link_get(link)) != 0 && mark(s, cell)) {
            mark_entry(s, cell);
            link = &cl_entry_at(s, cell)->next;
        }
    }
    for (uint32_t cell = 1; cell <= shard->fresh; cell++)
        if (!(s->marks[cell / 8] & 1u << (cell % 8))) {
            s->cells[cell].more = shard->free;
            shard->free = cell;
        }
}
