/* The one door to the heap. Every allocation of libcello goes through it, so that tests can count
 * allocations and make the n-th one fail.
 *
 * Thread: any. Errors: NULL when memory is out or the test hook says so; callers return
 * CELLO_ENOMEM. */
#ifndef CL_BASE_ALLOC_H
#define CL_BASE_ALLOC_H

#include "base/common.h"

void *cl_malloc(size_t size) CL_MUST_USE;
void *cl_calloc(size_t count, size_t size) CL_MUST_USE;
void *cl_realloc(void *ptr, size_t size) CL_MUST_USE;
void cl_free(void *ptr);
/* Give pages that lie free within the heap back to the system, where the C library can. Takes a
 * millisecond for each megabyte or so. */
void cl_alloc_trim(void);
/* A NUL-terminated copy of `s`. */
char *cl_strndup(const char *s, size_t len) CL_MUST_USE;

/* Tests only. Fail the n-th allocation from now (1 = the next; 0 = never), once. */
void cl_alloc_fail_nth(uint64_t n);
/* Allocations made by this thread since it started. */
uint64_t cl_alloc_count(void);

#endif
