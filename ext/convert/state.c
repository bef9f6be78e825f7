#include "convert/state.h"

#include "base/common.h"
#include "convert/key_cache.h"

/* Where each name goes; one list for init, traverse and clear. */
static const struct {
    size_t offset;
    const char *text;
} name_table[] = {
#define NAME(member, text)                                                                         \
    { offsetof(struct cl_convert_names, member), text }
    NAME(attrs, "__attrs_attrs__"),
    NAME(dataclass_fields, "__dataclass_fields__"),
    NAME(field_type, "_field_type"),
    NAME(int_, "int"),
    NAME(mode, "mode"),
    NAME(by_alias, "by_alias"),
    NAME(model_dump, "model_dump"),
    NAME(name, "name"),
    NAME(struct_config, "__struct_config__"),
    NAME(struct_encode_fields, "__struct_encode_fields__"),
    NAME(struct_fields, "__struct_fields__"),
    NAME(utcoffset, "utcoffset"),
    NAME(value, "value"),
#undef NAME
};

static PyObject **name_at(struct cl_convert_state *state, size_t index) {
    char *base = (char *)&state->names;
    return (PyObject **)(void *)(base + name_table[index].offset);
}

int cl_convert_state_init(struct cl_convert_state *state) {
    *state = (struct cl_convert_state){.datetime = NULL};
    for (size_t i = 0; i < CL_ARRAY_LEN(name_table); i++) {
        *name_at(state, i) = PyUnicode_InternFromString(name_table[i].text);
        if (!*name_at(state, i))
            return -1;
    }
    state->plans = PyDict_New();
    state->keys = cl_key_cache_new();
    if (!state->plans || !state->keys) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return -1;
    }
    return 0;
}

int cl_convert_state_traverse(struct cl_convert_state *state, visitproc visit, void *arg) {
    for (size_t i = 0; i < CL_ARRAY_LEN(name_table); i++)
        Py_VISIT(*name_at(state, i));
    Py_VISIT(state->plans);
    /* The key cache holds exact str objects only, which no cycle can run through. */
    return 0;
}

void cl_convert_state_clear(struct cl_convert_state *state) {
    for (size_t i = 0; i < CL_ARRAY_LEN(name_table); i++)
        Py_CLEAR(*name_at(state, i));
    Py_CLEAR(state->plans);
    cl_key_cache_del(state->keys);
    state->keys = NULL;
}
