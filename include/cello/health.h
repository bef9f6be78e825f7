/* Health endpoints: those of an application, answered by its server, and a listener of their own,
 * which answers although every server hangs. */
#ifndef CELLO_HEALTH_H
#define CELLO_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/app.h>
#include <cello/cluster.h>

enum cello_health {
    CELLO_HEALTH_LIVE,    /* 200: who answers lives */
    CELLO_HEALTH_READY,   /* 200; 503 once the server drains, or its cluster stops */
    CELLO_HEALTH_STARTUP, /* 200: no server answers before its start-up is complete */
};

/* A handler for a route. `then`: who answers in place of the 200, such as the program's own checks;
 * owned; NULL: nobody. NULL: out of memory; `then` is deleted. */
CELLO_API struct cello_handler *cello_health_handler(enum cello_health what,
                                                     struct cello_handler *then);

/* What the program's checks gave just now: how many there are, and how many of them failed. It
 * stands in the record of this process, for the listener. */
CELLO_API void cello_cluster_publish_checks(struct cl_cluster *c, uint32_t checks,
                                            uint32_t failing);

/* ---- the listener ---- */

struct cello_health_server;

struct cello_health_config {
    const char *address;        /* "HOST:PORT", "[IPV6]:PORT" or "unix:PATH" */
    const char *path;           /* what its paths begin with, such as "/health" */
    struct cl_segment *segment; /* whose workers it tells of; must outlive it */
    uint64_t heartbeat_ns; /* a loop that is away from its wait for longer hangs; 0: none does */
    bool waits;            /* for an address that is taken until it is free, and tries again */
};

/* Serves, on a thread of its own that takes no signals of the program:
 *   PATH/live     503 when there are workers and all of them hang
 *   PATH/ready    503 unless a worker serves that does not hang and whose checks are good and
 *                 fresh, or when a stop has begun
 *   PATH/startup  503 until a worker has served for the first time
 *   PATH/workers  what is known of each
 * Nothing but the segment is read. Errors: CELLO_EINVAL (address, path), CELLO_ENOENT (no such
 * host), CELLO_ESYS (errno: EADDRINUSE, ...), CELLO_ENOMEM. */
CELLO_API int cello_health_serve(struct cello_health_server **out,
                                 const struct cello_health_config *cfg);
/* The address that it listens on, as cello_server_address; CELLO_EAGAIN: it waits for it. */
CELLO_API int cello_health_address(struct cello_health_server *h, char host[128], uint16_t *port);
/* Ends it. NULL is ignored. */
CELLO_API void cello_health_end(struct cello_health_server *h);

#endif
