/* What the supervisor and a worker say to each other.
 *
 * A worker is started by exec with the descriptors of the segment, of its end of a pair of
 * SOCK_SEQPACKET sockets, and of every listening socket; where they are stands in CELLO_WORKER.
 * The worker takes the variable out of its environment and marks the descriptors close-on-exec, so
 * that programs which it starts are no workers. Each message is one packet, a struct cl_control.
 * The end of the packets means that the other one is gone: a worker then drains and ends, as after
 * CL_CONTROL_STOP. */
#ifndef CL_CLUSTER_PROTOCOL_H
#define CL_CLUSTER_PROTOCOL_H

#include <cello/cluster.h>

#include "base/common.h"

/* "RECORD,SEGMENT,CONTROL,SOCKET[,SOCKET...]": the index of the worker's record in struct
 * cl_members, then numbers of descriptors. Of sockets there are as many for each address as it has
 * (one for each worker id where the kernel shares a port, else one), in the order of addresses:
 * "A:S,S,S" is written as the address's count of sockets, a colon and them. For example, two
 * workers on a port and a unix socket: "0,3,4,2:5,6,1:7". */
#define CL_WORKER_VARIABLE CELLO_WORKER_VARIABLE

/* A supervisor that is to take over (SIGUSR2) is started by the old one in the same way; of the
 * text it needs the control and the sockets, the rest is 0. It says CL_CONTROL_READY when its
 * workers serve, and the old one leaves. */
#define CL_SOCKETS_VARIABLE "CELLO_SOCKETS"

enum cl_control_kind {
    /* Supervisor to worker. */
    CL_CONTROL_STOP = 1, /* drain within `ns`, idle connections go at once, then end; `value` 1: as
                            worker id 0 does, which there is not */
    CL_CONTROL_RETIRE,   /* another one serves: drain within `ns`, but let idle connections send one
                            more request, whose answer says close; `value` as above */
    CL_CONTROL_ADOPT,    /* also accept from the sockets of worker id `value`, which is dead */
    CL_CONTROL_RELEASE,  /* no more: it has a successor */
    CL_CONTROL_REOPEN,   /* log files: they were moved away */
    CL_CONTROL_LAST,     /* all others have ended: run the shutdown hooks of the cluster, and end */
    /* Worker to supervisor. */
    CL_CONTROL_READY, /* it accepts connections */
    CL_CONTROL_ENDED, /* drained, its own shutdown hooks have run. Worker id 0 then waits for LAST,
                         or for the end of the packets */
    CL_CONTROL_NO_PROGRAM, /* in the worker's stead: exec has failed, errno is `value` */
    /* Both ways. */
    CL_CONTROL_LOOK, /* to the worker: one is gone, or accepts no more, and may have been who the
                        kernel has told of a connection: see whether any waits. To the supervisor:
                        let all look */
};

struct cl_control {
    uint32_t kind; /* enum cl_control_kind; one that is not known is ignored */
    uint32_t value;
    uint64_t ns;
};

#endif
