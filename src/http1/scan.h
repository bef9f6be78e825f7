/* Scanners for the parts of an HTTP/1 head, a block of bytes at a time: where does a token, a
 * target or a field value stop? Included by one .c file per instruction set, whose compiler flags
 * choose the blocks.
 *
 *   base ...... p ......... end       a scan looks at [p, end) and reads inside [base, end) only:
 *          [ block ][ block ]          the last block is loaded so that it ends at `end`, and what
 *                     [ block ]        lies before p is shifted out
 *
 * A scan returns the first byte that does not belong, or `end`. */
#ifndef CL_HTTP1_SCAN_H
#define CL_HTTP1_SCAN_H

#include "base/common.h"
#include "http/header.h"

#if defined(CL_SCAN_SCALAR)
/* no blocks */

#elif defined(__AVX2__)
#include <immintrin.h>
#define SCAN_BLOCK 32
typedef __m256i scan_block;
#define SCAN_LOAD(p) _mm256_loadu_si256((const void *)(p))
#define SCAN_ALL(c) _mm256_set1_epi8((char)(c))
#define SCAN_EQ(a, b) _mm256_cmpeq_epi8(a, b)
#define SCAN_OR(a, b) _mm256_or_si256(a, b)
#define SCAN_AND(a, b) _mm256_and_si256(a, b)
#define SCAN_AND_NOT(keep, drop) _mm256_andnot_si256(drop, keep)
#define SCAN_MIN(a, b) _mm256_min_epu8(a, b)
#define SCAN_MAX(a, b) _mm256_max_epu8(a, b)
#define SCAN_HIGH_NIBBLE(v) SCAN_AND(_mm256_srli_epi16(v, 4), SCAN_ALL(15))
#define SCAN_TABLE(t) _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(t)))
#define SCAN_LOOKUP(t, v) _mm256_shuffle_epi8(SCAN_TABLE(t), v)
#define SCAN_MASK(hits) (uint32_t) _mm256_movemask_epi8(hits)
#define SCAN_MASK_BITS 1

#elif defined(__SSSE3__)
#include <tmmintrin.h>
#define SCAN_BLOCK 16
typedef __m128i scan_block;
#define SCAN_LOAD(p) _mm_loadu_si128((const void *)(p))
#define SCAN_ALL(c) _mm_set1_epi8((char)(c))
#define SCAN_EQ(a, b) _mm_cmpeq_epi8(a, b)
#define SCAN_OR(a, b) _mm_or_si128(a, b)
#define SCAN_AND(a, b) _mm_and_si128(a, b)
#define SCAN_AND_NOT(keep, drop) _mm_andnot_si128(drop, keep)
#define SCAN_MIN(a, b) _mm_min_epu8(a, b)
#define SCAN_MAX(a, b) _mm_max_epu8(a, b)
#define SCAN_HIGH_NIBBLE(v) SCAN_AND(_mm_srli_epi16(v, 4), SCAN_ALL(15))
#define SCAN_LOOKUP(t, v) _mm_shuffle_epi8(SCAN_LOAD(t), v)
#define SCAN_MASK(hits) (uint32_t) _mm_movemask_epi8(hits)
#define SCAN_MASK_BITS 1

#elif defined(__aarch64__)
#include <arm_neon.h>
#define SCAN_BLOCK 16
typedef uint8x16_t scan_block;
#define SCAN_LOAD(p) vld1q_u8((const uint8_t *)(p))
#define SCAN_ALL(c) vdupq_n_u8((uint8_t)(c))
#define SCAN_EQ(a, b) vceqq_u8(a, b)
#define SCAN_OR(a, b) vorrq_u8(a, b)
#define SCAN_AND(a, b) vandq_u8(a, b)
#define SCAN_AND_NOT(keep, drop) vbicq_u8(keep, drop)
#define SCAN_MIN(a, b) vminq_u8(a, b)
#define SCAN_MAX(a, b) vmaxq_u8(a, b)
#define SCAN_HIGH_NIBBLE(v) vshrq_n_u8(v, 4)
#define SCAN_LOOKUP(t, v) vqtbl1q_u8(SCAN_LOAD(t), v)
/* Four bits a byte: narrowing by a shift is NEON's way to a mask in a general register. */
#define SCAN_MASK(hits)                                                                            \
    vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hits), 4)), 0)
#define SCAN_MASK_BITS 4
#endif

/* ---- which bytes stop each kind; the scalar and the block version side by side ---- */

CL_INLINE bool token_stops(unsigned char c) {
    return !cl_header_token_chars[c];
}

CL_INLINE bool target_stops(unsigned char c) {
    return c <= ' ' || c >= 0x7f;
}

CL_INLINE bool host_stops(unsigned char c) {
    (void)c;
    return true; /* input shorter than a block: leave it to cl_uri_authority_valid() */
}

CL_INLINE bool value_stops(unsigned char c) {
    return (c < ' ' && c != '\t') || c == 0x7f;
}

#if defined(SCAN_BLOCK)

/* A byte is in a token when the bit of its high nibble is set in the row of its low nibble. */
static const uint8_t token_rows[16] = {0xe8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc,
                                       0xf8, 0xf8, 0xf4, 0x54, 0xd0, 0x54, 0xf4, 0x70};
/* The same for the characters of a registered name that need no second look (http/uri.c). */
static const uint8_t host_rows[16] = {0xa8, 0xfc, 0xf8, 0xf8, 0xfc, 0xf8, 0xfc, 0xfc,
                                      0xfc, 0xfc, 0xf4, 0x5c, 0x54, 0x5c, 0xd4, 0x70};
static const uint8_t nibble_bits[16] = {1, 2, 4, 8, 16, 32, 64, 128};

CL_INLINE scan_block outside_rows(const uint8_t *rows, scan_block v) {
    scan_block row = SCAN_LOOKUP(rows, SCAN_AND(v, SCAN_ALL(15)));
    scan_block bit = SCAN_LOOKUP(nibble_bits, SCAN_HIGH_NIBBLE(v));
    return SCAN_EQ(SCAN_AND(row, bit), SCAN_ALL(0));
}

CL_INLINE scan_block token_stop_block(scan_block v) {
    return outside_rows(token_rows, v);
}

CL_INLINE scan_block host_stop_block(scan_block v) {
    return outside_rows(host_rows, v);
}

CL_INLINE scan_block target_stop_block(scan_block v) {
    scan_block low = SCAN_EQ(SCAN_MIN(v, SCAN_ALL(' ')), v);
    scan_block high = SCAN_EQ(SCAN_MAX(v, SCAN_ALL(0x7f)), v);
    return SCAN_OR(low, high);
}

CL_INLINE scan_block value_stop_block(scan_block v) {
    scan_block control = SCAN_EQ(SCAN_MIN(v, SCAN_ALL(0x1f)), v);
    scan_block tab = SCAN_EQ(v, SCAN_ALL('\t'));
    return SCAN_OR(SCAN_AND_NOT(control, tab), SCAN_EQ(v, SCAN_ALL(0x7f)));
}

CL_INLINE size_t first_hit(uint64_t mask) {
    return (size_t)__builtin_ctzll(mask) / SCAN_MASK_BITS;
}

#define DEFINE_SCAN(kind)                                                                          \
    CL_INLINE const char *scan_##kind(const char *p, const char *end, const char *base) {          \
        for (; end - p >= SCAN_BLOCK; p += SCAN_BLOCK) {                                           \
            uint64_t mask = SCAN_MASK(kind##_stop_block(SCAN_LOAD(p)));                            \
            if (mask)                                                                              \
                return p + first_hit(mask);                                                        \
        }                                                                                          \
        if (p < end && end - base >= SCAN_BLOCK) {                                                 \
            uint64_t mask = SCAN_MASK(kind##_stop_block(SCAN_LOAD(end - SCAN_BLOCK)));             \
            mask >>= (SCAN_BLOCK - (size_t)(end - p)) * SCAN_MASK_BITS;                            \
            return mask ? p + first_hit(mask) : end;                                               \
        }                                                                                          \
        while (p < end && !kind##_stops((unsigned char)*p))                                        \
            p++;                                                                                   \
        return p;                                                                                  \
    }

#else

#define DEFINE_SCAN(kind)                                                                          \
    CL_INLINE const char *scan_##kind(const char *p, const char *end, const char *base) {          \
        (void)base;                                                                                \
        while (p < end && !kind##_stops((unsigned char)*p))                                        \
            p++;                                                                                   \
        return p;                                                                                  \
    }

#endif

DEFINE_SCAN(token)
DEFINE_SCAN(value)

/* ---- targets: the scan notes on the way what splitting them needs to know ---- */

struct target_scan {
    const char *stop;
    const char *question; /* the first '?', or NULL */
    bool odd;             /* may hold '%', '#' or a dot segment: needs cl_uri_parse() */
};

#if defined(SCAN_BLOCK)

/* One block at p, of which the first `skip` bytes lie before p. Returns whether the scan stops in
 * it. `*slash` carries over whether the byte before p is a slash. */
CL_INLINE bool scan_target_block(const char *p, size_t skip, struct target_scan *t,
                                 uint64_t *slash) {
    scan_block v = SCAN_LOAD(p - skip);
    size_t shift = skip * SCAN_MASK_BITS;
    uint64_t stops = (uint64_t)SCAN_MASK(target_stop_block(v)) >> shift;
    uint64_t before = (stops & -stops) - 1; /* the bytes in front of the first stop */
    uint64_t marks = SCAN_MASK(SCAN_OR(SCAN_EQ(v, SCAN_ALL('%')), SCAN_EQ(v, SCAN_ALL('#'))));
    uint64_t dots = SCAN_MASK(SCAN_EQ(v, SCAN_ALL('.')));
    uint64_t slashes = (uint64_t)SCAN_MASK(SCAN_EQ(v, SCAN_ALL('/'))) >> shift;
    uint64_t questions = ((uint64_t)SCAN_MASK(SCAN_EQ(v, SCAN_ALL('?'))) >> shift) & before;
    uint64_t segment_dots = (dots >> shift) & (slashes << SCAN_MASK_BITS | *slash);
    t->odd |= (((marks >> shift) | segment_dots) & before) != 0;
    *slash = slashes >> (SCAN_BLOCK - 1) * SCAN_MASK_BITS;
    if (questions && !t->question)
        t->question = p + first_hit(questions);
    if (stops)
        t->stop = p + first_hit(stops);
    return stops != 0;
}

CL_INLINE struct target_scan scan_target(const char *p, const char *end, const char *base) {
    struct target_scan t = {.stop = end};
    uint64_t slash = 0;
    for (; end - p >= SCAN_BLOCK; p += SCAN_BLOCK)
        if (scan_target_block(p, 0, &t, &slash))
            return t;
    if (p < end && end - base >= SCAN_BLOCK) {
        (void)scan_target_block(p, SCAN_BLOCK - (size_t)(end - p), &t, &slash);
        return t;
    }
    t.odd = true;
    while (p < end && !target_stops((unsigned char)*p))
        p++;
    t.stop = p;
    return t;
}

DEFINE_SCAN(host)

#else

CL_INLINE struct target_scan scan_target(const char *p, const char *end, const char *base) {
    (void)base;
    while (p < end && !target_stops((unsigned char)*p))
        p++;
    return (struct target_scan){.stop = p, .odd = true};
}

CL_INLINE const char *scan_host(const char *p, const char *end, const char *base) {
    (void)end, (void)base;
    return p; /* leave it all to cl_uri_authority_valid() */
}

#endif

#endif
