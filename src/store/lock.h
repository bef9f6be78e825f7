/* A lock in shared memory that outlives whoever holds it: when a process is killed with the lock in
 * hand, the next one gets it, and is told. A robust POSIX mutex, which the kernel gives free.
 *
 * What it guards must at all times be such that the next holder can go on, or repair it: a holder
 * may end between any two instructions. A holder that is stopped (SIGSTOP) makes others wait.
 * Thread: any, in any process; never from a signal handler. */
#ifndef CL_STORE_LOCK_H
#define CL_STORE_LOCK_H

#include <pthread.h>

#include "base/common.h"

struct cl_lock {
    pthread_mutex_t mutex;
};

/* Once, before anybody else sees it. */
void cl_lock_init(struct cl_lock *l);
/* True: the one who had it has died. The caller has to make whole what it guards. */
bool cl_lock_take(struct cl_lock *l) CL_MUST_USE;
void cl_lock_give(struct cl_lock *l);

#endif
