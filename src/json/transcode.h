/* Text of more than ASCII between UTF-8 and arrays of code points of 1, 2 or 4 bytes. Included
 * between level macros, see simd.h.
 *
 * Reading takes runs of one kind (ASCII, two-byte, three-byte characters) a vector at a time and
 * checks them meanwhile; writing does the same the other way round, with JSON's escapes. Whole
 * vectors are stored: see each function's room. Thread: any. */
#ifndef CL_JSON_TRANSCODE_H
#define CL_JSON_TRANSCODE_H

#include "json/escape.h"
#include "json/simd.h"
#include "json/unescape.h"

enum { CL_TRANSCODE_SLACK = 32 }; /* code points or bytes that may be touched behind the result */

/* The character at `p`: returns its size and sets *c, or 0 if it is malformed. Not level-specific.
 */
size_t cl_utf8_read(const char *p, const char *end, uint32_t *c);

CL_SIMD_BEGIN

#if defined(CL_SIMD_AVX2) || defined(CL_SIMD_SSE42)

/* A run of two-byte characters at `p`: their code points go to `out`, *wide is set if one is above
 * 0xff. Returns how many there are, up to 8; 0 also if one is overlong. */
CL_INLINE size_t cl_read_pairs(__m128i v, uint16_t *out, bool *wide) {
    __m128i form = _mm_and_si128(v, _mm_set1_epi16((short)0xc0e0));
    __m128i match = _mm_cmpeq_epi8(form, _mm_set1_epi16((short)0x80c0));
    unsigned wrong = ~(unsigned)_mm_movemask_epi8(match);
    size_t count = (size_t)__builtin_ctz(wrong) >> 1;
    __m128i high = _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(0x1f)), 6);
    __m128i low = _mm_and_si128(_mm_srli_epi16(v, 8), _mm_set1_epi16(0x3f));
    __m128i c = _mm_or_si128(high, low);
    _mm_storeu_si128((__m128i *)(void *)out, c);
    unsigned lanes = (1U << 2 * count) - 1;
    if ((unsigned)_mm_movemask_epi8(_mm_cmplt_epi16(c, _mm_set1_epi16(0x80))) & lanes)
        return 0;
    *wide |= ((unsigned)_mm_movemask_epi8(_mm_cmpgt_epi16(c, _mm_set1_epi16(0xff))) & lanes) != 0;
    return count;
}

/* The same for three-byte characters, up to 5; 0 also if one is overlong or a surrogate. */
CL_INLINE size_t cl_read_triples(__m128i v, uint16_t *out) {
    const __m128i bits =
        _mm_setr_epi8(-16, -64, -64, -16, -64, -64, -16, -64, -64, -16, -64, -64, -16, -64, -64, 0);
    const __m128i want = _mm_setr_epi8(-32, -128, -128, -32, -128, -128, -32, -128, -128, -32, -128,
                                       -128, -32, -128, -128, 1);
    __m128i match = _mm_cmpeq_epi8(_mm_and_si128(v, bits), want);
    unsigned wrong = ~(unsigned)_mm_movemask_epi8(match);
    size_t count = ((size_t)__builtin_ctz(wrong) * 11) >> 5; /* divided by 3 */
    __m128i tail = _mm_shuffle_epi8(
        v, _mm_setr_epi8(2, 1, 5, 4, 8, 7, 11, 10, 14, 13, -1, -1, -1, -1, -1, -1));
    __m128i lead = _mm_shuffle_epi8(
        v, _mm_setr_epi8(0, -1, 3, -1, 6, -1, 9, -1, 12, -1, -1, -1, -1, -1, -1, -1));
    __m128i c =
        _mm_or_si128(_mm_slli_epi16(lead, 12),
                     _mm_or_si128(_mm_srli_epi16(_mm_and_si128(tail, _mm_set1_epi16(0x3f00)), 2),
                                  _mm_and_si128(tail, _mm_set1_epi16(0x3f))));
    _mm_storeu_si128((__m128i *)(void *)out, c);
    __m128i top = _mm_and_si128(c, _mm_set1_epi16((short)0xf800));
    __m128i bad = _mm_or_si128(_mm_cmpeq_epi16(top, _mm_setzero_si128()),
                               _mm_cmpeq_epi16(top, _mm_set1_epi16((short)0xd800)));
    return (unsigned)_mm_movemask_epi8(bad) & ((1U << 2 * count) - 1) ? 0 : count;
}

/* What one vector at `p` begins with. Returns the bytes taken, 0 if that takes another look. */
CL_INLINE size_t cl_read_run(const char *p, size_t left, uint16_t **out, bool *wide) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    unsigned high = (unsigned)_mm_movemask_epi8(v);
    if (!(high & 1)) {
        size_t n = (size_t)__builtin_ctz(high | 0x10000);
        n = CL_MIN(n, left);
        _mm_storeu_si128((__m128i *)(void *)*out, _mm_cvtepu8_epi16(v));
        _mm_storeu_si128((__m128i *)(void *)(*out + 8), _mm_cvtepu8_epi16(_mm_srli_si128(v, 8)));
        *out += n;
        return n;
    }
    bool is_wide = false;
    size_t pairs = cl_read_pairs(v, *out, &is_wide);
    if (pairs) {
        *wide |= is_wide;
        *out += pairs;
        if (pairs < 8 && p[2 * pairs] == ' ') { /* between words, too short for a run of its own */
            *(*out)++ = ' ';
            return 2 * pairs + 1;
        }
        return 2 * pairs;
    }
    size_t triples = cl_read_triples(v, *out);
    *wide |= triples != 0;
    *out += triples;
    return 3 * triples;
}

#else

CL_INLINE size_t cl_read_run(const char *p, size_t left, uint16_t **out, bool *wide) {
    (void)wide;
    size_t n = 0;
    for (; n < left && n < 16 && (unsigned char)p[n] < 0x80; n++)
        (*out)[n] = (unsigned char)p[n];
    *out += n;
    return n;
}

#endif

/* UTF-8 in [*at, end) to 16-bit code points, up to a character beyond them or malformed text: *at
 * is then not `end`. `safe` is the last address from which 16 bytes may be read; `*end` is a
 * '"' where it may be read. *wide is set if a code point is above 0xff. Room for
 * end - *at + CL_TRANSCODE_SLACK code points. Returns their end. */
CL_INLINE uint16_t *cl_utf8_to_ucs2(const char **at, const char *end, const char *safe,
                                    uint16_t *out, bool *wide) {
    const char *p = *at;
    while (p < end) {
        size_t run = p <= safe ? cl_read_run(p, (size_t)(end - p), &out, wide) : 0;
        if (CL_UNLIKELY(run == 0)) {
            uint32_t c = 0;
            run = cl_utf8_read(p, end, &c);
            if (run == 0 || c > 0xffff)
                break;
            *wide |= c > 0xff;
            *out++ = (uint16_t)c;
        }
        p += run;
    }
    *at = p;
    return out;
}

/* The same into 32-bit code points, for all of Unicode. */
CL_INLINE uint32_t *cl_utf8_to_ucs4(const char **at, const char *end, uint32_t *out) {
    const char *p = *at;
    while (p < end) {
        uint32_t c = (unsigned char)*p;
        size_t size = 1;
        if (c >= 0x80) {
            size = cl_utf8_read(p, end, &c);
            if (size == 0)
                break;
        }
        *out++ = c;
        p += size;
    }
    *at = p;
    return out;
}

/* One code point, escaped if JSON wants that. */
CL_INLINE char *cl_escape_code_point(char *out, uint32_t c) {
    if (c < 0x80 && cl_escapes[c][7])
        return cl_put_escape(out, (char)c);
    return cl_put_utf8(out, c);
}

#if defined(CL_SIMD_AVX2) || defined(CL_SIMD_SSE42)

/* The ASCII run that `v` begins with, up to its first byte that needs an escape, which is written
 * too. Returns how many code points were taken. */
CL_INLINE size_t cl_write_ascii(__m128i v, size_t run, char **out) {
    __m128i bytes = _mm_packus_epi16(v, v);
    cl_small_store(*out, bytes);
    unsigned specials = cl_small_specials(bytes) & ((1U << run) - 1);
    if (CL_LIKELY(!specials)) {
        *out += run;
        return run;
    }
    size_t plain = (size_t)__builtin_ctz(specials);
    char c = (*out)[plain];
    *out = cl_put_escape(*out + plain, c);
    return plain + 1;
}

CL_INLINE void cl_write_pairs(__m128i v, char *out) {
    __m128i lead = _mm_or_si128(_mm_srli_epi16(v, 6), _mm_set1_epi16(0xc0));
    __m128i low = _mm_or_si128(_mm_and_si128(v, _mm_set1_epi16(0x3f)), _mm_set1_epi16(0x80));
    cl_small_store(out, _mm_or_si128(lead, _mm_slli_epi16(low, 8)));
}

CL_INLINE void cl_write_triples(__m128i v, char *out) {
    const __m128i six = _mm_set1_epi16(0x3f), mark = _mm_set1_epi16(0x80);
    __m128i lead = _mm_or_si128(_mm_srli_epi16(v, 12), _mm_set1_epi16(0xe0));
    __m128i middle = _mm_or_si128(_mm_and_si128(_mm_srli_epi16(v, 6), six), mark);
    __m128i two = _mm_or_si128(lead, _mm_slli_epi16(middle, 8));
    __m128i last = _mm_or_si128(_mm_and_si128(v, six), mark);
    /* 8 characters of 3 bytes: 5 in the first store, 3 in the second. */
    __m128i two_1 =
        _mm_shuffle_epi8(two, _mm_setr_epi8(0, 1, -1, 2, 3, -1, 4, 5, -1, 6, 7, -1, 8, 9, -1, -1));
    __m128i last_1 = _mm_shuffle_epi8(
        last, _mm_setr_epi8(-1, -1, 0, -1, -1, 2, -1, -1, 4, -1, -1, 6, -1, -1, 8, -1));
    __m128i two_2 = _mm_shuffle_epi8(
        two, _mm_setr_epi8(10, 11, -1, 12, 13, -1, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1));
    __m128i last_2 = _mm_shuffle_epi8(
        last, _mm_setr_epi8(-1, -1, 10, -1, -1, 12, -1, -1, 14, -1, -1, -1, -1, -1, -1, -1));
    cl_small_store(out, _mm_or_si128(two_1, last_1));
    cl_small_store(out + 15, _mm_or_si128(two_2, last_2));
}

/* Lanes of `flags` (each 0 or -1) that are set from the first on. */
CL_INLINE size_t cl_lanes_set(__m128i flags, size_t limit) {
    unsigned clear = ~(unsigned)_mm_movemask_epi8(flags);
    size_t n = (size_t)__builtin_ctz(clear) >> 1;
    return CL_MIN(n, limit);
}

/* 16-bit code points to UTF-8, escaped. The 16 bytes in front of `src` must be readable. Stops at a
 * surrogate: *src_at is then not its end. Room for n * CL_ESCAPE_WORST + CL_TRANSCODE_SLACK.
 * Returns the end. */
CL_INLINE char *cl_escape_ucs2(char *out, const uint16_t **src_at, size_t n) {
    const uint16_t *src = *src_at, *end = src + n;
    const __m128i zero = _mm_setzero_si128();
    while (n) {
        size_t left = CL_MIN(n, (size_t)8), run;
        __m128i v = cl_small_load((const char *)src, left * 2);
        __m128i ascii = _mm_cmpeq_epi16(_mm_and_si128(v, _mm_set1_epi16((short)0xff80)), zero);
        __m128i top = _mm_and_si128(v, _mm_set1_epi16((short)0xf800));
        __m128i below_800 = _mm_cmpeq_epi16(top, zero);
        if ((run = cl_lanes_set(ascii, left)) > 0) {
            src += cl_write_ascii(v, run, &out);
            n = (size_t)(end - src);
            continue;
        }
        if ((run = cl_lanes_set(_mm_andnot_si128(ascii, below_800), left)) > 0) {
            cl_write_pairs(v, out);
            out += 2 * run;
        } else {
            __m128i surrogate = _mm_cmpeq_epi16(top, _mm_set1_epi16((short)0xd800));
            __m128i other = _mm_or_si128(surrogate, below_800);
            run = cl_lanes_set(_mm_cmpeq_epi16(other, zero), left);
            if (run == 0)
                break;
            cl_write_triples(v, out);
            out += 3 * run;
        }
        src += run;
        if (src < end && *src == ' ') /* between words, too short for a run of its own */
            *out++ = (char)*src++;
        n = (size_t)(end - src);
    }
    *src_at = src;
    return out;
}

/* 8-bit code points (Latin-1), which cannot fail. */
CL_INLINE char *cl_escape_ucs1(char *out, const unsigned char *src, size_t n) {
    while (n) {
        size_t left = CL_MIN(n, (size_t)16);
        cl_small v = cl_small_load((const char *)src, left);
        cl_small_store(out, v);
        unsigned high = (unsigned)_mm_movemask_epi8(v);
        unsigned stops = (high | cl_small_specials(v)) & (0xffffU >> (16 - left));
        size_t run = (size_t)__builtin_ctz(stops | 1U << left);
        out += run;
        for (; run < left && (src[run] >= 0x80 || cl_escapes[src[run]][7]); run++)
            out = cl_escape_code_point(out, src[run]);
        src += run;
        n -= run;
    }
    return out;
}

#else

CL_INLINE char *cl_escape_ucs2(char *out, const uint16_t **src_at, size_t n) {
    const uint16_t *src = *src_at, *end = src + n;
    for (; src < end && (*src & 0xf800) != 0xd800; src++)
        out = cl_escape_code_point(out, *src);
    *src_at = src;
    return out;
}

CL_INLINE char *cl_escape_ucs1(char *out, const unsigned char *src, size_t n) {
    for (size_t i = 0; i < n; i++)
        out = cl_escape_code_point(out, src[i]);
    return out;
}

#endif

CL_INLINE char *cl_escape_ucs4(char *out, const uint32_t **src_at, size_t n) {
    const uint32_t *src = *src_at, *end = src + n;
    for (; src < end && (*src & ~(uint32_t)0x7ff) != 0xd800; src++)
        out = cl_escape_code_point(out, *src);
    *src_at = src;
    return out;
}

CL_SIMD_END

#endif
