#include "cluster/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cluster/protocol.h"
#include "store/store.h"

enum { HEAD_MAX = 64 };

/* What is meant for this process, and would mislead another one; the last ones a worker only. */
static const char *const OWN_VARIABLES[] = {
    CL_WORKER_VARIABLE, CL_SOCKETS_VARIABLE, "LISTEN_FDS",    "LISTEN_PID",
    "LISTEN_FDNAMES",   "WATCHDOG_PID",      "NOTIFY_SOCKET", "WATCHDOG_USEC",
};
enum { OF_WORKERS_ONLY = 2 };

/* A terminal sends these to all processes alike; for a cluster they are the supervisor's. */
static const int SIGNALS_OF_SUPERVISOR[] = {SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

struct cl_spawner {
    struct cl_spawner_config config;
    char *sockets;
    char **environ; /* its last one is `variable` */
    char *variable;
    size_t variable_size;
    cpu_set_t usable;
};

static bool is_own(const struct cl_spawner *s, const char *entry) {
    size_t count = CL_ARRAY_LEN(OWN_VARIABLES) - (s->config.segment ? 0 : OF_WORKERS_ONLY);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(OWN_VARIABLES[i]);
        if (!strncmp(entry, OWN_VARIABLES[i], n) && entry[n] == '=')
            return true;
    }
    return false;
}

static int copy_environ(struct cl_spawner *s) {
    size_t n = 0, kept = 0;
    while (s->config.environ[n])
        n++;
    s->environ = cl_calloc(n + 2, sizeof *s->environ);
    if (!s->environ)
        return CELLO_ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!is_own(s, s->config.environ[i]))
            s->environ[kept++] = s->config.environ[i];
    s->environ[kept] = s->variable;
    return CELLO_OK;
}

int cl_spawner_new(struct cl_spawner **out, const struct cl_spawner_config *config) {
    struct cl_spawner *s = cl_calloc(1, sizeof *s);
    if (!s)
        return CELLO_ENOMEM;
    s->config = *config;
    size_t n = strlen(config->sockets);
    s->sockets = cl_strndup(config->sockets, n);
    s->variable_size = n + HEAD_MAX;
    s->variable = cl_malloc(s->variable_size);
    int err = s->sockets && s->variable ? copy_environ(s) : CELLO_ENOMEM;
    if (!err && config->affinity && sched_getaffinity(0, sizeof s->usable, &s->usable))
        err = CELLO_ESYS;
    if (err) {
        cl_spawner_del(s);
        return err;
    }
    *out = s;
    return CELLO_OK;
}

void cl_spawner_del(struct cl_spawner *s) {
    if (!s)
        return;
    cl_free(s->environ);
    cl_free(s->variable);
    cl_free(s->sockets);
    cl_free(s);
}

/* The i-th CPU, counted around. */
static void choose_cpu(const cpu_set_t *usable, uint32_t i, cpu_set_t *out) {
    uint32_t left = i % (uint32_t)CPU_COUNT(usable);
    CPU_ZERO(out);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, usable) && left-- == 0) {
            CPU_SET(cpu, out);
            return;
        }
}

static void share_segment(const struct cl_segment *segment) {
    fcntl(cl_segment_fd(segment), F_SETFD, 0);
    cl_store_keep_descriptors(segment, true);
}

/* In the new process. A worker that cannot have its CPU serves on another. A supervisor begins with
 * the signals blocked that this one has, until it watches them. */
static void become(const struct cl_spawner *s, int control, const cpu_set_t *cpu) {
    struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
    for (size_t i = 0; s->config.segment && i < CL_ARRAY_LEN(SIGNALS_OF_SUPERVISOR); i++)
        sigaction(SIGNALS_OF_SUPERVISOR[i], &ignore, NULL);
    sigaction(SIGPIPE, &standard, NULL);
    if (cpu)
        sched_setaffinity(0, sizeof *cpu, cpu);
    for (size_t i = 0; i < s->config.fd_count; i++)
        fcntl(s->config.fds[i], F_SETFD, 0);
    if (s->config.segment)
        share_segment(s->config.segment);
    fcntl(control, F_SETFD, 0);
    if (s->config.segment)
        pthread_sigmask(SIG_SETMASK, &s->config.mask, NULL);
    execve(s->config.command[0], s->config.command, s->environ);
    struct cl_control last = {.kind = CL_CONTROL_NO_PROGRAM, .value = (uint32_t)errno};
    send(control, &last, sizeof last, MSG_NOSIGNAL);
    _exit(127);
}

int cl_spawn(struct cl_spawner *s, uint32_t record, uint32_t worker_id, pid_t *pid, int *control) {
    int ends[2];
    cpu_set_t cpu;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return CELLO_ESYS;
    snprintf(s->variable, s->variable_size, "%s=%u,%d,%d,%s", s->config.variable, record,
             s->config.segment ? cl_segment_fd(s->config.segment) : 0, ends[1], s->sockets);
    if (s->config.affinity)
        choose_cpu(&s->usable, worker_id, &cpu);
    *pid = fork();
    if (*pid == 0)
        become(s, ends[1], s->config.affinity ? &cpu : NULL);
    int saved = errno;
    close(ends[1]);
    if (*pid < 0) {
        close(ends[0]);
        errno = saved;
        return CELLO_ESYS;
    }
    *control = ends[0];
    return CELLO_OK;
}
