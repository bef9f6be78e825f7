#include "convert/key_cache.h"

#include "base/alloc.h"

struct cl_key_cache *cl_key_cache_new(void) {
    struct cl_key_cache *cache = cl_calloc(1, sizeof *cache);
    if (cache)
        cl_hash_key_init(&cache->hash_key);
    return cache;
}

void cl_key_cache_del(struct cl_key_cache *cache) {
    for (size_t i = 0; cache && i < CL_KEY_CACHE_SIZE; i++)
        Py_XDECREF(cache->slots[i].str);
    cl_free(cache);
}

uint16_t cl_key_cache_find(struct cl_key_cache *cache, const char *text, size_t n) {
    uint64_t hash = cl_hash_bytes(&cache->hash_key, text, n);
    size_t index = 1 + hash % (CL_KEY_CACHE_SIZE - 1);
    struct cl_key_slot *slot = &cache->slots[index];
    if (slot->str && slot->size == n + 1 && memcmp(slot->text, text, n) == 0)
        return (uint16_t)index;
    PyObject *str = PyUnicode_New((Py_ssize_t)n, 127);
    if (!str)
        return 0;
    memcpy(PyUnicode_1BYTE_DATA(str), text, n);
    if (PyObject_Hash(str) == -1) { /* so that no dict has to compute it again */
        Py_DECREF(str);
        return 0;
    }
    PyObject *old = slot->str;
    slot->str = str;
    slot->size = (uint8_t)(n + 1);
    memcpy(slot->text, text, n);
    slot->text[n] = '"';
    Py_XDECREF(old);
    return (uint16_t)index;
}
