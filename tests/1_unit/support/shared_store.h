/* The memory that processes share, with its parts opened, for tests of several processes. */
#ifndef CL_TEST_SHARED_STORE_H
#define CL_TEST_SHARED_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/rings.h"
#include "store/store.h"
#include "store/table.h"

struct shared_store {
    struct cl_segment *segment;
    struct cl_table table; /* 1 MiB */
    struct cl_rings rings; /* 64 KiB for each of the records */
};

void shared_store_open(struct shared_store *s, uint32_t records);
void shared_store_close(struct shared_store *s);

#endif
