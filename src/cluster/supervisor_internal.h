/* What the files of the supervisor share. */
#ifndef CL_CLUSTER_SUPERVISOR_INTERNAL_H
#define CL_CLUSTER_SUPERVISOR_INTERNAL_H

#include "cluster/spawn.h"
#include "cluster/supervisor.h"
#include "cluster/systemd.h"
#include "store/members.h"

/* One for each record. */
struct worker {
    pid_t pid;    /* 0: none */
    int control;  /* -1: none, or closed */
    bool stopped; /* by a signal, and not continued */
};

struct cl_supervisor {
    const struct cl_supervisor_options *options;
    struct cl_sockets *sockets;
    struct cl_segment *segment;
    struct cl_members *members; /* workers write there, so that no number there is believed */
    uint32_t records;           /* in `members` */
    struct cl_policy *policy;
    struct cl_spawner *spawner;
    struct worker *workers;
    struct worker heir; /* a supervisor that is to take over */
    int predecessor;    /* whose heir this one is: told when all workers serve; -1 */
    struct cl_notify notify;
    uint64_t ping_ns;     /* the next word to the watchdog */
    struct pollfd *polls; /* the signals, the heir, then a control for each record */
    int signals;          /* signalfd */
    sigset_t mask;        /* of signals, as it was */
    uint64_t look_ns;     /* the next look at the workers */
    bool was_running;
    bool left; /* the heir serves */
    bool done;
    int status;
};

/* "WHAT: why" in the log; the error. */
int cl_supervisor_complain(const char *what, int err);
/* Gives up a connection; idempotent. */
void cl_supervisor_hang_up(struct worker *w);
/* More packets than the kernel keeps for a socket: what was sent before an end is read, and who
 * goes on sending holds nobody up. */
enum { PACKETS_MAX = 1024 };
/* The next packet of `w`, to be called until it is false, and at most PACKETS_MAX times in a row.
 * One of another size has kind 0. */
bool cl_supervisor_receive(struct worker *w, struct cl_control *out);
/* One for `config`, whose environment, signals and sockets are filled in. Errors: those of
 * cl_spawner_new. */
int cl_supervisor_spawner(const struct cl_supervisor *s, struct cl_spawner_config config,
                          struct cl_spawner **out) CL_MUST_USE;

/* ---- taking over (supervisor_heir.c) ---- */

/* The sockets of the predecessor, or new ones. */
int cl_supervisor_open_sockets(struct cl_supervisor *s);
/* All workers serve: the predecessor may go. */
void cl_supervisor_tell_predecessor(struct cl_supervisor *s);
/* SIGUSR2. */
void cl_supervisor_start_heir(struct cl_supervisor *s);
void cl_supervisor_read_heir(struct cl_supervisor *s);
void cl_supervisor_heir_exited(struct cl_supervisor *s, int status);
/* A stop has begun: there shall be no heir. */
void cl_supervisor_disinherit(struct cl_supervisor *s);

#endif
