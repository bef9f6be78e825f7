/* What a process says of itself when it crashes, or when somebody asks a hung one.
 *
 * On SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT: Cello's version and build id, worker, process,
 * the route that this thread was handling, its C stack, and stacks of another language; then the
 * signal's default action, or the handler that was there before. On request (cello_stacks_read, by
 * another process): the C stacks of all threads and those of the other language.
 *
 * All of it is the process's, not a server's: programs start it, libraries leave it alone. */
#ifndef CELLO_DIAGNOSIS_H
#define CELLO_DIAGNOSIS_H

#include <stdint.h>
#include <sys/types.h>

#include <cello/api.h>
#include <cello/error.h>

struct cl_request;

struct cello_diagnosis {
    int worker_id; /* -1: none is named */
    /* Writes the stacks of all threads in another language to `fd`, in a handler of a signal. May
     * be NULL. */
    void (*other_stacks)(int fd);
};

/* From now on. A later call changes what is said. The calling thread gets a stack for handlers of
 * signals, see cello_diagnosis_thread_begin. Errors: CELLO_ESYS. */
CELLO_API int cello_diagnosis_start(const struct cello_diagnosis *cfg);
/* The process's unnamed file that holds stacks which were asked for, for other_stacks to write to;
 * -1: not started. The signal that asks: cello_stacks_signal. */
CELLO_API int cello_diagnosis_fd(void);
/* Without it a thread that exhausts its stack ends the process without a report. Does nothing when
 * there is no diagnosis. End it on the same thread. */
CELLO_API void cello_diagnosis_thread_begin(void);
CELLO_API void cello_diagnosis_thread_end(void);

/* This thread handles `r` from now on; NULL: none any more. The request must stay until then. */
CELLO_API void cello_request_enter(const struct cl_request *r);

/* Lines of the server log, which the engine itself writes to standard error: as cello-supervisor
 * does from now on. Without it they are "cello: LINE", from warnings on. */
struct cello_log_config {
    const char *format; /* "development", "production" (with times) or "json" (objects) */
    const char *level;  /* the least that is said: "debug", "info", "warning" or "error" */
    int worker_id;      /* -1: none is named */
};
/* Errors: CELLO_EINVAL (no such format or level). Any thread. */
CELLO_API int cello_log_open(const struct cello_log_config *cfg);

CELLO_API int cello_stacks_signal(void);
/* Ask the process `pid` for its stacks, wait for at most `timeout_ns`, and write them to `to`.
 * Errors: CELLO_ENOENT (no such process), CELLO_ENOTSUP (it gives none), CELLO_ETIMEOUT (it is
 * stopped, or inside a system call that nothing interrupts), CELLO_ESYS (not allowed). */
CELLO_API int cello_stacks_read(pid_t pid, int to, uint64_t timeout_ns);

#endif
