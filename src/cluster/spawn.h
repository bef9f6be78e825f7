/* Starting a worker, or a supervisor that is to take over: fork, the descriptors it inherits, exec.
 * All memory is taken before, so that nothing is allocated between fork and exec, and a process
 * with threads may do this.
 *
 * Thread: one. */
#ifndef CL_CLUSTER_SPAWN_H
#define CL_CLUSTER_SPAWN_H

#include <signal.h>
#include <sys/types.h>

#include "store/segment.h"

struct cl_spawner;

struct cl_spawner_config {
    const char *variable; /* CL_WORKER_VARIABLE or CL_SOCKETS_VARIABLE */
    char *const *command; /* a program, its arguments, NULL; stays the caller's */
    char *const *environ; /* the same; what is meant for the supervisor alone is left out */
    const char *sockets;  /* cl_sockets_text; copied */
    const int *fds;       /* what a worker inherits; stays the caller's */
    size_t fd_count;
    const struct cl_segment *segment; /* inherited, with its descriptors; stays the caller's. NULL:
                                         none, for a supervisor */
    sigset_t mask;                    /* of signals, for a worker; a supervisor has this one's */
    bool affinity;                    /* worker i keeps to the i-th of the CPUs that may be used */
};

/* Errors: CELLO_ENOMEM, CELLO_ESYS. */
int cl_spawner_new(struct cl_spawner **out, const struct cl_spawner_config *config) CL_MUST_USE;
void cl_spawner_del(struct cl_spawner *s);

/* Starts a process. *control: this end of the packets, close-on-exec; the caller's.
 * When the program itself cannot be started, the process says CL_CONTROL_NO_PROGRAM and ends.
 * Errors: CELLO_ESYS (no process, memory or descriptor). */
int cl_spawn(struct cl_spawner *s, uint32_t record, uint32_t worker_id, pid_t *pid,
             int *control) CL_MUST_USE;

#endif
