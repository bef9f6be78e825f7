#include "convert/json_bytes.h"

#include "convert/json_encode.h"

enum { FIRST_ROOM = 8192 };

/* On the C stack at first, so that short text is copied once into a bytes of its size; in a bytes
 * that doubles from then on. */
struct bytes_sink {
    struct cl_sink sink;
    PyObject *bytes; /* NULL while the text fits in `first` */
    char first[FIRST_ROOM];
};

static int grow_bytes(struct cl_sink *s, size_t need) {
    struct bytes_sink *b = CL_CONTAINER_OF(s, struct bytes_sink, sink);
    size_t used = cl_sink_len(s), room = (size_t)(s->end - s->base);
    if (need > PY_SSIZE_T_MAX / 4 || room > PY_SSIZE_T_MAX / 4)
        return CELLO_ENOMEM;
    room = CL_MAX(room * 2, used + need);
    bool is_first = !b->bytes;
    if (is_first)
        b->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    else
        (void)_PyBytes_Resize(&b->bytes, (Py_ssize_t)room); /* makes it NULL when memory is out */
    if (!b->bytes) {
        PyErr_Clear(); /* the encoder raises it */
        return CELLO_ENOMEM;
    }
    char *base = PyBytes_AS_STRING(b->bytes);
    if (is_first)
        memcpy(base, s->base, used);
    s->base = base;
    s->p = base + used;
    s->end = base + room;
    return CELLO_OK;
}

PyObject *cl_json_encode_bytes(PyObject *obj, const struct cl_json_options *opt) {
    struct bytes_sink b;
    b.sink = (struct cl_sink){
        .p = b.first, .end = b.first + sizeof b.first, .base = b.first, .grow = grow_bytes};
    b.bytes = NULL;
    if (cl_json_encode(obj, &b.sink, opt)) {
        Py_XDECREF(b.bytes);
        return NULL;
    }
    Py_ssize_t n = (Py_ssize_t)cl_sink_len(&b.sink);
    if (!b.bytes)
        return PyBytes_FromStringAndSize(b.first, n);
    (void)_PyBytes_Resize(&b.bytes, n);
    return b.bytes;
}
