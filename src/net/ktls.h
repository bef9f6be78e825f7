/* TLS by the kernel (kTLS, transmit side): a TCP socket that makes records of what is written to
 * it.
 *
 * Its sends refuse MSG_WAITALL (EOPNOTSUPP), so that sends through io_uring's ring are not for it:
 * cl_io_push is. A send that does not wait may leave the rest of a record above TCP, which a
 * shutdown(2) or close(2) too early throws away: cl_ktls_settled, and event/tail.h.
 *
 * Thread: any. */
#ifndef CL_NET_KTLS_H
#define CL_NET_KTLS_H

#include "base/common.h"

/* Whether this kernel seals: a connection on loopback gets a key, and a record comes out at its
 * other end. Says no at once where the kernel does not know TLS. */
bool cl_ktls_can(void);

/* The kernel may be given a key for this socket; nothing changes yet. False: it cannot. */
bool cl_ktls_prepare(int fd);
/* What is written from now on is sealed with the key, a struct tls12_crypto_info_* of linux/tls.h.
 * False: it is as it was. */
bool cl_ktls_begin(int fd, const void *key, size_t n);
/* *bytes: what TCP has been given on this connection, from wherever it counts. False: unknown now,
 * since acknowledgements keep coming, or at all. */
bool cl_ktls_in_tcp(int fd, uint64_t *bytes);
/* Whether TCP has all of it: `bytes` is cl_ktls_in_tcp before the kernel began, and what was
 * written since. Also true when the connection is gone. */
bool cl_ktls_settled(int fd, uint64_t bytes);

#endif
