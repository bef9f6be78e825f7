/* Whether a client reads what is being sent to it: the same for every protocol.
 *
 * How far it has read is asked for (a system call) only once a send has lasted for a while, so
 * that ordinary ones cost nothing. Thread: the worker's. */
#ifndef CL_HTTP_WRITE_WATCH_H
#define CL_HTTP_WRITE_WATCH_H

#include "base/clock.h"
#include "net/stream.h"

#define CL_WRITE_SAMPLE_NS CL_NS_PER_S

struct cl_write_watch {
    uint64_t start_ns; /* of watching the send in progress, or when its peer last had read */
    uint64_t progress; /* of the stream, once sampled */
    bool sampled;
};

/* A send is in progress: when to look first; UINT64_MAX: never, as write_ns is 0. */
CL_INLINE uint64_t cl_write_watch_begin(struct cl_write_watch *w, uint64_t now_ns,
                                        uint64_t write_ns) {
    /* Whether the peer reads before the sample is never known: time counts from there. */
    w->start_ns = now_ns + CL_MIN(write_ns / 2, CL_WRITE_SAMPLE_NS);
    w->sampled = false;
    return write_ns ? w->start_ns : UINT64_MAX;
}

/* When to look again; 0: the peer has read nothing for the whole of write_ns. */
CL_INLINE uint64_t cl_write_watch_next(struct cl_write_watch *w, const struct cl_stream *s,
                                       uint64_t now_ns, uint64_t write_ns) {
    uint64_t progress = cl_stream_progress(s);
    if (w->sampled && progress == w->progress)
        return 0;
    if (w->sampled)
        w->start_ns = now_ns; /* slow, but reading */
    w->sampled = true;
    w->progress = progress;
    return w->start_ns + write_ns;
}

#endif
