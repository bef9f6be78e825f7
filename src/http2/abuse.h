/* What a client may do for free, and how much of it: token buckets, one for each kind.
 *
 * Each costs the server work that no request pays for. A client that means well stays far below
 * these rates (the reasons stand at the table in abuse.c); who does not is told to calm down
 * (GOAWAY, ENHANCE_YOUR_CALM) and has its connection closed.
 *
 * Frames of unknown types are not counted: they cost no more than their bytes.
 *
 * No memory, no clock of its own. Thread: the worker's. */
#ifndef CL_HTTP2_ABUSE_H
#define CL_HTTP2_ABUSE_H

#include "base/common.h"

enum cl_h2_act {
    CL_H2_ACT_RESET,    /* a stream that ended before its answer, by RST_STREAM or by a mistake */
    CL_H2_ACT_REFUSED,  /* a stream or a frame that the server had to refuse */
    CL_H2_ACT_SETTINGS, /* SETTINGS */
    CL_H2_ACT_PING,     /* PING */
    CL_H2_ACT_PRIORITY, /* PRIORITY, PRIORITY_UPDATE */
    CL_H2_ACT_EMPTY,    /* DATA without data, CONTINUATION */
    CL_H2_ACT_WINDOW,   /* WINDOW_UPDATE; what the client received gives some back */
    CL_H2_ACTS,
};

struct cl_h2_abuse {
    uint64_t full_ns[CL_H2_ACTS]; /* when the bucket will be full again; in the past: it is */
    uint32_t earned[CL_H2_ACTS];  /* beside the bucket; used first */
};

/* As much can be earned ahead: a client may answer all that the sockets between hold at once. */
enum { CL_H2_EARNED_MAX = 1 << 17 };

/* One of them. False: the bucket was empty. */
bool cl_h2_abuse_count(struct cl_h2_abuse *a, enum cl_h2_act act, uint64_t now_ns) CL_MUST_USE;
/* `n` of them are deserved, whenever they come. */
void cl_h2_abuse_earn(struct cl_h2_abuse *a, enum cl_h2_act act, unsigned n);

#endif
