#include "cluster/supervisor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cello/version.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cluster/stacks.h"
#include "store/store.h"
#include "tls/tickets.h"

enum { URLS_MAX = 512, STATM_MAX = 128, LOOKS_PER_HEARTBEAT = 4 };

static const uint64_t LOOK_NS = CL_NS_PER_S;
static const uint64_t BLIND_NS = 100 * CL_NS_PER_MS;
static const uint64_t LOOK_MIN_NS = 10 * CL_NS_PER_MS;

/* Places in `polls`. */
enum { SIGNALS_AT, HEIR_AT, FIRST_WORKER };

static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGCHLD};

/* ---- making --------------------------------------------------------------------------------- */

int cl_supervisor_complain(const char *what, int err) {
    cl_log(CL_LOG_ERROR, "%s: %s", what, err == CELLO_ESYS ? strerror(errno) : cello_strerror(err));
    return err;
}

/* A reader of our log who has gone away ends nobody: SIGPIPE. Whoever started us may have blocked
 * our signals, so that none is lost before they are watched; workers start without that. */
static int open_signals(struct cl_supervisor *s) {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (size_t i = 0; i < CL_ARRAY_LEN(SIGNALS); i++)
        sigaddset(&wanted, SIGNALS[i]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would leave us no exit status */
    if (pthread_sigmask(SIG_BLOCK, &wanted, &s->mask))
        return CELLO_ESYS;
    for (size_t i = 0; i < CL_ARRAY_LEN(SIGNALS); i++)
        sigdelset(&s->mask, SIGNALS[i]);
    s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? CELLO_ESYS : CELLO_OK;
}

static int open_segment(struct cl_supervisor *s) {
    const struct cl_supervisor_options *o = s->options;
    const struct cello_store_config store = {.table_bytes = o->store_bytes,
                                             .ring_bytes = o->ring_bytes};
    uint32_t workers = o->policy.workers, records = 2 * workers;
    size_t sizes[CL_AREA_COUNT] = {
        [CL_AREA_MEMBERS] = cl_members_size(workers),
        [CL_AREA_TICKETS] = sizeof(struct cl_ticket_area),
    };
    int err = cl_store_sizes(&store, records, sizes);
    if (!err)
        err = cl_segment_new(&s->segment, sizes);
    if (!err)
        err = cl_store_make(s->segment, &store, records);
    if (err)
        return cl_supervisor_complain("cannot make the shared memory", err);
    s->members = cl_members_of(s->segment, workers);
    s->records = records;
    return s->members ? CELLO_OK : CELLO_EINVAL;
}

int cl_supervisor_spawner(const struct cl_supervisor *s, struct cl_spawner_config config,
                          struct cl_spawner **out) {
    config.environ = environ;
    config.mask = s->mask;
    config.fd_count = cl_sockets_fds(s->sockets, &config.fds);
    size_t size = cl_sockets_text(s->sockets, NULL, 0) + 1;
    char *text = cl_malloc(size);
    if (!text)
        return CELLO_ENOMEM;
    cl_sockets_text(s->sockets, text, size);
    config.sockets = text;
    int err = cl_spawner_new(out, &config);
    cl_free(text);
    return err;
}

static int open_spawner(struct cl_supervisor *s) {
    const struct cl_spawner_config config = {
        .variable = CL_WORKER_VARIABLE,
        .command = s->options->command,
        .segment = s->segment,
        .affinity = s->options->affinity,
    };
    return cl_supervisor_spawner(s, config, &s->spawner);
}

static int open_policy(struct cl_supervisor *s) {
    struct cl_policy_config config = s->options->policy;
    struct cl_hash_key chance;
    cl_hash_key_init(&chance);
    memcpy(&config.seed, &chance, sizeof config.seed);
    config.sockets_of_seats = cl_sockets_are_divided(s->sockets);
    s->workers = cl_calloc(s->records, sizeof *s->workers);
    s->polls = cl_calloc(s->records + (size_t)FIRST_WORKER, sizeof *s->polls);
    if (!s->workers || !s->polls)
        return CELLO_ENOMEM;
    for (uint32_t i = 0; i < s->records; i++)
        s->workers[i].control = -1;
    return cl_policy_new(&s->policy, &config);
}

int cl_supervisor_new(struct cl_supervisor **out, const struct cl_supervisor_options *options) {
    struct cl_supervisor *s = cl_calloc(1, sizeof *s);
    if (!s)
        return cl_supervisor_complain("cannot start", CELLO_ENOMEM);
    s->options = options;
    s->signals = s->heir.control = s->predecessor = -1;
    cl_notify_open(&s->notify);
    int err = open_signals(s);
    if (err)
        cl_supervisor_complain("cannot watch signals", err);
    if (!err)
        err = cl_supervisor_open_sockets(s);
    if (!err)
        err = open_segment(s);
    if (!err && ((err = open_policy(s)) || (err = open_spawner(s))))
        cl_supervisor_complain("cannot start", err);
    if (err) {
        cl_supervisor_del(s);
        return err;
    }
    *out = s;
    return CELLO_OK;
}

void cl_supervisor_del(struct cl_supervisor *s) {
    if (!s)
        return;
    if (s->sockets)
        cl_sockets_close(s->sockets, !s->left);
    cl_sockets_del(s->sockets);
    cl_spawner_del(s->spawner);
    cl_policy_del(s->policy);
    if (s->segment)
        cl_store_close_descriptors(s->segment);
    cl_segment_del(s->segment);
    cl_free(s->polls);
    cl_free(s->workers);
    cl_notify_close(&s->notify);
    cl_supervisor_hang_up(&s->heir);
    if (s->predecessor >= 0)
        close(s->predecessor);
    if (s->signals >= 0)
        close(s->signals);
    cl_free(s);
}

struct cl_segment *cl_supervisor_segment(const struct cl_supervisor *s) {
    return s->segment;
}

/* ---- doing ---------------------------------------------------------------------------------- */

/* Whoever had the record before is gone. */
static void clear_record(struct cl_member *m, uint32_t worker_id, enum cl_member_state state) {
    atomic_store(&m->worker_id, worker_id);
    atomic_store(&m->pid, 0);
    atomic_store(&m->started_ns, cl_now_ns());
    atomic_store(&m->busy_since_ns, 0);
    atomic_store(&m->requests, 0);
    atomic_store(&m->buffered_bytes, 0);
    atomic_store(&m->connections, 0);
    atomic_store(&m->inflight, 0);
    atomic_store(&m->checks, 0);
    atomic_store(&m->failing, 0);
    atomic_store(&m->checked_ns, 0);
    atomic_store(&m->state, state);
}

static void start_worker(struct cl_supervisor *s, const struct cl_action *action) {
    struct worker *w = &s->workers[action->record];
    struct cl_member *m = &s->members->at[action->record];
    clear_record(m, action->worker_id, CL_MEMBER_STARTING);
    if (cl_spawn(s->spawner, action->record, action->worker_id, &w->pid, &w->control)) {
        clear_record(m, action->worker_id, CL_MEMBER_FREE);
        w->pid = 0;
        w->control = -1;
        cl_policy_not_started(s->policy, action->record, strerror(errno), cl_now_ns());
        return;
    }
    atomic_store(&m->pid, w->pid);
    cl_policy_started(s->policy, action->record, w->pid, cl_now_ns());
}

void cl_supervisor_hang_up(struct worker *w) {
    if (w->control >= 0)
        close(w->control);
    w->control = -1;
}

/* A worker that does not read is one that hangs, which is found out in another way. */
static void tell(const struct worker *w, const struct cl_control *control) {
    if (w->control >= 0 &&
        send(w->control, control, sizeof *control, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        cl_log(CL_LOG_DEBUG, "pid %d cannot be told %u: %s", w->pid, control->kind,
               strerror(errno));
}

static void signal_worker(const struct worker *w, int number) {
    if (w->pid)
        kill(w->pid, number);
}

/* To its own standard error. */
static void dump(const struct worker *w) {
    int err = cl_stacks_show(w->pid);
    if (err && err != CELLO_ENOENT)
        cl_log(CL_LOG_WARNING, "pid %d shows no stacks: %s", w->pid,
               err == CELLO_ESYS ? strerror(errno) : cello_strerror(err));
}

static void say_running(struct cl_supervisor *s) {
    uint32_t workers = s->options->policy.workers;
    char urls[URLS_MAX];
    cl_sockets_urls(s->sockets, s->options->https, urls, sizeof urls);
    cl_notify_say(&s->notify, "READY=1\nSTATUS=%u workers on %s", workers, urls);
    if (s->was_running)
        return;
    s->was_running = true;
    cl_log(CL_LOG_INFO, "Cello " CELLO_VERSION " on %s (%u worker%s)", urls, workers,
           workers == 1 ? "" : "s");
    cl_supervisor_tell_predecessor(s);
}

static void say_stopping(struct cl_supervisor *s) {
    atomic_store(&s->members->stopping, 1);
    cl_notify_say(&s->notify, "STOPPING=1\nSTATUS=Stopping");
}

static void perform(struct cl_supervisor *s, const struct cl_action *action) {
    struct worker *w = &s->workers[action->record];
    switch (action->kind) {
    case CL_ACTION_START: start_worker(s, action); break;
    case CL_ACTION_TELL: tell(w, &action->control); break;
    case CL_ACTION_HANG_UP: cl_supervisor_hang_up(w); break;
    case CL_ACTION_DUMP: dump(w); break;
    case CL_ACTION_KILL: signal_worker(w, SIGKILL); break;
    case CL_ACTION_RUNNING: say_running(s); break;
    case CL_ACTION_STOPPING: say_stopping(s); break;
    case CL_ACTION_CLOSE: cl_sockets_close(s->sockets, !s->left); break;
    case CL_ACTION_EXIT:
        s->status = action->status;
        s->done = true;
        break;
    }
}

/* ---- what happens --------------------------------------------------------------------------- */

static void each_worker(struct cl_supervisor *s, void (*act)(const struct worker *w)) {
    for (uint32_t i = 0; i < s->records; i++)
        if (s->workers[i].pid)
            act(&s->workers[i]);
}

static void look_for_connections(const struct worker *w) {
    tell(w, &(struct cl_control){.kind = CL_CONTROL_LOOK});
}

static void on_control(struct cl_supervisor *s, uint32_t record, const struct cl_control *control) {
    switch (control->kind) {
    case CL_CONTROL_READY: cl_policy_ready(s->policy, record, cl_now_ns()); break;
    case CL_CONTROL_ENDED: cl_policy_ended(s->policy, record, cl_now_ns()); break;
    case CL_CONTROL_LOOK: each_worker(s, look_for_connections); break;
    case CL_CONTROL_NO_PROGRAM:
        cl_log(CL_LOG_ERROR, "%s cannot be started: %s", s->options->command[0],
               strerror((int)control->value));
        cl_supervisor_hang_up(&s->workers[record]); /* it is the last one */
        break;
    default: break;
    }
}

bool cl_supervisor_receive(struct worker *w, struct cl_control *out) {
    while (w->control >= 0) {
        ssize_t n = recv(w->control, out, sizeof *out, MSG_DONTWAIT);
        if (n > 0 && n < (ssize_t)sizeof *out)
            *out = (struct cl_control){0};
        if (n > 0)
            return true;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n == 0 || errno != EINTR)
            cl_supervisor_hang_up(w);
    }
    return false;
}

static void read_controls(struct cl_supervisor *s, uint32_t record) {
    struct cl_control control;
    for (int i = 0; i < PACKETS_MAX && cl_supervisor_receive(&s->workers[record], &control); i++)
        on_control(s, record, &control);
}

/* The last packets of a process come before the news of its end. */
static void on_exit_of(struct cl_supervisor *s, uint32_t record, int status) {
    struct worker *w = &s->workers[record];
    read_controls(s, record);
    cl_supervisor_hang_up(w);
    w->pid = 0;
    w->stopped = false;
    cl_store_vacate(s->segment, record);
    clear_record(&s->members->at[record], 0, CL_MEMBER_FREE);
    cl_policy_exited(s->policy, record, status, cl_now_ns());
    each_worker(s, look_for_connections);
}

/* Of a worker, perhaps. */
static void on_news_of(struct cl_supervisor *s, pid_t pid, int status) {
    bool gone = WIFEXITED(status) || WIFSIGNALED(status);
    for (uint32_t i = 0; i < s->records; i++) {
        if (s->workers[i].pid != pid)
            continue;
        s->workers[i].stopped = WIFSTOPPED(status);
        if (gone)
            on_exit_of(s, i, status);
        return;
    }
    if (gone && pid == s->heir.pid)
        cl_supervisor_heir_exited(s, status);
}

/* All of them: as the first process of a container we inherit others' children too. */
static void reap(struct cl_supervisor *s) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0;)
        on_news_of(s, pid, status);
}

static void reopen(const struct worker *w) {
    tell(w, &(struct cl_control){.kind = CL_CONTROL_REOPEN});
}

static void reload(struct cl_supervisor *s) {
    if (cl_policy_is_stopping(s->policy)) {
        cl_log(CL_LOG_WARNING, "SIGHUP: there is no reload any more, a stop has begun");
        return;
    }
    cl_log(CL_LOG_INFO, "SIGHUP: replacing all workers");
    cl_notify_reloading(&s->notify);
    cl_policy_reload(s->policy);
}

static void on_signal(struct cl_supervisor *s, int number) {
    switch (number) {
    case SIGTERM:
    case SIGINT:
        cl_log(CL_LOG_INFO, "%s: %s", number == SIGINT ? "SIGINT" : "SIGTERM",
               cl_policy_is_stopping(s->policy) ? "ending now" : "stopping");
        cl_policy_stop(s->policy, cl_now_ns());
        cl_supervisor_disinherit(s);
        break;
    case SIGHUP: reload(s); break;
    case SIGUSR2: cl_supervisor_start_heir(s); break;
    case SIGUSR1: each_worker(s, reopen); break;
    case SIGQUIT: each_worker(s, dump); break;
    case SIGCHLD: reap(s); break;
    default: break;
    }
}

static void read_signals(struct cl_supervisor *s) {
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(s, (int)info.ssi_signo);
}

/* ---- looking -------------------------------------------------------------------------------- */

/* The resident memory of a process; 0: not known. */
static uint64_t rss_of(pid_t pid) {
    char path[64], text[STATM_MAX + 1];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, STATM_MAX);
    close(fd);
    text[CL_MAX(n, 0)] = '\0';
    if (sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void look_at(struct cl_supervisor *s, uint32_t record, uint64_t now) {
    const struct cl_member *m = &s->members->at[record];
    const struct worker *w = &s->workers[record];
    if (!cl_policy_serving_pid(s->policy, record))
        return;
    if (w->control < 0) {
        cl_log(CL_LOG_ERROR, "pid %d has closed its connection to the supervisor: killing it",
               w->pid);
        signal_worker(w, SIGKILL);
        return;
    }
    const struct cl_sight sight = {
        .busy_since_ns = atomic_load(&m->busy_since_ns),
        .stopped = w->stopped,
        .requests = atomic_load(&m->requests),
        .rss_bytes = s->options->policy.max_rss_bytes ? rss_of(w->pid) : 0,
        .draining = atomic_load(&m->state) == CL_MEMBER_DRAINING,
    };
    cl_policy_saw(s->policy, record, &sight, now);
}

static uint64_t look_period(const struct cl_supervisor *s) {
    uint64_t heartbeat = s->options->policy.heartbeat_timeout_ns;
    uint64_t period = heartbeat ? CL_MIN(LOOK_NS, heartbeat / LOOKS_PER_HEARTBEAT) : LOOK_NS;
    return CL_MAX(period, LOOK_MIN_NS);
}

static void look(struct cl_supervisor *s) {
    uint64_t now = cl_now_ns();
    if (now < s->look_ns)
        return;
    s->look_ns = now + look_period(s);
    for (uint32_t i = 0; i < s->records; i++)
        look_at(s, i, now);
}

static void ping(struct cl_supervisor *s) {
    uint64_t now = cl_now_ns();
    if (!s->notify.watchdog_ns || now < s->ping_ns)
        return;
    s->ping_ns = now + s->notify.watchdog_ns;
    cl_notify_say(&s->notify, "WATCHDOG=1");
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void wait_for_something(struct cl_supervisor *s) {
    uint64_t now = cl_now_ns(), wake = CL_MIN(cl_policy_wake_ns(s->policy), s->look_ns);
    if (s->notify.watchdog_ns)
        wake = CL_MIN(wake, s->ping_ns);
    uint64_t wait_ns = wake > now ? wake - now : 0;
    struct timespec timeout = {
        .tv_sec = (time_t)(wait_ns / CL_NS_PER_S),
        .tv_nsec = (long)(wait_ns % CL_NS_PER_S),
    };
    uint32_t count = s->records;
    s->polls[SIGNALS_AT] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    s->polls[HEIR_AT] = (struct pollfd){.fd = s->heir.control, .events = POLLIN};
    for (uint32_t i = 0; i < count; i++)
        s->polls[FIRST_WORKER + i] = (struct pollfd){.fd = s->workers[i].control, .events = POLLIN};
    int n = ppoll(s->polls, FIRST_WORKER + count, &timeout, NULL);
    bool blind = n < 0 && errno != EINTR;
    if (blind) /* no memory, or fewer descriptors allowed than there are: look at all of them */
        nanosleep(&(struct timespec){.tv_nsec = (long)BLIND_NS}, NULL);
    for (uint32_t i = 0; i < count; i++)
        if (blind || (n > 0 && s->polls[FIRST_WORKER + i].revents))
            read_controls(s, i);
    if (blind || (n > 0 && s->polls[HEIR_AT].revents))
        cl_supervisor_read_heir(s);
    if (blind || (n > 0 && s->polls[SIGNALS_AT].revents))
        read_signals(s);
}

int cl_supervisor_run(struct cl_supervisor *s) {
    struct cl_action action;
    for (;;) {
        while (!s->done && cl_policy_next(s->policy, cl_now_ns(), &action))
            perform(s, &action);
        if (s->done)
            return s->status;
        wait_for_something(s);
        look(s);
        ping(s);
    }
}
