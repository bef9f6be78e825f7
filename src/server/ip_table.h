/* How many connections each peer address has: LimitsConfig.max_connections_per_ip.
 *
 * An open-addressing table under a keyed hash, grown as needed; an IPv6 client is its /64 network,
 * the smallest block that one subscriber gets, and a mapped IPv4 address is that IPv4 client. Unix
 * peers are not counted. Thread: one. */
#ifndef CL_SERVER_IP_TABLE_H
#define CL_SERVER_IP_TABLE_H

#include "base/hash.h"
#include "net/addr.h"

struct cl_ip_slot {
    uint64_t key[2];
    uint32_t count; /* 0: free */
};

struct cl_ip_table {
    struct cl_hash_key hash_key;
    struct cl_ip_slot *slots;
    size_t cap; /* a power of two */
    size_t used;
};

void cl_ip_table_init(struct cl_ip_table *t);
void cl_ip_table_free(struct cl_ip_table *t);
/* Count one more connection. Errors: CELLO_ELIMIT (there are `max` already), CELLO_ENOMEM. */
int cl_ip_table_add(struct cl_ip_table *t, const struct cl_addr *a, uint32_t max) CL_MUST_USE;
void cl_ip_table_remove(struct cl_ip_table *t, const struct cl_addr *a);

#endif
