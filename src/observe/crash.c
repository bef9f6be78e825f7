#define _GNU_SOURCE
#include "observe/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cello/version.h>

#include "observe/report.h"

enum { STACK_BYTES = 128 << 10, GUARD_BYTES = 4096, WAIT_S = 10 };

static const struct {
    int number;
    const char *name;
} SIGNALS[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"},
};
enum { COUNT = CL_ARRAY_LEN(SIGNALS) };

static struct cl_diagnosis diagnosis;
static struct sigaction before[COUNT];
static bool started;
static _Atomic pid_t reporter; /* the thread that reports; 0: none yet */
static atomic_size_t step;     /* the next one of the report */

/* ---- the report ---- */

static void put_first(size_t which, const siginfo_t *info, const void *context) {
    (void)context;
    struct cl_report r = CL_REPORT(STDERR_FILENO);
    cl_report_put(&r, "\nCello " CELLO_VERSION " crashed: ");
    cl_report_put(&r, SIGNALS[which].name);
    if (info->si_code > 0 && info->si_code != SI_KERNEL) {
        cl_report_put(&r, " at address 0x");
        cl_report_number(&r, (uintptr_t)info->si_addr, 16);
    } else if (info->si_code <= 0 && info->si_pid != getpid()) {
        cl_report_put(&r, ", sent by process ");
        cl_report_number(&r, (uint64_t)info->si_pid, 10);
    }
    cl_report_put(&r, "\n");
    cl_report_flush(&r);
}

static void describe(size_t which, const siginfo_t *info, const void *context) {
    (void)which, (void)info, (void)context;
    if (diagnosis.describe)
        diagnosis.describe(STDERR_FILENO);
}

static void put_c_stack(size_t which, const siginfo_t *info, const void *context) {
    (void)which, (void)info;
    struct cl_report r = CL_REPORT(STDERR_FILENO);
    cl_report_put(&r, "C stack of this thread, innermost first:\n");
    cl_report_flush(&r);
    cl_report_stack(STDERR_FILENO, context);
}

static void put_other_stacks(size_t which, const siginfo_t *info, const void *context) {
    (void)which, (void)info, (void)context;
    if (diagnosis.other_stacks)
        diagnosis.other_stacks(STDERR_FILENO);
}

static void (*const STEPS[])(size_t which, const siginfo_t *info, const void *context) = {
    put_first,
    describe,
    put_c_stack,
    put_other_stacks,
};

/* ---- the handler ---- */

/* Whoever had the signal before has it again: a fault comes back when its instruction is repeated,
 * what was sent has to be sent once more. */
static void hand_on(size_t which, const siginfo_t *info) {
    (void)sigaction(SIGNALS[which].number, &before[which], NULL);
    if (info->si_code <= 0)
        (void)syscall(SYS_tgkill, getpid(), gettid(), SIGNALS[which].number);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    size_t which = 0;
    while (which + 1 < COUNT && SIGNALS[which].number != number)
        which++;
    pid_t nobody = 0, me = gettid();
    if (atomic_compare_exchange_strong(&reporter, &nobody, me) || nobody == me) {
        /* A fault inside a step comes back here, and the next one goes on. */
        for (size_t at; (at = atomic_fetch_add(&step, 1)) < CL_ARRAY_LEN(STEPS);)
            STEPS[at](which, info, context);
    } else {
        const struct timespec pause = {.tv_sec = WAIT_S}; /* the other one ends the process */
        nanosleep(&pause, NULL);
    }
    hand_on(which, info);
    errno = saved;
}

void cl_crash_start(const struct cl_diagnosis *d) {
    diagnosis = *d;
    if (started)
        return;
    started = true;
    cl_report_prepare();
    for (size_t i = 0; i < COUNT; i++) {
        /* Not deferred: a fault inside the report comes back to it. */
        struct sigaction action = {.sa_sigaction = on_signal,
                                   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        sigemptyset(&action.sa_mask);
        (void)sigaction(SIGNALS[i].number, &action, &before[i]);
    }
}

/* ---- stacks of handlers ---- */

static _Thread_local void *stack;
static _Thread_local stack_t stack_before;

void cl_crash_thread_begin(void) {
    if (stack)
        return;
    void *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return;
    const stack_t mine = {.ss_sp = (char *)memory + GUARD_BYTES, .ss_size = STACK_BYTES};
    if (mprotect(memory, GUARD_BYTES, PROT_NONE) < 0 || sigaltstack(&mine, &stack_before) < 0) {
        munmap(memory, GUARD_BYTES + STACK_BYTES);
        return;
    }
    stack = memory;
}

void cl_crash_thread_end(void) {
    if (!stack)
        return;
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == (char *)stack + GUARD_BYTES) {
        stack_before.ss_flags &= SS_DISABLE;
        (void)sigaltstack(&stack_before, NULL);
        munmap(stack, GUARD_BYTES + STACK_BYTES);
    }
    stack = NULL;
}
