#include "http2/abuse.h"

#include "base/clock.h"

static const struct {
    uint32_t burst, per_second;
    /* Acts that are paid for by a request, an answer, a frame; bytes that pay for one (0: none). */
    uint32_t request, answer, frame, bytes;
} allowed[CL_H2_ACTS] = {
    /* A page that is left cancels all of its streams at once, and the next page may be left, too.
     * Who asks several and takes the first answer, or crosses an answer with a reset, goes on for
     * as long as answers come. */
    [CL_H2_ACT_RESET] = {.burst = 500, .per_second = 30, .answer = 4},
    /* All that a client had to ask when it connected. */
    [CL_H2_ACT_EAGER] = {.burst = 2000, .per_second = 1},
    /* Trailers, say, that were on their way when their stream was reset. */
    [CL_H2_ACT_REFUSED] = {.burst = 500, .per_second = 30, .answer = 1},
    /* One, and a few when a client adapts its windows to what comes. */
    [CL_H2_ACT_SETTINGS] = {.burst = 50, .per_second = 5, .bytes = 65536},
    /* Clients that measure the bandwidth send one with each round trip while data comes, which in
     * one room is one with each frame; others send one behind each reset. */
    [CL_H2_ACT_PING] = {.burst = 1000, .per_second = 200, .request = 1, .frame = 1},
    /* A browser says it with each stream, and again when what it shows has moved. */
    [CL_H2_ACT_PRIORITY] = {.burst = 500, .per_second = 100, .request = 4},
    /* An empty frame may be how a library flushes, or begins. */
    [CL_H2_ACT_EMPTY] = {.burst = 100, .per_second = 20, .request = 2, .frame = 1},
    /* Two for each frame: of the stream and of the connection. Windows of a few hundred bytes cut
     * frames short, and clients open them by halves; those that drip are not paid for. */
    [CL_H2_ACT_WINDOW] = {.burst = 1000, .per_second = 100, .request = 4, .frame = 2, .bytes = 64},
};

/* False: all that the work has earned is spent. */
static bool is_paid(struct cl_h2_abuse *a, enum cl_h2_act act, const struct cl_h2_work *w) {
    uint64_t earned = w->requests * allowed[act].request + w->answers * allowed[act].answer +
                      w->frames * allowed[act].frame;
    if (allowed[act].bytes)
        earned += w->bytes / allowed[act].bytes;
    if (earned > CL_H2_SAVED_MAX)
        a->paid[act] = CL_MAX(a->paid[act], earned - CL_H2_SAVED_MAX);
    if (a->paid[act] >= earned)
        return false;
    a->paid[act]++;
    return true;
}

bool cl_h2_abuse_count(struct cl_h2_abuse *a, enum cl_h2_act act, const struct cl_h2_work *work,
                       uint64_t now_ns) {
    uint64_t cost_ns = CL_NS_PER_S / allowed[act].per_second;
    if (is_paid(a, act, work))
        return true;
    uint64_t full_ns = CL_MAX(a->full_ns[act], now_ns) + cost_ns;
    if (full_ns - now_ns > cost_ns * allowed[act].burst)
        return false;
    a->full_ns[act] = full_ns;
    return true;
}
