#include "types/multimap.h"

#include "types/args.h"
#include "types/request_internal.h"
#include "types/text.h"
#include "types/view.h"

static struct cl_pymultimap *map_of(PyObject *object) {
    return (struct cl_pymultimap *)object;
}

static bool gives_first(const struct cl_pymultimap *map) {
    return map->kind == CL_MAP_HEADERS;
}

/* ---- life ---- */

PyObject *cl_pymultimap_view(struct cl_ext *ext, enum cl_map_kind kind, PyObject *owner,
                             struct cl_request *source, struct cl_pymultimap *memory) {
    struct cl_pymultimap *map = memory;
    if (map) {
        _Py_NewReference((PyObject *)map);
    } else {
        map = PyObject_GC_New(struct cl_pymultimap,
                              kind == CL_MAP_FORM ? ext->form_data_type : ext->multimap_type);
        if (!map)
            return NULL;
    }
    map->kind = kind;
    map->ext = ext;
    map->owner = Py_XNewRef(owner);
    map->source = source;
    map->pairs = NULL;
    map->index = NULL;
    PyObject_GC_Track(map);
    return (PyObject *)map;
}

void cl_pymultimap_free_memory(struct cl_pymultimap *memory) {
    PyTypeObject *type = Py_TYPE(memory);
    PyObject_GC_Del(memory);
    Py_DECREF(type);
}

static void dealloc(PyObject *self) {
    struct cl_pymultimap *map = map_of(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(map->pairs);
    Py_CLEAR(map->index);
    PyObject *owner = map->owner;
    if (!owner || !cl_pyrequest_keep_memory(owner, map))
        cl_pymultimap_free_memory(map);
    /* Last: the Request may go with it, and the memory it keeps. */
    Py_XDECREF(owner);
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    struct cl_pymultimap *map = map_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(map->owner);
    Py_VISIT(map->pairs);
    Py_VISIT(map->index);
    return 0;
}

/* There is no tp_clear: nothing but a Request can make a view part of a cycle, and that one clears
 * what it holds. */

/* ---- what it holds ---- */

static PyObject *pairs_of(struct cl_pymultimap *map) {
    if (!map->pairs)
        map->pairs = cl_view_pairs(map->ext, map->kind, map->source);
    return map->pairs;
}

static PyObject *make_index(const struct cl_pymultimap *map, PyObject *pairs) {
    PyObject *index = PyDict_New();
    for (Py_ssize_t i = 0; index && i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
        bool ok = gives_first(map) ? PyDict_SetDefault(index, name, value) != NULL
                                   : PyDict_SetItem(index, name, value) == 0;
        if (!ok)
            Py_CLEAR(index);
    }
    return index;
}

static PyObject *index_of(struct cl_pymultimap *map) {
    if (!map->index) {
        PyObject *pairs = pairs_of(map);
        map->index = pairs ? make_index(map, pairs) : NULL;
    }
    return map->index;
}

/* The name as the index has it: a new reference. */
static PyObject *folded(const struct cl_pymultimap *map, PyObject *name) {
    struct cl_str key;
    if (map->kind == CL_MAP_HEADERS && cl_text_key(name, &key))
        return cl_text_lower(key);
    return Py_NewRef(name);
}

static int find_in_index(struct cl_pymultimap *map, PyObject *name, PyObject **value) {
    if (!PyUnicode_Check(name))
        return 0;
    PyObject *index = index_of(map);
    PyObject *key = index ? folded(map, name) : NULL;
    if (!key)
        return -1;
    *value = Py_XNewRef(PyDict_GetItemWithError(index, key));
    Py_DECREF(key);
    if (*value)
        return 1;
    return PyErr_Occurred() ? -1 : 0;
}

int cl_pymultimap_find(PyObject *self, PyObject *name, PyObject **value) {
    struct cl_pymultimap *map = map_of(self);
    if (map->source && !map->index)
        return cl_view_find(map->ext, map->kind, map->source, name, value);
    return find_in_index(map, name, value);
}

PyObject *cl_pymultimap_get_all(PyObject *self, PyObject *name) {
    struct cl_pymultimap *map = map_of(self);
    PyObject *all = PyList_New(0);
    PyObject *pairs = all ? pairs_of(map) : NULL;
    PyObject *key = pairs ? folded(map, name) : NULL;
    bool ok = key != NULL;
    for (Py_ssize_t i = 0; ok && i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), key, Py_EQ);
        if (same)
            ok = same > 0 && PyList_Append(all, PyTuple_GET_ITEM(pair, 1)) == 0;
    }
    Py_XDECREF(key);
    if (!ok)
        Py_CLEAR(all);
    return all;
}

/* ---- methods ---- */

static PyObject *subscript(PyObject *self, PyObject *name) {
    PyObject *value = NULL;
    int found = cl_pymultimap_find(self, name, &value);
    if (found == 0)
        PyErr_SetObject(PyExc_KeyError, name);
    return value;
}

static int contains(PyObject *self, PyObject *name) {
    PyObject *value = NULL;
    int found = cl_pymultimap_find(self, name, &value);
    Py_XDECREF(value);
    return found;
}

static Py_ssize_t length(PyObject *self) {
    PyObject *index = index_of(map_of(self));
    return index ? PyDict_GET_SIZE(index) : -1;
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n < 1 || n > 2) {
        PyErr_SetString(PyExc_TypeError, "get() takes a name and a default");
        return NULL;
    }
    PyObject *value = NULL;
    int found = cl_pymultimap_find(self, args[0], &value);
    if (found == 0)
        return Py_NewRef(n == 2 ? args[1] : Py_None);
    return value;
}

static PyObject *iterate(PyObject *self) {
    PyObject *index = index_of(map_of(self));
    return index ? PyObject_GetIter(index) : NULL;
}

/* A dict's own views: ordered, sized, and the first one a set. */
static PyObject *view_of_index(PyObject *self, const char *method) {
    PyObject *index = index_of(map_of(self));
    return index ? PyObject_CallMethod(index, method, NULL) : NULL;
}

static PyObject *keys(PyObject *self, PyObject *unused) {
    (void)unused;
    return view_of_index(self, "keys");
}

static PyObject *values(PyObject *self, PyObject *unused) {
    (void)unused;
    return view_of_index(self, "values");
}

static PyObject *items(PyObject *self, PyObject *unused) {
    (void)unused;
    return view_of_index(self, "items");
}

static PyObject *multi_items(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *pairs = pairs_of(map_of(self));
    return pairs ? PySequence_List(pairs) : NULL;
}

static PyObject *repr(PyObject *self) {
    PyObject *all = multi_items(self, NULL);
    const char *name = map_of(self)->kind == CL_MAP_FORM ? "FormData" : "MultiMap";
    PyObject *text = all ? PyUnicode_FromFormat("%s(%R)", name, all) : NULL;
    Py_XDECREF(all);
    return text;
}

/* ---- equality ---- */

/* dict, name to the list of its values. */
static PyObject *grouped(struct cl_pymultimap *map) {
    PyObject *pairs = pairs_of(map);
    PyObject *groups = pairs ? PyDict_New() : NULL;
    for (Py_ssize_t i = 0; groups && i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        PyObject *fresh = PyList_New(0);
        PyObject *list = fresh ? PyDict_SetDefault(groups, PyTuple_GET_ITEM(pair, 0), fresh) : NULL;
        if (!list || PyList_Append(list, PyTuple_GET_ITEM(pair, 1)) < 0)
            Py_CLEAR(groups);
        Py_XDECREF(fresh);
    }
    return groups;
}

/* With another MultiMap: the same values in the same order for each name. With a dict: the same
 * names, and the values that [] gives. */
static PyObject *compare(PyObject *self, PyObject *other, int op) {
    struct cl_pymultimap *map = map_of(self);
    PyObject *a = NULL, *b = NULL;
    if (op != Py_EQ && op != Py_NE)
        Py_RETURN_NOTIMPLEMENTED;
    if (Py_TYPE(other) == Py_TYPE(self)) {
        a = grouped(map);
        b = a ? grouped(map_of(other)) : NULL;
    } else if (PyDict_Check(other)) {
        a = Py_XNewRef(index_of(map));
        b = Py_NewRef(other);
    } else {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *result = a && b ? PyObject_RichCompare(a, b, op) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

/* ---- from a program's objects ---- */

static bool is_value(struct cl_ext *ext, enum cl_map_kind kind, PyObject *value) {
    return PyUnicode_Check(value) || (kind == CL_MAP_FORM && Py_IS_TYPE(value, ext->upload_type));
}

static int append_pair(struct cl_ext *ext, PyObject *list, enum cl_map_kind kind, PyObject *name,
                       PyObject *value, const char *what) {
    if (!PyUnicode_Check(name) || !is_value(ext, kind, value)) {
        cl_args_refuse_pair(PyExc_TypeError, "%R: %R is no name and value of type str, as %s needs",
                            name, value, what);
        return -1;
    }
    struct cl_str key;
    bool fold = kind == CL_MAP_HEADERS && cl_text_key(name, &key);
    PyObject *shown = fold ? cl_text_lower(key) : Py_NewRef(name);
    PyObject *pair = shown ? PyTuple_Pack(2, shown, value) : NULL;
    int err = pair ? PyList_Append(list, pair) : -1;
    Py_XDECREF(pair);
    Py_XDECREF(shown);
    return err;
}

/* A value of a mapping: one str, or several. */
static int append_values(struct cl_ext *ext, PyObject *list, enum cl_map_kind kind, PyObject *name,
                         PyObject *value, const char *what) {
    if (!PyList_Check(value) && !PyTuple_Check(value))
        return append_pair(ext, list, kind, name, value, what);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++)
        if (append_pair(ext, list, kind, name, PySequence_Fast_GET_ITEM(value, i), what) < 0)
            return -1;
    return 0;
}

static int append_item(struct cl_ext *ext, PyObject *list, enum cl_map_kind kind, PyObject *item,
                       bool of_mapping, const char *what) {
    if ((!PyTuple_Check(item) && !PyList_Check(item)) || PySequence_Fast_GET_SIZE(item) != 2) {
        PyErr_Format(PyExc_TypeError, "%s must be a mapping or pairs of str, not %R", what, item);
        return -1;
    }
    PyObject *name = PySequence_Fast_GET_ITEM(item, 0), *value = PySequence_Fast_GET_ITEM(item, 1);
    return of_mapping ? append_values(ext, list, kind, name, value, what)
                      : append_pair(ext, list, kind, name, value, what);
}

/* An iterator over (name, value), and whether a value may be several. */
static PyObject *iterate_items(struct cl_ext *ext, PyObject *object, bool *of_mapping,
                               const char *what) {
    *of_mapping = false;
    if (Py_IS_TYPE(object, ext->multimap_type) || Py_IS_TYPE(object, ext->form_data_type)) {
        PyObject *pairs = pairs_of(map_of(object));
        return pairs ? PyObject_GetIter(pairs) : NULL;
    }
    PyObject *all = NULL;
    if (PyObject_HasAttrString(object, "keys")) {
        *of_mapping = true;
        all = PyMapping_Items(object);
    } else {
        all = Py_NewRef(object);
    }
    PyObject *iterator = all ? PyObject_GetIter(all) : NULL;
    Py_XDECREF(all);
    if (!iterator && PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Format(PyExc_TypeError, "%s must be a mapping or pairs of str, not %.100s", what,
                     Py_TYPE(object)->tp_name);
    return iterator;
}

static PyObject *collect(struct cl_ext *ext, enum cl_map_kind kind, PyObject *object,
                         const char *what) {
    bool of_mapping;
    PyObject *list = PyList_New(0);
    PyObject *iterator = list ? iterate_items(ext, object, &of_mapping, what) : NULL;
    PyObject *item = NULL;
    while (iterator && (item = PyIter_Next(iterator))) {
        int err = append_item(ext, list, kind, item, of_mapping, what);
        Py_DECREF(item);
        if (err)
            break;
    }
    Py_XDECREF(iterator);
    PyObject *pairs = PyErr_Occurred() ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return pairs;
}

PyObject *cl_pymultimap_from_pairs(struct cl_ext *ext, enum cl_map_kind kind, PyObject *pairs) {
    PyObject *map = pairs ? cl_pymultimap_view(ext, kind, NULL, NULL, NULL) : NULL;
    if (map)
        map_of(map)->pairs = pairs;
    else
        Py_XDECREF(pairs);
    return map;
}

PyObject *cl_pymultimap_from_object(struct cl_ext *ext, enum cl_map_kind kind, PyObject *object,
                                    const char *what) {
    PyObject *pairs =
        object && object != Py_None ? collect(ext, kind, object, what) : PyTuple_New(0);
    return cl_pymultimap_from_pairs(ext, kind, pairs);
}

static PyObject *new (PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *object = NULL;
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext)
        return NULL;
    bool form = type == ext->form_data_type;
    if (kwargs && PyDict_GET_SIZE(kwargs)) {
        PyErr_Format(PyExc_TypeError, "%s takes no keyword arguments",
                     form ? "FormData()" : "MultiMap()");
        return NULL;
    }
    if (!PyArg_UnpackTuple(args, form ? "FormData" : "MultiMap", 0, 1, &object))
        return NULL;
    return form ? cl_pymultimap_from_object(ext, CL_MAP_FORM, object, "FormData()")
                : cl_pymultimap_from_object(ext, CL_MAP_QUERY, object, "MultiMap()");
}

/* ---- the type ---- */

PyDoc_STRVAR(doc, "MultiMap(pairs=(), /)\n--\n\n"
                  "Names with one or more values, read-only: a mapping of str to str.\n\n"
                  "m[name] and m.get(name) give the first value of a header and the last of a "
                  "query or cookie; get_all(name) gives all, multi_items() all pairs in "
                  "order. Names of headers compare without case and are shown in lower case. "
                  "Text that is not UTF-8 in headers and cookies is read as ISO-8859-1. "
                  "Made from a mapping (values: str or a list of str) or from pairs.");
PyDoc_STRVAR(get_doc, "get($self, name, default=None, /)\n--\n\nThe value of m[name], or default.");
PyDoc_STRVAR(get_all_doc, "get_all($self, name, /)\n--\n\nAll values of a name, in order.");
PyDoc_STRVAR(keys_doc, "keys($self, /)\n--\n\nThe names, each once, in order.");
PyDoc_STRVAR(values_doc, "values($self, /)\n--\n\nm[name] of each name.");
PyDoc_STRVAR(items_doc, "items($self, /)\n--\n\n(name, m[name]) of each name.");
PyDoc_STRVAR(multi_items_doc,
             "multi_items($self, /)\n--\n\nA list of all (name, value), in order.");

static PyMethodDef methods[] = {
    {"get", (PyCFunction)(void (*)(void))get, METH_FASTCALL, get_doc},
    {"get_all", cl_pymultimap_get_all, METH_O, get_all_doc},
    {"keys", keys, METH_NOARGS, keys_doc},
    {"values", values, METH_NOARGS, values_doc},
    {"items", items, METH_NOARGS, items_doc},
    {"multi_items", multi_items, METH_NOARGS, multi_items_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(form_doc, "FormData(pairs=(), /)\n--\n\n"
                       "The fields of a form, read-only: a mapping of str to str or UploadedFile."
                       "\n\nform[name] and form.get(name) give the last value; get_all(name) gives "
                       "all, multi_items() all pairs in order. Made from a mapping or from pairs.");

/* Both types: all but the doc. */
#define SLOTS                                                                                      \
    {Py_tp_new, (void *)new}, {Py_tp_dealloc, (void *)dealloc},                                    \
        {Py_tp_traverse, (void *)traverse}, {Py_tp_methods, methods},                              \
        {Py_tp_iter, (void *)iterate}, {Py_tp_repr, (void *)repr},                                 \
        {Py_tp_richcompare, (void *)compare}, {Py_tp_hash, (void *)PyObject_HashNotImplemented},   \
        {Py_mp_length, (void *)length}, {Py_mp_subscript, (void *)subscript}, {                    \
        Py_sq_contains, (void *)contains                                                           \
    }

static PyType_Slot slots[] = {{Py_tp_doc, (void *)doc}, SLOTS, {0, NULL}};
static PyType_Slot form_slots[] = {{Py_tp_doc, (void *)form_doc}, SLOTS, {0, NULL}};

static PyType_Spec spec = {
    .name = "cello.MultiMap",
    .basicsize = sizeof(struct cl_pymultimap),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_MAPPING,
    .slots = slots,
};

static PyType_Spec form_spec = {
    .name = "cello.FormData",
    .basicsize = sizeof(struct cl_pymultimap),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_MAPPING,
    .slots = form_slots,
};

int cl_multimap_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->multimap_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    ext->form_data_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &form_spec, NULL);
    if (!ext->multimap_type || !ext->form_data_type)
        return -1;
    return PyModule_AddType(module, ext->multimap_type) < 0
               ? -1
               : PyModule_AddType(module, ext->form_data_type);
}
