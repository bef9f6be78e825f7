/* `_cello.Plan`: what stands between a request and a handler's arguments, compiled when the
 * application is frozen and walked by C for each request (docs/internals/plans.md).
 *
 *      guards -> fields -> calls -> handler
 *
 * Every value has a slot: field i is slot i, the result of call j is slot fields + j. A plan is
 * immutable, and so like a tuple: it is visited by the collector but never cleared, since no cycle
 * is made of immutable objects only.
 *
 * Thread: GIL held. */
#ifndef CL_EXT_PLAN_PLAN_H
#define CL_EXT_PLAN_PLAN_H

#include "module.h"

/* Constants of the module, SOURCE_PATH and so on. */
enum cl_source {
    CL_SOURCE_PATH, /* one named value, or all of its values for a list converter */
    CL_SOURCE_QUERY,
    CL_SOURCE_HEADER,
    CL_SOURCE_COOKIE,
    CL_SOURCE_FORM,
    CL_SOURCE_QUERY_MODEL, /* a callable is given a dict of all values */
    CL_SOURCE_HEADER_MODEL,
    CL_SOURCE_COOKIE_MODEL,
    CL_SOURCE_FORM_MODEL,
    CL_SOURCE_BODY,       /* a callable is given the JSON text where it lies */
    CL_SOURCE_REQUEST,    /* the cello.Request */
    CL_SOURCE_RESPONSE,   /* a cello.Response that is merged into the answer */
    CL_SOURCE_CONST,      /* the default */
    CL_SOURCE_BODY_BYTES, /* as BODY, for callables that take only `bytes` */
    CL_SOURCE_FILE,       /* parts of a multipart form: an UploadedFile, a list of them, */
    CL_SOURCE_FILES,
    CL_SOURCE_FILE_BYTES, /* or what is in them */
    CL_SOURCE_FILES_BYTES,
    CL_SOURCE_BACKGROUND, /* cello.BackgroundTasks, which run after the answer */
    CL_SOURCE_COUNT,
};

/* More parameters, dependencies included, are a mistake of the program's. */
enum { CL_PLAN_SLOTS_MAX = 1000 };

/* All references are borrowed from the plan's `parts`. */
struct cl_field {
    enum cl_source source;
    bool takes_all;     /* a list converter: all values of the name */
    bool copies;        /* the default is a list, dict or set: each request has its own */
    struct cl_str name; /* the bytes of a str that `parts` holds */
    PyObject *convert;
    PyObject *fallback; /* the default; NULL: required */
    PyObject *loc;      /* tuple */
};

/* Which slots a callable is called with. */
struct cl_arguments {
    const uint16_t *slots; /* in the plan's memory */
    size_t count;
    PyObject *keywords; /* tuple of the last ones' names; NULL: none */
};

struct cl_dependency {
    PyObject *callable;
    struct cl_arguments arguments;
    bool is_generator;
};

enum {
    CL_PLAN_FIELDS,
    CL_PLAN_CALLS,
    CL_PLAN_ARGUMENTS,
    CL_PLAN_KEYWORDS,
    CL_PLAN_GUARDS,
    CL_PLAN_RESULT,
    CL_PLAN_PARTS,
};

struct cl_plan {
    PyObject_HEAD PyObject *parts[CL_PLAN_PARTS]; /* the constructor's arguments; strong */
    struct cl_field *fields;
    struct cl_dependency *calls;
    uint16_t *slots; /* what all struct cl_arguments point into */
    size_t field_count, call_count;
    size_t most_arguments; /* of the handler and of any call */
    struct cl_arguments arguments;
    bool in_order; /* the handler's arguments are the slots as they lie */
    /* The filter of results: called unless the value's type is this, or with `result_is_list` that
     * of all items. NULL: no filter, any type. */
    PyObject *filter;
    PyTypeObject *result_type;
    bool result_is_list;
};

static inline struct cl_plan *cl_plan_of(PyObject *object) {
    return (struct cl_plan *)(void *)object;
}

/* Only the request is handed on, or nothing: no plan is needed for that. True with *wants_request.
 */
bool cl_plan_is_trivial(const struct cl_plan *plan, bool *wants_request);

/* Plan.resolve(request, /): the arguments as a tuple, for Python code that calls the handler. */
PyObject *cl_plan_resolve(PyObject *self, PyObject *request);

/* Adds Plan and the constants of the sources and kinds to the module; 0, or -1. */
int cl_plan_setup_types(PyObject *module, struct cl_ext *ext);

#endif
