#include "registry.h"

#include <stdlib.h>

static void entry_del(struct cl_entry *e) {
    Py_CLEAR(e->callable);
    Py_CLEAR(e->plan);
    Py_CLEAR(e->name);
    PyMem_Free(e);
}

void cl_registry_clear(struct cl_registry *reg) {
    struct cl_entry **entries = reg->entries;
    uint32_t count = reg->count;
    *reg = (struct cl_registry){0};
    for (uint32_t i = 1; i < count; i++)
        entry_del(entries[i]);
    PyMem_Free(entries);
}

int cl_registry_traverse(struct cl_registry *reg, visitproc visit, void *arg) {
    for (uint32_t i = 1; i < reg->count; i++) {
        Py_VISIT(reg->entries[i]->callable);
        Py_VISIT(reg->entries[i]->plan);
        Py_VISIT(reg->entries[i]->name);
    }
    return 0;
}

static int grow(struct cl_registry *reg) {
    if (reg->count < reg->cap)
        return 0;
    uint32_t cap = reg->cap ? reg->cap * 2 : 64;
    struct cl_entry **entries = PyMem_Realloc(reg->entries, cap * sizeof(*entries));
    if (!entries) {
        PyErr_NoMemory();
        return -1;
    }
    if (reg->count == 0)
        entries[reg->count++] = NULL; /* id 0 means "no handler" */
    reg->entries = entries;
    reg->cap = cap;
    return 0;
}

int cl_registry_add(struct cl_registry *reg, PyObject *callable, PyObject *name, int status,
                    uint32_t *id) {
    if (grow(reg) < 0)
        return -1;
    struct cl_entry *e = PyMem_Calloc(1, sizeof *e);
    if (!e) {
        PyErr_NoMemory();
        return -1;
    }
    *e = (struct cl_entry){
        .callable = Py_NewRef(callable),
        .name = Py_NewRef(name),
        .status = status,
        .timeout_ns = CL_ENTRY_TIMEOUT_DEFAULT,
    };
    *id = reg->count;
    reg->entries[reg->count++] = e;
    return 0;
}

void cl_registry_drop_last(struct cl_registry *reg) {
    entry_del(reg->entries[--reg->count]);
}

void cl_registry_set_terms(struct cl_entry *e, enum cl_blocking blocking, uint64_t timeout_ns,
                           bool needs_pool) {
    bool always = blocking == CL_BLOCKING_ALWAYS, is_async = e->flags & CL_ENTRY_ASYNC;
    e->blocking = blocking;
    e->timeout_ns = timeout_ns;
    e->needs_pool = needs_pool;
    e->flags &= ~(uint32_t)(CL_ENTRY_POOLED | CL_ENTRY_MEASURED | CL_ENTRY_NEEDS_POOL);
    if (always && !is_async)
        e->flags |= CL_ENTRY_POOLED;
    else if (needs_pool || always)
        e->flags |= CL_ENTRY_NEEDS_POOL;
}

void cl_registry_set_plan(struct cl_entry *e, PyObject *callable, bool is_async,
                          struct cl_plan *plan) {
    bool wants_request = false, trivial = !plan || cl_plan_is_trivial(plan, &wants_request);
    PyObject *old_callable = e->callable, *old_plan = (PyObject *)e->plan;
    e->callable = Py_NewRef(callable);
    e->plan = trivial ? NULL : cl_plan_of(Py_NewRef((PyObject *)plan));
    e->flags = (e->flags & (CL_ENTRY_STREAMS_ASYNC | CL_ENTRY_STREAMS)) |
               (is_async ? CL_ENTRY_ASYNC : 0u) |
               (trivial && wants_request ? CL_ENTRY_WANTS_REQUEST : 0u);
    cl_registry_set_terms(e, e->blocking, e->timeout_ns, e->needs_pool);
    /* Last: what goes may run code that looks here. */
    Py_DECREF(old_callable);
    Py_XDECREF(old_plan);
}
