/* The encoder's walkers over the types that JSON knows. Included once per cpu level, between
 * CL_SIMD_BEGIN and CL_SIMD_END, with CL_LEVEL(name) giving the level's function names.
 *
 * They recurse, at most max_depth deep; a server's answers, not a client's bytes, steer that. */

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

CL_INLINE char *put_str(struct cl_json_encoder *e, char *p, PyObject *str) {
    const char *text = (const char *)((PyASCIIObject *)str + 1);
    size_t n = (size_t)PyUnicode_GET_LENGTH(str);
    if (CL_UNLIKELY(!PyUnicode_IS_COMPACT_ASCII(str)) && !known_utf8(str, &text, &n))
        return put_str_wide(e, p, str);
    p = cl_json_room(e, p, n + CL_ENCODE_ROOM);
    if (CL_UNLIKELY(!p))
        return NULL;
    *p++ = '"';
    size_t plain = cl_copy_plain_behind_head(p, text, n);
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

static char *put_value(struct cl_json_encoder *e, char *p, PyObject *obj);

/* ---- rows: dicts in a list mostly have the same keys in the same order ---- */

enum {
    ROW_KEYS = 24,
    ROW_TEXT = 32, /* a key with quotes and colon, copied whole */
    ROW_MIN = 3,   /* items a list must have for rows to pay */
};

/* What the keys of the list's dicts looked like so far, by their place. A key is known again by its
 * address, so it is held as long as the row. */
struct row {
    int count;
    uint8_t lengths[ROW_KEYS];
    PyObject *keys[ROW_KEYS];
    char text[ROW_KEYS][ROW_TEXT];
};

static void row_end(struct row *row) {
    while (row->count)
        Py_DECREF(row->keys[--row->count]);
}

/* A key at its place was written to [start, p). */
static void row_learn(struct row *row, int place, PyObject *key, const char *start, const char *p) {
    size_t n = (size_t)(p - start);
    if (place != row->count || place == ROW_KEYS || n > ROW_TEXT)
        return;
    memcpy(row->text[place], start, n);
    row->lengths[place] = (uint8_t)n;
    row->keys[place] = Py_NewRef(key);
    row->count++;
}

static char *put_pairs(struct cl_json_encoder *e, char *p, PyObject *dict, struct row *row);

/* The items from `i` on of a list that began with dicts. */
static CL_NOINLINE char *put_rows(struct cl_json_encoder *e, char *p, PyObject *list) {
    struct row row;
    row.count = 0;
    if (CL_UNLIKELY(e->depth_left == 0))
        return cl_json_too_deep(e);
    for (Py_ssize_t i = 0; p && i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        if (CL_LIKELY(PyDict_CheckExact(item))) {
            p = cl_json_room(e, p, CL_ENCODE_ROOM);
            if (CL_UNLIKELY(!p))
                break;
            e->depth_left--;
            Py_INCREF(item);
            p = put_pairs(e, p, item, &row);
            Py_DECREF(item);
            e->depth_left++;
        } else {
            p = put_value(e, p, item);
        }
        if (CL_LIKELY(p != NULL))
            *p++ = ',';
    }
    row_end(&row);
    return p;
}

/* Items of a list or tuple; a list may change while user code runs in one of its items. */
static char *put_items(struct cl_json_encoder *e, char *p, PyObject *seq, bool is_list) {
    *p++ = '[';
    Py_ssize_t size = is_list ? PyList_GET_SIZE(seq) : PyTuple_GET_SIZE(seq);
    if (is_list && size >= ROW_MIN && PyDict_CheckExact(PyList_GET_ITEM(seq, 0))) {
        p = put_rows(e, p, seq);
        size = 0;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = is_list ? PyList_GET_ITEM(seq, i) : PyTuple_GET_ITEM(seq, i);
        p = put_value(e, p, item);
        if (CL_UNLIKELY(!p))
            return NULL;
        *p++ = ',';
        if (is_list)
            size = PyList_GET_SIZE(seq);
    }
    if (CL_UNLIKELY(!p))
        return NULL;
    p -= p[-1] == ',';
    *p++ = ']';
    return p;
}

/* A key that may run user code, with its value kept alive meanwhile. */
static CL_NOINLINE char *put_odd_pair(struct cl_json_encoder *e, char *p, PyObject *key,
                                      PyObject *value) {
    Py_INCREF(key);
    Py_INCREF(value);
    p = cl_json_put_key(e, p, key);
    if (p) {
        *p++ = ':';
        p = put_value(e, p, value);
    }
    Py_DECREF(value);
    Py_DECREF(key);
    return p;
}

/* The key at `place` of a dict that stands in a list. */
CL_INLINE char *put_row_key(struct cl_json_encoder *e, char *p, struct row *row, int place,
                            PyObject *key) {
    if (CL_LIKELY(place < row->count && row->keys[place] == key)) {
        p = cl_json_room(e, p, ROW_TEXT + CL_ENCODE_REST);
        if (CL_UNLIKELY(!p))
            return NULL;
        memcpy(p, row->text[place], ROW_TEXT);
        return p + row->lengths[place];
    }
    ptrdiff_t start = p - e->sink->base; /* the sink may move what is written */
    p = put_str(e, p, key);
    if (CL_UNLIKELY(!p))
        return NULL;
    *p++ = ':';
    row_learn(row, place, key, e->sink->base + start, p);
    return p;
}

/* row: of the list the dict stands in; NULL for a dict elsewhere. */
static char *put_pairs(struct cl_json_encoder *e, char *p, PyObject *dict, struct row *row) {
    *p++ = '{';
    PyObject *key, *value;
    Py_ssize_t position = 0, size = PyDict_GET_SIZE(dict);
    for (int place = 0; cl_dict_next(dict, &position, &key, &value); place++) {
        if (CL_LIKELY(PyUnicode_CheckExact(key))) {
            if (row) {
                p = put_row_key(e, p, row, place, key);
            } else {
                p = put_str(e, p, key);
                if (CL_LIKELY(p != NULL))
                    *p++ = ':';
            }
            if (CL_UNLIKELY(!p))
                return NULL;
            p = put_value(e, p, value);
        } else {
            p = put_odd_pair(e, p, key, value);
        }
        if (CL_UNLIKELY(!p))
            return NULL;
        *p++ = ',';
        if (CL_UNLIKELY(PyDict_GET_SIZE(dict) != size)) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size while it was encoded");
            return NULL;
        }
    }
    p -= p[-1] == ',';
    *p++ = '}';
    return p;
}

/* A container is held while it is walked: user code in an item may drop what held it. */
static char *put_container(struct cl_json_encoder *e, char *p, PyObject *obj) {
    if (CL_UNLIKELY(e->depth_left == 0))
        return cl_json_too_deep(e);
    e->depth_left--;
    Py_INCREF(obj);
#ifdef Py_GIL_DISABLED
    Py_BEGIN_CRITICAL_SECTION(obj);
#endif
    if (PyDict_CheckExact(obj))
        p = put_pairs(e, p, obj, NULL);
    else
        p = put_items(e, p, obj, PyList_CheckExact(obj));
#ifdef Py_GIL_DISABLED
    Py_END_CRITICAL_SECTION();
#endif
    Py_DECREF(obj);
    e->depth_left++;
    return p;
}

CL_INLINE char *put_literal(char *p, const char text[8], size_t n) {
    memcpy(p, text, 8);
    return p + n;
}

/* Not inlined: its scratch digits would give every put_value() a frame with a guard. */
static CL_NOINLINE char *put_float(char *p, double value) {
    return CL_LIKELY(isfinite(value)) ? cl_put_double(p, value) : cl_json_not_finite();
}

static char *put_value(struct cl_json_encoder *e, char *p, PyObject *obj) {
    PyTypeObject *type = Py_TYPE(obj);
    if (type == &PyUnicode_Type)
        return put_str(e, p, obj);
    p = cl_json_room(e, p, CL_ENCODE_ROOM);
    if (CL_UNLIKELY(!p))
        return NULL;
    if (type == &PyLong_Type)
        return put_int(e, p, obj);
    if (obj == Py_None)
        return put_literal(p, "null\0\0\0", 4);
    if (obj == Py_True)
        return put_literal(p, "true\0\0\0", 4);
    if (obj == Py_False)
        return put_literal(p, "false\0\0", 5);
    if (type == &PyFloat_Type)
        return put_float(p, PyFloat_AS_DOUBLE(obj));
    if (type == &PyDict_Type || type == &PyList_Type || type == &PyTuple_Type)
        return put_container(e, p, obj);
    return cl_json_put_other(e, p, obj);
}

char *CL_LEVEL(cl_json_put_value)(struct cl_json_encoder *e, char *p, PyObject *obj) {
    e->put_value = put_value;
    e->put_text = put_text;
    return put_value(e, p, obj);
}
