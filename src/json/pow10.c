#include "json/pow10.h"

#include "json/pow10_table.h"

static_assert(CL_ARRAY_LEN(cl_pow10_table) == CL_POW10_MAX_EXP - CL_POW10_MIN_EXP + 1,
              "the generator and pow10.h agree");
