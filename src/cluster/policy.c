#include "cluster/policy_internal.h"

#include <stdio.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "store/members.h"

/* The first successor comes at once; then 0.1 s, 0.2 s, ... */
static const uint64_t BACK_OFF_NS = CL_NS_PER_S / 10;
static const uint64_t BACK_OFF_MAX_NS = 30 * CL_NS_PER_S;

enum { WHAT_MAX = 160 };

int cl_policy_new(struct cl_policy **out, const struct cl_policy_config *config) {
    if (config->workers < 1 || config->workers > CL_WORKERS_MAX ||
        config->max_restarts > CL_MAX_RESTARTS || !(config->jitter >= 0 && config->jitter <= 1))
        return CELLO_EINVAL;
    size_t n = config->workers;
    struct cl_policy *p = cl_calloc(1, sizeof *p);
    if (!p)
        return CELLO_ENOMEM;
    p->config = *config;
    p->chance = config->seed | 1; /* xorshift stays at 0 */
    p->last = NOBODY;
    p->processes = cl_calloc(2 * n, sizeof *p->processes);
    p->seats = cl_calloc(n, sizeof *p->seats);
    p->crashes = cl_calloc(n * (config->max_restarts + (size_t)1), sizeof *p->crashes);
    if (!p->processes || !p->seats || !p->crashes) {
        cl_policy_del(p);
        return CELLO_ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        p->seats[i].serving = p->seats[i].coming = p->seats[i].adopter = NOBODY;
    *out = p;
    return CELLO_OK;
}

void cl_policy_del(struct cl_policy *p) {
    if (!p)
        return;
    cl_free(p->crashes);
    cl_free(p->seats);
    cl_free(p->processes);
    cl_free(p);
}

double cl_policy_chance(struct cl_policy *p) {
    p->chance ^= p->chance << 13;
    p->chance ^= p->chance >> 7;
    p->chance ^= p->chance << 17;
    return (double)(p->chance >> 11) / (double)(1ull << 53);
}

/* ---- seats ---------------------------------------------------------------------------------- */

static uint64_t back_off(struct cl_policy *p, uint32_t times) {
    uint64_t delay = BACK_OFF_NS;
    while (times-- && delay < BACK_OFF_MAX_NS)
        delay *= 2;
    delay = CL_MIN(delay, BACK_OFF_MAX_NS);
    /* Half of it by chance, so that workers which fell together do not rise together. */
    return delay / 2 + (uint64_t)((double)(delay / 2) * cl_policy_chance(p));
}

/* Counts a crash; the number of those within the window, this one included. */
static uint32_t count_crash(struct cl_policy *p, uint32_t worker_id, uint64_t now) {
    struct seat *s = &p->seats[worker_id];
    uint32_t room = p->config.max_restarts + 1, count = 0;
    uint64_t *times = &p->crashes[(size_t)worker_id * room];
    times[s->crash_next] = now;
    s->crash_next = (s->crash_next + 1) % room;
    s->crash_count = CL_MIN(s->crash_count + 1, room);
    for (uint32_t i = 0; i < s->crash_count; i++)
        count += now - times[i] < p->config.restart_window_ns;
    return CL_MAX(count, 1u);
}

static void give_up(struct cl_policy *p, uint64_t now) {
    p->status = 1;
    cl_policy_begin_stop(p, now);
}

void cl_policy_crashed(struct cl_policy *p, const struct process *w, const char *what,
                       uint64_t now) {
    struct seat *s = seat_of(p, w);
    uint32_t times = count_crash(p, w->worker_id, now);
    if (times > p->config.max_restarts) {
        LOG_OF(CL_LOG_ERROR, w, "%s; that is the end number %u within %.0f s: giving up", what,
               times, (double)p->config.restart_window_ns / 1e9);
        give_up(p, now);
        return;
    }
    if (times == 1) {
        s->not_before_ns = 0;
        LOG_OF(CL_LOG_ERROR, w, "%s; starting another", what);
        return;
    }
    uint64_t delay = back_off(p, times - 2);
    s->not_before_ns = now + delay;
    LOG_OF(CL_LOG_ERROR, w, "%s; starting another in %.1f s", what, (double)delay / 1e9);
}

static void forget(struct cl_policy *p, uint32_t record) {
    struct process *w = &p->processes[record];
    struct seat *s = seat_of(p, w);
    if (s->serving == (int32_t)record)
        s->serving = NOBODY;
    if (s->coming == (int32_t)record)
        s->coming = NOBODY;
    if (p->last == (int32_t)record)
        p->last = NOBODY;
    for (uint32_t i = 0; i < p->config.workers; i++)
        if (p->seats[i].adopter == (int32_t)record)
            p->seats[i].adopter = NOBODY;
    *w = (struct process){0};
}

/* A successor did not get ready, and whom it was to replace is still there. */
static void successor_failed(struct cl_policy *p, const struct process *w, const char *what,
                             uint64_t now) {
    struct seat *s = seat_of(p, w);
    LOG_OF(CL_LOG_ERROR, w, "%s before it was ready; the old one (pid %d) goes on%s", what,
           p->processes[s->serving].pid, p->reloading ? ", and the reload ends here" : "");
    s->not_before_ns = now + BACK_OFF_MAX_NS;
    if (p->reloading) {
        p->reloading = false;
        p->running_told = false;
    }
}

/* ---- what has happened ---------------------------------------------------------------------- */

void cl_policy_started(struct cl_policy *p, uint32_t record, int32_t pid, uint64_t now) {
    struct process *w = &p->processes[record];
    w->pid = pid;
    w->deadline_ns = p->config.startup_timeout_ns ? now + p->config.startup_timeout_ns : 0;
    seat_of(p, w)->not_started = 0;
    LOG_OF(CL_LOG_DEBUG, w, "was started");
}

void cl_policy_not_started(struct cl_policy *p, uint32_t record, const char *why, uint64_t now) {
    uint32_t worker_id = p->processes[record].worker_id;
    struct seat *s = &p->seats[worker_id];
    uint64_t delay = back_off(p, CL_MIN(s->not_started++, 16u));
    forget(p, record);
    s->not_before_ns = now + delay;
    cl_log(CL_LOG_ERROR, "worker %u cannot be started: %s; trying again in %.1f s", worker_id, why,
           (double)delay / 1e9);
}

void cl_policy_ready(struct cl_policy *p, uint32_t record, uint64_t now) {
    struct process *w = &p->processes[record];
    struct seat *s = seat_of(p, w);
    if (w->state != STARTING)
        return;
    w->state = SERVING;
    w->deadline_ns = 0;
    p->was_ready = true;
    int32_t old = s->serving;
    s->serving = (int32_t)record;
    s->coming = NOBODY;
    s->worn = false;
    if (old == NOBODY) {
        LOG_OF(CL_LOG_INFO, w, "is ready");
        return;
    }
    LOG_OF(CL_LOG_INFO, w, "is ready and replaces pid %d", p->processes[old].pid);
    cl_policy_leave(p, &p->processes[old], CL_CONTROL_RETIRE, now);
}

void cl_policy_ended(struct cl_policy *p, uint32_t record, uint64_t now) {
    struct process *w = &p->processes[record];
    w->ended = true;
    if (w->state == SERVING) /* not because of us: it has drained between two looks */
        cl_policy_lose(p, w, now);
}

static void describe(const struct process *w, int status, char out[WHAT_MAX]) {
    if (!WIFSIGNALED(status)) {
        snprintf(out, WHAT_MAX, "ended with status %d", WEXITSTATUS(status));
        return;
    }
    int number = WTERMSIG(status);
    bool foreign = number == 9 && w->suspicion != KILLED;
    snprintf(out, WHAT_MAX, "was killed by signal %d (%s%s)", number, strsignal(number),
             foreign ? ", by somebody else or for lack of memory" : "");
}

void cl_policy_exited(struct cl_policy *p, uint32_t record, int status, uint64_t now) {
    struct process w = p->processes[record];
    char what[WHAT_MAX];
    if (w.state == NONE)
        return;
    describe(&w, status, what);
    forget(p, record);
    bool missed = seat_of(p, &w)->serving == NOBODY;
    if (w.state == LEAVING || p->phase != RUNNING)
        LOG_OF(status ? CL_LOG_WARNING : CL_LOG_INFO, &w, "%s", status ? what : "has ended");
    else if (!missed)
        successor_failed(p, &w, what, now);
    else if (!p->was_ready && WIFEXITED(status)) {
        /* The program itself says that it cannot start; so it would the next time. */
        LOG_OF(CL_LOG_ERROR, &w, "%s before any worker was ready: giving up", what);
        give_up(p, now);
    } else
        cl_policy_crashed(p, &w, what, now);
}

void cl_policy_reload(struct cl_policy *p) {
    if (p->phase != RUNNING)
        return;
    p->generation++;
    p->reloading = true;
    p->running_told = false;
    for (uint32_t i = 0; i < p->config.workers; i++)
        p->seats[i].not_before_ns = 0;
}

/* ---- what to do ----------------------------------------------------------------------------- */

static bool act(struct cl_policy *p, struct cl_action *out, enum cl_action_kind kind,
                uint32_t record) {
    out->kind = kind;
    out->record = record;
    out->worker_id = p->processes[record].worker_id;
    return true;
}

static bool next_told(struct cl_policy *p, struct cl_action *out) {
    for (uint32_t i = 0; i < record_count(p); i++) {
        struct process *w = &p->processes[i];
        if (w->state == NONE || !w->tell.kind)
            continue;
        out->control = w->tell;
        w->tell.kind = 0;
        return act(p, out, CL_ACTION_TELL, i);
    }
    return false;
}

/* The first worker waits to hear of the end of all others; a former one need not. */
static bool next_hang_up(struct cl_policy *p, struct cl_action *out) {
    for (uint32_t i = 0; i < record_count(p); i++) {
        struct process *w = &p->processes[i];
        if (w->state == NONE || !w->ended || w->hung_up || p->last == (int32_t)i)
            continue;
        w->hung_up = true;
        return act(p, out, CL_ACTION_HANG_UP, i);
    }
    return false;
}

static bool next_late(struct cl_policy *p, uint64_t now, struct cl_action *out) {
    for (uint32_t i = 0; i < record_count(p); i++) {
        struct process *w = &p->processes[i];
        if (w->state == NONE || !w->deadline_ns || now < w->deadline_ns)
            continue;
        if (w->state == STARTING)
            LOG_OF(CL_LOG_ERROR, w, "was not ready within %g s: killing it",
                   (double)p->config.startup_timeout_ns / 1e9);
        else
            LOG_OF(CL_LOG_WARNING, w, "has not ended in time: killing it");
        w->deadline_ns = 0;
        w->suspicion = KILLED;
        return act(p, out, CL_ACTION_KILL, i);
    }
    return false;
}

/* Who serves the sockets of a seat that has nobody: the next one in the row. */
static int32_t neighbour(const struct cl_policy *p, uint32_t seat) {
    for (uint32_t i = 1; i < p->config.workers; i++) {
        int32_t record = p->seats[(seat + i) % p->config.workers].serving;
        if (record != NOBODY && p->processes[record].suspicion == TRUSTED)
            return record;
    }
    return NOBODY;
}

static bool next_adoption(struct cl_policy *p, struct cl_action *out) {
    for (uint32_t i = 0; p->config.sockets_of_seats && i < p->config.workers; i++) {
        struct seat *s = &p->seats[i];
        bool served = s->serving != NOBODY;
        if (served == (s->adopter == NOBODY))
            continue;
        int32_t who = served ? s->adopter : neighbour(p, i);
        if (who == NOBODY)
            continue;
        s->adopter = served ? NOBODY : who;
        out->control.kind = served ? CL_CONTROL_RELEASE : CL_CONTROL_ADOPT;
        out->control.value = i;
        return act(p, out, CL_ACTION_TELL, (uint32_t)who);
    }
    return false;
}

static bool start(struct cl_policy *p, uint32_t worker_id, struct cl_action *out) {
    for (uint32_t i = 0; i < record_count(p); i++) {
        struct process *w = &p->processes[i];
        if (w->state != NONE)
            continue;
        uint64_t max = p->config.max_requests;
        double more = (double)max * p->config.jitter * cl_policy_chance(p);
        *w = (struct process){
            .state = STARTING,
            .worker_id = worker_id,
            .generation = p->generation,
            .requests_max = max ? max + (uint64_t)more : 0,
        };
        p->seats[worker_id].coming = (int32_t)i;
        return act(p, out, CL_ACTION_START, i);
    }
    return false; /* former processes still leave */
}

/* A time that has come is none to wake for: what still hinders the start then ends with news. */
static void forget_past_delays(struct cl_policy *p, uint64_t now) {
    for (uint32_t i = 0; i < p->config.workers; i++)
        if (now >= p->seats[i].not_before_ns)
            p->seats[i].not_before_ns = 0;
}

static bool next_start(struct cl_policy *p, uint64_t now, struct cl_action *out) {
    for (uint32_t i = 0; i < p->config.workers; i++) {
        const struct seat *s = &p->seats[i];
        if (s->serving == NOBODY && s->coming == NOBODY && now >= s->not_before_ns)
            return start(p, i, out);
    }
    return false;
}

static bool wants_successor(const struct cl_policy *p, const struct seat *s) {
    return s->serving != NOBODY && s->coming == NOBODY &&
           (s->worn || (p->reloading && p->processes[s->serving].generation != p->generation));
}

static bool is_being_replaced(const struct seat *s) {
    return s->serving != NOBODY && s->coming != NOBODY;
}

/* One at a time: the memory of a worker more is all that it takes. */
static bool next_successor(struct cl_policy *p, uint64_t now, struct cl_action *out) {
    const struct seat *found = NULL;
    for (uint32_t i = p->config.workers; i--;) {
        const struct seat *s = &p->seats[i];
        if (is_being_replaced(s))
            return false;
        if (wants_successor(p, s) && now >= s->not_before_ns)
            found = s;
    }
    return found && start(p, (uint32_t)(found - p->seats), out);
}

static bool next_running(struct cl_policy *p, struct cl_action *out) {
    for (uint32_t i = 0; i < p->config.workers; i++) {
        const struct seat *s = &p->seats[i];
        if (s->serving == NOBODY || (p->reloading && (wants_successor(p, s) || s->coming >= 0)))
            return false;
    }
    if (p->reloading)
        cl_log(CL_LOG_INFO, "all workers have been replaced");
    p->reloading = false;
    if (p->running_told)
        return false;
    p->running_told = true;
    out->kind = CL_ACTION_RUNNING;
    return true;
}

static bool next_of_delay(struct cl_policy *p, uint64_t now, struct cl_action *out) {
    if (!p->stopping_told) {
        p->stopping_told = true;
        out->kind = CL_ACTION_STOPPING;
        return true;
    }
    if (now < p->stop_ns)
        return next_adoption(p, out);
    cl_policy_begin_stop(p, now);
    return cl_policy_next(p, now, out);
}

bool cl_policy_next(struct cl_policy *p, uint64_t now, struct cl_action *out) {
    *out = (struct cl_action){0};
    if (next_told(p, out) || next_hang_up(p, out) || next_late(p, now, out) ||
        cl_policy_next_of_hung(p, now, out))
        return true;
    switch (p->phase) {
    case RUNNING:
        forget_past_delays(p, now);
        return next_adoption(p, out) || next_start(p, now, out) || next_successor(p, now, out) ||
               next_running(p, out);
    case DELAYED: return next_of_delay(p, now, out);
    case STOPPING: return cl_policy_next_of_stop(p, out);
    }
    return false;
}

/* The earlier of two times, of which the second may be none. */
static uint64_t earlier(uint64_t a, uint64_t b) {
    return b && b < a ? b : a;
}

static uint64_t due_of(const struct process *w) {
    if (w->state == NONE)
        return 0;
    return w->suspicion == DUMPED ? w->kill_ns : w->deadline_ns;
}

uint64_t cl_policy_wake_ns(const struct cl_policy *p) {
    uint64_t wake = UINT64_MAX;
    for (uint32_t i = 0; i < record_count(p); i++)
        wake = earlier(wake, due_of(&p->processes[i]));
    if (p->phase == DELAYED)
        wake = earlier(wake, p->stop_ns);
    for (uint32_t i = 0; p->phase == RUNNING && i < p->config.workers; i++) {
        const struct seat *s = &p->seats[i];
        bool empty = s->serving == NOBODY && s->coming == NOBODY;
        if (empty || wants_successor(p, s))
            wake = earlier(wake, s->not_before_ns);
    }
    return wake;
}

/* ---- who is there --------------------------------------------------------------------------- */

int32_t cl_policy_serving_pid(const struct cl_policy *p, uint32_t record) {
    const struct process *w = &p->processes[record];
    return w->state == SERVING ? w->pid : 0;
}

bool cl_policy_is_stopping(const struct cl_policy *p) {
    return p->phase != RUNNING;
}

uint32_t cl_policy_serving_count(const struct cl_policy *p) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->config.workers; i++)
        count += p->seats[i].serving != NOBODY;
    return count;
}
