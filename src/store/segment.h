/* Memory that the supervisor and its workers share: one memfd, cut into areas.
 *
 * The supervisor makes it, its workers inherit the descriptor and map it where they like, so that
 * an area holds offsets, never pointers. Its size is sealed: no process can shrink it under
 * another. A server without a supervisor makes one for itself, and nothing else differs. Core files
 * do not have it.
 *
 * All of it is zero at first. What lies in an area belongs to the file that asked for it, and has
 * to bear that a process is killed between any two of its instructions.
 * Thread: any; what an area allows, its own header says. */
#ifndef CL_STORE_SEGMENT_H
#define CL_STORE_SEGMENT_H

#include "base/common.h"

enum cl_area {
    CL_AREA_MEMBERS,  /* store/members.h */
    CL_AREA_TABLE,    /* keys and values */
    CL_AREA_COUNTERS, /* sums over workers */
    CL_AREA_RINGS,    /* messages */
    CL_AREA_TICKETS,  /* tls/tickets.h */
    CL_AREA_COUNT
};

/* Areas begin on a page of their own. */
enum { CL_AREA_ALIGN = 4096 };

/* Of the memfd, below /proc/PID/fd. */
#define CL_SEGMENT_NAME "cello"

struct cl_segment;

/* A new one; sizes[area] bytes, 0 for an area that nobody uses. Errors: CELLO_EINVAL (more bytes
 * than there are addresses), CELLO_ESYS, CELLO_ENOMEM. */
int cl_segment_new(struct cl_segment **out, const size_t sizes[CL_AREA_COUNT]) CL_MUST_USE;
/* One that another process made. The segment owns fd on success.
 * Errors: CELLO_EINVAL (no segment, or cut short), CELLO_ENOTSUP (of another version of Cello),
 * CELLO_ESYS, CELLO_ENOMEM. */
int cl_segment_attach(struct cl_segment **out, int fd) CL_MUST_USE;
/* Unmaps it; the memory goes with the last process that has it. NULL is ignored. */
void cl_segment_del(struct cl_segment *s);

/* Close-on-exec; stays the segment's. */
int cl_segment_fd(const struct cl_segment *s);
/* The area's first byte, and how many bytes it has; NULL and 0: none. */
void *cl_segment_area(const struct cl_segment *s, enum cl_area area, size_t *size);

#endif
