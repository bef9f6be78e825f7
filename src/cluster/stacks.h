/* The stacks of another process of Cello, running or hung, on request.
 *
 * A process that gives them (observe/stacks.h) has an unnamed file, which whoever may look into the
 * process finds below /proc/PID/fd, and a handler of CL_STACKS_SIGNAL. Sent with the value
 * CL_STACKS_QUIETLY the signal fills the file; without it also writes the same to the process's
 * standard error. The handler needs neither the GIL nor the loop of the process: it runs while a
 * handler of a request spins. The default action of the signal ends a process, which is why nobody
 * sends it to one that has no handler.
 *
 * Thread: any. Processes of the same user, or any for root (as ptrace(2) allows). */
#ifndef CL_CLUSTER_STACKS_H
#define CL_CLUSTER_STACKS_H

#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/common.h"

/* Not one of those that programs, systemd or terminals send. */
#define CL_STACKS_SIGNAL (SIGRTMIN + 6)
enum { CL_STACKS_QUIETLY = 0x5ce110 };

/* The file begins with this; the text, at CL_STACKS_TEXT, is whole when `done` has changed. */
struct cl_stacks_head {
    char magic[16];
    _Atomic uint32_t done;   /* how often the file was filled */
    _Atomic uint32_t length; /* of the text, in bytes */
};
enum { CL_STACKS_TEXT = 4096 };
#define CL_STACKS_MAGIC "cello stacks 1"
#define CL_STACKS_NAME "cello-stacks"

/* Ask the process, wait for at most `timeout_ns`, and write the text to the descriptor `to`. Of a
 * supervisor all workers are asked, each for so long; what one does not answer is said in the text.
 * Errors: CELLO_ENOMEM, CELLO_ENOENT (no such process), CELLO_ENOTSUP (it gives no stacks),
 * CELLO_ETIMEOUT (it is stopped, or inside a system call that nothing interrupts), CELLO_ESYS (not
 * allowed; `to`). */
int cl_stacks_read(pid_t pid, int to, uint64_t timeout_ns) CL_MUST_USE;
/* Have the process write them to its own standard error; does not wait. Errors: as above. */
int cl_stacks_show(pid_t pid) CL_MUST_USE;

#endif
