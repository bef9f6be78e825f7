/* What both directions of JSON take. */
#ifndef CL_CONVERT_JSON_OPTIONS_H
#define CL_CONVERT_JSON_OPTIONS_H

#include "convert/state.h"

enum { CL_JSON_MAX_DEPTH = 128 };

struct cl_json_options {
    struct cl_convert_state *state; /* not NULL */
    PyObject *default_hook;         /* borrowed; callable(obj) -> what to encode instead, or
                                     NotImplemented; NULL: none */
    unsigned max_depth;             /* objects and arrays within each other; 0: CL_JSON_MAX_DEPTH */
};

#endif
