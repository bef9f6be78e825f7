/* Literal text to route-tree node: the map behind every static step of a look-up.
 *
 * One open-addressed table holds two kinds of keys, told apart by `parent`:
 *
 *     (node, "users")                 one edge of the tree
 *     (CL_STATIC_WHOLE, "/v1/users")  a whole path that has no parameter: found in one probe
 *
 *     slot, 16 bytes, four to a cache line            text pool
 *     +--------+--------+--------+-------+-------+    +---------------------------
 *     | parent | child  | text --|-------|-------|--> | v1users/v1/users...
 *     | u32    | u32    | u32    | len16 | tag16 |    +---------------------------
 *     +--------+--------+--------+-------+-------+    child 0 = free slot (0 is the root)
 *
 * Linear probing, at most a quarter full: nearly every key is found in its first slot, whatever the
 * size of the table. The hash has no secret: clients choose what is looked up but
 * never what is stored, so they cannot make a run of slots longer than the routes made it.
 *
 * Owner: the router. Thread: one while it is filled; any number of readers afterwards. */
#ifndef CL_ROUTER_STATIC_MAP_H
#define CL_ROUTER_STATIC_MAP_H

#include "base/common.h"

#define CL_STATIC_WHOLE UINT32_MAX

struct cl_static_slot {
    uint32_t parent;
    uint32_t child;
    uint32_t text; /* offset in the pool */
    uint16_t len;
    uint16_t tag; /* high bits of the hash: spares most comparisons of text */
};

struct cl_static_map {
    struct cl_static_slot *slots; /* NULL while empty */
    char *text;
    uint32_t mask; /* slots - 1 */
    uint32_t count;
    uint32_t max_len; /* longest key: longer look-ups end before they hash */
    uint32_t text_len;
    uint32_t text_cap;
};

/* A zeroed map is an empty one. */
void cl_static_map_free(struct cl_static_map *map);

/* Copies `text`. The key must be absent, `child` not 0.
 * Errors: CELLO_ENOMEM; CELLO_ELIMIT beyond 65,535 bytes of text or 2^28 keys. */
int cl_static_map_add(struct cl_static_map *map, uint32_t parent, struct cl_str text,
                      uint32_t child) CL_MUST_USE;

/* Arrange the keys once all are there: whole paths get the first slot of their row where they can.
 * Errors: CELLO_ENOMEM, the map is then as before. */
int cl_static_map_settle(struct cl_static_map *map) CL_MUST_USE;

CL_INLINE uint64_t cl_static_load(const char *p, size_t n) {
    uint64_t word = 0;
    memcpy(&word, p, n);
    return word;
}

CL_INLINE uint64_t cl_static_mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes at a time, each folded by a 64x64 multiplication; the last word overlaps the one
 * before it, so that no byte beyond the span is read. */
CL_INLINE uint64_t cl_static_hash(uint32_t parent, const char *p, size_t n) {
    uint64_t h = ((uint64_t)parent << 32 | n) ^ UINT64_C(0x9e3779b97f4a7c15);
    uint64_t last;
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            h = cl_static_mix(h ^ cl_static_load(p + i, 8), UINT64_C(0xd6e8feb86659fd93));
        last = cl_static_load(p + n - 8, 8);
    } else if (n >= 4) {
        last = cl_static_load(p, 4) << 32 | cl_static_load(p + n - 4, 4);
    } else if (n > 0) {
        last = cl_static_load(p, 1) << 16 | cl_static_load(p + n / 2, 1) << 8 |
               cl_static_load(p + n - 1, 1);
    } else {
        last = 0;
    }
    return cl_static_mix(h ^ last, UINT64_C(0xa0761d6478bd642f));
}

/* memcmp() == 0 for short spans of equal length, inlined. */
CL_INLINE bool cl_static_same(const char *a, const char *b, size_t n) {
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (cl_static_load(a + i, 8) != cl_static_load(b + i, 8))
                return false;
        return cl_static_load(a + n - 8, 8) == cl_static_load(b + n - 8, 8);
    }
    if (n >= 4)
        return cl_static_load(a, 4) == cl_static_load(b, 4) &&
               cl_static_load(a + n - 4, 4) == cl_static_load(b + n - 4, 4);
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* The node under that key; 0 when there is none. */
CL_INLINE uint32_t cl_static_map_find(const struct cl_static_map *map, uint32_t parent,
                                      struct cl_str text) {
    if (text.len > map->max_len || map->count == 0)
        return 0;
    uint64_t hash = cl_static_hash(parent, text.ptr, text.len);
    uint16_t tag = (uint16_t)(hash >> 48);
    for (uint32_t i = (uint32_t)hash & map->mask;; i = (i + 1) & map->mask) {
        const struct cl_static_slot *slot = &map->slots[i];
        if (slot->child == 0)
            return 0;
        if (slot->tag == tag && slot->parent == parent && slot->len == text.len &&
            cl_static_same(map->text + slot->text, text.ptr, text.len))
            return slot->child;
    }
}

#endif
