/* SipHash-1-3: the keyed hash of every table whose keys a client chooses, so that nobody outside
 * can make keys that collide. https://www.aumasson.jp/siphash/siphash.pdf; one compression round
 * and three finalization rounds, as Rust, Python and Linux use for tables.
 *
 * Thread: any. No errors. */
#ifndef CL_BASE_HASH_H
#define CL_BASE_HASH_H

#include "base/common.h"

struct cl_hash_key {
    uint64_t k0;
    uint64_t k1;
};

uint64_t cl_hash_bytes(const struct cl_hash_key *key, const void *bytes, size_t n);

/* A fresh random key: getrandom(2), or where that fails the bytes the kernel gave the process. */
void cl_hash_key_init(struct cl_hash_key *key);
/* The process's own key: random, made at the first call, the same ever after. */
struct cl_hash_key cl_hash_process_key(void);

#endif
