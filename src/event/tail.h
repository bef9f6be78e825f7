/* Sockets that are to end when their bytes have left a layer above TCP: records that the kernel
 * seals (TLS) are cut by an end or a close which comes before TCP has all of them, and its sends
 * say too early that all is done. Such a socket is looked at until it is so, and then ended.
 *
 * At most CL_TAILS_MAX at a time, each for at most CL_TAIL_NS; and when the loop stops, for at most
 * CL_TAIL_STOP_NS together. Who takes nothing for so long loses the rest.
 *
 * Thread: the loop's. */
#ifndef CL_EVENT_TAIL_H
#define CL_EVENT_TAIL_H

#include "event/timer.h"

enum { CL_TAILS_MAX = 256 };
#define CL_TAIL_NS (30 * 1000 * 1000 * 1000ull)
#define CL_TAIL_STOP_NS (1000 * 1000 * 1000ull)

struct cl_loop;
struct cl_tail;

/* Whether TCP has all of `bytes`, whatever that counts. */
typedef bool (*cl_tail_settled_fn)(int fd, uint64_t bytes);

/* End our direction of the socket `fd` when settled(fd, bytes). The descriptor stays the caller's,
 * who may close it meanwhile. *owner is the tail while there is one, NULL before and after; it may
 * be NULL itself. False: there are too many, no memory or no descriptor. */
bool cl_tail_begin(struct cl_loop *l, int fd, cl_tail_settled_fn settled, uint64_t bytes,
                   struct cl_tail **owner) CL_MUST_USE;
/* Nobody looks at *owner any more; the tail goes on. NULL is ignored. */
void cl_tail_leave(struct cl_tail *t);
/* Let go of it now, as it is. NULL is ignored. */
void cl_tail_cut(struct cl_loop *l, struct cl_tail *t);

struct cl_tails {
    struct cl_tail *all;
    unsigned count;
    struct cl_timer timer;
};

/* For the loop. */
void cl_tails_init(struct cl_tails *t);
void cl_tails_stop(struct cl_loop *l);

#endif
