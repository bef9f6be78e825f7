/* What a client may do for free, and how much of it: token buckets, one for each kind.
 *
 * Each costs the server work that no request pays for. What is in proportion to work that was done
 * for the client (requests, answers, DATA) is paid for by that, whenever it comes and at any rate:
 * so do all that clients have a reason to. The bucket is for the rest. Who has emptied it is told
 * to calm down (GOAWAY, ENHANCE_YOUR_CALM) and has its connection closed.
 *
 * Frames of unknown types are not counted: they cost no more than their bytes.
 *
 * No memory, no clock of its own. Thread: the worker's. */
#ifndef CL_HTTP2_ABUSE_H
#define CL_HTTP2_ABUSE_H

#include "base/common.h"

enum cl_h2_act {
    CL_H2_ACT_RESET,    /* a stream that ended at once and before its answer, or was gone before */
    CL_H2_ACT_EAGER,    /* a stream beyond the limit, of a client that may not know it yet */
    CL_H2_ACT_REFUSED,  /* a stream or a frame that the server had to refuse */
    CL_H2_ACT_SETTINGS, /* SETTINGS */
    CL_H2_ACT_PING,     /* PING */
    CL_H2_ACT_PRIORITY, /* PRIORITY, PRIORITY_UPDATE */
    CL_H2_ACT_EMPTY,    /* DATA and CONTINUATION without content */
    CL_H2_ACT_WINDOW,   /* WINDOW_UPDATE */
    CL_H2_ACTS,
};

/* What was done for a client, since its connection began. */
struct cl_h2_work {
    uint64_t requests; /* that were taken */
    uint64_t answers;  /* that were sent to their end */
    uint64_t frames;   /* DATA with content that was sent, but what a small window cut, or came */
    uint64_t bytes;    /* of DATA that was sent */
};

struct cl_h2_abuse {
    uint64_t full_ns[CL_H2_ACTS]; /* when the bucket will be full again; in the past: it is */
    uint64_t paid[CL_H2_ACTS];    /* acts that the work has paid for, or does not pay any more */
};

/* As much can be saved up: a client may answer all that the sockets between hold at once. */
enum { CL_H2_SAVED_MAX = 1 << 17 };

/* One of them. False: neither was it paid for, nor was anything left in the bucket. */
bool cl_h2_abuse_count(struct cl_h2_abuse *a, enum cl_h2_act act, const struct cl_h2_work *work,
                       uint64_t now_ns) CL_MUST_USE;

#endif
