/* Encoding of what is not JSON's own: subclasses, Enum, dates, UUID, Decimal, classes with fields.
 *
 * How a type is encoded is found out once and kept in state->plans: a tuple (kind, attributes,
 * keys). No module is imported for it. An object of a module's type exists only after somebody
 * imported that module, so looking into sys.modules is enough. */
#include <math.h>

#include "convert/json_encode_internal.h"
#include "json/double.h"
#include "json/integer.h"

enum kind {
    KIND_STR,
    KIND_INT,
    KIND_FLOAT,
    KIND_ITEMS,   /* subclass of list or tuple */
    KIND_MAPPING, /* subclass of dict */
    KIND_ENUM,
    KIND_TEXT, /* str(obj): Decimal */
    KIND_UUID,
    KIND_DATETIME,
    KIND_DATE,
    KIND_TIME,
    KIND_FIELDS,     /* an object of attributes */
    KIND_MODEL_DUMP, /* pydantic */
    KIND_STRUCT,     /* a msgspec.Struct with options of its own: msgspec says what is in it */
    KIND_SET,        /* this and the next: as the program says, if it says anything */
    KIND_DURATION,
    KIND_UNKNOWN,
};

/* Types are few in a program that does not make them at run time; one that does starts over. */
enum { MAX_PLANS = 1024 };

/* ---- finding out ---- */

/* A new reference to an attribute of a module that is already imported; NULL without exception if
 * there is none, with one if looking failed. */
static PyObject *imported(const char *module_name, const char *attribute) {
    PyObject *name = PyUnicode_FromString(module_name);
    if (!name)
        return NULL;
    PyObject *module = PyImport_GetModule(name);
    Py_DECREF(name);
    if (!module)
        return NULL;
    PyObject *value = PyObject_GetAttrString(module, attribute);
    Py_DECREF(module);
    if (!value && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    return value;
}

/* Whether `type` is a class, or a subclass of it, that an imported module has; -1 on error. */
static int is_imported_type(PyTypeObject *type, const char *module_name, const char *attribute) {
    PyObject *wanted = imported(module_name, attribute);
    if (!wanted)
        return PyErr_Occurred() ? -1 : 0;
    int is = PyType_Check(wanted) && PyType_IsSubtype(type, (PyTypeObject *)wanted);
    Py_DECREF(wanted);
    return is;
}

/* A new reference to an attribute of a class; NULL without exception if it has none. */
static PyObject *class_attribute(PyTypeObject *type, PyObject *name) {
    PyObject *value = PyObject_GetAttr((PyObject *)type, name);
    if (!value && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    return value;
}

/* KIND_UNKNOWN if it is none of them, -1 on error. */
static int kind_of_builtin_base(PyTypeObject *type) {
    if (PyType_HasFeature(type, Py_TPFLAGS_UNICODE_SUBCLASS))
        return KIND_STR;
    if (PyType_HasFeature(type, Py_TPFLAGS_LONG_SUBCLASS))
        return KIND_INT;
    if (PyType_HasFeature(type, Py_TPFLAGS_LIST_SUBCLASS | Py_TPFLAGS_TUPLE_SUBCLASS))
        return KIND_ITEMS;
    if (PyType_HasFeature(type, Py_TPFLAGS_DICT_SUBCLASS))
        return KIND_MAPPING;
    if (PyType_IsSubtype(type, &PySet_Type) || PyType_IsSubtype(type, &PyFrozenSet_Type))
        return KIND_SET;
    return PyType_IsSubtype(type, &PyFloat_Type) ? KIND_FLOAT : KIND_UNKNOWN;
}

static int kind_of_datetime(struct cl_convert_state *state, PyTypeObject *type) {
    if (!state->datetime) {
        PyObject *loaded = imported("datetime", "datetime");
        if (!loaded)
            return PyErr_Occurred() ? -1 : KIND_UNKNOWN;
        Py_DECREF(loaded);
        state->datetime = PyCapsule_Import(PyDateTime_CAPSULE_NAME, 0);
        if (!state->datetime)
            return -1;
    }
    if (PyType_IsSubtype(type, state->datetime->DateTimeType))
        return KIND_DATETIME;
    if (PyType_IsSubtype(type, state->datetime->DateType))
        return KIND_DATE;
    if (PyType_IsSubtype(type, state->datetime->DeltaType))
        return KIND_DURATION;
    return PyType_IsSubtype(type, state->datetime->TimeType) ? KIND_TIME : KIND_UNKNOWN;
}

static int kind_of_library_type(struct cl_convert_state *state, PyTypeObject *type) {
    static const struct {
        const char *module;
        const char *name;
        enum kind kind;
    } types[] = {{"uuid", "UUID", KIND_UUID}, {"decimal", "Decimal", KIND_TEXT}};
    for (size_t i = 0; i < CL_ARRAY_LEN(types); i++) {
        int is = is_imported_type(type, types[i].module, types[i].name);
        if (is)
            return is < 0 ? -1 : (int)types[i].kind;
    }
    return kind_of_datetime(state, type);
}

/* An Enum is known by its class's class, whatever else it derives from. -1 on error. */
static int is_enum(PyTypeObject *type) {
    return Py_TYPE(type) == &PyType_Type ? 0 : is_imported_type(Py_TYPE(type), "enum", "EnumMeta");
}

/* ---- plans ---- */

static PyObject *new_plan(enum kind kind, PyObject *attributes, PyObject *keys) {
    return Py_BuildValue("(iOO)", (int)kind, attributes ? attributes : Py_None,
                         keys ? keys : Py_None);
}

/* A plan over `names`, a list that is made a tuple; steals it, and takes NULL as an error. */
static PyObject *fields_plan(PyObject *names) {
    PyObject *tuple = names ? PyList_AsTuple(names) : NULL;
    Py_XDECREF(names);
    PyObject *plan = tuple ? new_plan(KIND_FIELDS, tuple, tuple) : NULL;
    Py_XDECREF(tuple);
    return plan;
}

/* The names of a dataclass's fields, without ClassVar and InitVar pseudo-fields. */
static PyObject *dataclass_names(struct cl_convert_state *state, PyObject *fields) {
    PyObject *real = imported("dataclasses", "_FIELD");
    PyObject *names = real && PyDict_Check(fields) ? PyList_New(0) : NULL;
    PyObject *name, *field;
    Py_ssize_t position = 0;
    while (names && PyDict_Next(fields, &position, &name, &field)) {
        PyObject *field_type = PyObject_GetAttr(field, state->names.field_type);
        if (!field_type || (field_type == real && PyList_Append(names, name) < 0))
            Py_CLEAR(names);
        Py_XDECREF(field_type);
    }
    Py_XDECREF(real);
    if (!names && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "__dataclass_fields__ is not what dataclasses makes");
    return names;
}

static PyObject *attrs_names(struct cl_convert_state *state, PyObject *attributes) {
    PyObject *fast = PySequence_Fast(attributes, "__attrs_attrs__ is not a tuple");
    PyObject *names = fast ? PyList_New(0) : NULL;
    for (Py_ssize_t i = 0; names && i < PySequence_Fast_GET_SIZE(fast); i++) {
        PyObject *name = PyObject_GetAttr(PySequence_Fast_GET_ITEM(fast, i), state->names.name);
        if (!name || PyList_Append(names, name) < 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    Py_XDECREF(fast);
    return names;
}

/* Whether a Struct's options leave it a plain object of all its fields; -1 on error. */
static int is_plain_struct(struct cl_convert_state *state, PyTypeObject *type) {
    static const char *const options[] = {"tag", "array_like", "omit_defaults"};
    PyObject *config = PyObject_GetAttr((PyObject *)type, state->names.struct_config);
    int plain = config ? 1 : -1;
    for (size_t i = 0; plain == 1 && i < CL_ARRAY_LEN(options); i++) {
        PyObject *option = PyObject_GetAttrString(config, options[i]);
        int is_set = option ? PyObject_IsTrue(option) : -1;
        /* A tag may be the number 0 and counts all the same. */
        if (is_set == 0 && i == 0 && option != Py_None)
            is_set = 1;
        plain = is_set < 0 ? -1 : !is_set;
        Py_XDECREF(option);
    }
    Py_XDECREF(config);
    return plain;
}

static PyObject *struct_plan(struct cl_convert_state *state, PyTypeObject *type, PyObject *fields) {
    int plain = is_plain_struct(state, type);
    if (plain <= 0)
        return plain < 0 ? NULL : new_plan(KIND_STRUCT, NULL, NULL);
    PyObject *keys = PyObject_GetAttr((PyObject *)type, state->names.struct_encode_fields);
    PyObject *plan = NULL;
    if (keys && PyTuple_Check(keys) && PyTuple_Check(fields) &&
        PyTuple_GET_SIZE(keys) == PyTuple_GET_SIZE(fields))
        plan = new_plan(KIND_FIELDS, fields, keys);
    else if (keys)
        plan = new_plan(KIND_STRUCT, NULL, NULL);
    Py_XDECREF(keys);
    return plan;
}

/* The plan of a class that lists its fields; NULL without exception if it does not. */
static PyObject *plan_of_class(struct cl_convert_state *state, PyTypeObject *type) {
    PyObject *found = class_attribute(type, state->names.struct_fields);
    PyObject *plan = NULL;
    if (found) {
        plan = struct_plan(state, type, found);
    } else if (!PyErr_Occurred() && (found = class_attribute(type, state->names.model_dump))) {
        plan = new_plan(KIND_MODEL_DUMP, NULL, NULL);
    } else if (!PyErr_Occurred() &&
               (found = class_attribute(type, state->names.dataclass_fields))) {
        plan = fields_plan(dataclass_names(state, found));
    } else if (!PyErr_Occurred() && (found = class_attribute(type, state->names.attrs))) {
        plan = fields_plan(attrs_names(state, found));
    }
    Py_XDECREF(found);
    return plan;
}

static PyObject *make_plan(struct cl_convert_state *state, PyTypeObject *type) {
    int is = is_enum(type);
    if (is)
        return is < 0 ? NULL : new_plan(KIND_ENUM, NULL, NULL);
    int kind = kind_of_builtin_base(type);
    if (kind == KIND_UNKNOWN)
        kind = kind_of_library_type(state, type);
    if (kind < 0)
        return NULL;
    if (kind != KIND_UNKNOWN)
        return new_plan((enum kind)kind, NULL, NULL);
    PyObject *plan = plan_of_class(state, type);
    return plan || PyErr_Occurred() ? plan : new_plan(KIND_UNKNOWN, NULL, NULL);
}

/* A new reference to the type's plan. */
static PyObject *plan_of(struct cl_convert_state *state, PyTypeObject *type) {
    PyObject *plan = PyDict_GetItemWithError(state->plans, (PyObject *)type);
    if (plan || PyErr_Occurred())
        return Py_XNewRef(plan);
    plan = make_plan(state, type);
    if (!plan)
        return NULL;
    if (PyDict_GET_SIZE(state->plans) >= MAX_PLANS)
        PyDict_Clear(state->plans);
    if (PyDict_SetItem(state->plans, (PyObject *)type, plan) < 0)
        Py_CLEAR(plan);
    return plan;
}

/* ---- dates and times ---- */

static char *put_clock(char *p, int hour, int minute, int second, int microsecond) {
    cl_put_pair(p, (uint32_t)hour);
    p[2] = ':';
    cl_put_pair(p + 3, (uint32_t)minute);
    p[5] = ':';
    cl_put_pair(p + 6, (uint32_t)second);
    p += 8;
    if (microsecond) {
        *p++ = '.';
        cl_put_pair(p, (uint32_t)microsecond / 10000);
        cl_put_pair(p + 2, (uint32_t)microsecond / 100 % 100);
        cl_put_pair(p + 4, (uint32_t)microsecond % 100);
        p += 6;
    }
    return p;
}

/* The offset of an aware datetime or time to the nearest minute, as RFC 3339 has no seconds there.
 */
static char *put_offset(struct cl_json_encoder *e, char *p, PyObject *obj) {
    const struct cl_convert_state *state = e->opt->state;
    PyObject *delta = PyObject_CallMethodNoArgs(obj, state->names.utcoffset);
    if (!delta)
        return NULL;
    if (PyObject_TypeCheck(delta, state->datetime->DeltaType)) {
        int days = PyDateTime_DELTA_GET_DAYS(delta);
        if (days < -1 || days > 0) { /* datetime sees to it, a subclass may not */
            Py_DECREF(delta);
            PyErr_SetString(PyExc_ValueError, "utcoffset() must be less than a day");
            return NULL;
        }
        int seconds = days * 86400 + PyDateTime_DELTA_GET_SECONDS(delta);
        int magnitude = seconds < 0 ? -seconds : seconds, minutes = (magnitude + 30) / 60;
        if (minutes == 0) {
            *p++ = 'Z';
        } else {
            p[0] = seconds < 0 ? '-' : '+';
            cl_put_pair(p + 1, (uint32_t)minutes / 60);
            p[3] = ':';
            cl_put_pair(p + 4, (uint32_t)minutes % 60);
            p += 6;
        }
    }
    Py_DECREF(delta);
    return p;
}

static char *put_calendar(char *p, PyObject *date) {
    uint32_t year = (uint32_t)PyDateTime_GET_YEAR(date);
    cl_put_pair(p, year / 100);
    cl_put_pair(p + 2, year % 100);
    p[4] = '-';
    cl_put_pair(p + 5, PyDateTime_GET_MONTH(date));
    p[7] = '-';
    cl_put_pair(p + 8, PyDateTime_GET_DAY(date));
    return p + 10;
}

/* The longest is "2024-01-31T23:59:59.999999+23:59", 34 bytes with its quotes. */
static char *put_date_or_time(struct cl_json_encoder *e, char *p, PyObject *obj, enum kind kind) {
    *p++ = '"';
    if (kind != KIND_TIME)
        p = put_calendar(p, obj);
    if (kind == KIND_DATETIME) {
        *p++ = 'T';
        p = put_clock(p, PyDateTime_DATE_GET_HOUR(obj), PyDateTime_DATE_GET_MINUTE(obj),
                      PyDateTime_DATE_GET_SECOND(obj), PyDateTime_DATE_GET_MICROSECOND(obj));
        if (PyDateTime_DATE_GET_TZINFO(obj) != Py_None)
            p = put_offset(e, p, obj);
    } else if (kind == KIND_TIME) {
        p = put_clock(p, PyDateTime_TIME_GET_HOUR(obj), PyDateTime_TIME_GET_MINUTE(obj),
                      PyDateTime_TIME_GET_SECOND(obj), PyDateTime_TIME_GET_MICROSECOND(obj));
        if (PyDateTime_TIME_GET_TZINFO(obj) != Py_None)
            p = put_offset(e, p, obj);
    }
    if (p)
        *p++ = '"';
    return p;
}

/* ---- the other kinds ---- */

/* Encode what `obj` turned into, one level deeper: a hook that gives back what it got ends as
 * "nested too deep". Steals `obj`, and takes NULL as an error. */
static char *put_replacement(struct cl_json_encoder *e, char *p, PyObject *obj) {
    if (!obj)
        return NULL;
    if (e->depth_left) {
        e->depth_left--;
        p = e->put_value(e, p, obj);
        e->depth_left++;
    } else {
        p = cl_json_too_deep(e);
    }
    Py_DECREF(obj);
    return p;
}

static char *put_text_of(struct cl_json_encoder *e, char *p, PyObject *str) {
    Py_ssize_t n;
    const char *text = str ? PyUnicode_AsUTF8AndSize(str, &n) : NULL;
    return text ? e->put_text(e, p, text, (size_t)n) : NULL;
}

static char *put_str_of(struct cl_json_encoder *e, char *p, PyObject *obj) {
    PyObject *str = PyObject_Str(obj);
    p = put_text_of(e, p, str);
    Py_XDECREF(str);
    return p;
}

static char *put_float(char *p, double value) {
    return isfinite(value) ? cl_put_double(p, value) : cl_json_not_finite();
}

char *cl_json_put_wide_int(struct cl_json_encoder *e, char *p, PyObject *obj) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(obj, &overflow);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    if (!overflow)
        return cl_put_i64(p, value);
    /* int's own repr: a subclass's may say anything. It knows the limit of 4,300 digits. */
    PyObject *digits = PyLong_Type.tp_repr(obj);
    if (!digits)
        return NULL;
    size_t n = (size_t)PyUnicode_GET_LENGTH(digits);
    p = cl_json_room(e, p, n + CL_ENCODE_ROOM);
    if (p) {
        memcpy(p, PyUnicode_1BYTE_DATA(digits), n);
        p += n;
    }
    Py_DECREF(digits);
    return p;
}

static char *put_uuid(struct cl_json_encoder *e, char *p, PyObject *obj) {
    static const char hex[] = "0123456789abcdef";
    PyObject *number = PyObject_GetAttr(obj, e->opt->state->names.int_);
    if (!number)
        return NULL;
    unsigned char bytes[16];
    if (!PyLong_Check(number)) {
        PyErr_SetString(PyExc_TypeError, "UUID.int is not an int");
        Py_DECREF(number);
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t got =
        PyLong_AsNativeBytes(number, bytes, sizeof bytes,
                             Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER);
#else
    int got = _PyLong_AsByteArray((PyLongObject *)number, bytes, sizeof bytes, 0, 0);
#endif
    Py_DECREF(number);
    if (got < 0)
        return NULL;
    *p++ = '"';
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[bytes[i] >> 4];
        *p++ = hex[bytes[i] & 15];
    }
    *p++ = '"';
    return p;
}

/* msgspec's mark for "leave this field out". */
static bool is_unset(PyObject *value) {
    return strcmp(Py_TYPE(value)->tp_name, "msgspec.UnsetType") == 0;
}

static char *put_field(struct cl_json_encoder *e, char *p, PyObject *key, PyObject *value) {
    p = put_text_of(e, p, key);
    if (!p)
        return NULL;
    *p++ = ':';
    p = e->put_value(e, p, value);
    if (p)
        *p++ = ',';
    return p;
}

static char *put_fields(struct cl_json_encoder *e, char *p, PyObject *obj, PyObject *plan) {
    PyObject *attributes = PyTuple_GET_ITEM(plan, 1), *keys = PyTuple_GET_ITEM(plan, 2);
    if (e->depth_left == 0)
        return cl_json_too_deep(e);
    e->depth_left--;
    *p++ = '{';
    for (Py_ssize_t i = 0; p && i < PyTuple_GET_SIZE(attributes); i++) {
        PyObject *value = PyObject_GetAttr(obj, PyTuple_GET_ITEM(attributes, i));
        if (!value)
            return NULL;
        if (!is_unset(value))
            p = put_field(e, p, PyTuple_GET_ITEM(keys, i), value);
        Py_DECREF(value);
    }
    e->depth_left++;
    if (!p)
        return NULL;
    p -= p[-1] == ',';
    *p++ = '}';
    return p;
}

/* dict subclasses know their order and content (OrderedDict.move_to_end), so they are asked. */
static char *put_mapping(struct cl_json_encoder *e, char *p, PyObject *obj) {
    PyObject *items = PyMapping_Items(obj);
    PyObject *plain = items ? PyDict_New() : NULL;
    int err = plain ? PyDict_MergeFromSeq2(plain, items, 1) : -1;
    Py_XDECREF(items);
    if (err < 0)
        Py_CLEAR(plain);
    if (!plain)
        return NULL;
    p = e->put_value(e, p, plain);
    Py_DECREF(plain);
    return p;
}

/* By the names that clients know the fields by, which are those that OpenAPI shows. */
static char *put_model(struct cl_json_encoder *e, char *p, PyObject *obj) {
    const struct cl_convert_names *names = &e->opt->state->names;
    PyObject *method = PyObject_GetAttr(obj, names->model_dump);
    PyObject *json = method ? PyUnicode_FromString("json") : NULL;
    PyObject *keywords = json ? PyTuple_Pack(2, names->mode, names->by_alias) : NULL;
    PyObject *const values[] = {json, Py_True};
    PyObject *dumped = keywords ? PyObject_Vectorcall(method, values, 0, keywords) : NULL;
    Py_XDECREF(keywords);
    Py_XDECREF(json);
    Py_XDECREF(method);
    return put_replacement(e, p, dumped);
}

static char *put_by_msgspec(struct cl_json_encoder *e, char *p, PyObject *obj) {
    PyObject *msgspec = PyImport_ImportModule("msgspec");
    PyObject *plain = msgspec ? PyObject_CallMethod(msgspec, "to_builtins", "O", obj) : NULL;
    Py_XDECREF(msgspec);
    return put_replacement(e, p, plain);
}

/* Types that a program may want in a form of its own come to its hook first. */
static char *put_by_hook(struct cl_json_encoder *e, char *p, PyObject *obj, enum kind kind) {
    PyObject *hook = e->opt->default_hook;
    PyObject *plain = hook ? PyObject_CallOneArg(hook, obj) : Py_NewRef(Py_NotImplemented);
    if (plain != Py_NotImplemented)
        return put_replacement(e, p, plain);
    Py_DECREF(plain);
    if (kind == KIND_SET)
        return put_replacement(e, p, PySequence_List(obj));
    if (kind == KIND_DURATION)
        return put_by_msgspec(e, p, obj);
    PyErr_Format(PyExc_TypeError, "Object of type %.200s is not JSON serializable",
                 Py_TYPE(obj)->tp_name);
    return NULL;
}

static char *put_by_plan(struct cl_json_encoder *e, char *p, PyObject *obj, PyObject *plan) {
    enum kind kind = (enum kind)PyLong_AsLong(PyTuple_GET_ITEM(plan, 0));
    switch (kind) {
    case KIND_STR: return put_text_of(e, p, obj);
    case KIND_INT: return cl_json_put_wide_int(e, p, obj);
    case KIND_FLOAT: return put_float(p, PyFloat_AS_DOUBLE(obj));
    case KIND_ITEMS: return put_replacement(e, p, PySequence_List(obj));
    case KIND_MAPPING: return put_mapping(e, p, obj);
    case KIND_ENUM: return put_replacement(e, p, PyObject_GetAttr(obj, e->opt->state->names.value));
    case KIND_TEXT: return put_str_of(e, p, obj);
    case KIND_UUID: return put_uuid(e, p, obj);
    case KIND_DATETIME:
    case KIND_DATE:
    case KIND_TIME: return put_date_or_time(e, p, obj, kind);
    case KIND_FIELDS: return put_fields(e, p, obj, plan);
    case KIND_MODEL_DUMP: return put_model(e, p, obj);
    case KIND_STRUCT: return put_by_msgspec(e, p, obj);
    case KIND_SET:
    case KIND_DURATION:
    case KIND_UNKNOWN: break;
    }
    return put_by_hook(e, p, obj, kind);
}

char *cl_json_put_other(struct cl_json_encoder *e, char *p, PyObject *obj) {
    /* Held from here: finding the plan may run a metaclass's code, too. */
    Py_INCREF(obj);
    p = cl_json_room(e, p, CL_ENCODE_ROOM);
    PyObject *plan = p ? plan_of(e->opt->state, Py_TYPE(obj)) : NULL;
    p = plan ? put_by_plan(e, p, obj, plan) : NULL;
    Py_XDECREF(plan);
    Py_DECREF(obj);
    return p;
}

/* ---- keys ---- */

static char *bad_key(PyObject *key) {
    PyErr_Format(PyExc_TypeError, "a key of type %.200s has no JSON form", Py_TYPE(key)->tp_name);
    return NULL;
}

/* 1 if `key` is a scalar with a JSON form, 0 if not, -1 on error. */
static int can_be_key(struct cl_json_encoder *e, PyObject *key) {
    if (key == Py_None || PyBool_Check(key) || PyLong_CheckExact(key) || PyFloat_CheckExact(key))
        return 1;
    PyObject *plan = plan_of(e->opt->state, Py_TYPE(key));
    if (!plan)
        return -1;
    enum kind kind = (enum kind)PyLong_AsLong(PyTuple_GET_ITEM(plan, 0));
    Py_DECREF(plan);
    return kind <= KIND_TIME && kind != KIND_ITEMS && kind != KIND_MAPPING;
}

/* Written as a value behind a quote's room; then the quotes are put around it, unless it is a
 * string that brought its own. Offsets, not pointers: the sink may move. */
char *cl_json_put_key(struct cl_json_encoder *e, char *p, PyObject *key) {
    int can = can_be_key(e, key);
    if (can <= 0)
        return can < 0 ? NULL : bad_key(key);
    p = cl_json_room(e, p, CL_ENCODE_ROOM);
    if (!p)
        return NULL;
    size_t start = (size_t)(p - e->sink->base);
    p = e->put_value(e, p + 1, key);
    if (!p)
        return NULL;
    char *text = e->sink->base + start;
    if (text[1] == '"') {
        memmove(text, text + 1, (size_t)(p - text - 1));
        return p - 1;
    }
    if (text[1] == '[' || text[1] == '{') /* an Enum of those */
        return bad_key(key);
    text[0] = '"';
    *p++ = '"';
    return cl_json_room(e, p, CL_ENCODE_REST);
}
