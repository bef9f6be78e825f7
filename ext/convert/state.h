/* What the converters keep per module (per interpreter): types of the standard library and others,
 * looked up when the first object that may be one of them shows up, and caches.
 *
 * The module embeds one and calls init, traverse and clear from its own. All with the GIL held. */
#ifndef CL_CONVERT_STATE_H
#define CL_CONVERT_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <datetime.h>

struct cl_key_cache;

/* Attribute names, interned. */
struct cl_convert_names {
    PyObject *attrs;            /* __attrs_attrs__ */
    PyObject *by_alias;         /* by_alias */
    PyObject *dataclass_fields; /* __dataclass_fields__ */
    PyObject *field_type;       /* _field_type */
    PyObject *int_;             /* int */
    PyObject *mode;             /* mode */
    PyObject *model_dump;       /* model_dump */
    PyObject *name;             /* name */
    PyObject *struct_config;    /* __struct_config__ */
    PyObject *struct_encode_fields;
    PyObject *struct_fields;
    PyObject *utcoffset;
    PyObject *value;
};

struct cl_convert_state {
    struct cl_convert_names names;
    PyDateTime_CAPI *datetime; /* NULL until the datetime module was imported by somebody */
    PyObject *plans;           /* type -> tuple, how to encode its instances; see json_types.c */
    struct cl_key_cache *keys; /* strings of object keys that came by */
};

/* -1 with an exception set, and the state then safe to clear. Imports nothing. */
int cl_convert_state_init(struct cl_convert_state *state);
int cl_convert_state_traverse(struct cl_convert_state *state, visitproc visit, void *arg);
/* May be called more than once. Frees the caches too. */
void cl_convert_state_clear(struct cl_convert_state *state);

#endif
