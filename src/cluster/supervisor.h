/* The supervisor: one process that holds the listening sockets and the shared memory, starts the
 * workers, and keeps them as many as they should be. It runs no code of the user's, so that nothing
 * of theirs can take it down.
 *
 * Signals: SIGTERM and SIGINT stop (twice: at once), SIGHUP replaces all workers one by one,
 * SIGUSR1 lets them open their log files again, SIGUSR2 starts another supervisor that takes over,
 * SIGQUIT has all workers write their stacks.
 *
 * Thread: one, which has to be the process's first; others that the program starts must be started
 * after cl_supervisor_new, which blocks the signals. One supervisor for each process. */
#ifndef CL_CLUSTER_SUPERVISOR_H
#define CL_CLUSTER_SUPERVISOR_H

#include "cluster/options.h"
#include "store/segment.h"

struct cl_supervisor;

/* Everything that can fail for lack of something is done here: sockets, memory, user and group. The
 * reason is in the log. `options` stays the caller's, and valid until the end.
 * Errors: CELLO_EINVAL, CELLO_ELIMIT, CELLO_ENOENT, CELLO_ESYS, CELLO_ENOMEM. */
int cl_supervisor_new(struct cl_supervisor **out,
                      const struct cl_supervisor_options *options) CL_MUST_USE;
void cl_supervisor_del(struct cl_supervisor *s);

/* Stays the supervisor's. */
struct cl_segment *cl_supervisor_segment(const struct cl_supervisor *s);
/* Whether another supervisor is there, which leaves once this one's workers serve. */
bool cl_supervisor_is_heir(const struct cl_supervisor *s);

/* Until the last worker has ended; the status to exit with. */
int cl_supervisor_run(struct cl_supervisor *s);

#endif
