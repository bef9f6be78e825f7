/* A process as a service of systemd, or of whoever else speaks sd_listen_fds(3) and sd_notify(3).
 * Where nobody does, nothing happens. A supervisor does all of this for its workers.
 *
 * Thread: the one that runs the server. */
#ifndef CELLO_SERVICE_H
#define CELLO_SERVICE_H

#include <stdint.h>

#include <cello/api.h>

struct cl_server;

/* Listening sockets that were opened for this process (LISTEN_FDS, LISTEN_PID): how many, with
 * descriptors from CELLO_SERVICE_SOCKETS on; 0: none, or for another process. */
enum { CELLO_SERVICE_SOCKETS = 3 };
CELLO_API uint32_t cello_service_sockets(void);

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which the caller may take out of the
 * environment then. Once; what follows is for servers that were opened so. */
CELLO_API void cello_service_open(struct cl_server *s);
/* READY=1 and STATUS=; from here on WATCHDOG=1 at half the time that is asked for, by the server's
 * loop: one that hangs says nothing. */
CELLO_API void cello_service_ready(struct cl_server *s, const char *status);
/* STOPPING=1, once. A stop says so by itself; earlier, whoever only waits before it. */
CELLO_API void cello_service_stopping(struct cl_server *s);

#endif
