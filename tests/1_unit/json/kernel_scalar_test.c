#define LEVEL CL_CPU_SCALAR
#include "kernel_cases.h"
