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

#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
#define CL_DICT_LAYOUT_KNOWN 1
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_dict.h>
#undef Py_BUILD_CORE
#endif

#include "base/common.h"

/* As PyDict_Next: *position is 0 at first; false when there is no further pair. */
CL_INLINE bool cl_dict_next(PyObject *dict, Py_ssize_t *position, PyObject **key,
                            PyObject **value) {
#ifdef CL_DICT_LAYOUT_KNOWN
    const PyDictObject *d = (const PyDictObject *)dict;
    PyDictKeysObject *keys = d->ma_keys;
    if (CL_LIKELY(!d->ma_values && DK_IS_UNICODE(keys))) {
        const PyDictUnicodeEntry *entries = DK_UNICODE_ENTRIES(keys);
        Py_ssize_t i = *position;
        while (i < keys->dk_nentries && !entries[i].me_value)
            i++; /* deleted */
        if (i >= keys->dk_nentries)
            return false;
        *key = entries[i].me_key;
        *value = entries[i].me_value;
        *position = i + 1;
        return true;
    }
#endif
    return PyDict_Next(dict, position, key, value) != 0;
}

#endif
