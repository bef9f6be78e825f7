/* loop._scheduled: asyncio's list of timers, a binary heap as heapq keeps it.
 *
 * The same order as heapq's, so that asyncio may go on with the list at any time; it may hold
 * asyncio's own TimerHandle objects beside ours (made in debug mode). */
#ifndef CL_EXT_TIMER_HEAP_H
#define CL_EXT_TIMER_HEAP_H

#include "bridge/guest_state.h"

/* -1: exception set, the list is unchanged. */
int cl_timer_heap_push(const struct cl_guest_state *s, PyObject *list, PyObject *timer);
/* The earliest, removed; the list is not empty. NULL: exception set. */
PyObject *cl_timer_heap_pop(const struct cl_guest_state *s, PyObject *list);
/* When a timer is due. -1: exception set. */
int cl_timer_when(const struct cl_guest_state *s, PyObject *timer, double *when);

#endif
