/* The worker's side of the protocol: what it has inherited, its record, the packets.
 *
 * Thread: the one that runs the worker's server. */
#ifndef CL_CLUSTER_MEMBER_H
#define CL_CLUSTER_MEMBER_H

#include <cello/cluster.h>

#include "cluster/protocol.h"
#include "store/members.h"

enum { CL_WORKER_ADDRESSES_MAX = 16 };

/* The sockets of an address: one for each worker id, or one that all workers share. */
struct cl_worker_address {
    uint32_t count;
    int *fds; /* in cl_worker_text.fds */
};

/* CELLO_WORKER, taken apart. */
struct cl_worker_text {
    uint32_t record;
    int segment;
    int control;
    size_t address_count;
    struct cl_worker_address addresses[CL_WORKER_ADDRESSES_MAX];
    size_t fd_count;
    int *fds; /* owned: cl_free */
};

/* Errors: CELLO_EINVAL (not what protocol.h says), CELLO_ELIMIT (too many addresses),
 * CELLO_ENOMEM. */
int cl_worker_text_parse(struct cl_worker_text *t, const char *text) CL_MUST_USE;

struct cl_cluster {
    struct cl_segment *segment;
    struct cl_members *members;
    struct cl_member *member; /* the record of this process */
    struct cl_worker_text inherited;
    bool is_worker;  /* else `inherited` is empty */
    bool retired;    /* RETIRE came: a successor serves */
    bool waits;      /* for LAST: worker id 0, or who was told so */
    bool ending;     /* told to end, or the supervisor is gone */
    bool moved_logs; /* REOPEN came while it waited for something else */
    bool said_ended;
};

/* The next packet of the supervisor. CELLO_OK: it is in *m. CELLO_EAGAIN: none. CELLO_EOF: the
 * supervisor is gone. */
int cl_cluster_receive(struct cl_cluster *c, struct cl_control *m) CL_MUST_USE;
/* Errors: CELLO_EOF (the supervisor is gone), CELLO_ESYS. */
int cl_cluster_send(struct cl_cluster *c, enum cl_control_kind kind) CL_MUST_USE;

#endif
