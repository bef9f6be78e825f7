/* UUID, Decimal and the types of datetime. They are looked up when the first converter asks for
 * them, so that importing cello imports none. */
#include "plan/converter_internal.h"
#include "types/text.h"

/* ---- uuid.UUID ---- */

/* A descriptor of the class that can store. */
static PyObject *find_slot(PyObject *type, const char *name) {
    PyObject *slot = PyObject_GetAttrString(type, name);
    if (slot && !Py_TYPE(slot)->tp_descr_set) {
        PyErr_Format(PyExc_RuntimeError, "uuid.UUID.%s is no slot", name);
        Py_CLEAR(slot);
    }
    return slot;
}

static int find_uuid(struct cl_converter *c, PyObject *module) {
    c->uuid_int = find_slot(c->target, "int");
    c->uuid_is_safe = c->uuid_int ? find_slot(c->target, "is_safe") : NULL;
    PyObject *safe = c->uuid_is_safe ? PyObject_GetAttrString(module, "SafeUUID") : NULL;
    c->uuid_unknown = safe ? PyObject_GetAttrString(safe, "unknown") : NULL;
    Py_XDECREF(safe);
    return c->uuid_unknown ? 0 : -1;
}

/* 128 bits, the highest first. */
static PyObject *new_uuid_int(const uint8_t bytes[16]) {
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromUnsignedNativeBytes(bytes, 16, Py_ASNATIVEBYTES_BIG_ENDIAN);
#else
    return _PyLong_FromByteArray(bytes, 16, 0, 0);
#endif
}

static int store(PyObject *slot, PyObject *o, PyObject *value) {
    return Py_TYPE(slot)->tp_descr_set(slot, o, value);
}

/* UUID(int=...) without its __init__, which is as slow as all the rest of a request: what it does
 * in the end is to store these two. */
static PyObject *new_uuid(const struct cl_converter *c, const uint8_t bytes[16]) {
    PyTypeObject *type = (PyTypeObject *)(void *)c->target;
    PyObject *number = new_uuid_int(bytes);
    PyObject *uuid = number ? type->tp_alloc(type, 0) : NULL;
    if (uuid &&
        (store(c->uuid_int, uuid, number) < 0 || store(c->uuid_is_safe, uuid, c->uuid_unknown) < 0))
        Py_CLEAR(uuid);
    Py_XDECREF(number);
    return uuid;
}

int cl_converter_uuid(const struct cl_converter *c, struct cl_str text, PyObject **value,
                      struct cl_field_error *error) {
    uint8_t bytes[16];
    const char *why;
    if (cello_uuid_parse(text, bytes, &why) < 0)
        return cl_field_refuse(error, "uuid_parsing", "Input should be a valid UUID, %s", why);
    *value = new_uuid(c, bytes);
    return *value ? 1 : -1;
}

/* ---- decimal.Decimal ---- */

int cl_converter_decimal(const struct cl_converter *c, struct cl_str text, PyObject **value,
                         struct cl_field_error *error) {
    struct cl_str number;
    switch (cello_decimal_parse(text, &number)) {
    case CELLO_OK: break;
    case CELLO_ENOTSUP:
        return cl_field_error_set(error, "finite_number", "Input should be a finite number");
    case CELLO_ELIMIT:
        return cl_field_refuse(error, "decimal_max_digits",
                               "Decimal input should have no more than %d digits in total",
                               CELLO_DIGITS_MAX);
    default: return cl_field_error_set(error, "decimal_parsing", "Input should be a valid decimal");
    }
    PyObject *str = cl_text_new(number);
    *value = str ? PyObject_CallOneArg(c->target, str) : NULL;
    Py_XDECREF(str);
    return *value ? 1 : -1;
}

/* ---- datetime ---- */

int cl_converter_date(struct cl_ext *ext, struct cl_str text, PyObject **value,
                      struct cl_field_error *error) {
    struct cello_date d;
    const char *why;
    if (cello_date_parse(text, &d, &why) < 0)
        return cl_field_refuse(error, "date_from_datetime_parsing",
                               "Input should be a valid date or datetime, %s", why);
    PyDateTime_CAPI *api = ext->convert.datetime;
    *value = api->Date_FromDate(d.year, d.month, d.day, api->DateType);
    return *value ? 1 : -1;
}

/* A new reference: None, timezone.utc or another timezone. */
static PyObject *new_zone(PyDateTime_CAPI *api, const struct cello_time *t) {
    if (!t->has_offset)
        return Py_NewRef(Py_None);
    if (t->offset_s == 0)
        return Py_NewRef(api->TimeZone_UTC);
    PyObject *offset = api->Delta_FromDelta(0, t->offset_s, 0, 1, api->DeltaType);
    PyObject *zone = offset ? api->TimeZone_FromTimeZone(offset, NULL) : NULL;
    Py_XDECREF(offset);
    return zone;
}

int cl_converter_datetime(struct cl_ext *ext, struct cl_str text, PyObject **value,
                          struct cl_field_error *error) {
    struct cello_datetime m;
    const char *why;
    if (cello_datetime_parse(text, &m, &why) < 0)
        return cl_field_refuse(error, "datetime_from_date_parsing",
                               "Input should be a valid datetime or date, %s", why);
    PyDateTime_CAPI *api = ext->convert.datetime;
    PyObject *zone = new_zone(api, &m.time);
    *value = zone ? api->DateTime_FromDateAndTime(m.date.year, m.date.month, m.date.day,
                                                  m.time.hour, m.time.minute, m.time.second,
                                                  m.time.microsecond, zone, api->DateTimeType)
                  : NULL;
    Py_XDECREF(zone);
    return *value ? 1 : -1;
}

int cl_converter_time(struct cl_ext *ext, struct cl_str text, PyObject **value,
                      struct cl_field_error *error) {
    struct cello_time t;
    const char *why;
    if (cello_time_parse(text, &t, &why) < 0)
        return cl_field_refuse(error, "time_parsing", "Input should be in a valid time format, %s",
                               why);
    PyDateTime_CAPI *api = ext->convert.datetime;
    PyObject *zone = new_zone(api, &t);
    *value =
        zone ? api->Time_FromTime(t.hour, t.minute, t.second, t.microsecond, zone, api->TimeType)
             : NULL;
    Py_XDECREF(zone);
    return *value ? 1 : -1;
}

int cl_converter_timedelta(struct cl_ext *ext, struct cl_str text, PyObject **value,
                           struct cl_field_error *error) {
    struct cello_duration d;
    const char *why;
    if (cello_duration_parse(text, &d, &why) < 0)
        return cl_field_refuse(error, "time_delta_parsing", "Input should be a valid timedelta, %s",
                               why);
    PyDateTime_CAPI *api = ext->convert.datetime;
    *value = api->Delta_FromDelta(d.days, d.seconds, d.microseconds, 0, api->DeltaType);
    return *value ? 1 : -1;
}

/* ---- looking up ---- */

static PyObject *import_type(const char *module_name, const char *name, PyObject **module) {
    *module = PyImport_ImportModule(module_name);
    PyObject *type = *module ? PyObject_GetAttrString(*module, name) : NULL;
    if (type && !PyType_Check(type)) {
        PyErr_Format(PyExc_RuntimeError, "%s.%s is no class", module_name, name);
        Py_CLEAR(type);
    }
    return type;
}

int cl_converter_find_types(struct cl_ext *ext, struct cl_converter *c) {
    PyObject *module = NULL;
    int err = 0;
    switch (c->kind) {
    case CL_CONVERTER_UUID:
        c->target = import_type("uuid", "UUID", &module);
        err = c->target ? find_uuid(c, module) : -1;
        break;
    case CL_CONVERTER_DECIMAL:
        c->target = import_type("decimal", "Decimal", &module);
        err = c->target ? 0 : -1;
        break;
    case CL_CONVERTER_DATE:
    case CL_CONVERTER_DATETIME:
    case CL_CONVERTER_TIME:
    case CL_CONVERTER_TIMEDELTA:
        if (!ext->convert.datetime)
            ext->convert.datetime = PyCapsule_Import(PyDateTime_CAPSULE_NAME, 0);
        err = ext->convert.datetime ? 0 : -1;
        break;
    default: break;
    }
    Py_XDECREF(module);
    return err;
}
