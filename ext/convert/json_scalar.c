/* The JSON walkers without vector instructions: eight bytes at a time in ordinary registers. */
#define CL_LEVEL(name) name##_scalar

#include "convert/json_level.h"
