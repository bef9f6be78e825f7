#include "store/lock.h"

#include <errno.h>

/* Holders need less than a microsecond, falling asleep and waking up several. */
enum { SPINS = 64 };

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

bool cl_lock_take(struct cl_lock *l) {
    int err = pthread_mutex_trylock(&l->mutex);
    for (unsigned i = 0; CL_UNLIKELY(err == EBUSY) && i < SPINS; i++) {
        pause_cpu();
        err = pthread_mutex_trylock(&l->mutex);
    }
    if (err == EBUSY)
        err = pthread_mutex_lock(&l->mutex);
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
