/* What the files of the policy share. */
#ifndef CL_CLUSTER_POLICY_INTERNAL_H
#define CL_CLUSTER_POLICY_INTERNAL_H

#include "base/clock.h"
#include "base/log.h"
#include "cluster/policy.h"

enum { NOBODY = -1 };

enum process_state { NONE, STARTING, SERVING, LEAVING };

/* A loop that seems to hang: its stacks were asked for, then it was killed. */
enum suspicion { TRUSTED, DUMP_WANTED, DUMPED, KILLED };

/* One for each record. */
struct process {
    enum process_state state;
    enum suspicion suspicion;
    uint32_t worker_id;
    int32_t pid;
    uint32_t generation;    /* how many reloads had been asked for when it started */
    uint64_t deadline_ns;   /* killed then; 0: no limit */
    uint64_t requests_max;  /* replaced then; 0: no limit */
    struct cl_control tell; /* kind 0: nothing */
    bool ended;             /* it has said so */
    bool hung_up;
    /* The loop's mark when it was last looked at, and for how long it has been the same. */
    uint64_t busy_mark, busy_ns, looked_ns;
    uint64_t kill_ns; /* DUMPED: then */
};

/* One for each worker id. */
struct seat {
    int32_t serving, coming; /* records */
    int32_t adopter;         /* the record of who serves its sockets meanwhile */
    uint32_t crash_next;     /* where in its part of `crashes` the next one goes */
    uint32_t crash_count;
    uint32_t not_started;   /* times in a row */
    uint64_t not_before_ns; /* no process is started before */
    bool worn;              /* its process wants a successor */
};

enum phase { RUNNING, DELAYED, STOPPING };

struct cl_policy {
    struct cl_policy_config config;
    struct process *processes; /* two for each seat */
    struct seat *seats;
    uint64_t *crashes; /* times; max_restarts + 1 for each seat */
    enum phase phase;
    uint64_t stop_ns; /* DELAYED ends */
    uint32_t generation;
    bool reloading;
    bool was_ready; /* one worker at least has served */
    bool running_told, stopping_told, closed;
    bool retiring; /* STOPPING, because others serve the sockets */
    bool hurried;  /* STOPPING, at once */
    int32_t last;  /* the record of whom the end of the others is told, or NOBODY */
    bool last_told;
    bool gone; /* EXIT was said */
    int status;
    uint64_t chance;
};

static inline uint32_t record_count(const struct cl_policy *p) {
    return 2 * p->config.workers;
}

static inline struct seat *seat_of(struct cl_policy *p, const struct process *w) {
    return &p->seats[w->worker_id];
}

/* `log` for a process: "worker 1 (pid 123) " before the text. */
#define LOG_OF(level, w, fmt, ...)                                                                 \
    cl_log(level, "worker %u (pid %d) " fmt, (w)->worker_id, (w)->pid, ##__VA_ARGS__)

/* Between 0 and 1. */
double cl_policy_chance(struct cl_policy *p);
/* A seat has lost its process: when the next one starts, or the end of all. `what` has happened. */
void cl_policy_crashed(struct cl_policy *p, const struct process *w, const char *what,
                       uint64_t now_ns);
/* One that serves ends, and nobody here has told it to: its seat is empty. */
void cl_policy_lose(struct cl_policy *p, struct process *w, uint64_t now_ns);
/* A process is to end, and is told `kind` (0: nothing). */
void cl_policy_leave(struct cl_policy *p, struct process *w, uint32_t kind, uint64_t now_ns);
/* How a stop goes on. */
bool cl_policy_next_of_stop(struct cl_policy *p, struct cl_action *out);
void cl_policy_begin_stop(struct cl_policy *p, uint64_t now_ns);
/* A process that was asked for its stacks: what comes of it. */
bool cl_policy_next_of_hung(struct cl_policy *p, uint64_t now_ns, struct cl_action *out);

#endif
