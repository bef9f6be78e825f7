/* Writing the inside of a JSON string: UTF-8 in, the same bytes out with '"', '\\' and control
 * characters escaped. Included between level macros, see simd.h.
 *
 * Room: the caller has it as each function says; whole vectors are stored, so a writer may touch up
 * to CL_ESCAPE_SLACK bytes behind what it reports as written. The source is read exactly, but for
 * cl_escape_small, which says what it wants. Thread: any. No errors. */
#ifndef CL_JSON_ESCAPE_H
#define CL_JSON_ESCAPE_H

#include "json/simd.h"

enum {
    CL_ESCAPE_SLACK = 32,
    CL_ESCAPE_WORST = 6, /* bytes that one byte can become: \u001f */
};

/* For each byte that needs it: its escape in the first seven bytes, zero-filled, and the escape's
 * length in the last. All zero where the byte stands for itself. */
extern const char cl_escapes[256][8];

CL_INLINE char *cl_put_escape(char *out, char c) {
    const char *escape = cl_escapes[(unsigned char)c];
    memcpy(out, escape, 8);
    return out + escape[7];
}

CL_SIMD_BEGIN

/* Copy bytes that need no escape. Returns how many of the `n` were copied: all, or up to the first
 * that needs one. Room for n + CL_ESCAPE_SLACK. */
CL_INLINE size_t cl_copy_plain(char *out, const char *src, size_t n) {
    size_t i = 0;
    for (; n - i >= 2 * CL_VEC_SIZE; i += 2 * CL_VEC_SIZE) {
        cl_vec v = cl_vec_load(src + i), w = cl_vec_load(src + i + CL_VEC_SIZE);
        cl_vec_store(out + i, v);
        cl_vec_store(out + i + CL_VEC_SIZE, w);
        cl_mask first = cl_vec_specials(v), second = cl_vec_specials(w);
        if (CL_UNLIKELY(first | second))
            return first ? i + cl_mask_first(first) : i + CL_VEC_SIZE + cl_mask_first(second);
    }
    if (n - i >= CL_VEC_SIZE) {
        cl_vec v = cl_vec_load(src + i);
        cl_vec_store(out + i, v);
        cl_mask specials = cl_vec_specials(v);
        if (CL_UNLIKELY(specials))
            return i + cl_mask_first(specials);
        i += CL_VEC_SIZE;
    }
    if (i == n)
        return n;
    if (n >= CL_VEC_SIZE) { /* the last vector again, from where it ends with the source */
        i = n - CL_VEC_SIZE;
        cl_vec v = cl_vec_load(src + i);
        cl_vec_store(out + i, v);
        cl_mask specials = cl_vec_specials(v);
        return specials ? i + cl_mask_first(specials) : n;
    }
    for (; i < n && !cl_escapes[(unsigned char)src[i]][7]; i++)
        out[i] = src[i];
    return i;
}

/* As cl_copy_plain, for a source with CL_SMALL_SIZE readable bytes in front of it, such as text
 * behind an object's head: short strings then take one load and no branch on their length. */
CL_INLINE size_t cl_copy_plain_behind_head(char *out, const char *src, size_t n) {
    if (n <= CL_SMALL_SIZE) {
        cl_small v = cl_small_load(src, n);
        cl_small_store(out, v);
        cl_small_mask specials = cl_small_below(cl_small_specials(v), n);
        return CL_UNLIKELY(specials) ? (size_t)__builtin_ctzll(specials) >> CL_SMALL_SHIFT : n;
    }
    if (n <= 2 * (size_t)CL_SMALL_SIZE) { /* two that overlap */
        cl_small first = cl_small_load_all(src);
        cl_small last = cl_small_load_all(src + n - CL_SMALL_SIZE);
        cl_small_store(out, first);
        cl_small_store(out + n - CL_SMALL_SIZE, last);
        cl_small_mask specials = cl_small_specials(first);
        if (CL_UNLIKELY(specials))
            return (size_t)__builtin_ctzll(specials) >> CL_SMALL_SHIFT;
        specials = cl_small_specials(last);
        if (CL_UNLIKELY(specials))
            return n - CL_SMALL_SIZE + ((size_t)__builtin_ctzll(specials) >> CL_SMALL_SHIFT);
        return n;
    }
    return cl_copy_plain(out, src, n);
}

/* Escape `n` bytes. Room for n * CL_ESCAPE_WORST + CL_ESCAPE_SLACK. Returns the end. */
CL_INLINE char *cl_escape(char *out, const char *src, size_t n) {
    const char *end = src + n;
    while (end - src >= CL_VEC_SIZE) {
        cl_vec v = cl_vec_load(src);
        cl_vec_store(out, v);
        cl_mask specials = cl_vec_specials(v);
        size_t plain = specials ? cl_mask_first(specials) : CL_VEC_SIZE;
        out += plain;
        src += plain;
        if (specials)
            out = cl_put_escape(out, *src++);
    }
    for (; src < end; src++) {
        if (CL_UNLIKELY(cl_escapes[(unsigned char)*src][7]))
            out = cl_put_escape(out, *src);
        else
            *out++ = *src;
    }
    return out;
}

CL_SIMD_END

#endif
