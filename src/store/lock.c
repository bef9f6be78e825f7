#include "store/lock.h"

#include <errno.h>
#include <time.h>

/* Holders need less than a microsecond, falling asleep and waking up several. */
enum { SPINS = 64 };

static const long NAP_NS = 20000, NAP_MAX_NS = 1000000;

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void cl_lock_init(struct cl_lock *l) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&l->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* The holder is not running. Nobody sleeps in the mutex: of several sleepers one is woken, who
 * keeps it to himself that there are others; when he is killed before he has the lock, and somebody
 * else took it in passing, the others would sleep for good. */
static int wait_for(struct cl_lock *l) {
    struct timespec nap = {.tv_nsec = NAP_NS};
    int err;
    do {
        nanosleep(&nap, NULL);
        nap.tv_nsec = CL_MIN(2 * nap.tv_nsec, NAP_MAX_NS);
        err = pthread_mutex_trylock(&l->mutex);
    } while (err == EBUSY);
    return err;
}

bool cl_lock_take(struct cl_lock *l) {
    int err = pthread_mutex_trylock(&l->mutex);
    for (unsigned i = 0; CL_UNLIKELY(err == EBUSY) && i < SPINS; i++) {
        pause_cpu();
        err = pthread_mutex_trylock(&l->mutex);
    }
    if (CL_UNLIKELY(err == EBUSY))
        err = wait_for(l);
    if (CL_LIKELY(!err))
        return false;
    assert(err == EOWNERDEAD);
    /* From here on it is an ordinary lock again: whoever dies while repairing leaves the same to
     * the next one. */
    pthread_mutex_consistent(&l->mutex);
    return true;
}

void cl_lock_give(struct cl_lock *l) {
    int err = pthread_mutex_unlock(&l->mutex);
    assert(!err);
    (void)err;
}
