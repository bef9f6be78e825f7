/* What a supervisor does next: whom to start, to replace, to tell something, to kill. Decisions
 * only: no I/O, no clock. Its owner reports what has happened, then does what cl_policy_next says
 * until that says nothing more, and waits until something happens or cl_policy_wake_ns has come.
 *
 *      seat      a worker id. It has one process that serves it, and while that is being replaced
 *                a second one that is coming.
 *      process   a record of struct cl_members: STARTING -> SERVING -> LEAVING -> gone
 *
 *      RUNNING --stop--> DELAYED (still serving, but not ready for more) --> STOPPING --> the end
 *
 * Rules: a seat without a process gets one, at once the first time, later after growing delays; one
 * process at a time is replaced while it serves, so that there is never more than one too many; the
 * sockets of an empty seat are served by a neighbour. Every decision is a line in the log, which
 * names the worker, its process and the reason.
 *
 * All times are of one clock that never jumps (CLOCK_MONOTONIC). All memory is taken by
 * cl_policy_new. Thread: one. */
#ifndef CL_CLUSTER_POLICY_H
#define CL_CLUSTER_POLICY_H

#include "cluster/protocol.h"

struct cl_policy;

struct cl_policy_config {
    uint32_t workers;      /* 1 to CL_WORKERS_MAX */
    bool sockets_of_seats; /* some sockets belong to one worker id, and not to all */
    bool graceful;         /* false: a stop leaves no time to requests in flight */
    uint32_t max_restarts; /* of one seat within restart_window; more: everything stops */
    uint64_t restart_window_ns;
    uint64_t startup_timeout_ns; /* 0: a worker may take as long as it likes to start */
    uint64_t drain_delay_ns;     /* between the wish to stop and the stop */
    uint64_t shutdown_timeout_ns;
    uint64_t heartbeat_timeout_ns; /* 0: no loop counts as hung */
    uint64_t max_requests;         /* 0: any number */
    uint64_t max_rss_bytes;        /* 0: any size */
    double jitter;                 /* 0 to 1: so much more than max_requests, by chance */
    uint64_t seed;                 /* of chance */
};

enum { CL_MAX_RESTARTS = 10000 };

enum cl_action_kind {
    CL_ACTION_START,    /* a process in `record` for `worker_id`; report cl_policy_started or
                           cl_policy_not_started */
    CL_ACTION_TELL,     /* send `control` to the process of `record` */
    CL_ACTION_HANG_UP,  /* close the connection to it: it has drained, and shall end */
    CL_ACTION_DUMP,     /* ask it to write down its stacks */
    CL_ACTION_KILL,     /* it has had its time */
    CL_ACTION_RUNNING,  /* for the owner to tell others: all workers serve, those which a reload
                           wanted or, where it failed, those from before */
    CL_ACTION_STOPPING, /* for the owner to tell others: a stop has begun */
    CL_ACTION_CLOSE,    /* the listening sockets: nobody will serve them any more */
    CL_ACTION_EXIT,     /* no process is left; with `status` */
};

struct cl_action {
    enum cl_action_kind kind;
    uint32_t record;
    uint32_t worker_id;
    int status;
    struct cl_control control;
};

/* What a look at a serving process shows. */
struct cl_sight {
    uint64_t busy_since_ns; /* struct cl_member; 0: its loop waits */
    bool stopped;           /* by SIGSTOP or its like: not even its wait ends */
    uint64_t requests;
    uint64_t rss_bytes; /* 0: not known */
    bool draining;      /* CL_MEMBER_DRAINING */
};

/* Errors: CELLO_EINVAL, CELLO_ENOMEM. */
int cl_policy_new(struct cl_policy **out, const struct cl_policy_config *config) CL_MUST_USE;
void cl_policy_del(struct cl_policy *p);

/* The next thing to do; false: nothing, now. It counts as done. */
bool cl_policy_next(struct cl_policy *p, uint64_t now_ns, struct cl_action *out);
/* When there is something to do again even if nothing happens; UINT64_MAX: never. */
uint64_t cl_policy_wake_ns(const struct cl_policy *p);

/* ---- what has happened -------------------------------------------------------------------- */

/* The answer to CL_ACTION_START. Not started: there was no descriptor, memory or process to be had;
 * that is tried again and counts for nothing. */
void cl_policy_started(struct cl_policy *p, uint32_t record, int32_t pid, uint64_t now_ns);
void cl_policy_not_started(struct cl_policy *p, uint32_t record, const char *why, uint64_t now_ns);
/* CL_CONTROL_READY and CL_CONTROL_ENDED came. One that has ended without having been told to is no
 * worker any more, and has its time to exit. */
void cl_policy_ready(struct cl_policy *p, uint32_t record, uint64_t now_ns);
void cl_policy_ended(struct cl_policy *p, uint32_t record, uint64_t now_ns);
/* The process is gone; `status` as from waitpid. The record is free. */
void cl_policy_exited(struct cl_policy *p, uint32_t record, int status, uint64_t now_ns);
/* A process was looked at; once a second or so. The policy counts the time that it has watched
 * itself, so that a machine which slept has hung nobody. */
void cl_policy_saw(struct cl_policy *p, uint32_t record, const struct cl_sight *sight,
                   uint64_t now_ns);

/* ---- what somebody wants ------------------------------------------------------------------ */

/* Replace all workers, one after the other; the first that does not get ready ends that, and the
 * old ones stay. */
void cl_policy_reload(struct cl_policy *p);
/* Stop. The second time: at once. */
void cl_policy_stop(struct cl_policy *p, uint64_t now_ns);
/* Stop, because another supervisor serves the same sockets: no request may get lost. */
void cl_policy_hand_over(struct cl_policy *p, uint64_t now_ns);

/* ---- who is there ------------------------------------------------------------------------- */

/* 0: nobody, or one that serves no more or not yet. */
int32_t cl_policy_serving_pid(const struct cl_policy *p, uint32_t record);
bool cl_policy_is_stopping(const struct cl_policy *p);
uint32_t cl_policy_serving_count(const struct cl_policy *p);

#endif
