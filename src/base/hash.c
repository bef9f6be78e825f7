#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/random.h>

static inline uint64_t rotate_left(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

/* The last 0 to 7 bytes as a little-endian number. */
static inline uint64_t load_tail(const unsigned char *p, size_t n) {
    uint64_t tail = 0;
    for (size_t i = 0; i < n; i++)
        tail |= (uint64_t)p[i] << (8 * i);
    return tail;
}

static inline uint64_t load_word(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

uint64_t cl_hash_bytes(const struct cl_hash_key *key, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint64_t v[4] = {
        key->k0 ^ 0x736f6d6570736575,
        key->k1 ^ 0x646f72616e646f6d,
        key->k0 ^ 0x6c7967656e657261,
        key->k1 ^ 0x7465646279746573,
    };
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = load_word(p);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)n << 56 | load_tail(p, left);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void cl_hash_key_init(struct cl_hash_key *key) {
    ssize_t got;
    do {
        got = getrandom(key, sizeof *key, 0);
    } while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof *key)
        return;
    /* No getrandom in this sandbox: AT_RANDOM is 16 random bytes that exec left on our stack. */
    const void *from_kernel = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    memcpy(key, from_kernel, sizeof *key);
}

static struct cl_hash_key process_key;

static void make_process_key(void) {
    cl_hash_key_init(&process_key);
}

struct cl_hash_key cl_hash_process_key(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_process_key);
    return process_key;
}
