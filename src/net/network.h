/* Networks of addresses, "10.0.0.0/8" or "2001:db8::/32", and lists of them: whom to trust.
 *
 * A mapped IPv4 address (::ffff:a.b.c.d, what a socket for both families shows) is that IPv4
 * address. Thread: any. */
#ifndef CL_NET_NETWORK_H
#define CL_NET_NETWORK_H

#include "net/addr.h"

enum { CL_NETWORKS_MAX = 64 };

struct cl_network {
    uint8_t bytes[16]; /* IPv4 as mapped */
    uint8_t bits;      /* of the 128 that count */
};

struct cl_networks {
    size_t count;
    struct cl_network list[CL_NETWORKS_MAX];
};

/* Without a slash: that one address. Bits behind those that count must be 0. Errors: CELLO_EINVAL.
 */
int cl_network_parse(struct cl_network *n, struct cl_str text) CL_MUST_USE;
/* Comma separated, spaces around each are ignored; at least one. Errors: CELLO_EINVAL, CELLO_ELIMIT
 * (more than CL_NETWORKS_MAX). */
int cl_networks_parse(struct cl_networks *n, struct cl_str text) CL_MUST_USE;
/* False for what has no IP address. */
bool cl_networks_have(const struct cl_networks *n, const struct cl_addr *a);

#endif
