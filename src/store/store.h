/* What lies in shared memory beside the members: the areas of the table, the counters and the
 * rings. The supervisor makes them in a new segment, workers open them; a process without a
 * supervisor does both. */
#ifndef CL_STORE_STORE_H
#define CL_STORE_STORE_H

#include <cello/store.h>

#include "store/segment.h"

enum {
    CL_STORE_TABLE_DEFAULT = 64 << 20,
    CL_STORE_RING_DEFAULT = 1 << 20,
};

/* Fills in the sizes of these areas, for cl_segment_new; `records` as in struct cl_members.
 * Errors: CELLO_EINVAL (less or more than there can be). */
int cl_store_sizes(const struct cello_store_config *config, uint32_t records,
                   size_t sizes[CL_AREA_COUNT]) CL_MUST_USE;
/* Once, in a new segment of these sizes. It opens a descriptor for each record, closed on exec: see
 * cl_store_keep_descriptors. Errors: CELLO_ESYS, CELLO_EINVAL. */
int cl_store_make(struct cl_segment *s, const struct cello_store_config *config,
                  uint32_t records) CL_MUST_USE;
/* Whether workers inherit the descriptors: their numbers stand in the segment, so a new process
 * must have them under the same ones. The supervisor asks for it between fork and exec, the worker
 * takes it back when it begins. Async-signal-safe. */
void cl_store_keep_descriptors(const struct cl_segment *s, bool keep);
/* Before the segment is deleted, by whoever made it or has inherited them. */
void cl_store_close_descriptors(const struct cl_segment *s);
/* The process of a record has ended: its gauges are 0, and nobody rings for it. The supervisor,
 * before the record is free again. */
void cl_store_vacate(const struct cl_segment *s, uint32_t record);

#endif
