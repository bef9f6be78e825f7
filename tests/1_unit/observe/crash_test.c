#include "observe/crash.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <cello/version.h>

#include "observe/report.h"

/* ---- ways to die ---- */

static volatile uintptr_t nowhere = 16;

static void fault(void) {
    *(volatile int *)nowhere = 1;
}

static void sent(void) {
    kill(getpid(), SIGFPE);
}

static volatile bool deeper = true;

/* Not optimised into a loop: each call has something of its own. */
static CL_NOINLINE int dive(volatile char *above) {
    volatile char mine[1024];
    mine[0] = above[0];
    return deeper ? dive(mine) + mine[0] : 0;
}

static void overflow(void) {
    volatile char first = 0;
    (void)dive(&first);
}

static void *in_thread(void *death) {
    cl_crash_thread_begin();
    ((void (*)(void))(uintptr_t)death)();
    cl_crash_thread_end();
    return NULL;
}

static void overflow_in_a_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, in_thread, (void *)(uintptr_t)overflow) == 0)
        pthread_join(thread, NULL);
}

static void describe(int fd) {
    dprintf(fd, "described\n");
}

static void describe_badly(int fd) {
    (void)fd;
    fault();
}

static void other_stacks(int fd) {
    dprintf(fd, "another language\n");
}

/* ---- how it ends ---- */

struct end {
    int status;
    char text[65536];
};

static void run_child(void (*death)(void), const struct cl_diagnosis *d, int out) {
    const struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    (void)alarm(60);
    dup2(out, STDERR_FILENO);
    const int of_cmocka[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < CL_ARRAY_LEN(of_cmocka); i++)
        (void)signal(of_cmocka[i], SIG_DFL);
    cl_crash_thread_begin();
    cl_crash_start(d);
    death();
    _exit(0);
}

static void die_with(void (*death)(void), const struct cl_diagnosis *d, struct end *end) {
    int fd = memfd_create("text", MFD_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0)
        run_child(death, d, fd);
    assert_int_equal(waitpid(pid, &end->status, 0), pid);
    ssize_t n = pread(fd, end->text, sizeof end->text - 1, 0);
    assert_true(n >= 0);
    end->text[n] = '\0';
    close(fd);
}

static struct end end;
static const struct cl_diagnosis plain = {.describe = describe, .other_stacks = other_stacks};

static void assert_reported(const char *name, int number) {
    char line[64];
    snprintf(line, sizeof line, "\nCello " CELLO_VERSION " crashed: %s", name);
    assert_non_null(strstr(end.text, line));
    assert_non_null(strstr(end.text, "described\n"));
    assert_non_null(strstr(end.text, "C stack of this thread"));
    assert_non_null(strstr(end.text, "unit_observe_crash"));
    assert_non_null(strstr(end.text, "another language\n"));
    assert_true(WIFSIGNALED(end.status));
    assert_int_equal(WTERMSIG(end.status), number);
}

/* ThreadSanitizer stands between a signal and its handler, and does not let one come within
 * another, nor on a stack that is used up. */
static void skip_under_tsan(void) {
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
}

/* ---- tests ---- */

static void each_signal_is_reported_and_then_ends_the_process(void **state) {
    (void)state;
    die_with(fault, &plain, &end);
    assert_reported("SIGSEGV at address 0x10\n", SIGSEGV);
    die_with(abort, &plain, &end);
    assert_reported("SIGABRT\n", SIGABRT);
    die_with(sent, &plain, &end);
    assert_reported("SIGFPE\n", SIGFPE);
}

static void a_stack_that_is_exhausted(void **state) {
    (void)state;
    skip_under_tsan();
    die_with(overflow, &plain, &end);
    assert_reported("SIGSEGV at address", SIGSEGV);
    assert_non_null(strstr(end.text, "... and more\n"));
    die_with(overflow_in_a_thread, &plain, &end);
    assert_reported("SIGSEGV at address", SIGSEGV);
}

static void a_fault_in_the_report_skips_its_step(void **state) {
    (void)state;
    skip_under_tsan();
    const struct cl_diagnosis bad = {.describe = describe_badly, .other_stacks = other_stacks};
    die_with(abort, &bad, &end);
    assert_null(strstr(end.text, "described\n"));
    assert_non_null(strstr(end.text, "C stack of this thread"));
    assert_non_null(strstr(end.text, "another language\n"));
    assert_true(WIFSIGNALED(end.status));
}

static void theirs(int number) {
    (void)number;
    _exit(42);
}

static void who_had_the_signal_before_has_it_after(void **state) {
    (void)state;
    (void)signal(SIGABRT, theirs);
    die_with(abort, &plain, &end);
    (void)signal(SIGABRT, SIG_DFL);
    assert_non_null(strstr(end.text, "crashed: SIGABRT\n"));
    assert_true(WIFEXITED(end.status));
    assert_int_equal(WEXITSTATUS(end.status), 42);
}

static void text_from_elsewhere_cannot_forge_lines(void **state) {
    (void)state;
    int fd = memfd_create("text", MFD_CLOEXEC);
    struct cl_report r = CL_REPORT(fd);
    cl_report_str(&r, CL_STR("a\nb\x1b[1m\xff"));
    cl_report_number(&r, UINT64_MAX, 16);
    cl_report_number(&r, 0, 10);
    cl_report_flush(&r);
    char text[64] = "";
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "a?b?[1m?ffffffffffffffff0");
    close(fd);
}

static void the_build_is_known(void **state) {
    (void)state;
    cl_report_prepare();
    assert_int_equal(strlen(cl_report_build_id()), 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_is_reported_and_then_ends_the_process),
        cmocka_unit_test(a_stack_that_is_exhausted),
        cmocka_unit_test(a_fault_in_the_report_skips_its_step),
        cmocka_unit_test(who_had_the_signal_before_has_it_after),
        cmocka_unit_test(text_from_elsewhere_cannot_forge_lines),
        cmocka_unit_test(the_build_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
