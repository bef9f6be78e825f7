#define _GNU_SOURCE
#include "observe/stacks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/stacks.h"
#include "observe/report.h"

enum {
    THREADS_MAX = 512,     /* that are asked; more would be a text nobody reads */
    ANSWER_MS = 100,       /* for a thread to begin with its answer */
    ONE_THREAD = 0x5ce111, /* the signal's value within the process: this thread's stack */
    FOLDER_BYTES = 1024,
};

static struct cl_diagnosis diagnosis;
static struct cl_stacks_head *head; /* mapped */
static int file = -1;
static atomic_bool busy;
/* The thread whose turn it is: its id while it is asked, 0 when it has begun; then `written`. */
static _Atomic pid_t asked;
static atomic_bool written;

int cl_stacks_fd(void) {
    return file;
}

/* ---- one thread ---- */

static void put_comm(struct cl_report *r, pid_t tid) {
    char path[64] = "/proc/self/task/", name[32];
    size_t at = sizeof "/proc/self/task/" - 1;
    char digits[12];
    size_t count = 0;
    for (pid_t n = tid; n; n /= 10)
        digits[count++] = (char)('0' + n % 10);
    while (count)
        path[at++] = digits[--count];
    memcpy(path + at, "/comm", sizeof "/comm");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof name);
    if (fd >= 0)
        close(fd);
    if (n > 1)
        cl_report_str(r, cl_str(name, (size_t)n - 1)); /* it ends in a newline */
}

static void put_thread(pid_t tid, const char *what) {
    struct cl_report r = CL_REPORT(file);
    cl_report_put(&r, "C stack of thread ");
    cl_report_number(&r, (uint64_t)tid, 10);
    cl_report_put(&r, " (");
    put_comm(&r, tid);
    cl_report_put(&r, what);
    cl_report_flush(&r);
}

static void put_own(const void *context) {
    put_thread(gettid(), "), innermost first:\n");
    cl_report_stack(file, context);
}

static void answer_for_thread(const void *context) {
    pid_t me = gettid();
    if (!atomic_compare_exchange_strong(&asked, &me, 0))
        return; /* too late, or not meant */
    put_own(context);
    atomic_store(&written, true);
}

/* ---- the other ones ---- */

static void ask_thread(pid_t tid) {
    siginfo_t info = {.si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = ONE_THREAD;
    atomic_store(&written, false);
    atomic_store(&asked, tid);
    const struct timespec pause = {.tv_nsec = (long)CL_NS_PER_MS / 2};
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, CL_STACKS_SIGNAL, &info) == 0)
        for (int i = 0; i < 2 * ANSWER_MS && !atomic_load(&written); i++)
            nanosleep(&pause, NULL);
    pid_t expected = tid;
    if (atomic_compare_exchange_strong(&asked, &expected, 0)) {
        put_thread(tid, "): it does not answer\n"); /* the kernel's own, or all signals blocked */
        return;
    }
    for (int i = 0; i < 20 * ANSWER_MS && !atomic_load(&written); i++)
        nanosleep(&pause, NULL); /* it has begun */
}

struct entry { /* of getdents64(2) */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static pid_t thread_of(const char *name) {
    pid_t tid = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        tid = tid * 10 + (*name - '0');
    return tid;
}

static void put_others(void) {
    _Alignas(8) char entries[FOLDER_BYTES];
    int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;
    int count = 0;
    while (fd >= 0 && (n = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0; at < n;) {
            const struct entry *e = (const void *)(entries + at);
            pid_t tid = thread_of(e->name);
            if (tid && tid != gettid() && count++ < THREADS_MAX)
                ask_thread(tid);
            at += e->size;
        }
    if (fd >= 0)
        close(fd);
}

/* ---- the handler ---- */

static void copy_to_stderr(size_t length) {
    char part[1024];
    for (size_t at = 0; at < length;) {
        ssize_t n =
            pread(file, part, CL_MIN(sizeof part, length - at), (off_t)(CL_STACKS_TEXT + at));
        if (n <= 0 || write(STDERR_FILENO, part, (size_t)n) != n)
            return;
        at += (size_t)n;
    }
}

static void write_all(const void *context, bool quietly) {
    if (ftruncate(file, CL_STACKS_TEXT) < 0 || lseek(file, CL_STACKS_TEXT, SEEK_SET) < 0)
        return;
    struct cl_report r = CL_REPORT(file);
    cl_report_put(&r, "Stacks of a process of Cello, as asked for\n");
    cl_report_flush(&r);
    if (diagnosis.describe)
        diagnosis.describe(file);
    put_own(context);
    put_others();
    if (diagnosis.other_stacks)
        diagnosis.other_stacks(file);
    off_t end = lseek(file, 0, SEEK_CUR);
    uint32_t length = end > CL_STACKS_TEXT ? (uint32_t)(end - CL_STACKS_TEXT) : 0;
    if (!quietly)
        copy_to_stderr(length);
    atomic_store(&head->length, length);
    atomic_fetch_add(&head->done, 1);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)number;
    int saved = errno;
    bool queued = info->si_code == SI_QUEUE;
    if (queued && info->si_value.sival_int == ONE_THREAD && info->si_pid == getpid()) {
        answer_for_thread(context);
    } else if (!atomic_exchange(&busy, true)) {
        write_all(context, queued && info->si_value.sival_int == CL_STACKS_QUIETLY);
        atomic_store(&busy, false);
    }
    errno = saved;
}

/* ---- the beginning ---- */

static int make_file(void) {
    int fd = memfd_create(CL_STACKS_NAME, MFD_CLOEXEC);
    if (fd < 0)
        return CELLO_ESYS;
    void *memory = MAP_FAILED;
    if (ftruncate(fd, CL_STACKS_TEXT) == 0 && lseek(fd, 0, SEEK_END) >= 0)
        memory = mmap(NULL, CL_STACKS_TEXT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        int saved = errno;
        close(fd);
        errno = saved;
        return CELLO_ESYS;
    }
    head = memory;
    memcpy(head->magic, CL_STACKS_MAGIC, sizeof CL_STACKS_MAGIC);
    file = fd;
    return CELLO_OK;
}

int cl_stacks_start(const struct cl_diagnosis *d) {
    cl_report_prepare();
    int err = file < 0 ? make_file() : CELLO_OK;
    if (err)
        return err;
    diagnosis = *d;
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(CL_STACKS_SIGNAL, &action, NULL) < 0 ? CELLO_ESYS : CELLO_OK;
}
