/* A process as one of those that serve an application together: a worker that a supervisor has
 * started, or a process that is alone. Both have a record of their own in memory that all of them
 * share, so that what lies in that memory need not know which it is.
 *
 * Thread: the one that runs the server; any for what takes a `const struct cl_cluster *`. */
#ifndef CELLO_CLUSTER_H
#define CELLO_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include <cello/api.h>
#include <cello/error.h>

struct cello_store_config;
struct cl_cluster;
struct cl_segment;
struct cl_server;

/* The environment of a worker has it; cello_cluster_join reads its value. */
#define CELLO_WORKER_VARIABLE "CELLO_WORKER"

/* A worker. `text` is what the supervisor left in the variable; the caller takes it out of the
 * environment. The descriptors it names belong to the cluster on success, and are not inherited any
 * more. Errors: CELLO_EINVAL (no such text, or its descriptors are something else),
 * CELLO_ENOTSUP (a supervisor of another version of Cello), CELLO_ESYS, CELLO_ENOMEM. */
CELLO_API int cello_cluster_join(struct cl_cluster **out, const char *text);
/* A process without a supervisor, worker 0 of 1. store: NULL is the default. Errors: CELLO_EINVAL
 * (a size of the store), CELLO_ESYS, CELLO_ENOMEM. */
CELLO_API int cello_cluster_alone(struct cl_cluster **out, const struct cello_store_config *store);
/* Servers that serve for it must have been deleted. NULL is ignored. */
CELLO_API void cello_cluster_del(struct cl_cluster *c);

/* Whether there is a supervisor. */
CELLO_API bool cello_cluster_is_worker(const struct cl_cluster *c);
/* 0 to cello_cluster_workers - 1; a successor has the id of the one that it replaces. */
CELLO_API uint32_t cello_cluster_worker_id(const struct cl_cluster *c);
CELLO_API uint32_t cello_cluster_workers(const struct cl_cluster *c);
/* Of this process alone while it lives: 0 to 2 * cello_cluster_workers - 1. */
CELLO_API uint32_t cello_cluster_record(const struct cl_cluster *c);
/* The shared memory; stays the cluster's. */
CELLO_API struct cl_segment *cello_cluster_segment(const struct cl_cluster *c);

/* What has to run once, before any worker serves. True: by the caller, who says
 * cello_cluster_started afterwards. False: by another one, or it has run. */
CELLO_API bool cello_cluster_starts(const struct cl_cluster *c);
CELLO_API void cello_cluster_started(struct cl_cluster *c);
/* Waits until it has run, at most `timeout_ns`. CELLO_OK: it has. CELLO_EAGAIN: not yet.
 * CELLO_ECANCELED: the worker is to end, or its supervisor is gone. */
CELLO_API int cello_cluster_await_start(struct cl_cluster *c, uint64_t timeout_ns);

/* From here on `s` serves for the cluster: its counters and its heartbeat stand in the record; a
 * worker accepts on its sockets, does what the supervisor says, and tells it that it is ready; when
 * the supervisor is gone, the server stops within `orphan_drain_ns`. One server for each cluster.
 * Errors: CELLO_EOF (the supervisor is gone), CELLO_ESYS, CELLO_ELIMIT, CELLO_ENOMEM. */
CELLO_API int cello_cluster_serve(struct cl_cluster *c, struct cl_server *s,
                                  uint64_t orphan_drain_ns);
/* No more; cello_server_del does it, too. NULL is ignored. */
CELLO_API void cello_cluster_leave(struct cl_cluster *c, struct cl_server *s);

/* What has to run once, after all workers have served: whether by this process. A worker tells its
 * supervisor that it has ended; the first one then waits, at most `timeout_ns`, until it is the
 * last. CELLO_OK: by the caller. CELLO_EAGAIN: the time is up, call again. CELLO_ECANCELED: not by
 * the caller. */
CELLO_API int cello_cluster_await_end(struct cl_cluster *c, uint64_t timeout_ns);

/* A stop is to follow: health endpoints say so from now on. */
CELLO_API void cello_cluster_announce_stop(struct cl_cluster *c);

/* Without a supervisor, which does it for its workers: this process, with all its threads, becomes
 * a user and a group (names or numbers; NULL: as it is; a user without a group brings their own),
 * for good. Errors: CELLO_ENOENT (there is none), CELLO_ESYS, CELLO_ESTATE (there is a way back;
 * the process must end); `why` is then a NUL-terminated sentence. */
CELLO_API int cello_identity_take(const char *user, const char *group, char why[160]);

#endif
