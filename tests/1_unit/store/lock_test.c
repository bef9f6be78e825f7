#include "store/lock.h"

#include <linux/futex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct shared {
    struct cl_lock lock;
    volatile long count;
};

static struct shared *shared_new(void) {
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(s, MAP_FAILED);
    cl_lock_init(&s->lock);
    return s;
}

static void await(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void processes_take_turns(void **state) {
    (void)state;
    enum { PROCESSES = 3, TIMES = 20000 };
    struct shared *s = shared_new();
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        if ((pids[i] = fork()) == 0) {
            for (int k = 0; k < TIMES; k++) {
                if (cl_lock_take(&s->lock))
                    _exit(1);
                s->count = s->count + 1;
                cl_lock_give(&s->lock);
            }
            _exit(0);
        }
    for (int i = 0; i < PROCESSES; i++)
        await(pids[i]);
    assert_int_equal(s->count, PROCESSES * TIMES);
    munmap(s, sizeof *s);
}

static void who_comes_after_a_dead_holder_is_told_once(void **state) {
    (void)state;
    struct shared *s = shared_new();
    for (int round = 0; round < 2; round++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(cl_lock_take(&s->lock)); /* and never gives it */
        await(pid);
        assert_true(cl_lock_take(&s->lock));
        cl_lock_give(&s->lock);
        assert_false(cl_lock_take(&s->lock));
        cl_lock_give(&s->lock);
    }
    munmap(s, sizeof *s);
}

static void one_who_dies_while_repairing_leaves_it_to_the_next(void **state) {
    (void)state;
    struct shared *s = shared_new();
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(cl_lock_take(&s->lock));
        await(pid);
    }
    assert_true(cl_lock_take(&s->lock));
    cl_lock_give(&s->lock);
    munmap(s, sizeof *s);
}

/* What is left when one who waited is killed between being woken and taking the lock, and another
 * has taken it meanwhile: the mutex has forgotten that somebody sleeps. */
static void nobody_sleeps_for_good(void **state) {
    (void)state;
#if defined(__GLIBC__)
    struct shared *s = shared_new();
    int *word = &s->lock.mutex.__data.__lock;
    assert_false(cl_lock_take(&s->lock));
    pid_t pid = fork();
    if (pid == 0)
        _exit(cl_lock_take(&s->lock));
    for (int i = 0; i < 50; i++) { /* were the other one asleep in the mutex, it would not know */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        __atomic_and_fetch(word, (int)~FUTEX_WAITERS, __ATOMIC_SEQ_CST);
    }
    cl_lock_give(&s->lock);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    munmap(s, sizeof *s);
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_take_turns),
        cmocka_unit_test(who_comes_after_a_dead_holder_is_told_once),
        cmocka_unit_test(one_who_dies_while_repairing_leaves_it_to_the_next),
        cmocka_unit_test(nobody_sleeps_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
