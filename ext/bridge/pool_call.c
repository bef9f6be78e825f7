/* Handlers on the thread pool.
 *
 * What a pool thread reads of the request while its connection lives on, or dies, on the engine's
 * thread: spans and the arena. The engine's thread lets both alone until the answer is given, which
 * needs the GIL as the pool thread's reading does. Besides, the engine's thread counts references,
 * which is why the Request is made before the hand-over and dropped after it, and it marks that the
 * client has gone, which is read and written atomically. */
#include "bridge/pool.h"
#include "plan/call.h"

struct cl_pooled {
    struct cl_job job; /* first */
    struct cello_observer observer;
    struct cl_note overdue;
    struct cl_pooled *next, *prev;
    struct cl_bridge *bridge;
    PyObject *server;     /* what the bridge lies in; strong */
    struct cl_request *r; /* one reference */
    struct cl_call call;
    PyObject *callable, *context, *value;
    struct cl_failure failure;
    bool answered; /* with 504 */
    bool skipped;  /* its client had gone before a thread was free */
};

static struct cl_pooled *pooled_of(struct cl_job *j) {
    return (struct cl_pooled *)(void *)j;
}

/* ---- the list of those that are away ---- */

static void list(struct cl_bridge *b, struct cl_pooled *p) {
    p->prev = NULL;
    p->next = b->pooled;
    if (p->next)
        p->next->prev = p;
    b->pooled = p;
}

static void unlist(struct cl_bridge *b, struct cl_pooled *p) {
    if (p->next)
        p->next->prev = p->prev;
    if (p->prev)
        p->prev->next = p->next;
    else
        b->pooled = p->next;
    cl_bridge_unnote(b, &p->overdue);
    cello_request_observe(p->r, NULL);
}

/* ---- events: the engine's thread, without the GIL ---- */

static void on_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    struct cl_pooled *p = CL_OWNER_OF(o, struct cl_pooled, observer);
    (void)r;
    if (event == CELLO_EVENT_OVERDUE)
        cl_bridge_note(p->bridge, &p->overdue);
}

static void on_overdue(struct cl_note *n, struct cl_bridge *b) {
    struct cl_pooled *p = CL_OWNER_OF(n, struct cl_pooled, overdue);
    p->answered = true;
    cl_bridge_answer_overdue(b, p->call.entry, p->r);
}

/* ---- the call: a thread of the pool ---- */

static void work(struct cl_job *j) {
    struct cl_pooled *p = pooled_of(j);
    p->skipped = cello_request_is_disconnected(p->r); /* as in the queue of the batch */
    if (p->answered || p->skipped)                    /* it waited for a thread for too long */
        return;
    cello_request_enter(p->r);
    p->value = cl_bridge_call_in_context(p->bridge, p->callable, &p->call, p->r, p->context);
    cello_request_enter(NULL);
    if (!p->value) {
        if (p->call.generators)
            p->call.context = Py_NewRef(p->context); /* which they are resumed in */
        cl_bridge_meet_failure(p->bridge, &p->call, p->r, &p->failure);
    }
}

/* ---- the end ---- */

static void del(struct cl_pooled *p) {
    PyObject *server = p->server;
    Py_XDECREF(p->callable);
    Py_XDECREF(p->context);
    Py_XDECREF(p->value);
    cl_bridge_clear_failure(&p->failure);
    PyMem_Free(p);
    Py_DECREF(server); /* may be the last: the bridge goes, too */
}

static void answer(struct cl_bridge *b, struct cl_pooled *p) {
    cl_bridge_settle_context(b->ext, &p->call, p->context, p->value);
    p->context = NULL;
    PyObject *value = p->value;
    p->value = NULL;
    if (p->skipped)
        return;
    if (p->answered) {
        if (p->failure.left)
            PyErr_SetObject((PyObject *)Py_TYPE(p->failure.left), p->failure.left);
        cl_bridge_drop_answer(b, &p->call, p->r, value, NULL);
        return;
    }
    if (value) {
        cl_bridge_answer(b, &p->call, p->r, value);
        return;
    }
    cl_bridge_answer_failure(b, &p->call, p->r, &p->failure);
    if (cl_call_has_more(&p->call))
        cl_after_answer(b, &p->call, p->r);
}

static void done(struct cl_job *j, struct cl_bridge *b) {
    struct cl_pooled *p = pooled_of(j);
    unlist(b, p);
    answer(b, p);
    cl_call_end(b->ext, &p->call);
    cello_request_unref(p->r);
    cello_server_release(b->server);
    del(p);
}

/* On any thread: the request goes home by itself. */
static void lost(struct cl_job *j) {
    struct cl_pooled *p = pooled_of(j);
    p->call.escaped = true;
    cl_call_clear(NULL, &p->call);
    cello_request_drop(p->r);
    del(p);
}

void cl_bridge_detach_pool(struct cl_bridge *b) {
    if (!b->pool)
        return;
    while (b->pooled) {
        struct cl_pooled *p = b->pooled;
        unlist(b, p);
        p->next = p->prev = NULL;
    }
    cl_pool_detach(b->pool);
}

/* ---- the beginning ---- */

struct cl_pool *cl_bridge_pool(struct cl_bridge *b) {
    if (!b->pool)
        b->pool = cl_pool_new(b);
    return b->pool;
}

static struct cl_pooled *new_call(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r) {
    struct cl_pooled *p = PyMem_Calloc(1, sizeof *p);
    if (!p) {
        PyErr_NoMemory();
        return NULL;
    }
    p->job = (struct cl_job){.work = work, .done = done, .lost = lost};
    p->observer.on_event = on_event;
    p->overdue.run = on_overdue;
    p->bridge = b;
    p->server = Py_NewRef(b->self);
    p->call = (struct cl_call){.entry = e, .pooled = true};
    p->callable = Py_NewRef(e->callable);
    p->call.plan = (struct cl_plan *)(void *)Py_XNewRef((PyObject *)e->plan);
    p->call.request = cl_pyrequest_wrap_pooled(b->ext, r, b->app);
    p->context = p->call.request ? cl_bridge_take_context(b->ext) : NULL;
    if (!p->context) {
        cl_call_end(b->ext, &p->call);
        del(p);
        return NULL;
    }
    p->r = r;
    return p;
}

static void watch(struct cl_bridge *b, struct cl_pooled *p) {
    cello_request_observe(p->r, &p->observer);
    cello_request_set_deadline(p->r, cl_bridge_timeout_of(b, p->call.entry));
    list(b, p);
    /* The connection may be closed long before the thread is done with what the program holds. */
    cello_server_hold(b->server);
}

/* Nothing of the program has run. */
static void refuse(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r) {
    if (PyErr_Occurred())
        cl_bridge_report_request(b, e, r, "no thread can be had", cl_ext_fetch_exception());
    cl_bridge_answer_busy(r);
    cello_request_unref(r);
}

void cl_pool_call(struct cl_bridge *b, struct cl_entry *e, struct cl_request *r) {
    struct cl_pool *pool = cl_bridge_pool(b);
    struct cl_pooled *p = pool && !cl_pool_is_full(pool) ? new_call(b, e, r) : NULL;
    if (!p) {
        refuse(b, e, r);
        return;
    }
    watch(b, p);
    if (cl_pool_submit(pool, &p->job) == 0)
        return;
    PyObject *exception = cl_ext_fetch_exception();
    unlist(b, p);
    cello_server_release(b->server);
    cl_call_end(b->ext, &p->call);
    del(p);
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
    refuse(b, e, r);
}
