/* The decoder's machine. Included once per cpu level, between CL_SIMD_BEGIN and CL_SIMD_END, with
 * CL_LEVEL(name) giving the level's function names. */

/* ---- values ---- */

CL_INLINE const char *skip_space(const char *p, const char *end) {
    while (p < end && (unsigned char)*p <= ' ' &&
           (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

CL_INLINE PyObject *read_number(struct cl_json_decoder *d, const char **at) {
    const char *start = *at;
    struct cl_json_number number = cl_json_read_number(start, d->end);
    *at = number.end;
    switch (number.kind) {
    case CL_JSON_NUMBER_INT: return PyLong_FromLongLong(number.i64);
    case CL_JSON_NUMBER_DOUBLE: return PyFloat_FromDouble(number.f64);
    case CL_JSON_NUMBER_BIGINT: return cl_json_new_big_int(d, start, number.end);
    case CL_JSON_NUMBER_RANGE:
        return cl_json_fail(d, CELLO_EJSON, start, "number beyond the largest double");
    default: return cl_json_fail(d, CELLO_EJSON, number.end, "malformed number");
    }
}

CL_INLINE PyObject *read_literal(struct cl_json_decoder *d, const char **at, const char *text,
                                 size_t n, PyObject *value) {
    if (CL_UNLIKELY((size_t)(d->end - *at) < n || memcmp(*at, text, n) != 0))
        return cl_json_fail_value(d, *at);
    *at += n;
    return Py_NewRef(value);
}

/* Any value but an object or array. */
CL_INLINE PyObject *read_scalar(struct cl_json_decoder *d, const char **at) {
    switch (**at) {
    case '"': ++*at; return read_string(d, at);
    case 't': return read_literal(d, at, "true", 4, Py_True);
    case 'f': return read_literal(d, at, "false", 5, Py_False);
    case 'n': return read_literal(d, at, "null", 4, Py_None);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': return read_number(d, at);
    default: return cl_json_fail_value(d, *at);
    }
}

/* ---- containers ---- */

CL_INLINE int push_value(struct cl_json_decoder *d, PyObject *value) {
    if (CL_UNLIKELY(d->top == d->stack_end) && cl_json_grow_stack(d) < 0) {
        Py_DECREF(value);
        return -1;
    }
    *d->top++ = value;
    return 0;
}

/* The innermost container from the values on the stack, which it takes. */
CL_INLINE PyObject *close_container(struct cl_json_decoder *d) {
    struct cl_json_frame *frame = &d->frames[--d->depth];
    PyObject **items = d->stack + frame->start;
    size_t n = (size_t)(d->top - items);
    d->top = items;
    if (frame->is_object)
        return cl_json_new_dict(items, n / 2);
    PyObject *list = PyList_New((Py_ssize_t)n);
    if (CL_LIKELY(list != NULL)) {
        if (n)
            memcpy(((PyListObject *)list)->ob_item, items, n * sizeof *items);
        return list;
    }
    d->top += n;
    return NULL;
}

static struct cl_json_frame *open_container(struct cl_json_decoder *d, bool is_object) {
    struct cl_json_frame *frame = &d->frames[d->depth];
    *frame = (struct cl_json_frame){
        .start = (uint32_t)(d->top - d->stack),
        .key_slot = d->depth ? frame[-1].key_slot : 0,
        .is_object = is_object,
    };
    d->depth++;
    return frame;
}

/* A state machine: `value` and `key` read, `have` puts a finished value where it belongs.
 * In an object the guess for a key starts at what was first in such an object, then follows. */
/* state machine */
PyObject *CL_LEVEL(cl_json_decode)(struct cl_json_decoder *d) {
    const char *p = d->begin, *end = d->end;
    struct cl_json_frame *frame = NULL;
    uint16_t *guess;
    PyObject *value;

value:
    p = skip_space(p, end);
    if (CL_UNLIKELY(p == end))
        return cl_json_fail_value(d, p);
    if (*p != '{' && *p != '[') {
        value = read_scalar(d, &p);
        goto have;
    }
    if (CL_UNLIKELY(d->depth == d->max_depth))
        return cl_json_fail(d, CELLO_EJSON_DEPTH, p, "nested too deep");
    frame = open_container(d, *p == '{');
    p = skip_space(p + 1, end);
    if (CL_UNLIKELY(p < end && *p == (frame->is_object ? '}' : ']')))
        goto close;
    if (!frame->is_object)
        goto value;
    guess = &d->keys->slots[frame->key_slot].child;

key:
    if (CL_UNLIKELY(p == end || *p != '"'))
        return cl_json_fail(d, CELLO_EJSON, p, "expected a key in quotes");
    p++;
    value = read_key(d, &p, guess, frame);
    if (CL_UNLIKELY(!value || push_value(d, value) < 0))
        return NULL;
    p = skip_space(p, end);
    if (CL_UNLIKELY(p == end || *p != ':'))
        return cl_json_fail(d, CELLO_EJSON, p, "expected ':' behind a key");
    p++;
    goto value;

close:
    p++;
    value = close_container(d);
    frame = d->depth ? &d->frames[d->depth - 1] : NULL;

have:
    if (CL_UNLIKELY(!value))
        return NULL;
    p = skip_space(p, end);
    if (!frame)
        goto done;
    if (CL_UNLIKELY(push_value(d, value) < 0))
        return NULL;
    if (CL_LIKELY(p < end)) {
        if (*p == ',') {
            p++;
            if (!frame->is_object)
                goto value;
            p = skip_space(p, end);
            guess = &d->keys->slots[frame->key_slot].next;
            goto key;
        }
        if (*p == (frame->is_object ? '}' : ']'))
            goto close;
    }
    return cl_json_fail(d, CELLO_EJSON, p,
                        frame->is_object ? "expected ',' or '}'" : "expected ',' or ']'");

done:
    if (CL_LIKELY(p == end))
        return value;
    Py_DECREF(value);
    return cl_json_fail(d, CELLO_EJSON, p, "more text behind the value");
}
