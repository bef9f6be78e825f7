/* cello.ResponseHeaders: the headers of a Response as a mapping that can be changed. It has none of
 * its own: reading asks a MultiMap of those that are set now, writing goes to the Response, which
 * refuses what must not be sent. GIL held. */
#include "types/response_internal.h"

struct fields {
    PyObject_HEAD PyObject *response; /* strong */
};

static struct fields *fields_of(PyObject *object) {
    return (struct fields *)object;
}

static struct cl_pyresponse *response_of(PyObject *self) {
    return cl_pyresponse_of(fields_of(self)->response);
}

PyObject *cl_pyresponse_get_headers(PyObject *response, void *unused) {
    (void)unused;
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(response));
    struct fields *self = ext ? PyObject_GC_New(struct fields, ext->response_headers_type) : NULL;
    if (!self)
        return NULL;
    self->response = Py_NewRef(response);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(fields_of(self)->response);
    return 0;
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_DECREF(fields_of(self)->response);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* ---- reading ---- */

static PyObject *now(PyObject *self) {
    return cl_pyresponse_all_headers(fields_of(self)->response);
}

/* What a MultiMap's method of that name gives. */
static PyObject *ask(PyObject *self, const char *method, PyObject *const *args, Py_ssize_t n) {
    PyObject *map = now(self);
    PyObject *function = map ? PyObject_GetAttrString(map, method) : NULL;
    PyObject *value = function ? PyObject_Vectorcall(function, args, (size_t)n, NULL) : NULL;
    Py_XDECREF(function);
    Py_XDECREF(map);
    return value;
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    return ask(self, "get", args, n);
}

static PyObject *get_all(PyObject *self, PyObject *name) {
    return ask(self, "get_all", &name, 1);
}

static PyObject *keys(PyObject *self, PyObject *unused) {
    (void)unused;
    return ask(self, "keys", NULL, 0);
}

static PyObject *values(PyObject *self, PyObject *unused) {
    (void)unused;
    return ask(self, "values", NULL, 0);
}

static PyObject *items(PyObject *self, PyObject *unused) {
    (void)unused;
    return ask(self, "items", NULL, 0);
}

static PyObject *multi_items(PyObject *self, PyObject *unused) {
    (void)unused;
    return ask(self, "multi_items", NULL, 0);
}

static PyObject *subscript(PyObject *self, PyObject *name) {
    PyObject *map = now(self);
    PyObject *value = map ? PyObject_GetItem(map, name) : NULL;
    Py_XDECREF(map);
    return value;
}

static int contains(PyObject *self, PyObject *name) {
    PyObject *map = now(self);
    int found = map ? PySequence_Contains(map, name) : -1;
    Py_XDECREF(map);
    return found;
}

static Py_ssize_t length(PyObject *self) {
    PyObject *map = now(self);
    Py_ssize_t n = map ? PyObject_Size(map) : -1;
    Py_XDECREF(map);
    return n;
}

static PyObject *iterate(PyObject *self) {
    PyObject *map = now(self);
    PyObject *iterator = map ? PyObject_GetIter(map) : NULL;
    Py_XDECREF(map);
    return iterator;
}

static PyObject *repr(PyObject *self) {
    PyObject *all = multi_items(self, NULL);
    PyObject *text = all ? PyUnicode_FromFormat("ResponseHeaders(%R)", all) : NULL;
    Py_XDECREF(all);
    return text;
}

/* As the MultiMap of the same headers does. */
static PyObject *compare(PyObject *self, PyObject *other, int op) {
    PyObject *map = now(self);
    PyObject *rest = Py_IS_TYPE(other, Py_TYPE(self)) ? now(other) : Py_NewRef(other);
    PyObject *result = map && rest ? PyObject_RichCompare(map, rest, op) : NULL;
    Py_XDECREF(rest);
    Py_XDECREF(map);
    return result;
}

/* ---- writing ---- */

static int assign(PyObject *self, PyObject *name, PyObject *value) {
    if (value)
        return cl_pyresponse_replace_field(response_of(self), name, value);
    int found = cl_pyresponse_remove_field(response_of(self), name);
    if (found == 0)
        PyErr_SetObject(PyExc_KeyError, name);
    return found > 0 ? 0 : -1;
}

static PyObject *append(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 2) {
        PyErr_SetString(PyExc_TypeError, "append() takes a name and a value");
        return NULL;
    }
    if (cl_pyresponse_append(response_of(self), args[0], args[1]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *setdefault(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 2) {
        PyErr_SetString(PyExc_TypeError, "setdefault() takes a name and a value");
        return NULL;
    }
    int found = contains(self, args[0]);
    if (found == 0 && cl_pyresponse_replace_field(response_of(self), args[0], args[1]) < 0)
        return NULL;
    return found < 0 ? NULL : subscript(self, args[0]);
}

static PyObject *update(PyObject *self, PyObject *headers) {
    PyObject *pairs = PyObject_HasAttrString(headers, "keys") ? PyMapping_Items(headers)
                                                              : PySequence_List(headers);
    bool ok = pairs != NULL;
    for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PySequence_Tuple(PyList_GET_ITEM(pairs, i));
        ok = pair && PyTuple_GET_SIZE(pair) == 2;
        if (pair && !ok)
            PyErr_SetString(PyExc_TypeError, "update() takes a mapping or pairs of str");
        ok = ok && assign(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)) == 0;
        Py_XDECREF(pair);
    }
    Py_XDECREF(pairs);
    return ok ? Py_NewRef(Py_None) : NULL;
}

/* ---- the type ---- */

PyDoc_STRVAR(doc, "The headers of a Response, Content-Type included, as a mapping that can be "
                  "changed.\n\nNames compare without case. h[name] = value replaces all fields of "
                  "that name, append() adds one; ValueError: what must not be sent. Reading is as "
                  "of a MultiMap.");

static PyMethodDef methods[] = {
    {"get", (PyCFunction)(void (*)(void))get, METH_FASTCALL,
     "get($self, name, default=None, /)\n--\n\nThe first value of a name, or default."},
    {"get_all", get_all, METH_O, "get_all($self, name, /)\n--\n\nAll values of a name, in order."},
    {"keys", keys, METH_NOARGS, "keys($self, /)\n--\n\nThe names, each once, in order."},
    {"values", values, METH_NOARGS, "values($self, /)\n--\n\nThe first value of each name."},
    {"items", items, METH_NOARGS, "items($self, /)\n--\n\n(name, first value) of each name."},
    {"multi_items", multi_items, METH_NOARGS,
     "multi_items($self, /)\n--\n\nA list of all (name, value), in order."},
    {"append", (PyCFunction)(void (*)(void))append, METH_FASTCALL,
     "append($self, name, value, /)\n--\n\nAdd a field, also where there is one of that name."},
    {"setdefault", (PyCFunction)(void (*)(void))setdefault, METH_FASTCALL,
     "setdefault($self, name, value, /)\n--\n\nSet a field where there is none of that name; gives "
     "the value it has then."},
    {"update", update, METH_O,
     "update($self, headers, /)\n--\n\nSet the fields of a mapping or of pairs."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_methods, methods},
    {Py_tp_iter, (void *)iterate},
    {Py_tp_repr, (void *)repr},
    {Py_tp_richcompare, (void *)compare},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {Py_mp_length, (void *)length},
    {Py_mp_subscript, (void *)subscript},
    {Py_mp_ass_subscript, (void *)assign},
    {Py_sq_contains, (void *)contains},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello.ResponseHeaders",
    .basicsize = sizeof(struct fields),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_MAPPING | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

int cl_response_headers_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->response_headers_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->response_headers_type ? PyModule_AddType(module, ext->response_headers_type) : -1;
}
