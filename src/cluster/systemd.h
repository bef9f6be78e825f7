/* What systemd wants to hear of a service, and what it hands over; without systemd, nothing. The
 * protocol is sd_notify(3) and sd_listen_fds(3), which need no library.
 *
 * Thread: one. */
#ifndef CL_CLUSTER_SYSTEMD_H
#define CL_CLUSTER_SYSTEMD_H

#include "base/common.h"

struct cl_notify {
    int fd;               /* -1: nobody wants to know */
    uint64_t watchdog_ns; /* how often to say WATCHDOG=1; 0: never */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; half the time that systemd would wait is how
 * often it is told. Does not fail: whoever cannot be reached hears nothing. */
void cl_notify_open(struct cl_notify *n);
void cl_notify_close(struct cl_notify *n);
/* Lines "READY=1\nSTATUS=..." and so on; never waits. */
void cl_notify_say(const struct cl_notify *n, const char *format, ...) CL_PRINTF(2, 3);
/* A reload has begun: RELOADING=1, with the time that Type=notify-reload asks for. */
void cl_notify_reloading(const struct cl_notify *n);

/* Sockets that were opened for this process (LISTEN_FDS, LISTEN_PID): how many, from descriptor
 * CL_LISTEN_FDS_START on; 0: none, or for another process. */
enum { CL_LISTEN_FDS_START = 3, CL_LISTEN_FDS_MAX = 1024 };
uint32_t cl_listen_fds(void);

#endif
