/* The type _cello.Converter: made and checked once, then read-only. */
#include "plan/converter.h"

#include "plan/converter_internal.h"
#include "types/args.h"
#include "types/text.h"

/* ---- what it is made of ---- */

static const char *const KINDS[] = {
    [CL_CONVERTER_STR] = "str",
    [CL_CONVERTER_INT] = "int",
    [CL_CONVERTER_FLOAT] = "float",
    [CL_CONVERTER_BOOL] = "bool",
    [CL_CONVERTER_UUID] = "uuid",
    [CL_CONVERTER_DATE] = "date",
    [CL_CONVERTER_DATETIME] = "datetime",
    [CL_CONVERTER_TIME] = "time",
    [CL_CONVERTER_TIMEDELTA] = "timedelta",
    [CL_CONVERTER_DECIMAL] = "decimal",
    [CL_CONVERTER_CHOICE] = "choice",
    [CL_CONVERTER_LIST] = "list",
    [CL_CONVERTER_SET] = "set",
    [CL_CONVERTER_TUPLE] = "tuple",
    [CL_CONVERTER_FROZENSET] = "frozenset",
    [CL_CONVERTER_UNION] = "union",
    [CL_CONVERTER_ANY] = "any",
};

enum argument {
    ARG_KIND,
    ARG_CHOICES,
    ARG_ITEM,
    ARG_BOUNDS,
    ARG_MIN_LENGTH = ARG_BOUNDS + CL_BOUNDS,
    ARG_MAX_LENGTH,
    ARG_PATTERN,
    ARG_FUNCTION,
    ARG_COUNT
};

/* The bounds in the order of enum cl_bound. */
static const struct cl_args_spec NEW_ARGS = {
    .function = "Converter",
    .required = 1,
    .positional = 1,
    .names = {"kind", "choices", "item", "multiple_of", "le", "lt", "ge", "gt", "min_length",
              "max_length", "pattern", "function"},
};

static const char *name_of(const struct cl_converter *c) {
    return KINDS[c->kind];
}

static int find_kind(struct cl_converter *c, PyObject *kind) {
    for (int i = 0; i < CL_CONVERTER_KIND_COUNT && PyUnicode_Check(kind); i++) {
        if (PyUnicode_CompareWithASCIIString(kind, KINDS[i]) == 0) {
            c->kind = (enum cl_converter_kind)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "kind: there is no %R", kind);
    return -1;
}

/* ---- choices ---- */

static bool is_member(PyObject *value) {
    return PyObject_HasAttrString((PyObject *)Py_TYPE(value), "__members__");
}

/* "'a', 'b' or 3" */
static PyObject *join_choices(const struct cl_converter *c) {
    PyObject *joined = PyUnicode_FromString("Input should be "), *key, *choice;
    Py_ssize_t at = 0, left = PyDict_GET_SIZE(c->target);
    while (joined && PyDict_Next(c->target, &at, &key, &choice)) {
        PyObject *plain = c->is_enum ? PyObject_GetAttrString(choice, "value") : Py_NewRef(choice);
        PyObject *shown = plain ? PyObject_Repr(plain) : NULL;
        const char *then = --left == 0 ? "" : left == 1 ? " or " : ", ";
        Py_XSETREF(joined, shown ? PyUnicode_FromFormat("%U%U%s", joined, shown, then) : NULL);
        Py_XDECREF(shown);
        Py_XDECREF(plain);
    }
    return joined;
}

static int set_choices(struct cl_converter *c, PyObject *choices) {
    if (!choices || !PyDict_Check(choices) || PyDict_GET_SIZE(choices) == 0) {
        PyErr_SetString(PyExc_TypeError, "choices must be a dict that is not empty");
        return -1;
    }
    c->target = PyDict_New(); /* exact, and nobody else's */
    if (!c->target || PyDict_Update(c->target, choices) < 0)
        return -1;
    PyObject *key, *choice;
    Py_ssize_t at = 0;
    while (PyDict_Next(c->target, &at, &key, &choice)) {
        if (!PyUnicode_CheckExact(key)) {
            PyErr_SetString(PyExc_TypeError, "choices must have str keys");
            return -1;
        }
        c->is_enum = is_member(choice);
    }
    c->choices_msg = join_choices(c);
    return c->choices_msg ? 0 : -1;
}

/* ---- converters of converters ---- */

static int set_members(struct cl_converter *c, PyObject *members) {
    bool good = members && PyTuple_CheckExact(members) && PyTuple_GET_SIZE(members) > 0;
    for (Py_ssize_t i = 0; good && i < PyTuple_GET_SIZE(members); i++) {
        PyObject *member = PyTuple_GET_ITEM(members, i);
        good = Py_IS_TYPE(member, Py_TYPE(c)) && !cl_converter_is_list(member);
    }
    if (!good) {
        PyErr_SetString(PyExc_TypeError, "choices must be a tuple of converters of one text");
        return -1;
    }
    c->target = Py_NewRef(members);
    return 0;
}

static int set_item(struct cl_converter *c, PyObject *item) {
    if (!item || !Py_IS_TYPE(item, Py_TYPE(c)) || cl_converter_is_list(item)) {
        PyErr_SetString(PyExc_TypeError, "item must be a converter of one text");
        return -1;
    }
    c->target = Py_NewRef(item);
    return 0;
}

static int set_function(struct cl_converter *c, PyObject *function) {
    if (!function || !PyCallable_Check(function)) {
        PyErr_SetString(PyExc_TypeError, "function must be callable");
        return -1;
    }
    c->target = Py_NewRef(function);
    return 0;
}

static int set_target(struct cl_ext *ext, struct cl_converter *c, PyObject **args) {
    bool has_choices = c->kind == CL_CONVERTER_CHOICE || c->kind == CL_CONVERTER_UNION;
    const struct {
        enum argument argument;
        bool used;
    } parts[] = {{ARG_CHOICES, has_choices},
                 {ARG_ITEM, cl_converter_kind_is_list(c->kind)},
                 {ARG_FUNCTION, c->kind == CL_CONVERTER_ANY}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (args[parts[i].argument] && !parts[i].used) {
            PyErr_Format(PyExc_TypeError, "%s is not for '%s'", NEW_ARGS.names[parts[i].argument],
                         name_of(c));
            return -1;
        }
    }
    if (c->kind == CL_CONVERTER_CHOICE)
        return set_choices(c, args[ARG_CHOICES]);
    if (c->kind == CL_CONVERTER_UNION)
        return set_members(c, args[ARG_CHOICES]);
    if (c->kind == CL_CONVERTER_ANY)
        return set_function(c, args[ARG_FUNCTION]);
    return cl_converter_kind_is_list(c->kind) ? set_item(c, args[ARG_ITEM])
                                              : cl_converter_find_types(ext, c);
}

/* ---- constraints ---- */

static bool is_number(enum cl_converter_kind kind) {
    return kind == CL_CONVERTER_INT || kind == CL_CONVERTER_FLOAT || kind == CL_CONVERTER_DECIMAL;
}

/* The type of the kind's values among those of datetime; NULL: none of them. */
static PyTypeObject *datetime_type(struct cl_ext *ext, enum cl_converter_kind kind) {
    switch (kind) {
    case CL_CONVERTER_DATE: return ext->convert.datetime->DateType;
    case CL_CONVERTER_DATETIME: return ext->convert.datetime->DateTimeType;
    case CL_CONVERTER_TIME: return ext->convert.datetime->TimeType;
    case CL_CONVERTER_TIMEDELTA: return ext->convert.datetime->DeltaType;
    default: return NULL;
    }
}

static bool takes_bound(struct cl_ext *ext, const struct cl_converter *c, int which) {
    return is_number(c->kind) || (which != CL_BOUND_MULTIPLE && datetime_type(ext, c->kind));
}

/* Whether values of the kind can be compared with `bound`, and be multiples of it. */
static bool fits(struct cl_ext *ext, const struct cl_converter *c, int which, PyObject *bound) {
    PyTypeObject *type = datetime_type(ext, c->kind);
    if (type)
        return PyObject_TypeCheck(bound, type);
    bool is_decimal =
        c->kind == CL_CONVERTER_DECIMAL && Py_IS_TYPE(bound, (PyTypeObject *)c->target);
    if (!is_decimal && !PyLong_CheckExact(bound) && !PyFloat_CheckExact(bound))
        return false;
    return which != CL_BOUND_MULTIPLE || PyObject_IsTrue(bound) > 0;
}

/* A new reference. A Decimal is compared with what a float says, not with its binary value. */
static PyObject *usable_bound(const struct cl_converter *c, PyObject *bound) {
    if (c->kind != CL_CONVERTER_DECIMAL || !PyFloat_CheckExact(bound))
        return Py_NewRef(bound);
    PyObject *text = PyObject_Str(bound);
    PyObject *decimal = text ? PyObject_CallOneArg(c->target, text) : NULL;
    Py_XDECREF(text);
    return decimal;
}

static int set_bound(struct cl_ext *ext, struct cl_converter *c, int which, PyObject *bound) {
    const char *name = NEW_ARGS.names[ARG_BOUNDS + which];
    if (!takes_bound(ext, c, which)) {
        PyErr_Format(PyExc_TypeError, "%s is not for '%s'", name, name_of(c));
        return -1;
    }
    if (!fits(ext, c, which, bound)) {
        PyErr_Format(PyExc_TypeError, "%s=%R does not fit '%s'", name, bound, name_of(c));
        return -1;
    }
    c->bound_texts[which] = cl_converter_bound_text(bound);
    c->bounds[which] = c->bound_texts[which] ? usable_bound(c, bound) : NULL;
    c->has_constraint = true;
    return c->bounds[which] ? 0 : -1;
}

static int set_length(struct cl_converter *c, const char *name, PyObject *arg, Py_ssize_t *out) {
    if (!arg)
        return 0;
    if (c->kind != CL_CONVERTER_STR && !cl_converter_kind_is_list(c->kind)) {
        PyErr_Format(PyExc_TypeError, "%s is not for '%s'", name, name_of(c));
        return -1;
    }
    *out = PyLong_Check(arg) ? PyLong_AsSsize_t(arg) : -1;
    if (*out < 0) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "%s=%R is no length", name, arg);
        return -1;
    }
    c->has_constraint = true;
    return 0;
}

static int set_pattern(struct cl_converter *c, PyObject *pattern) {
    if (!pattern)
        return 0;
    struct cl_str text;
    if (c->kind != CL_CONVERTER_STR || !cl_text_key(pattern, &text)) {
        PyErr_SetString(PyExc_TypeError, "pattern must be a str, for 'str'");
        return -1;
    }
    char why[128] = "";
    size_t offset;
    int err = cello_pattern_new(&c->pattern, text, why, sizeof why, &offset);
    if (err == CELLO_ENOMEM)
        PyErr_NoMemory();
    else if (err)
        PyErr_Format(PyExc_ValueError, "pattern=%R: %s, at byte %zu", pattern, why, offset);
    c->pattern_text = Py_NewRef(pattern);
    c->has_constraint = true;
    return err ? -1 : 0;
}

static int set_constraints(struct cl_ext *ext, struct cl_converter *c, PyObject **args) {
    for (int i = 0; i < CL_BOUNDS; i++)
        if (args[ARG_BOUNDS + i] && set_bound(ext, c, i, args[ARG_BOUNDS + i]) < 0)
            return -1;
    c->min_length = c->max_length = -1;
    if (set_length(c, "min_length", args[ARG_MIN_LENGTH], &c->min_length) < 0 ||
        set_length(c, "max_length", args[ARG_MAX_LENGTH], &c->max_length) < 0)
        return -1;
    return set_pattern(c, args[ARG_PATTERN]);
}

/* ---- made and gone ---- */

static PyObject *converter_new(PyTypeObject *type, PyObject *positional, PyObject *keywords) {
    struct cl_ext *ext = cl_ext_of_type(type);
    PyObject *args[ARG_COUNT];
    if (!ext || cl_args_parse_tuple(&NEW_ARGS, positional, keywords, args) < 0)
        return NULL;
    for (int i = 0; i < ARG_COUNT; i++)
        cl_args_none_is_absent(&args[i]);
    PyObject *o = type->tp_alloc(type, 0);
    if (!o)
        return NULL;
    struct cl_converter *c = cl_converter_of(o);
    if (find_kind(c, args[ARG_KIND] ? args[ARG_KIND] : Py_None) < 0 ||
        set_target(ext, c, args) < 0 || set_constraints(ext, c, args) < 0)
        Py_CLEAR(o);
    return o;
}

static int converter_traverse(PyObject *o, visitproc visit, void *arg) {
    struct cl_converter *c = cl_converter_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(c->target);
    Py_VISIT(c->uuid_int);
    Py_VISIT(c->uuid_is_safe);
    Py_VISIT(c->uuid_unknown);
    for (int i = 0; i < CL_BOUNDS; i++)
        Py_VISIT(c->bounds[i]);
    return 0;
}

/* Like a tuple's, its parts are older than it and never change, so that every cycle runs through
 * something else too, which the collector clears: there is no tp_clear, and a converter that is
 * still called meanwhile has all that it needs. */
static void converter_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    struct cl_converter *c = cl_converter_of(o);
    Py_XDECREF(c->target);
    Py_XDECREF(c->uuid_int);
    Py_XDECREF(c->uuid_is_safe);
    Py_XDECREF(c->uuid_unknown);
    Py_XDECREF(c->choices_msg);
    Py_XDECREF(c->pattern_text);
    for (int i = 0; i < CL_BOUNDS; i++) {
        Py_XDECREF(c->bounds[i]);
        Py_XDECREF(c->bound_texts[i]);
    }
    cello_pattern_del(c->pattern);
    type->tp_free(o);
    Py_DECREF(type);
}

/* ---- called ---- */

/* ValueError with the message, and the attributes `type` and `index`. Takes the error over. */
static void raise_refusal(struct cl_field_error *error) {
    PyObject *exception = PyObject_CallOneArg(PyExc_ValueError, error->msg);
    PyObject *index = error->index < 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(error->index);
    if (exception && index && PyObject_SetAttrString(exception, "type", error->type) == 0 &&
        PyObject_SetAttrString(exception, "index", index) == 0)
        PyErr_SetObject(PyExc_ValueError, exception);
    Py_XDECREF(index);
    Py_XDECREF(exception);
    cl_field_error_clear(error);
}

/* The texts of a list of str; with a str for each, which `list` keeps. NULL: exception set. */
static struct cl_str *texts_of(PyObject *list) {
    Py_ssize_t n = PyList_GET_SIZE(list);
    struct cl_str *texts = PyMem_Calloc((size_t)n, sizeof *texts);
    if (!texts) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!cl_text_key(PyList_GET_ITEM(list, i), &texts[i])) {
            PyErr_SetString(PyExc_TypeError, "a list of str is needed");
            PyMem_Free(texts);
            return NULL;
        }
    }
    return texts;
}

static int call_with_list(struct cl_ext *ext, PyObject *o, PyObject *arg, PyObject **value,
                          struct cl_field_error *error) {
    PyObject *list = PyList_GetSlice(arg, 0, PyList_GET_SIZE(arg));
    struct cl_str *texts = list ? texts_of(list) : NULL;
    int made = -1;
    if (texts)
        made = cl_converter_texts(ext, o, texts, (size_t)PyList_GET_SIZE(list), value, error);
    PyMem_Free(texts);
    Py_XDECREF(list);
    return made;
}

static int call_with_text(struct cl_ext *ext, PyObject *o, PyObject *arg, PyObject **value,
                          struct cl_field_error *error) {
    struct cl_str text;
    if (PyBytes_Check(arg))
        text = (struct cl_str){PyBytes_AS_STRING(arg), (size_t)PyBytes_GET_SIZE(arg)};
    else if (!cl_text_key(arg, &text)) {
        PyErr_SetString(PyExc_TypeError, "a str is needed");
        return -1;
    }
    return cl_converter_text(ext, o, text, value, error);
}

static PyObject *converter_call(PyObject *o, PyObject *positional, PyObject *keywords) {
    static const struct cl_args_spec spec = {
        .function = "Converter.__call__", .required = 1, .positional = 1, .names = {"text"}};
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(o));
    PyObject *arg, *value = NULL;
    if (!ext || cl_args_parse_tuple(&spec, positional, keywords, &arg) < 0)
        return NULL;
    struct cl_field_error error = {.index = -1};
    bool is_list = cl_converter_is_list(o) && PyList_Check(arg);
    int made = is_list ? call_with_list(ext, o, arg, &value, &error)
                       : call_with_text(ext, o, arg, &value, &error);
    if (made == 0)
        raise_refusal(&error);
    return made > 0 ? value : NULL;
}

bool cl_converter_check(struct cl_ext *ext, PyObject *object) {
    return Py_IS_TYPE(object, ext->converter_type);
}

bool cl_converter_is_list(PyObject *converter) {
    return cl_converter_kind_is_list(cl_converter_of(converter)->kind);
}

/* ---- type ---- */

PyDoc_STRVAR(
    converter_doc,
    "Converter(kind, *, choices=None, item=None, ge=None, gt=None, le=None, lt=None, "
    "multiple_of=None, min_length=None, max_length=None, pattern=None, function=None)\n--\n\n"
    "From the text of a parameter to its value, in C. Called with a str (or, for lists, a list of "
    "them) it gives the value, or raises ValueError with the attributes `type` and `index`.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)converter_doc}, {Py_tp_new, (void *)converter_new},
    {Py_tp_dealloc, (void *)converter_dealloc},    {Py_tp_traverse, (void *)converter_traverse},
    {Py_tp_call, (void *)converter_call},          {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.Converter",
    .basicsize = sizeof(struct cl_converter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int cl_converter_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->converter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->converter_type ? PyModule_AddType(module, ext->converter_type) : -1;
}
