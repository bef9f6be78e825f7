/* The constructor of `_cello.Plan`: everything is checked here, so that the walk checks nothing. */
#include "plan/plan.h"

#include <stddef.h>
#include <structmember.h>

#include "plan/converter.h"
#include "types/args.h"

/* ---- fields ---- */

enum { SOURCE, NAME, CONVERT, DEFAULT, LOC, FIELD_ITEMS };

static bool is_model(enum cl_source source) {
    return source >= CL_SOURCE_QUERY_MODEL && source <= CL_SOURCE_FORM_MODEL;
}

/* NULL, or what is wrong with the field's converter. */
static const char *check_convert(struct cl_ext *ext, enum cl_source source, PyObject *convert) {
    if (source <= CL_SOURCE_FORM)
        return cl_converter_check(ext, convert) ? NULL : "convert must be a Converter";
    if (is_model(source) || source == CL_SOURCE_BODY || source == CL_SOURCE_BODY_BYTES)
        return PyCallable_Check(convert) ? NULL : "convert must be callable";
    return NULL;
}

/* NULL, or what is wrong; an exception may be set instead. */
static const char *read_field(struct cl_ext *ext, PyObject *item, struct cl_field *out) {
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != FIELD_ITEMS)
        return "it must be a tuple (source, name, convert, default, loc)";
    PyObject *const *parts = &PyTuple_GET_ITEM(item, 0);
    long source = PyLong_Check(parts[SOURCE]) ? PyLong_AsLong(parts[SOURCE]) : -1;
    if (source < 0 || source >= CL_SOURCE_COUNT)
        return "the source must be one of the SOURCE constants";
    if (cl_args_str("name", parts[NAME], &out->name) < 0)
        return "the name must be str";
    if (!PyTuple_CheckExact(parts[LOC]))
        return "loc must be a tuple";
    out->source = (enum cl_source)source;
    out->convert = parts[CONVERT];
    out->fallback = parts[DEFAULT] == Py_Ellipsis ? NULL : parts[DEFAULT];
    out->loc = parts[LOC];
    if (out->source == CL_SOURCE_CONST && !out->fallback)
        return "a constant needs its value as the default";
    const char *wrong = check_convert(ext, out->source, out->convert);
    if (wrong)
        return wrong;
    out->takes_all = out->source <= CL_SOURCE_FORM && cl_converter_is_list(out->convert);
    /* A constant is the program's own object. */
    out->copies = out->fallback && out->source != CL_SOURCE_CONST &&
                  (PyList_CheckExact(out->fallback) || PyDict_CheckExact(out->fallback) ||
                   PySet_CheckExact(out->fallback));
    return NULL;
}

static int refuse(const char *what, Py_ssize_t i, const char *wrong) {
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Format(PyExc_TypeError, "Plan: %s %zd: %s", what, i, wrong);
    return -1;
}

static int read_fields(struct cl_ext *ext, struct cl_plan *plan) {
    PyObject *fields = plan->parts[CL_PLAN_FIELDS];
    for (size_t i = 0; i < plan->field_count; i++) {
        PyObject *item = PyTuple_GET_ITEM(fields, (Py_ssize_t)i);
        const char *wrong = read_field(ext, item, &plan->fields[i]);
        if (wrong)
            return refuse("field", (Py_ssize_t)i, wrong);
    }
    return 0;
}

/* ---- arguments ---- */

static bool are_names(PyObject *keywords, Py_ssize_t arguments) {
    if (!PyTuple_CheckExact(keywords) || PyTuple_GET_SIZE(keywords) > arguments)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++)
        if (!PyUnicode_Check(PyTuple_GET_ITEM(keywords, i)))
            return false;
    return true;
}

/* Slots below `end` to *at, which moves on. NULL, or what is wrong. */
static const char *read_arguments(PyObject *slots, PyObject *keywords, size_t end, uint16_t **at,
                                  struct cl_arguments *out) {
    if (!PyTuple_CheckExact(slots))
        return "the slots must be a tuple";
    if (!are_names(keywords, PyTuple_GET_SIZE(slots)))
        return "the keywords must be a tuple of str, not longer than the slots";
    out->slots = *at;
    out->count = (size_t)PyTuple_GET_SIZE(slots);
    out->keywords = PyTuple_GET_SIZE(keywords) ? keywords : NULL;
    for (size_t i = 0; i < out->count; i++) {
        PyObject *slot = PyTuple_GET_ITEM(slots, (Py_ssize_t)i);
        long value = PyLong_Check(slot) ? PyLong_AsLong(slot) : -1;
        if (value < 0 || (size_t)value >= end)
            return "a slot is no field, and no call before it";
        *(*at)++ = (uint16_t)value;
    }
    return NULL;
}

enum { CALL_VALUE, CALL_GENERATOR };
enum { KIND, CALLABLE, SLOTS, KEYWORDS, CALL_ITEMS };

static const char *read_call(PyObject *item, size_t end, uint16_t **at, struct cl_dependency *out) {
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != CALL_ITEMS)
        return "it must be a tuple (kind, callable, slots, keywords)";
    PyObject *const *parts = &PyTuple_GET_ITEM(item, 0);
    long kind = PyLong_Check(parts[KIND]) ? PyLong_AsLong(parts[KIND]) : -1;
    if (kind != CALL_VALUE && kind != CALL_GENERATOR)
        return "the kind must be CALL_VALUE or CALL_GENERATOR";
    if (!PyCallable_Check(parts[CALLABLE]))
        return "it must be callable";
    out->callable = parts[CALLABLE];
    out->is_generator = kind == CALL_GENERATOR;
    return read_arguments(parts[SLOTS], parts[KEYWORDS], end, at, &out->arguments);
}

static int read_calls(struct cl_plan *plan, uint16_t *at) {
    PyObject *calls = plan->parts[CL_PLAN_CALLS];
    size_t end = plan->field_count;
    const char *wrong =
        read_arguments(plan->parts[CL_PLAN_ARGUMENTS], plan->parts[CL_PLAN_KEYWORDS],
                       end + plan->call_count, &at, &plan->arguments);
    if (wrong) {
        PyErr_Format(PyExc_TypeError, "Plan: the handler's arguments: %s", wrong);
        return -1;
    }
    plan->most_arguments = plan->arguments.count;
    for (size_t i = 0; i < plan->call_count; i++) {
        struct cl_dependency *call = &plan->calls[i];
        wrong = read_call(PyTuple_GET_ITEM(calls, (Py_ssize_t)i), end + i, &at, call);
        if (wrong)
            return refuse("call", (Py_ssize_t)i, wrong);
        plan->most_arguments = Py_MAX(plan->most_arguments, call->arguments.count);
    }
    plan->in_order = plan->arguments.count <= end;
    for (size_t i = 0; plan->in_order && i < plan->arguments.count; i++)
        plan->in_order = plan->arguments.slots[i] == i;
    return 0;
}

/* ---- guards and result ---- */

static int check_guards(PyObject *guards) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(guards); i++)
        if (!PyCallable_Check(PyTuple_GET_ITEM(guards, i)))
            return refuse("guard", i, "it must be callable");
    return 0;
}

static int read_result(struct cl_plan *plan) {
    PyObject *result = plan->parts[CL_PLAN_RESULT];
    if (result == Py_None)
        return 0;
    PyObject *const *parts = PyTuple_CheckExact(result) && PyTuple_GET_SIZE(result) == 3
                                 ? &PyTuple_GET_ITEM(result, 0)
                                 : NULL;
    if (!parts || (parts[0] != Py_None && !PyType_Check(parts[0])) || !PyBool_Check(parts[1]) ||
        !PyCallable_Check(parts[2])) {
        PyErr_SetString(PyExc_TypeError,
                        "Plan: result must be None or a tuple (type or None, bool, callable)");
        return -1;
    }
    plan->result_type = parts[0] == Py_None ? NULL : (PyTypeObject *)parts[0];
    plan->result_is_list = parts[1] == Py_True;
    plan->filter = parts[2];
    return 0;
}

/* ---- made and gone ---- */

/* How many slots all arguments name together; what is no tuple is refused later. */
static size_t count_slots(const struct cl_plan *plan) {
    size_t n = (size_t)PyTuple_GET_SIZE(plan->parts[CL_PLAN_ARGUMENTS]);
    for (size_t i = 0; i < plan->call_count; i++) {
        PyObject *call = PyTuple_GET_ITEM(plan->parts[CL_PLAN_CALLS], (Py_ssize_t)i);
        if (!PyTuple_CheckExact(call) || PyTuple_GET_SIZE(call) != CALL_ITEMS)
            continue;
        PyObject *slots = PyTuple_GET_ITEM(call, SLOTS);
        n += PyTuple_CheckExact(slots) ? (size_t)PyTuple_GET_SIZE(slots) : 0;
    }
    return n;
}

static int compile(struct cl_ext *ext, struct cl_plan *plan) {
    plan->field_count = (size_t)PyTuple_GET_SIZE(plan->parts[CL_PLAN_FIELDS]);
    plan->call_count = (size_t)PyTuple_GET_SIZE(plan->parts[CL_PLAN_CALLS]);
    size_t slots = count_slots(plan);
    if (plan->field_count + plan->call_count > CL_PLAN_SLOTS_MAX || slots > UINT16_MAX) {
        PyErr_Format(PyExc_ValueError, "Plan: more than %d parameters and dependencies",
                     CL_PLAN_SLOTS_MAX);
        return -1;
    }
    plan->fields = PyMem_Calloc(plan->field_count + 1, sizeof *plan->fields);
    plan->calls = PyMem_Calloc(plan->call_count + 1, sizeof *plan->calls);
    plan->slots = PyMem_Calloc(slots + 1, sizeof *plan->slots);
    if (!plan->fields || !plan->calls || !plan->slots) {
        PyErr_NoMemory();
        return -1;
    }
    return read_fields(ext, plan) < 0 || read_calls(plan, plan->slots) < 0 ||
                   check_guards(plan->parts[CL_PLAN_GUARDS]) < 0 || read_result(plan) < 0
               ? -1
               : 0;
}

static const struct cl_args_spec SPEC = {
    .function = "Plan",
    .required = 3,
    .positional = CL_PLAN_PARTS,
    .names = {"fields", "calls", "arguments", "keywords", "guards", "result"},
};

static int take_parts(struct cl_plan *plan, PyObject **given) {
    for (int i = 0; i < CL_PLAN_PARTS; i++) {
        bool is_result = i == CL_PLAN_RESULT;
        if (given[i] && !is_result && !PyTuple_CheckExact(given[i])) {
            PyErr_Format(PyExc_TypeError, "Plan: %s must be a tuple, not %.100s", SPEC.names[i],
                         Py_TYPE(given[i])->tp_name);
            return -1;
        }
        plan->parts[i] = given[i]    ? Py_NewRef(given[i])
                         : is_result ? Py_NewRef(Py_None)
                                     : PyTuple_New(0);
        if (!plan->parts[i])
            return -1;
    }
    return 0;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    struct cl_ext *ext = cl_ext_of_type(type);
    PyObject *given[CL_PLAN_PARTS];
    if (!ext || cl_args_parse_tuple(&SPEC, args, kwargs, given) < 0)
        return NULL;
    struct cl_plan *plan = cl_plan_of(type->tp_alloc(type, 0));
    if (plan && (take_parts(plan, given) < 0 || compile(ext, plan) < 0))
        Py_CLEAR(plan);
    return (PyObject *)plan;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < CL_PLAN_PARTS; i++)
        Py_VISIT(cl_plan_of(self)->parts[i]);
    return 0;
}

static void dealloc(PyObject *self) {
    struct cl_plan *plan = cl_plan_of(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    for (int i = 0; i < CL_PLAN_PARTS; i++)
        Py_CLEAR(plan->parts[i]);
    PyMem_Free(plan->fields);
    PyMem_Free(plan->calls);
    PyMem_Free(plan->slots);
    type->tp_free(self);
    Py_DECREF(type);
}

bool cl_plan_is_trivial(const struct cl_plan *plan, bool *wants_request) {
    *wants_request = plan->field_count == 1 && plan->fields[0].source == CL_SOURCE_REQUEST &&
                     plan->arguments.count == 1 && !plan->arguments.keywords;
    return plan->call_count == 0 && !plan->filter &&
           PyTuple_GET_SIZE(plan->parts[CL_PLAN_GUARDS]) == 0 &&
           (*wants_request || plan->field_count == 0);
}

/* ---- the type ---- */

#define PART(name, index)                                                                          \
    {                                                                                              \
        name, T_OBJECT, offsetof(struct cl_plan, parts) + (index) * sizeof(PyObject *), READONLY,  \
            NULL                                                                                   \
    }

static PyMemberDef members[] = {
    PART("fields", CL_PLAN_FIELDS),
    PART("calls", CL_PLAN_CALLS),
    PART("arguments", CL_PLAN_ARGUMENTS),
    PART("keywords", CL_PLAN_KEYWORDS),
    PART("guards", CL_PLAN_GUARDS),
    PART("result", CL_PLAN_RESULT),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    doc, "Plan(fields, calls, arguments, keywords=(), guards=(), result=None)\n--\n\n"
         "How a handler gets its arguments: guards, then fields, then calls, then the handler.\n\n"
         "fields: (source, name, convert, default, loc), slot i each. calls: (kind, callable, "
         "slots, keywords), slot len(fields) + j each. arguments: slots; the last ones go by "
         "keyword. result: None or (type or None, is_list, callable).");

static PyMethodDef methods[] = {
    {"resolve", cl_plan_resolve, METH_O,
     "resolve($self, request, /)\n--\n\nThe arguments for a request, as a tuple; raises what "
     "answers a request that does not fit. Not for plans with calls."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)doc},
    {Py_tp_new, (void *)plan_new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_members, members},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cello._cello.Plan",
    .basicsize = sizeof(struct cl_plan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static const struct {
    const char *name;
    int value;
} CONSTANTS[] = {
    {"SOURCE_PATH", CL_SOURCE_PATH},
    {"SOURCE_QUERY", CL_SOURCE_QUERY},
    {"SOURCE_HEADER", CL_SOURCE_HEADER},
    {"SOURCE_COOKIE", CL_SOURCE_COOKIE},
    {"SOURCE_FORM", CL_SOURCE_FORM},
    {"SOURCE_QUERY_MODEL", CL_SOURCE_QUERY_MODEL},
    {"SOURCE_HEADER_MODEL", CL_SOURCE_HEADER_MODEL},
    {"SOURCE_COOKIE_MODEL", CL_SOURCE_COOKIE_MODEL},
    {"SOURCE_FORM_MODEL", CL_SOURCE_FORM_MODEL},
    {"SOURCE_BODY", CL_SOURCE_BODY},
    {"SOURCE_REQUEST", CL_SOURCE_REQUEST},
    {"SOURCE_RESPONSE", CL_SOURCE_RESPONSE},
    {"SOURCE_BACKGROUND", CL_SOURCE_BACKGROUND},
    {"SOURCE_CONST", CL_SOURCE_CONST},
    {"SOURCE_BODY_BYTES", CL_SOURCE_BODY_BYTES},
    {"SOURCE_FILE", CL_SOURCE_FILE},
    {"SOURCE_FILES", CL_SOURCE_FILES},
    {"SOURCE_FILE_BYTES", CL_SOURCE_FILE_BYTES},
    {"SOURCE_FILES_BYTES", CL_SOURCE_FILES_BYTES},
    {"CALL_VALUE", CALL_VALUE},
    {"CALL_GENERATOR", CALL_GENERATOR},
};

int cl_plan_setup_types(PyObject *module, struct cl_ext *ext) {
    for (size_t i = 0; i < sizeof CONSTANTS / sizeof CONSTANTS[0]; i++)
        if (PyModule_AddIntConstant(module, CONSTANTS[i].name, CONSTANTS[i].value) < 0)
            return -1;
    ext->plan_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return ext->plan_type ? PyModule_AddType(module, ext->plan_type) : -1;
}
