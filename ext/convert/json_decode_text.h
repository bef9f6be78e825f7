/* The decoder's strings and keys. Included once per cpu level, as json_decode_impl.h is. */

/* ---- strings ---- */

/* What a step of read_escaped may touch: what a vector holds, a store behind it, and what new_wide
 * looks at behind the text. */
enum { ESCAPED_ROOM = 2 * CL_VEC_SIZE + CL_SCAN_PADDING };

/* memcpy for text that is mostly short: no call, and no byte behind either end is touched. */
CL_INLINE void copy_text(char *to, const char *from, size_t n) {
    if (n >= 16) {
        size_t i = 0;
        if (CL_UNLIKELY(n > 256)) {
            memcpy(to, from, n);
            return;
        }
        for (; n - i > 16; i += 16)
            memcpy(to + i, from + i, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else if (n) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}

/* A str of plain ASCII. */
CL_INLINE PyObject *new_ascii(const char *text, size_t n) {
    if (CL_UNLIKELY(n == 1)) /* the interpreter's own */
        return PyUnicode_FromOrdinal((unsigned char)*text);
    PyObject *str = PyUnicode_New((Py_ssize_t)n, 127);
    if (CL_LIKELY(str != NULL))
        copy_text((char *)((PyASCIIObject *)str + 1), text, n);
    return str;
}

/* A str of the `n` 16-bit code points in d->wide, of which none is above 0xff. */
static PyObject *new_latin1(const uint16_t *points, size_t n) {
    if (n == 1)
        return PyUnicode_FromOrdinal(points[0]);
    PyObject *str = PyUnicode_New((Py_ssize_t)n, 0xff);
    if (str) {
        unsigned char *to = PyUnicode_1BYTE_DATA(str);
        for (size_t i = 0; i < n; i++)
            to[i] = (unsigned char)points[i];
    }
    return str;
}

/* `p` in `text` is malformed. The string's place is all that can be said once escapes were undone.
 */
static PyObject *not_utf8(struct cl_json_decoder *d, const char *text, const char *p,
                          const char *place) {
    return cl_json_fail(d, CELLO_EJSON, text == place ? p : place, "text is not UTF-8");
}

/* A str of text with characters outside the basic plane. */
static CL_NOINLINE PyObject *new_astral(struct cl_json_decoder *d, const char *text, size_t n,
                                        const char *place) {
    if (cl_json_need_scratch(&d->wide, 4 * n, 0) < 0)
        return NULL;
    uint32_t *points = (uint32_t *)(void *)d->wide.p;
    const char *p = text;
    size_t count = (size_t)(cl_utf8_to_ucs4(&p, text + n, points) - points);
    if (p < text + n)
        return not_utf8(d, text, p, place);
    PyObject *str = PyUnicode_New((Py_ssize_t)count, 0x10ffff);
    if (str)
        memcpy(PyUnicode_4BYTE_DATA(str), points, 4 * count);
    return str;
}

/* A str of UTF-8 text that is not all ASCII; it is checked on the way. `safe` as in transcode.h,
 * `place` is where in the input the string begins. */
static CL_NOINLINE PyObject *new_wide(struct cl_json_decoder *d, const char *text, size_t n,
                                      const char *safe, const char *place) {
    if (cl_json_need_scratch(&d->wide, 2 * (n + CL_TRANSCODE_SLACK), 0) < 0)
        return NULL;
    uint16_t *points = (uint16_t *)(void *)d->wide.p;
    const char *p = text;
    bool wide = false;
    size_t count = (size_t)(cl_utf8_to_ucs2(&p, text + n, safe, points, &wide) - points);
    if (CL_UNLIKELY(p < text + n)) {
        bool is_astral = (unsigned char)*p >= 0xf0;
        return is_astral ? new_astral(d, text, n, place) : not_utf8(d, text, p, place);
    }
    if (!wide)
        return new_latin1(points, count);
    PyObject *str = PyUnicode_New((Py_ssize_t)count, 0xffff);
    if (str)
        copy_text((char *)PyUnicode_2BYTE_DATA(str), (const char *)points, 2 * count);
    return str;
}

static PyObject *string_fault(struct cl_json_decoder *d, const char *start, const char *p) {
    if (p >= d->end)
        return cl_json_fail(d, CELLO_EJSON, start, "string is not closed");
    return cl_json_fail(d, CELLO_EJSON, p, "control character in a string");
}

/* The escape at *at, written to `out`. Returns the end, or NULL with the error noted. */
CL_INLINE char *read_escape(struct cl_json_decoder *d, char *out, const char **at, bool *high) {
    static const char plain[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    const char *p = *at;
    char c = CL_LIKELY(d->end - p >= 2) ? plain[(unsigned char)p[1]] : 0;
    if (CL_LIKELY(c)) {
        *out = c;
        *at = p + 2;
        return out + 1;
    }
    uint32_t point;
    const char *next = cl_json_read_escape(p, d->end, &point);
    if (!next)
        return cl_json_fail(d, CELLO_EJSON, p, "malformed escape");
    *high |= point >= 0x80;
    *at = next;
    return cl_put_utf8(out, point);
}

/* One vector of a string's text, with the escapes that begin in it. Where the next special byte is
 * comes from the vector's flags, which is quicker than to look from behind each escape again. Stops
 * at a quote or control character, with *at there. Returns the end of `out`, or NULL with the error
 * noted. */
CL_INLINE char *read_escaped_vector(struct cl_json_decoder *d, char *out, const char **at,
                                    bool *high) {
    const char *base = *at, *p = base;
    cl_vec v = cl_vec_load(base);
    cl_mask specials = cl_vec_specials(v), above = cl_vec_high(v);
    while (specials) {
        size_t i = cl_mask_first(specials);
        cl_vec_store(out, cl_vec_load(p));
        out += base + i - p;
        *at = p = base + i;
        if (*p != '\\') {
            *high |= cl_mask_below(above, i) != 0;
            return out;
        }
        out = read_escape(d, out, &p, high);
        if (CL_UNLIKELY(!out))
            return NULL;
        size_t used = (size_t)(p - base);
        specials =
            used < CL_VEC_SIZE ? specials >> (used << CL_MASK_SHIFT) << (used << CL_MASK_SHIFT) : 0;
    }
    if (p < base + CL_VEC_SIZE) {
        cl_vec_store(out, cl_vec_load(p));
        out += base + CL_VEC_SIZE - p;
        p = base + CL_VEC_SIZE;
    }
    *high |= above != 0;
    *at = p;
    return out;
}

/* The same for one byte or escape, where no vector may be read any more. */
CL_INLINE char *read_escaped_byte(struct cl_json_decoder *d, char *out, const char **at,
                                  bool *high) {
    const char *p = *at;
    if (p == d->end || *p == '"' || (unsigned char)*p < 0x20)
        return out;
    if (*p == '\\')
        return read_escape(d, out, at, high);
    *high |= (unsigned char)*p >= 0x80;
    *out = *p;
    ++*at;
    return out + 1;
}

/* A string with escapes: `start` is behind its quote, *at at its first backslash. Its text is put
 * together in d->text. */
static CL_NOINLINE PyObject *read_escaped(struct cl_json_decoder *d, const char *start,
                                          const char **at, bool high) {
    const char *p = *at;
    size_t n = (size_t)(p - start);
    if (cl_json_need_scratch(&d->text, n + ESCAPED_ROOM, 0) < 0)
        return NULL;
    memcpy(d->text.p, start, n);
    char *out = d->text.p + n, *limit = d->text.p + d->text.size - ESCAPED_ROOM;
    do {
        if (CL_UNLIKELY(out > limit)) {
            n = (size_t)(out - d->text.p);
            if (cl_json_need_scratch(&d->text, d->text.size + 1, n) < 0)
                return NULL;
            out = d->text.p + n;
            limit = d->text.p + d->text.size - ESCAPED_ROOM;
        }
        out = CL_LIKELY(p <= d->safe) ? read_escaped_vector(d, out, &p, &high)
                                      : read_escaped_byte(d, out, &p, &high);
        if (CL_UNLIKELY(!out))
            return NULL;
        if (CL_UNLIKELY(p >= d->end))
            return string_fault(d, start - 1, d->end);
    } while (*p != '"' && (unsigned char)*p >= 0x20);
    if (*p != '"')
        return string_fault(d, start - 1, p);
    *at = p + 1;
    *out = '"'; /* ends a run of characters for the vectors that look behind the end */
    n = (size_t)(out - d->text.p);
    return high ? new_wide(d, d->text.p, n, out + CL_SCAN_PADDING - 16, start)
                : new_ascii(d->text.p, n);
}

/* `*at` is behind the opening quote and moves behind the closing one. */
CL_INLINE PyObject *read_string(struct cl_json_decoder *d, const char **at) {
    bool high = false;
    const char *start = *at, *p = cl_scan_string(start, d->end, d->safe, &high);
    if (CL_UNLIKELY(p == d->end || *p != '"')) {
        if (p == d->end || *p != '\\')
            return string_fault(d, start - 1, p);
        *at = p;
        return read_escaped(d, start, at, high);
    }
    *at = p + 1;
    size_t n = (size_t)(p - start);
    return CL_UNLIKELY(high) ? new_wide(d, start, n, d->safe, start) : new_ascii(start, n);
}

/* ---- keys ---- */

/* Whether the text at `p` is the slot's key and its quote. */
CL_INLINE bool is_key(const struct cl_json_decoder *d, const struct cl_key_slot *slot,
                      const char *p) {
#if defined(CL_SIMD_AVX2)
    if (CL_LIKELY(p <= d->safe)) {
        cl_mask wrong = ~cl_vec_equal(cl_vec_load(p), cl_vec_load(slot->text));
        return slot->size && (wrong << (32 - slot->size)) == 0;
    }
#endif
    return slot->size && (size_t)(d->end - p) >= slot->size &&
           memcmp(p, slot->text, slot->size) == 0;
}

/* A key that was not guessed. *slot is set if the cache has it now. */
static CL_NOINLINE PyObject *read_other_key(struct cl_json_decoder *d, const char **at,
                                            uint16_t *slot) {
    bool high = false;
    const char *start = *at, *p = cl_scan_string(start, d->end, d->safe, &high);
    size_t n = (size_t)(p - start);
    if (p == d->end || *p != '"' || high || n > CL_KEY_MAX)
        return read_string(d, at);
    *at = p + 1;
    uint16_t found = cl_key_cache_find(d->keys, start, n);
    if (!found)
        return NULL;
    *slot = found;
    return Py_NewRef(d->keys->slots[found].str);
}

/* `*at` is behind the opening quote and moves behind the closing one; `guess` is where the slot
 * that is expected stands, and `frame` the object's. */
CL_INLINE PyObject *read_key(struct cl_json_decoder *d, const char **at, uint16_t *guess,
                             struct cl_json_frame *frame) {
    struct cl_key_slot *slot = &d->keys->slots[*guess];
    if (CL_LIKELY(is_key(d, slot, *at))) {
        *at += slot->size;
        frame->key_slot = *guess;
        return Py_NewRef(slot->str);
    }
    uint16_t found = 0;
    PyObject *key = read_other_key(d, at, &found);
    if (found) {
        *guess = found;
        frame->key_slot = found;
    }
    return key;
}
