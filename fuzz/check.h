/* What must hold whatever a client sends, and what is counted for that. */
#ifndef CL_FUZZ_CHECK_H
#define CL_FUZZ_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cello/cello.h>

#include "base/common.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { HELD_MAX = 8, MAX_BODY = 20000 };

/* Made by handlers and not ended yet. */
static unsigned generators, pins, readers;

#endif
