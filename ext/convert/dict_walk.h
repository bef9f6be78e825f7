/* Walking a dict without a call for every pair.
 *
 * PyDict_Next is a fifth of the time it takes to encode a list of small dicts. On the versions
 * whose layout is known here (3.11 to 3.13, with the GIL) the pairs of an ordinary dict with str
 * keys are read where they lie; everything else goes through PyDict_Next. Like that, a walk sees
 * the dict as it is at each step, so user code may run between steps.
 *
 * GIL held. References are borrowed. */
#ifndef CL_CONVERT_DICT_WALK_H
#define CL_CONVERT_DICT_WALK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/common.h"

#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
#define CL_DICT_LAYOUT_KNOWN 1

/* struct _dictkeysobject and PyDictUnicodeEntry of CPython 3.11 to 3.13, whose own header cannot be
 * included beside Python.h on every one of them. tests/2_api/test_json_encode.py compares walks
 * over dicts of every shape with the interpreter's. */
struct cl_dict_keys {
    Py_ssize_t refcnt;
    uint8_t log2_size;
    uint8_t log2_index_bytes;
    uint8_t kind; /* 0: general */
    uint32_t version;
    Py_ssize_t usable;
    Py_ssize_t entry_count;
    char indices[]; /* 1 << log2_index_bytes; the entries are behind them */
};

struct cl_dict_str_entry {
    PyObject *key;
    PyObject *value; /* NULL: deleted */
};
#endif

/* As PyDict_Next: *position is 0 at first; false when there is no further pair. */
CL_INLINE bool cl_dict_next(PyObject *dict, Py_ssize_t *position, PyObject **key,
                            PyObject **value) {
#ifdef CL_DICT_LAYOUT_KNOWN
    const PyDictObject *d = (const PyDictObject *)dict;
    const struct cl_dict_keys *keys = (const struct cl_dict_keys *)(const void *)d->ma_keys;
    if (CL_LIKELY(!d->ma_values && keys->kind)) {
        const struct cl_dict_str_entry *entries =
            (const void *)(keys->indices + ((size_t)1 << keys->log2_index_bytes));
        Py_ssize_t i = *position;
        while (i < keys->entry_count && !entries[i].value)
            i++;
        if (i >= keys->entry_count)
            return false;
        *key = entries[i].key;
        *value = entries[i].value;
        *position = i + 1;
        return true;
    }
#endif
    return PyDict_Next(dict, position, key, value) != 0;
}

#endif
