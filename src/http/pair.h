/* A decoded name and its value, as in queries, forms and cookies. */
#ifndef CL_HTTP_PAIR_H
#define CL_HTTP_PAIR_H

#include "base/common.h"

struct cl_pair {
    struct cl_str name;
    struct cl_str value;
};

#endif
