/* The thread pool of a server: what may wait runs there, so that the engine's thread does not.
 *
 *      engine's thread                          a thread of the pool
 *      cl_pool_submit ----> queue ----> work(job)         GIL held
 *      done(job)      <---- home  <----      |
 *
 * Threads are Python's own (threading.Thread, daemons named "cello-pool-N"), so that debuggers,
 * profilers and logging know them. They are started when there is work and no idle thread for it,
 * and live as long as the pool. Results come home in batches: one message to the engine's thread
 * for all that are ready, one hold of the GIL.
 *
 * A job that runs when the pool is closed runs out on its thread, whose last act is to drop the
 * result. A thread that runs on at the interpreter's end is stopped by Python when it next wants
 * the GIL; nothing waits for it.
 *
 * GIL held, on the server's thread, but where it says otherwise. The pool's own lock is never held
 * while waiting for the GIL. */
#ifndef CL_EXT_POOL_H
#define CL_EXT_POOL_H

#include <pthread.h>

#include "bridge/bridge.h"

struct cl_pool;

/* Lies in whoever wants something done; nothing of it is touched after the last of the three calls
 * that it gets: work() and then done() or lost(), or lost() alone. */
struct cl_job {
    struct cl_job *next;
    void (*work)(struct cl_job *j); /* a thread of the pool; no exception is left set */
    void (*done)(struct cl_job *j, struct cl_bridge *b); /* in a batch */
    void (*lost)(struct cl_job *j);                      /* the pool was closed; any thread */
};

/* NULL: exception set. No thread is started. */
struct cl_pool *cl_pool_new(struct cl_bridge *b);
/* As many jobs wait as may: what can be refused is to be. */
bool cl_pool_is_full(struct cl_pool *p);
/* Have the job done, also by a pool that is full. -1: no thread can be started, an exception is
 * set and nothing will be called. */
int cl_pool_submit(struct cl_pool *p, struct cl_job *j);
/* What jobs had for the engine is dropped from now on: the server is about to be deleted. */
void cl_pool_detach(struct cl_pool *p);
/* After that, when the server is gone: no more work, idle threads end. Frees the pool, at the
 * latest with the last job that runs. NULL is allowed. */
void cl_pool_close(struct cl_pool *p);

/* The pool that this thread belongs to; NULL: to none. Any thread. */
struct cl_pool *cl_pool_here(void);
struct cl_bridge *cl_pool_bridge(const struct cl_pool *p);

/* ---- errands: a pooled handler waits for the engine ---- */

/* Lies on the stack of the pool's thread; the pool's but for `run`. */
struct cl_errand {
    struct cl_post post;
    void (*run)(struct cl_errand *e); /* the engine's thread, in a turn, without the GIL */
    struct cl_pool *pool;
    struct cl_errand *next, *prev;
    pthread_cond_t changed;
    bool ended;
};

/* Have e->run(e) called on the engine's thread, and wait, without the GIL, until cl_errand_end(e).
 * A thread of the pool, GIL held. CELLO_ECANCELED: the server is gone, run was or was not called
 * and will not be any more. */
int cl_errand_perform(struct cl_pool *p, struct cl_errand *e);
/* Any thread, with the GIL or without; `e` may be gone afterwards. */
void cl_errand_end(struct cl_errand *e);

#endif
