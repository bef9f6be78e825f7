/* SIGUSR2: another supervisor, perhaps of a newer version, takes over the sockets. It is started
 * with this one's command line and descriptors, starts workers of its own, and says so; then this
 * one retires its workers and ends. If the heir ends before, nothing has happened. */
#include "cluster/supervisor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cluster/identity.h"

bool cl_supervisor_is_heir(const struct cl_supervisor *s) {
    return s->predecessor >= 0;
}

/* ---- as an heir ----------------------------------------------------------------------------- */

static int open_or_inherit(struct cl_supervisor *s, const struct cl_sockets_config *config,
                           char why[CL_SOCKETS_ERROR_MAX]) {
    const char *inherited = getenv(CL_SOCKETS_VARIABLE);
    struct cl_worker_text text;
    if (!inherited)
        return cl_sockets_open(&s->sockets, config, why);
    int err = cl_worker_text_parse(&text, inherited);
    if (err)
        return cl_supervisor_complain(CL_SOCKETS_VARIABLE " is wrong", err);
    s->predecessor = text.control;
    fcntl(s->predecessor, F_SETFD, FD_CLOEXEC);
    err = cl_sockets_inherit(&s->sockets, config, &text, why);
    cl_free(text.fds);
    return err;
}

int cl_supervisor_open_sockets(struct cl_supervisor *s) {
    const struct cl_supervisor_options *o = s->options;
    struct cl_identity identity;
    char why[CL_SOCKETS_ERROR_MAX] = "";
    _Static_assert((int)CL_SOCKETS_ERROR_MAX >= (int)CL_IDENTITY_ERROR_MAX, "it holds both");
    int err = cl_identity_find(&identity, o->user, o->group, why);
    const struct cl_sockets_config config = {
        .places = o->places,
        .count = o->place_count,
        .workers = o->policy.workers,
        .uds_mode = o->uds_mode,
        .owner = identity.uid,
        .group = identity.gid,
    };
    if (!err)
        err = open_or_inherit(s, &config, why);
    if (!err)
        err = cl_identity_take(&identity, why);
    if (err && why[0])
        cl_log(CL_LOG_ERROR, "%s", why);
    return err;
}

void cl_supervisor_tell_predecessor(struct cl_supervisor *s) {
    const struct cl_control ready = {.kind = CL_CONTROL_READY};
    if (s->predecessor < 0)
        return;
    if (send(s->predecessor, &ready, sizeof ready, MSG_NOSIGNAL) < 0)
        cl_log(CL_LOG_WARNING, "the former supervisor is gone");
    close(s->predecessor);
    s->predecessor = -1;
}

/* ---- as the one who leaves ------------------------------------------------------------------ */

static int spawn_heir(struct cl_supervisor *s) {
    const struct cl_spawner_config config = {
        .variable = CL_SOCKETS_VARIABLE,
        .command = s->options->self,
    };
    struct cl_spawner *spawner = NULL;
    int err = cl_supervisor_spawner(s, config, &spawner);
    if (!err)
        err = cl_spawn(spawner, 0, 0, &s->heir.pid, &s->heir.control);
    cl_spawner_del(spawner);
    return err;
}

void cl_supervisor_start_heir(struct cl_supervisor *s) {
    const char *why = NULL;
    if (s->heir.pid)
        why = "one has been started already";
    else if (cl_policy_is_stopping(s->policy))
        why = "a stop has begun";
    else if (getpid() == 1)
        why = "the end of process 1 would be that of its container";
    if (why) {
        cl_log(CL_LOG_WARNING, "SIGUSR2: no new supervisor: %s", why);
        return;
    }
    int err = spawn_heir(s);
    if (err) {
        s->heir = (struct worker){.control = -1};
        cl_supervisor_complain("SIGUSR2: a new supervisor cannot be started", err);
        return;
    }
    cl_log(CL_LOG_INFO, "SIGUSR2: a new supervisor (pid %d) was started", s->heir.pid);
}

static void leave(struct cl_supervisor *s) {
    cl_log(CL_LOG_INFO, "the new supervisor (pid %d) serves: leaving", s->heir.pid);
    cl_notify_say(&s->notify, "MAINPID=%d\nREADY=1", s->heir.pid);
    s->left = true;
    cl_policy_hand_over(s->policy, cl_now_ns());
}

void cl_supervisor_read_heir(struct cl_supervisor *s) {
    struct cl_control control;
    for (int i = 0; i < PACKETS_MAX && cl_supervisor_receive(&s->heir, &control); i++) {
        if (control.kind == CL_CONTROL_READY && !cl_policy_is_stopping(s->policy))
            leave(s);
        if (control.kind == CL_CONTROL_NO_PROGRAM) {
            cl_log(CL_LOG_ERROR, "%s cannot be started: %s", s->options->self[0],
                   strerror((int)control.value));
            cl_supervisor_hang_up(&s->heir);
        }
    }
}

void cl_supervisor_heir_exited(struct cl_supervisor *s, int status) {
    cl_supervisor_read_heir(s);
    if (!s->left)
        cl_log(CL_LOG_ERROR, "the new supervisor (pid %d) %s %d: this one goes on", s->heir.pid,
               WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    cl_supervisor_hang_up(&s->heir);
    s->heir.pid = 0;
}

void cl_supervisor_disinherit(struct cl_supervisor *s) {
    if (s->heir.pid && !s->left)
        kill(s->heir.pid, SIGTERM);
}
