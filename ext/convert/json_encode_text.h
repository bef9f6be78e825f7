/* The encoder's strings and ints. Included once per cpu level, as json_encode_impl.h is. */

/* Text is escaped in pieces, so that its worst case asks for little room at a time. */
enum { ESCAPE_PIECE = 512 };

/* The rest of a string from its first byte that needs an escape, and the closing quote. */
static CL_NOINLINE char *put_escaped(struct cl_json_encoder *e, char *p, const char *src,
                                     size_t n) {
    do {
        size_t piece = CL_MIN(n, (size_t)ESCAPE_PIECE);
        p = cl_json_room(e, p, piece * CL_ESCAPE_WORST + CL_ENCODE_ROOM);
        if (!p)
            return NULL;
        p = cl_escape(p, src, piece);
        src += piece;
        n -= piece;
    } while (n);
    *p++ = '"';
    return p;
}

/* UTF-8 text as a string. */
static char *put_text(struct cl_json_encoder *e, char *p, const char *text, size_t n) {
    p = cl_json_room(e, p, n + CL_ENCODE_ROOM);
    if (!p)
        return NULL;
    *p++ = '"';
    size_t plain = cl_copy_plain(p, text, n);
    p += plain;
    if (CL_UNLIKELY(plain < n))
        return put_escaped(e, p, text + plain, n - plain);
    *p++ = '"';
    return p;
}

/* Code points [i, n) of a str to UTF-8. Returns where it stopped, n unless there is a surrogate. */
CL_INLINE Py_ssize_t put_code_points(char **p, PyObject *str, Py_ssize_t i, size_t n) {
    if (PyUnicode_KIND(str) == PyUnicode_1BYTE_KIND) {
        *p = cl_escape_ucs1(*p, PyUnicode_1BYTE_DATA(str) + i, n);
        return i + (Py_ssize_t)n;
    }
    if (PyUnicode_KIND(str) == PyUnicode_2BYTE_KIND) {
        const uint16_t *start = PyUnicode_2BYTE_DATA(str), *src = start + i;
        *p = cl_escape_ucs2(*p, &src, n);
        return src - start;
    }
    const uint32_t *start = PyUnicode_4BYTE_DATA(str), *src = start + i;
    *p = cl_escape_ucs4(*p, &src, n);
    return src - start;
}

/* The UTF-8 text that somebody asked a str for before; only text with no need for bytes in front.
 */
CL_INLINE bool known_utf8(PyObject *str, const char **text, size_t *n) {
#ifdef Py_GIL_DISABLED /* another thread may be setting it */
    (void)str, (void)text, (void)n;
    return false;
#else
    const PyCompactUnicodeObject *head = (const PyCompactUnicodeObject *)str;
    if (!head->utf8 || head->utf8_length <= CL_SMALL_SIZE)
        return false;
    *text = head->utf8;
    *n = (size_t)head->utf8_length;
    return true;
#endif
}

/* A str of more than ASCII, straight from its code points: asking for its UTF-8 would leave a
 * second copy of the text in the object for as long as that lives. */
static CL_NOINLINE char *put_str_wide(struct cl_json_encoder *e, char *p, PyObject *str) {
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(str) < 0)
        return NULL;
#endif
    Py_ssize_t n = PyUnicode_GET_LENGTH(str), i = 0;
    p = cl_json_room(e, p, CL_ENCODE_ROOM);
    if (!p)
        return NULL;
    *p++ = '"';
    while (i < n) {
        size_t piece = (size_t)CL_MIN(n - i, (Py_ssize_t)ESCAPE_PIECE);
        p = cl_json_room(e, p, piece * CL_ESCAPE_WORST + CL_ENCODE_ROOM);
        if (!p)
            return NULL;
        Py_ssize_t want = i + (Py_ssize_t)piece;
        i = put_code_points(&p, str, i, piece);
        if (i < want) {
            (void)PyUnicode_AsUTF8(str); /* raises what everybody raises for a surrogate */
            return NULL;
        }
    }
    *p++ = '"';
    return p;
}

static_assert(sizeof(PyASCIIObject) >= CL_SMALL_SIZE, "there is a head in front of the text");

/* Not inlined: its vectors would give every put_value() an aligned frame. */
static CL_NOINLINE size_t copy_long(char *p, const char *text, size_t n) {
    return cl_copy_plain(p, text, n);
}

CL_INLINE char *put_str(struct cl_json_encoder *e, char *p, PyObject *str) {
    const char *text = (const char *)((PyASCIIObject *)str + 1);
    size_t n = (size_t)PyUnicode_GET_LENGTH(str);
    if (CL_UNLIKELY(!PyUnicode_IS_COMPACT_ASCII(str)) && !known_utf8(str, &text, &n))
        return put_str_wide(e, p, str);
    p = cl_json_room(e, p, n + CL_ENCODE_ROOM);
    if (CL_UNLIKELY(!p))
        return NULL;
    *p++ = '"';
    size_t plain = CL_LIKELY(n <= 2 * (size_t)CL_SMALL_SIZE) ? cl_copy_plain_behind_head(p, text, n)
                                                             : copy_long(p, text, n);
    p += plain;
    if (CL_UNLIKELY(plain < n))
        return put_escaped(e, p, text + plain, n - plain);
    *p++ = '"';
    return p;
}

/* Ints of up to two of CPython's digits (60 bits) are read where they lie. */
CL_INLINE char *put_int(struct cl_json_encoder *e, char *p, PyObject *obj) {
#if PY_VERSION_HEX >= 0x030C0000
    const struct _PyLongValue *value = &((PyLongObject *)obj)->long_value;
    const digit *digits = value->ob_digit;
    /* The lowest two bits of the tag: 0 positive, 1 zero, 2 negative; the digit count from bit 3.
     */
    size_t count = value->lv_tag >> 3;
    bool negative = (value->lv_tag & 2) != 0;
#else
    const digit *digits = ((PyLongObject *)obj)->ob_digit;
    Py_ssize_t size = Py_SIZE(obj);
    bool negative = size < 0;
    size_t count = (size_t)(negative ? -size : size);
#endif
    uint64_t magnitude = count ? digits[0] : 0;
    if (CL_UNLIKELY(count > 1)) {
        if (count > 2)
            return cl_json_put_wide_int(e, p, obj);
        magnitude |= (uint64_t)digits[1] << PyLong_SHIFT;
    }
    *p = '-';
    return cl_put_u64(p + negative, magnitude);
}
