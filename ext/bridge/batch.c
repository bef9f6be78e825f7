/* The batch: all requests that are ready, under one hold of the GIL. */
#include <errno.h>

#include "bridge/bridge.h"
#include "bridge/pace.h"
#include "bridge/pool.h"
#include "plan/call.h"
#include "types/connection.h"
#include "types/request.h"

/* The GIL is given back after this long, so that other threads get their turn, even if requests are
 * left. The clock is read every few requests; after each one where a few took that long. */
enum { HOLD_NS = 1000000, CLOCK_EVERY = 4 };

struct cl_pinned {
    struct cl_pinned *next;
    struct cl_bridge *bridge;
    PyObject *object;
};

/* ---- pinned objects ---- */

void cl_bridge_unpin(void *pinned) {
    struct cl_pinned *p = pinned;
    p->next = p->bridge->dropped;
    p->bridge->dropped = p;
}

void cl_bridge_drop_pinned(struct cl_bridge *b) {
    while (b->dropped) {
        struct cl_pinned *p = b->dropped;
        b->dropped = p->next;
        Py_DECREF(p->object);
        PyMem_RawFree(p);
    }
}

void *cl_bridge_pin(struct cl_bridge *b, PyObject *object) {
    struct cl_pinned *p = PyMem_RawMalloc(sizeof *p);
    if (p)
        *p = (struct cl_pinned){.bridge = b, .object = Py_NewRef(object)};
    return p;
}

bool cl_bridge_respond_pinned(struct cl_bridge *b, struct cl_request *r, PyObject *object,
                              struct cl_str bytes) {
    struct cl_pinned *p = cl_bridge_pin(b, object);
    if (p)
        cello_respond_pinned(r, bytes, cl_bridge_unpin, p);
    return p != NULL;
}

/* ---- notes ---- */

void cl_bridge_note(struct cl_bridge *b, struct cl_note *n) {
    if (n->queued)
        return;
    n->queued = true;
    n->next = NULL;
    *(b->notes ? b->notes_end : &b->notes) = n;
    b->notes_end = &n->next;
    if (b->server) /* else it is being deleted, and cl_bridge_run_notes is next */
        cello_server_need_batch(b->server);
}

void cl_bridge_unnote(struct cl_bridge *b, struct cl_note *n) {
    if (!n->queued)
        return;
    n->queued = false;
    struct cl_note **at = &b->notes;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    if (!*at)
        b->notes_end = at;
}

static struct cl_note *take_note(struct cl_bridge *b) {
    struct cl_note *n = b->notes;
    if (n) {
        b->notes = n->next;
        n->queued = false;
    }
    return n;
}

void cl_bridge_run_notes(struct cl_bridge *b) {
    struct cl_note *n;
    while ((n = take_note(b)))
        n->run(n, b);
}

/* ---- the batch ---- */

static void run_note(struct cl_bridge *b, struct cl_note *note) {
    note->run(note, b);
    (void)cl_pace_lap(b);
}

/* On the thread pool; or 503, where the handler may need it and it is full. False: inline. */
static bool leave_to_pool(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r) {
    if (e->flags & CL_ENTRY_POOLED) {
        cl_pool_call(b, e, r);
        return true;
    }
    if (!b->pool || !cl_pool_is_full(b->pool))
        return false;
    cl_bridge_answer_busy(r);
    cello_request_unref(r);
    return true;
}

static void call_and_answer(struct cl_bridge *b, struct cl_call *call, struct cl_request *r) {
    PyObject *value = NULL;
    if (!cl_bridge_call(b, call, r, &value))
        return;
    if (value && call->request)
        cl_pyrequest_answered_next(call->request);
    cl_bridge_answer(b, call, r, value);
}

static void serve(struct cl_bridge *b, struct cl_request *r) {
    struct cl_call call = {.entry = b->handlers->entries[cello_request_route_id(r)]};
    uint32_t flags = call.entry->flags;
    cello_request_enter(r); /* until the next one, or the end of the batch */
    if (flags & (CL_ENTRY_POOLED | CL_ENTRY_NEEDS_POOL) && leave_to_pool(b, call.entry, r))
        return;
    if (flags & CL_ENTRY_MEASURED) {
        struct cl_pace pace;
        cl_pace_begin(&pace);
        call_and_answer(b, &call, r);
        cl_pace_end(&pace, b, call.entry, r);
    } else {
        call_and_answer(b, &call, r);
        uint64_t took_ns = cl_pace_lap(b);
        if (took_ns >= b->slow_ns)
            cl_pace_was_slow(b, call.entry, r, took_ns);
    }
    cl_call_end(b->ext, &call);
    cello_request_unref(r);
}

bool cl_bridge_run(void *ctx) {
    struct cl_bridge *b = ctx;
    PyEval_RestoreThread(b->thread);
    uint64_t start_ns = cl_bridge_now_ns(), held_ns = 0;
    unsigned served = 0, every = b->slow ? 1 : CLOCK_EVERY;
    cl_bridge_drop_pinned(b);
    (void)cl_pace_lap(b);
    while (held_ns < HOLD_NS) { /* one of each, so that neither waits for the end of the others */
        struct cl_note *note = take_note(b);
        struct cl_request *r = cello_server_next(b->server);
        if (!note && !r)
            break;
        if (note)
            run_note(b, note);
        if (r)
            serve(b, r);
        if (++served % every == 0)
            held_ns = cl_bridge_now_ns() - start_ns;
    }
    cello_request_enter(NULL);
    b->slow = held_ns >= HOLD_NS && served <= CLOCK_EVERY;
    b->gil_acquisitions++;
    b->gil_held_ns += cl_bridge_now_ns() - start_ns;
    (void)PyEval_SaveThread();
    return held_ns >= HOLD_NS;
}

void cl_bridge_give_up_gil(struct cl_bridge *b) {
    b->thread = PyThreadState_Get();
    (void)PyEval_SaveThread();
}

int cl_bridge_turn(struct cl_bridge *b, uint64_t timeout_ns) {
    if (b->after)
        timeout_ns = 0;
    b->turning = true;
    cl_bridge_give_up_gil(b);
    int err = cello_server_turn(b->server, timeout_ns);
    int saved = errno;
    PyEval_RestoreThread(b->thread);
    cl_after_run(b);
    b->turning = false;
    cl_bridge_drop_pinned(b);
    cl_connection_after_turn(b);
    errno = saved;
    return err;
}
