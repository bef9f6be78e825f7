/* The head that a proxy puts in front of a connection's bytes to say who its client is: versions 1
 * and 2 of the PROXY protocol (proxy-protocol.txt of HAProxy). A pure function of the bytes.
 *
 * Who sends one is to be believed, so the caller asks only those that it trusts, and never guesses:
 * where one is due, bytes that do not begin one are an error. */
#ifndef CL_NET_PROXY_H
#define CL_NET_PROXY_H

#include "net/addr.h"

/* The longest line of version 1, its end included, and the longest block of version 2. Addresses
 * need 52 bytes, or 232 of unix sockets; what follows may hold a client's certificate. */
enum { CL_PROXY_LINE_MAX = 107, CL_PROXY_MAX = 4096 };

/* The head at the beginning of `bytes`, however much of what follows is there already; the answer
 * does not depend on how the bytes came. CELLO_OK: `*length` bytes are it, and `*client` is who the
 * proxy speaks for; its len is 0 when that is the proxy itself (a check of its own: LOCAL) or
 * unknown. A client on a unix socket has no name here: it would be text of the client's.
 * Errors: CELLO_EAGAIN (these are a beginning of one), CELLO_EINVAL (these are not, or a checksum
 * is wrong), CELLO_ELIMIT (longer than CL_PROXY_MAX). */
int cl_proxy_parse(struct cl_str bytes, struct cl_addr *client, size_t *length) CL_MUST_USE;

#endif
