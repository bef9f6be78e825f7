/* Two vector types per instruction set, with the few operations the JSON kernels need.
 *
 * A file that is compiled for one level defines CL_SIMD_AVX2, CL_SIMD_SSE42 or CL_SIMD_NEON (or
 * none of them: eight bytes in an ordinary register) before it includes this, and puts what follows
 * between CL_SIMD_BEGIN and CL_SIMD_END. Only kernel headers and those files include it.
 *
 *      cl_small, cl_vec    CL_SMALL_SIZE and CL_VEC_SIZE bytes, the first in the lowest bits
 *      ..._mask            a flag for each byte in the same order, 1 << CL_..._SHIFT bits each
 *      ..._high            the bytes above 0x7f
 *      ..._equal           those that are the same in both
 *      ..._specials        those that end a run inside a JSON string: '"', '\\', below 0x20
 *
 * Loads and stores take any address. Thread: any. No errors. */
#ifndef CL_JSON_SIMD_H
#define CL_JSON_SIMD_H

#include "base/common.h"

/* No more than cl_cpu_has() looks for. */
#if defined(CL_SIMD_AVX2)
#define CL_SIMD_TARGET "avx2,bmi,bmi2"
#elif defined(CL_SIMD_SSE42)
#define CL_SIMD_TARGET "sse4.2"
#endif

#define CL_PRAGMA(text) _Pragma(#text)
#define CL_PRAGMA_OF(...) CL_PRAGMA(__VA_ARGS__)
#if !defined(CL_SIMD_TARGET)
#define CL_SIMD_BEGIN
#define CL_SIMD_END
#elif defined(__clang__)
#define CL_SIMD_BEGIN                                                                              \
    CL_PRAGMA_OF(clang attribute push(__attribute__((target(CL_SIMD_TARGET))), apply_to = function))
#define CL_SIMD_END CL_PRAGMA_OF(clang attribute pop)
#else
#define CL_SIMD_BEGIN _Pragma("GCC push_options") CL_PRAGMA_OF(GCC target(CL_SIMD_TARGET))
#define CL_SIMD_END _Pragma("GCC pop_options")
#endif

#if defined(CL_SIMD_AVX2) || defined(CL_SIMD_SSE42)
#include <immintrin.h>
#elif defined(CL_SIMD_NEON)
#include <arm_neon.h>
#endif

CL_SIMD_BEGIN

/* ---- small vectors: most strings are short ----
 *
 * cl_small_load gives `n` <= CL_SMALL_SIZE bytes at `src`, zeros behind them. It reads one vector
 * that ends where they end: CL_SMALL_SIZE - n bytes in front of `src` must be readable. */
#if defined(CL_SIMD_AVX2) || defined(CL_SIMD_SSE42)

enum { CL_SMALL_SIZE = 16, CL_SMALL_SHIFT = 0 };
typedef __m128i cl_small;
typedef uint32_t cl_small_mask;

CL_INLINE cl_small cl_small_load_all(const char *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

CL_INLINE cl_small cl_small_load(const char *src, size_t n) {
    static const char shift[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                   -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    return _mm_shuffle_epi8(cl_small_load_all(src + n - 16), cl_small_load_all(shift + 16 - n));
}

CL_INLINE void cl_small_store(char *p, cl_small v) {
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

CL_INLINE cl_small_mask cl_small_high(cl_small v) {
    return (cl_small_mask)_mm_movemask_epi8(v);
}

CL_INLINE cl_small_mask cl_small_equal(cl_small a, cl_small b) {
    return (cl_small_mask)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
}

CL_INLINE cl_small_mask cl_small_specials(cl_small v) {
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    return (cl_small_mask)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
}

#elif defined(CL_SIMD_NEON)

enum { CL_SMALL_SIZE = 16, CL_SMALL_SHIFT = 2 };
typedef uint8x16_t cl_small;
typedef uint64_t cl_small_mask;

CL_INLINE cl_small cl_small_load_all(const char *p) {
    return vld1q_u8((const uint8_t *)p);
}

CL_INLINE cl_small cl_small_load(const char *src, size_t n) {
    static const char shift[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                   99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};
    return vqtbl1q_u8(cl_small_load_all(src + n - 16), cl_small_load_all(shift + 16 - n));
}

CL_INLINE void cl_small_store(char *p, cl_small v) {
    vst1q_u8((uint8_t *)p, v);
}

/* Four bits a byte: Arm has no movemask, but a shift that narrows. One bit of each is kept. */
CL_INLINE cl_small_mask cl_small_mask_of(uint8x16_t flags) {
    uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(flags), 4);
    return vget_lane_u64(vreinterpret_u64_u8(nibbles), 0) & 0x8888888888888888;
}

CL_INLINE cl_small_mask cl_small_high(cl_small v) {
    return cl_small_mask_of(vcgeq_u8(v, vdupq_n_u8(0x80)));
}

CL_INLINE cl_small_mask cl_small_equal(cl_small a, cl_small b) {
    return cl_small_mask_of(vceqq_u8(a, b));
}

CL_INLINE cl_small_mask cl_small_specials(cl_small v) {
    uint8x16_t quote = vceqq_u8(v, vdupq_n_u8('"')), backslash = vceqq_u8(v, vdupq_n_u8('\\'));
    uint8x16_t control = vcltq_u8(v, vdupq_n_u8(0x20));
    return cl_small_mask_of(vorrq_u8(vorrq_u8(quote, backslash), control));
}

#else

enum { CL_SMALL_SIZE = 8, CL_SMALL_SHIFT = 3 };
typedef uint64_t cl_small;
typedef uint64_t cl_small_mask;

CL_INLINE cl_small cl_small_load_all(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

CL_INLINE cl_small cl_small_load(const char *src, size_t n) {
    return n ? cl_small_load_all(src + n - 8) >> (64 - 8 * n) : 0;
}

CL_INLINE void cl_small_store(char *p, cl_small v) {
    memcpy(p, &v, sizeof v);
}

#define CL_EACH_BYTE(byte) ((uint64_t)0x0101010101010101 * (byte))

/* The top bit of each byte that is zero; exact, without carries between bytes. */
CL_INLINE cl_small_mask cl_swar_zero_bytes(uint64_t v) {
    return ~(((v & CL_EACH_BYTE(0x7f)) + CL_EACH_BYTE(0x7f)) | v) & CL_EACH_BYTE(0x80);
}

CL_INLINE cl_small_mask cl_small_high(cl_small v) {
    return v & CL_EACH_BYTE(0x80);
}

CL_INLINE cl_small_mask cl_small_equal(cl_small a, cl_small b) {
    return cl_swar_zero_bytes(a ^ b);
}

CL_INLINE cl_small_mask cl_small_specials(cl_small v) {
    cl_small_mask quote = cl_swar_zero_bytes(v ^ CL_EACH_BYTE('"'));
    cl_small_mask backslash = cl_swar_zero_bytes(v ^ CL_EACH_BYTE('\\'));
    cl_small_mask control = cl_swar_zero_bytes(v & CL_EACH_BYTE(0xe0));
    return quote | backslash | control;
}

#endif

/* ---- vectors: the widest there are, which only AVX2 has wider than the small ones ---- */
#if defined(CL_SIMD_AVX2)

enum { CL_VEC_SIZE = 32, CL_MASK_SHIFT = 0 };
typedef __m256i cl_vec;
typedef uint32_t cl_mask;

CL_INLINE cl_vec cl_vec_load(const char *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

CL_INLINE void cl_vec_store(char *p, cl_vec v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

CL_INLINE cl_mask cl_vec_high(cl_vec v) {
    return (cl_mask)_mm256_movemask_epi8(v);
}

CL_INLINE cl_mask cl_vec_equal(cl_vec a, cl_vec b) {
    return (cl_mask)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b));
}

CL_INLINE cl_mask cl_vec_specials(cl_vec v) {
    __m256i quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
    __m256i any = _mm256_or_si256(_mm256_or_si256(quote, backslash), control);
    return (cl_mask)_mm256_movemask_epi8(any);
}

#else

enum { CL_VEC_SIZE = CL_SMALL_SIZE, CL_MASK_SHIFT = CL_SMALL_SHIFT };
typedef cl_small cl_vec;
typedef cl_small_mask cl_mask;
#define cl_vec_load cl_small_load_all
#define cl_vec_store cl_small_store
#define cl_vec_high cl_small_high
#define cl_vec_equal cl_small_equal
#define cl_vec_specials cl_small_specials

#endif

/* The flags of the first `n` <= CL_SMALL_SIZE bytes. */
CL_INLINE cl_small_mask cl_small_below(cl_small_mask mask, size_t n) {
    return n == CL_SMALL_SIZE ? mask : mask & (((cl_small_mask)1 << (n << CL_SMALL_SHIFT)) - 1);
}

/* Index of the first byte that is flagged; `mask` is not 0. */
CL_INLINE size_t cl_mask_first(cl_mask mask) {
    return (size_t)__builtin_ctzll(mask) >> CL_MASK_SHIFT;
}

/* The flags of the first `n` bytes; n < CL_VEC_SIZE. */
CL_INLINE cl_mask cl_mask_below(cl_mask mask, size_t n) {
    return mask & (((cl_mask)1 << (n << CL_MASK_SHIFT)) - 1);
}

CL_SIMD_END

#endif
