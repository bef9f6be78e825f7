/* The encoder's walkers over the types that JSON knows. Included once per cpu level, between
 * CL_SIMD_BEGIN and CL_SIMD_END, with CL_LEVEL(name) giving the level's function names.
 *
 * They recurse, at most max_depth deep; a server's answers, not a client's bytes, steer that. */

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
