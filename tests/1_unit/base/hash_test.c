#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The algorithm written down a second time, as the paper does it. */
static uint64_t reference(const struct cl_hash_key *key, const unsigned char *in, size_t n) {
    uint64_t v0 = key->k0 ^ 0x736f6d6570736575, v1 = key->k1 ^ 0x646f72616e646f6d;
    uint64_t v2 = key->k0 ^ 0x6c7967656e657261, v3 = key->k1 ^ 0x7465646279746573;
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND()                                                                                    \
    do {                                                                                           \
        v0 += v1, v1 = ROTL(v1, 13), v1 ^= v0, v0 = ROTL(v0, 32);                                  \
        v2 += v3, v3 = ROTL(v3, 16), v3 ^= v2;                                                     \
        v0 += v3, v3 = ROTL(v3, 21), v3 ^= v0;                                                     \
        v2 += v1, v1 = ROTL(v1, 17), v1 ^= v2, v2 = ROTL(v2, 32);                                  \
    } while (0)
    uint64_t b = (uint64_t)n << 56;
    for (size_t i = 0; i <= n / 8; i++) {
        uint64_t m = 0;
        for (size_t j = 0; j < 8 && i * 8 + j < n; j++)
            m |= (uint64_t)in[i * 8 + j] << (8 * j);
        if (i == n / 8)
            m |= b;
        v3 ^= m;
        ROUND();
        v0 ^= m;
    }
    v2 ^= 0xff;
    ROUND();
    ROUND();
    ROUND();
    return v0 ^ v1 ^ v2 ^ v3;
}

static void equals_the_reference(void **state) {
    (void)state;
    struct cl_hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    unsigned char in[64];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)i;
    for (size_t n = 0; n <= sizeof in; n++)
        assert_int_equal(cl_hash_bytes(&key, in, n), reference(&key, in, n));
}

/* The first vectors of the authors' own table for SipHash-1-3 (little-endian bytes). */
static void equals_published_vectors(void **state) {
    (void)state;
    struct cl_hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    const unsigned char in[] = {0};
    assert_int_equal(cl_hash_bytes(&key, in, 0), 0xabac0158050fc4dc);
    assert_int_equal(cl_hash_bytes(&key, in, 1), 0xc9f49bf37d57ca93);
}

static void depends_on_the_key(void **state) {
    (void)state;
    struct cl_hash_key a, b;
    cl_hash_key_init(&a);
    cl_hash_key_init(&b);
    assert_int_not_equal(cl_hash_bytes(&a, "name", 4), cl_hash_bytes(&b, "name", 4));
}

static void process_key_stays(void **state) {
    (void)state;
    struct cl_hash_key a = cl_hash_process_key(), b = cl_hash_process_key();
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.k0 != 0 || a.k1 != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_reference),
        cmocka_unit_test(equals_published_vectors),
        cmocka_unit_test(depends_on_the_key),
        cmocka_unit_test(process_key_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
