#include "router/static_map.h"

#include "base/alloc.h"

#define MIN_SLOTS 16u
#define MAX_SLOTS (1u << 30)
#define MIN_TEXT 256u

_Static_assert(sizeof(struct cl_static_slot) == 16, "four slots to a cache line");

void cl_static_map_free(struct cl_static_map *map) {
    cl_free(map->slots);
    cl_free(map->text);
    *map = (struct cl_static_map){.slots = NULL};
}

static void place(struct cl_static_slot *slots, uint32_t mask, uint64_t hash,
                  struct cl_static_slot slot) {
    uint32_t i = (uint32_t)hash & mask;
    while (slots[i].child != 0)
        i = (i + 1) & mask;
    slots[i] = slot;
}

/* Place the keys that are whole paths, or those that are not. */
static void place_kind(const struct cl_static_map *map, bool whole, struct cl_static_slot *slots,
                       uint32_t mask) {
    for (uint32_t i = 0; map->slots && i <= map->mask; i++) {
        struct cl_static_slot slot = map->slots[i];
        if (slot.child == 0 || (slot.parent == CL_STATIC_WHOLE) != whole)
            continue;
        const char *text = map->text + slot.text;
        place(slots, mask, cl_static_hash(slot.parent, text, slot.len), slot);
    }
}

static int rebuild(struct cl_static_map *map, uint32_t size) {
    struct cl_static_slot *slots = cl_calloc(size, sizeof(*slots));
    if (!slots)
        return CELLO_ENOMEM;
    place_kind(map, true, slots, size - 1);
    place_kind(map, false, slots, size - 1);
    cl_free(map->slots);
    map->slots = slots;
    map->mask = size - 1;
    return CELLO_OK;
}

static int grow_slots(struct cl_static_map *map) {
    uint32_t size = map->slots ? map->mask + 1 : 0;
    if (size / 4 > map->count)
        return CELLO_OK;
    if (size == MAX_SLOTS)
        return CELLO_ELIMIT;
    return rebuild(map, size ? size * 2 : MIN_SLOTS);
}

int cl_static_map_settle(struct cl_static_map *map) {
    return map->slots ? rebuild(map, map->mask + 1) : CELLO_OK;
}

static int grow_text(struct cl_static_map *map, uint32_t len) {
    if (map->text && map->text_cap - map->text_len >= len)
        return CELLO_OK;
    if (map->text_len > UINT32_MAX / 2 - len)
        return CELLO_ELIMIT;
    uint32_t cap = CL_MAX(MIN_TEXT, 2 * (map->text_len + len));
    char *text = cl_realloc(map->text, cap);
    if (!text)
        return CELLO_ENOMEM;
    map->text = text;
    map->text_cap = cap;
    return CELLO_OK;
}

int cl_static_map_add(struct cl_static_map *map, uint32_t parent, struct cl_str text,
                      uint32_t child) {
    if (text.len > UINT16_MAX)
        return CELLO_ELIMIT;
    uint32_t len = (uint32_t)text.len;
    int err = grow_slots(map);
    if (!err)
        err = grow_text(map, len);
    if (err)
        return err;
    if (len > 0)
        memcpy(map->text + map->text_len, text.ptr, len);
    uint64_t hash = cl_static_hash(parent, text.ptr, len);
    struct cl_static_slot slot = {.parent = parent,
                                  .child = child,
                                  .text = map->text_len,
                                  .len = (uint16_t)len,
                                  .tag = (uint16_t)(hash >> 48)};
    place(map->slots, map->mask, hash, slot);
    map->text_len += len;
    map->max_len = CL_MAX(map->max_len, len);
    map->count++;
    return CELLO_OK;
}
