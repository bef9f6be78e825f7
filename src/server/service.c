/* What a server without a supervisor says to systemd: include/cello/service.h. */
#include <cello/service.h>

#include "server/server_internal.h"

uint32_t cello_service_sockets(void) {
    _Static_assert((int)CELLO_SERVICE_SOCKETS == (int)CL_LISTEN_FDS_START, "one protocol");
    return cl_listen_fds();
}

static void set_watchdog(struct cl_server *s) {
    if (s->notify.watchdog_ns)
        cl_timer_set(cl_loop_timers(s->worker.loop), &s->watchdog_timer,
                     cl_loop_now_ns(s->worker.loop) + s->notify.watchdog_ns);
}

void cl_server_on_watchdog(struct cl_timer *t) {
    struct cl_server *s = CL_CONTAINER_OF(t, struct cl_server, watchdog_timer);
    cl_notify_say(&s->notify, "WATCHDOG=1");
    set_watchdog(s);
}

void cello_service_open(struct cl_server *s) {
    if (s->notify.fd < 0)
        cl_notify_open(&s->notify);
}

void cello_service_ready(struct cl_server *s, const char *status) {
    cl_notify_say(&s->notify, "READY=1\nSTATUS=%s", status);
    set_watchdog(s);
}

void cello_service_stopping(struct cl_server *s) {
    if (s->said_stopping)
        return;
    s->said_stopping = true;
    cl_notify_say(&s->notify, "STOPPING=1\nSTATUS=Stopping");
}
