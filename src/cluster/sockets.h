/* The listening sockets of a cluster. The supervisor makes them, its workers inherit them, and
 * nothing that is queued on one is lost while a worker is replaced.
 *
 * A TCP address has a socket for each worker id, among which the kernel spreads connections
 * (SO_REUSEPORT); with one worker, and for all other addresses, it has one socket for all.
 * Thread: one. */
#ifndef CL_CLUSTER_SOCKETS_H
#define CL_CLUSTER_SOCKETS_H

#include "cluster/member.h"
#include "net/addr.h"

enum { CL_ADDRESSES_MAX = 16, CL_SOCKETS_ERROR_MAX = 256 };

/* Where to listen, as the command line says it. */
struct cl_place {
    enum { CL_PLACE_TCP, CL_PLACE_UNIX, CL_PLACE_FD } kind;
    const char *text; /* a host or a path, not NUL-terminated; stays the caller's */
    size_t len;
    uint16_t port;
    int fd;
};

/* "tcp:HOST:PORT", "tcp:[V6]:PORT", "unix:PATH", "fd:N"; `place` borrows from `text`.
 * Errors: CELLO_EINVAL. */
int cl_place_parse(struct cl_place *place, const char *text) CL_MUST_USE;

struct cl_sockets_config {
    const struct cl_place *places;
    size_t count;
    uint32_t workers;
    unsigned uds_mode;
    uint32_t owner, group; /* of unix sockets; UINT32_MAX: as it comes */
};

struct cl_sockets;

/* All of them, or none. Errors: CELLO_ELIMIT (too many places), CELLO_EINVAL, CELLO_ESYS,
 * CELLO_ENOMEM; `why` gets a sentence that names the address. */
int cl_sockets_open(struct cl_sockets **out, const struct cl_sockets_config *config,
                    char why[CL_SOCKETS_ERROR_MAX]) CL_MUST_USE;
/* Those of another supervisor with the same places, of which `text` tells. They belong to the
 * sockets on success. Errors: CELLO_EINVAL (they are not of these places), CELLO_ELIMIT,
 * CELLO_ESYS, CELLO_ENOMEM, and `why`. */
int cl_sockets_inherit(struct cl_sockets **out, const struct cl_sockets_config *config,
                       const struct cl_worker_text *text,
                       char why[CL_SOCKETS_ERROR_MAX]) CL_MUST_USE;
/* Closes the descriptors and, with `unlinks`, removes the files of unix sockets, unless somebody
 * else has put one there since. Idempotent. */
void cl_sockets_close(struct cl_sockets *s, bool unlinks);
/* Closes what is open, and removes nothing. NULL is ignored. */
void cl_sockets_del(struct cl_sockets *s);

/* Whether some sockets belong to one worker id. */
bool cl_sockets_are_divided(const struct cl_sockets *s);
/* All descriptors, for inheriting; they stay the sockets'. */
size_t cl_sockets_fds(const struct cl_sockets *s, const int **fds);
/* What CELLO_WORKER says of them, from the first address on: "2:5,6,1:7". The length, without the
 * NUL; it is written as far as `size` allows. */
size_t cl_sockets_text(const struct cl_sockets *s, char *out, size_t size);
/* How a client writes the addresses: "http://127.0.0.1:8000, unix:/run/x"; the first `https` of
 * them are TLS. */
void cl_sockets_urls(const struct cl_sockets *s, size_t https, char *out, size_t size);

#endif
