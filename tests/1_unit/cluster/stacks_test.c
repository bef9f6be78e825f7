#include "cluster/stacks.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "observe/stacks.h"
#include "store/members.h"

#define TIMEOUT_NS (10 * CL_NS_PER_S)

/* ---- processes ---- */

static void describe(int fd) {
    dprintf(fd, "described\n");
}

static void other_stacks(int fd) {
    dprintf(fd, "another language\n");
}

static void *spin(void *arg) {
    for (volatile int *stop = arg; !*stop;)
        continue;
    return NULL;
}

static void serve(bool answers) {
    static volatile int stop;
    const struct cl_diagnosis d = {.describe = describe, .other_stacks = other_stacks};
    if (answers && cl_stacks_start(&d) != CELLO_OK)
        _exit(1);
    pthread_t thread;
    if (pthread_create(&thread, NULL, spin, (void *)(uintptr_t)&stop) == 0)
        (void)!write(STDOUT_FILENO, "", 1);
    (void)spin((void *)(uintptr_t)&stop);
    _exit(1);
}

/* A process that spins, in two threads. */
static pid_t child(bool answers) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(60);
        dup2(ready[1], STDOUT_FILENO);
        serve(answers);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it lives */
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static char *read_stacks(pid_t pid, int *err) {
    int fd = memfd_create("text", MFD_CLOEXEC);
    *err = cl_stacks_read(pid, fd, TIMEOUT_NS);
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    close(fd);
    return text;
}

static int count(const char *text, const char *part) {
    int n = 0;
    while ((text = strstr(text, part))) {
        n++;
        text++;
    }
    return n;
}

/* ThreadSanitizer stands between a signal and its handler: threads that call nothing get none. */
static void skip_under_tsan(void) {
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
}

/* ---- tests ---- */

static void all_threads_of_a_process_that_spins(void **state) {
    (void)state;
    skip_under_tsan();
    pid_t pid = child(true);
    for (int i = 0; i < 3; i++) { /* each time anew */
        int err;
        char *text = read_stacks(pid, &err);
        assert_int_equal(err, CELLO_OK);
        assert_int_equal(count(text, "C stack of thread"), 2);
        assert_int_equal(count(text, "described\n"), 1);
        assert_int_equal(count(text, "another language\n"), 1);
        assert_true(count(text, "unit_cluster_stacks") >= 2); /* its frames name the object */
        free(text);
    }
    end(pid);
}

static void a_process_that_gives_none_is_left_alone(void **state) {
    (void)state;
    pid_t pid = child(false);
    int err;
    free(read_stacks(pid, &err));
    assert_int_equal(err, CELLO_ENOTSUP);
    assert_int_equal(cl_stacks_show(pid), CELLO_ENOTSUP);
    end(pid);
}

static void a_process_that_is_stopped_does_not_answer(void **state) {
    (void)state;
    pid_t pid = child(true);
    int status;
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_int_equal(cl_stacks_read(pid, STDERR_FILENO, 20 * CL_NS_PER_MS), CELLO_ETIMEOUT);
    end(pid);
}

static void there_is_no_such_process(void **state) {
    (void)state;
    pid_t pid = child(true);
    end(pid);
    assert_int_equal(cl_stacks_read(pid, STDERR_FILENO, TIMEOUT_NS), CELLO_ENOENT);
    assert_int_equal(cl_stacks_show(pid), CELLO_ENOENT);
}

static void of_a_supervisor_all_workers(void **state) {
    (void)state;
    skip_under_tsan();
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = cl_members_size(2)};
    struct cl_segment *s;
    assert_int_equal(cl_segment_new(&s, sizes), CELLO_OK);
    struct cl_members *m = cl_members_of(s, 2);
    for (int i = 0; i < 2; i++) {
        m->at[i].pid = child(true);
        m->at[i].state = CL_MEMBER_READY;
    }
    int err;
    char *text = read_stacks(getpid(), &err);
    assert_int_equal(err, CELLO_OK);
    assert_int_equal(count(text, "C stack of thread"), 4);
    free(text);
    for (int i = 0; i < 2; i++)
        end(m->at[i].pid);
    cl_segment_del(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_of_a_process_that_spins),
        cmocka_unit_test(a_process_that_gives_none_is_left_alone),
        cmocka_unit_test(a_process_that_is_stopped_does_not_answer),
        cmocka_unit_test(there_is_no_such_process),
        cmocka_unit_test(of_a_supervisor_all_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
