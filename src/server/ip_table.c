#include "server/ip_table.h"

#include "base/alloc.h"

enum { FIRST_CAP = 64 };

static bool key_of(const struct cl_addr *a, uint64_t key[2]) {
    key[0] = key[1] = 0;
    if (a->len == 0)
        return false;
    if (a->sa.sa_family == AF_INET) {
        key[0] = 4;
        memcpy(&key[1], &a->in.sin_addr, sizeof a->in.sin_addr);
        return true;
    }
    if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
        /* A socket for both families that was handed to us: these are many clients, not one /64. */
        key[0] = 4;
        memcpy(&key[1], &a->in6.sin6_addr.s6_addr[12], 4);
        return true;
    }
    if (a->sa.sa_family == AF_INET6) {
        key[0] = 6;
        memcpy(&key[1], &a->in6.sin6_addr, sizeof key[1]);
        return true;
    }
    return false;
}

void cl_ip_table_init(struct cl_ip_table *t) {
    *t = (struct cl_ip_table){0};
    cl_hash_key_init(&t->hash_key);
}

void cl_ip_table_free(struct cl_ip_table *t) {
    cl_free(t->slots);
    *t = (struct cl_ip_table){0};
}

static size_t home(const struct cl_ip_table *t, const uint64_t key[2]) {
    return (size_t)cl_hash_bytes(&t->hash_key, key, 16) & (t->cap - 1);
}

/* The slot of the key, or the free one where it belongs. */
static struct cl_ip_slot *find(const struct cl_ip_table *t, const uint64_t key[2]) {
    for (size_t i = home(t, key);; i = (i + 1) & (t->cap - 1)) {
        struct cl_ip_slot *s = &t->slots[i];
        if (s->count == 0 || (s->key[0] == key[0] && s->key[1] == key[1]))
            return s;
    }
}

static int grow(struct cl_ip_table *t) {
    struct cl_ip_table bigger = *t;
    bigger.cap = t->cap ? t->cap * 2 : FIRST_CAP;
    bigger.slots = cl_calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].count)
            *find(&bigger, t->slots[i].key) = t->slots[i];
    cl_free(t->slots);
    *t = bigger;
    return CELLO_OK;
}

int cl_ip_table_add(struct cl_ip_table *t, const struct cl_addr *a, uint32_t max) {
    uint64_t key[2];
    if (!key_of(a, key))
        return CELLO_OK;
    if (t->used * 2 >= t->cap) {
        int err = grow(t);
        if (err)
            return err;
    }
    struct cl_ip_slot *s = find(t, key);
    if (s->count >= max)
        return CELLO_ELIMIT;
    if (s->count == 0) {
        memcpy(s->key, key, sizeof key);
        t->used++;
    }
    s->count++;
    return CELLO_OK;
}

void cl_ip_table_remove(struct cl_ip_table *t, const struct cl_addr *a) {
    uint64_t key[2];
    if (!t->cap || !key_of(a, key))
        return;
    struct cl_ip_slot *s = find(t, key);
    if (s->count == 0 || --s->count)
        return;
    t->used--;
    /* Close the gap: move back what a look-up would no longer reach. */
    size_t gap = (size_t)(s - t->slots);
    for (size_t i = (gap + 1) & (t->cap - 1); t->slots[i].count; i = (i + 1) & (t->cap - 1)) {
        size_t from_home = (i - home(t, t->slots[i].key)) & (t->cap - 1);
        if (from_home >= ((i - gap) & (t->cap - 1))) {
            t->slots[gap] = t->slots[i];
            t->slots[i].count = 0;
            gap = i;
        }
    }
}
