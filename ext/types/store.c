#include "types/store.h"

#include <math.h>

#include "types/args.h"
#include "types/cluster.h"

/* Of a value that is read without asking for its length first. */
enum { SHORT_VALUE = 1024 };

struct store {
    PyObject_HEAD struct cl_store *store;
    PyObject *cluster; /* strong: has the memory */
};

static struct cl_store *store_of(PyObject *o) {
    return ((struct store *)(void *)o)->store;
}

struct cl_store *cl_pystore_of(struct cl_ext *ext, PyObject *object) {
    if (PyObject_TypeCheck(object, ext->store_type))
        return store_of(object);
    PyErr_Format(PyExc_TypeError, "a Store is needed, not %.100s", Py_TYPE(object)->tp_name);
    return NULL;
}

/* ---- arguments ---- */

int cl_bytes_arg(struct cl_bytes_arg *out, PyObject *object, const char *what) {
    out->view.obj = NULL;
    if (PyUnicode_Check(object)) {
        Py_ssize_t n;
        const char *p = PyUnicode_AsUTF8AndSize(object, &n);
        out->bytes = (struct cl_str){p, p ? (size_t)n : 0};
        return p ? 0 : -1;
    }
    if (!PyObject_CheckBuffer(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be str or bytes, not %.100s", what,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    if (PyObject_GetBuffer(object, &out->view, PyBUF_SIMPLE) < 0)
        return -1;
    out->bytes = (struct cl_str){out->view.buf, (size_t)out->view.len};
    return 0;
}

void cl_bytes_release(struct cl_bytes_arg *a) {
    if (a->view.obj)
        PyBuffer_Release(&a->view);
}

/* Seconds; NULL and None: 0, without end. */
static int expires_in(PyObject *arg, uint64_t *ns) {
    *ns = 0;
    if (!arg || arg == Py_None)
        return 0;
    double seconds = PyFloat_AsDouble(arg);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (!(seconds > 0)) {
        PyErr_Format(PyExc_ValueError, "expires_in is a number of seconds above 0, or None; not %R",
                     arg);
        return -1;
    }
    *ns = (uint64_t)ceil(fmin(seconds, 1e9) * 1e9);
    return 0;
}

static PyObject *raise_error(int err, size_t key_len) {
    switch (err) {
    case CELLO_EINVAL:
        PyErr_Format(PyExc_ValueError, "a key has 1 to %d bytes, not %zu", CELLO_STORE_KEY_MAX,
                     key_len);
        return NULL;
    case CELLO_ELIMIT:
        PyErr_Format(PyExc_ValueError, "a value has at most %d bytes", CELLO_STORE_VALUE_MAX);
        return NULL;
    default: PyErr_SetString(PyExc_ValueError, cello_strerror(err)); return NULL;
    }
}

/* What an operation that may find a reason against it gives: True, False, or an exception. */
static PyObject *done_or_not(int err, size_t key_len) {
    if (err && err != CELLO_ENOENT && err != CELLO_EEXIST)
        return raise_error(err, key_len);
    return PyBool_FromLong(err == CELLO_OK);
}

/* ---- get, contains ---- */

/* A new bytes; NULL with *err, and an exception if that is 0. */
static PyObject *read_value(const struct cl_store *s, struct cl_str key, int *err) {
    char text[SHORT_VALUE];
    size_t len;
    *err = cello_store_get(s, key, text, sizeof text, &len);
    if (!*err)
        return PyBytes_FromStringAndSize(text, (Py_ssize_t)len);
    PyObject *value = NULL;
    while (*err == CELLO_ELIMIT) { /* again only when it became longer meanwhile */
        Py_XDECREF(value);
        size_t room = len;
        value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
        if (!value) {
            *err = 0;
            return NULL;
        }
        *err = cello_store_get(s, key, PyBytes_AS_STRING(value), room, &len);
    }
    if (*err)
        Py_CLEAR(value);
    else if ((Py_ssize_t)len < PyBytes_GET_SIZE(value))
        _PyBytes_Resize(&value, (Py_ssize_t)len);
    return value;
}

PyDoc_STRVAR(get_doc,
             "get($self, key, default=None)\n--\n\nThe value as bytes, or `default`. key: str or "
             "bytes, of 1 to 1,024 bytes. A number is given as its digits.");

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = {
        .function = "get", .required = 1, .positional = 2, .names = {"key", "default"}};
    PyObject *given[2];
    struct cl_bytes_arg key;
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0 ||
        cl_bytes_arg(&key, given[0], "a key") < 0)
        return NULL;
    int err;
    PyObject *value = read_value(store_of(self), key.bytes, &err);
    if (err == CELLO_ENOENT)
        value = Py_NewRef(given[1] ? given[1] : Py_None);
    else if (err)
        raise_error(err, key.bytes.len);
    cl_bytes_release(&key);
    return value;
}

/* 1, 0, or -1 with an exception. */
static int has_key(PyObject *self, PyObject *arg) {
    struct cl_bytes_arg key;
    size_t len;
    if (cl_bytes_arg(&key, arg, "a key") < 0)
        return -1;
    int err = cello_store_get(store_of(self), key.bytes, NULL, 0, &len);
    if (err == CELLO_EINVAL)
        raise_error(err, key.bytes.len);
    cl_bytes_release(&key);
    return err == CELLO_EINVAL ? -1 : err != CELLO_ENOENT;
}

PyDoc_STRVAR(contains_doc, "contains($self, key, /)\n--\n\nbool: the key is there. As `key in`.");

static PyObject *contains(PyObject *self, PyObject *arg) {
    int found = has_key(self, arg);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

/* ---- set, add, compare_and_set ---- */

typedef int write_function(const struct cl_store *, struct cl_str, struct cl_str, uint64_t);

static PyObject *write_with(PyObject *self, const struct cl_args_spec *spec, write_function *write,
                            PyObject *const *args, Py_ssize_t n, PyObject *names) {
    PyObject *given[3];
    struct cl_bytes_arg key, value;
    uint64_t ns;
    if (cl_args_parse(spec, args, (size_t)n, names, given) < 0 || expires_in(given[2], &ns) < 0 ||
        cl_bytes_arg(&key, given[0], "a key") < 0)
        return NULL;
    if (cl_bytes_arg(&value, given[1], "a value") < 0) {
        cl_bytes_release(&key);
        return NULL;
    }
    PyObject *result =
        done_or_not(write(store_of(self), key.bytes, value.bytes, ns), key.bytes.len);
    cl_bytes_release(&value);
    cl_bytes_release(&key);
    return result;
}

PyDoc_STRVAR(set_doc,
             "set($self, key, value, expires_in=None)\n--\n\nvalue: bytes, or a str, which is kept "
             "as UTF-8; up to 256 KiB. expires_in: seconds; None: without end.");

static PyObject *set(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = {
        .function = "set", .required = 2, .positional = 3, .names = {"key", "value", "expires_in"}};
    PyObject *done = write_with(self, &spec, cello_store_set, args, n, names);
    Py_XDECREF(done);
    return done ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(add_doc,
             "add($self, key, value, expires_in=None)\n--\n\nAs set(), if the key is not there. "
             "False: it is, and stays as it was.");

static PyObject *add(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = {
        .function = "add", .required = 2, .positional = 3, .names = {"key", "value", "expires_in"}};
    return write_with(self, &spec, cello_store_add, args, n, names);
}

static PyObject *swap(PyObject *self, PyObject **given, uint64_t ns) {
    struct cl_bytes_arg key, expected = {0}, value;
    if (cl_bytes_arg(&key, given[0], "a key") < 0)
        return NULL;
    PyObject *result = NULL;
    if (given[1] != Py_None && cl_bytes_arg(&expected, given[1], "`expected`") < 0)
        goto release_key;
    if (cl_bytes_arg(&value, given[2], "a value") < 0)
        goto release_expected;
    int err = given[1] == Py_None
                  ? cello_store_add(store_of(self), key.bytes, value.bytes, ns)
                  : cello_store_swap(store_of(self), key.bytes, expected.bytes, value.bytes, ns);
    result = done_or_not(err, key.bytes.len);
    cl_bytes_release(&value);
release_expected:
    cl_bytes_release(&expected);
release_key:
    cl_bytes_release(&key);
    return result;
}

PyDoc_STRVAR(compare_and_set_doc,
             "compare_and_set($self, key, expected, value, expires_in=None)\n--\n\nAs set(), if "
             "the value is `expected` (None: the key is not there). False: it is another.");

static PyObject *compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                 PyObject *names) {
    static const struct cl_args_spec spec = {.function = "compare_and_set",
                                             .required = 3,
                                             .positional = 4,
                                             .names = {"key", "expected", "value", "expires_in"}};
    PyObject *given[4];
    uint64_t ns;
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0 || expires_in(given[3], &ns) < 0)
        return NULL;
    return swap(self, given, ns);
}

/* ---- the others ---- */

PyDoc_STRVAR(delete_doc, "delete($self, key, /)\n--\n\nFalse: it was not there.");

static PyObject *delete (PyObject *self, PyObject *arg) {
    struct cl_bytes_arg key;
    if (cl_bytes_arg(&key, arg, "a key") < 0)
        return NULL;
    PyObject *result = done_or_not(cello_store_delete(store_of(self), key.bytes), key.bytes.len);
    cl_bytes_release(&key);
    return result;
}

static PyObject *raise_increment(int err, size_t key_len) {
    if (err == CELLO_ESTATE) {
        PyErr_SetString(PyExc_ValueError,
                        "the value is not a number that increment() could add to");
        return NULL;
    }
    if (err == CELLO_ELIMIT) {
        PyErr_SetString(PyExc_OverflowError, "the sum has more than 64 bits");
        return NULL;
    }
    return raise_error(err, key_len);
}

PyDoc_STRVAR(increment_doc,
             "increment($self, key, by=1, expires_in=None)\n--\n\nThe sum, int. A key that is not "
             "there is 0, and expires_in is for it alone: one that is there keeps its time. "
             "ValueError: the value is no number. OverflowError: more than 64 bits.");

static PyObject *increment(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = {.function = "increment",
                                             .required = 1,
                                             .positional = 3,
                                             .names = {"key", "by", "expires_in"}};
    PyObject *given[3];
    struct cl_bytes_arg key;
    int64_t by = 1, sum = 0;
    uint64_t ns;
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0 ||
        cl_args_int64("by", given[1], &by) < 0 || expires_in(given[2], &ns) < 0 ||
        cl_bytes_arg(&key, given[0], "a key") < 0)
        return NULL;
    int err = cello_store_increment(store_of(self), key.bytes, by, ns, &sum);
    PyObject *result =
        err ? raise_increment(err, key.bytes.len) : PyLong_FromLongLong((long long)sum);
    cl_bytes_release(&key);
    return result;
}

PyDoc_STRVAR(expire_doc,
             "expire($self, key, expires_in)\n--\n\nFrom now on it is there for so many seconds; "
             "None: without end. False: it is not there.");

static PyObject *expire(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    static const struct cl_args_spec spec = {
        .function = "expire", .required = 2, .positional = 2, .names = {"key", "expires_in"}};
    PyObject *given[2];
    struct cl_bytes_arg key;
    uint64_t ns;
    if (cl_args_parse(&spec, args, (size_t)n, names, given) < 0 || expires_in(given[1], &ns) < 0 ||
        cl_bytes_arg(&key, given[0], "a key") < 0)
        return NULL;
    PyObject *result =
        done_or_not(cello_store_expire(store_of(self), key.bytes, ns), key.bytes.len);
    cl_bytes_release(&key);
    return result;
}

PyDoc_STRVAR(clear_doc, "clear($self)\n--\n\nNothing is left, for all workers.");

static PyObject *clear(PyObject *self, PyObject *ignored) {
    (void)ignored;
    cello_store_clear(store_of(self));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(stats_doc,
             "stats($self)\n--\n\nint by name: entries (expired ones too, until their room is "
             "needed), bytes that they take, capacity in bytes, evictions of entries that had not "
             "expired.");

static PyObject *stats(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct cello_store_stats s;
    cello_store_stats(store_of(self), &s);
    return Py_BuildValue("{sKsKsKsK}", "entries", (unsigned long long)s.entries, "bytes",
                         (unsigned long long)s.bytes, "capacity", (unsigned long long)s.capacity,
                         "evictions", (unsigned long long)s.evictions);
}

/* ---- the type ---- */

PyDoc_STRVAR(store_doc,
             "Keys and values that all workers share: `app.store`. Each call is atomic over all "
             "processes and waits for nothing; for `def` and `async def` alike. A full store gives "
             "up what was not used for longest.");

static PyObject *store_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const struct cl_args_spec spec = {
        .function = "Store", .required = 1, .positional = 1, .names = {"cluster"}};
    PyObject *given[1];
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext || cl_args_parse_tuple(&spec, args, kwargs, given) < 0)
        return NULL;
    struct cl_cluster *cluster = cl_cluster_of(ext, given[0]);
    if (!cluster)
        return NULL;
    struct store *o = (struct store *)(void *)type->tp_alloc(type, 0);
    if (!o)
        return NULL;
    int err =
        cello_store_open(&o->store, cello_cluster_segment(cluster), cello_cluster_record(cluster));
    if (err) {
        Py_DECREF(o);
        return err == CELLO_ENOMEM ? PyErr_NoMemory() : raise_error(err, 0);
    }
    o->cluster = Py_NewRef(given[0]);
    return (PyObject *)o;
}

static void store_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    cello_store_close(store_of(self));
    Py_XDECREF(((struct store *)(void *)self)->cluster);
    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef store_methods[] = {
    {"add", FAST(add), METH_FASTCALL | METH_KEYWORDS, add_doc},
    {"clear", clear, METH_NOARGS, clear_doc},
    {"compare_and_set", FAST(compare_and_set), METH_FASTCALL | METH_KEYWORDS, compare_and_set_doc},
    {"contains", contains, METH_O, contains_doc},
    {"delete", delete, METH_O, delete_doc},
    {"expire", FAST(expire), METH_FASTCALL | METH_KEYWORDS, expire_doc},
    {"get", FAST(get), METH_FASTCALL | METH_KEYWORDS, get_doc},
    {"increment", FAST(increment), METH_FASTCALL | METH_KEYWORDS, increment_doc},
    {"set", FAST(set), METH_FASTCALL | METH_KEYWORDS, set_doc},
    {"stats", stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot store_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)store_doc}, {Py_tp_new, (void *)store_new},
    {Py_tp_dealloc, (void *)store_dealloc},    {Py_tp_methods, store_methods},
    {Py_sq_contains, (void *)has_key},         {0, NULL},
};

static PyType_Spec store_spec = {
    .name = "cello.Store",
    .basicsize = sizeof(struct store),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = store_slots,
};

int cl_store_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->store_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &store_spec, NULL);
    return ext->store_type ? PyModule_AddType(module, ext->store_type) : -1;
}
