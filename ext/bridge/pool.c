#include "bridge/pool.h"

#include <cello/server.h>

/* Results that are answered in one go; the rest gets its turn behind other work of the batch. */
enum { HOME_AT_ONCE = 32 };

struct queue {
    struct cl_job *head, **tail;
};

struct cl_pool {
    pthread_mutex_t lock;   /* guards all that follows up to `post` */
    pthread_cond_t work;    /* there is some, or the pool is closed */
    pthread_cond_t leaving; /* an idle thread has gone */
    struct queue jobs, home;
    struct cl_errand *errands; /* that are waited for */
    unsigned waiting;          /* length of jobs */
    unsigned idle, starting, threads;
    unsigned refs; /* the server's, and one for each thread */
    bool detached, closed;
    bool posted; /* the message is on its way to the engine's thread */
    struct cl_post post;
    struct cl_note note; /* the engine's thread's own, as what follows */
    struct cl_bridge *bridge;
    unsigned named;
};

/* ---- queues ---- */

static void push(struct queue *q, struct cl_job *j) {
    j->next = NULL;
    *(q->head ? q->tail : &q->head) = j;
    q->tail = &j->next;
}

static struct cl_job *pop(struct queue *q) {
    struct cl_job *j = q->head;
    if (j)
        q->head = j->next;
    return j;
}

/* ---- made and gone ---- */

static void run_home(struct cl_note *n, struct cl_bridge *b);

static void on_post(struct cl_post *post) {
    struct cl_pool *p = CL_OWNER_OF(post, struct cl_pool, post);
    pthread_mutex_lock(&p->lock);
    p->posted = false;
    bool detached = p->detached;
    pthread_mutex_unlock(&p->lock);
    if (!detached)
        cl_bridge_note(p->bridge, &p->note);
}

struct cl_pool *cl_pool_new(struct cl_bridge *b) {
    struct cl_pool *p = PyMem_RawCalloc(1, sizeof *p);
    if (!p) {
        PyErr_NoMemory();
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->leaving, NULL);
    p->refs = 1;
    p->bridge = b;
    p->post.run = on_post;
    p->note.run = run_home;
    return p;
}

static void unref(struct cl_pool *p) {
    pthread_mutex_lock(&p->lock);
    unsigned refs = --p->refs;
    pthread_mutex_unlock(&p->lock);
    if (refs)
        return;
    pthread_cond_destroy(&p->leaving);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    PyMem_RawFree(p);
}

void cl_pool_detach(struct cl_pool *p) {
    pthread_mutex_lock(&p->lock);
    p->detached = true;
    pthread_mutex_unlock(&p->lock);
    cl_bridge_unnote(p->bridge, &p->note);
}

static void lose(struct queue *q) {
    struct cl_job *j;
    while ((j = pop(q)) != NULL)
        j->lost(j);
}

void cl_pool_close(struct cl_pool *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    struct queue jobs = p->jobs, home = p->home;
    p->jobs.head = p->home.head = NULL;
    p->waiting = 0;
    p->closed = p->detached = true;
    pthread_cond_broadcast(&p->work);
    for (struct cl_errand *e = p->errands; e; e = e->next)
        pthread_cond_signal(&e->changed);
    /* They need no GIL for this, so that holding it does no harm, at the interpreter's end too. */
    while (p->idle)
        pthread_cond_wait(&p->leaving, &p->lock);
    pthread_mutex_unlock(&p->lock);
    lose(&jobs);
    lose(&home);
    unref(p);
}

/* ---- results ---- */

/* A pool thread: the job goes home, or is lost. */
static void send_home(struct cl_pool *p, struct cl_job *j) {
    pthread_mutex_lock(&p->lock);
    bool detached = p->detached;
    if (!detached) {
        push(&p->home, j);
        if (!p->posted)
            cello_server_post(p->bridge->server, &p->post);
        p->posted = true;
    }
    pthread_mutex_unlock(&p->lock);
    if (detached)
        j->lost(j);
}

static void run_home(struct cl_note *n, struct cl_bridge *b) {
    struct cl_pool *p = CL_OWNER_OF(n, struct cl_pool, note);
    struct cl_job *j;
    for (int i = 0; i < HOME_AT_ONCE; i++) {
        pthread_mutex_lock(&p->lock);
        j = pop(&p->home);
        bool more = p->home.head != NULL;
        pthread_mutex_unlock(&p->lock);
        if (j)
            j->done(j, b);
        if (!more)
            return;
    }
    cl_bridge_note(b, n);
}

/* ---- threads ---- */

/* The next job; NULL: the pool is closed. Waits without the GIL, and gives it up in any case: the
 * engine's thread may want it. */
static struct cl_job *next_job(struct cl_pool *p, bool first) {
    PyThreadState *thread = PyEval_SaveThread();
    pthread_mutex_lock(&p->lock);
    p->starting -= first;
    p->idle++;
    while (!p->jobs.head && !p->closed)
        pthread_cond_wait(&p->work, &p->lock);
    p->idle--;
    struct cl_job *j = pop(&p->jobs);
    if (j)
        p->waiting--;
    else
        pthread_cond_signal(&p->leaving);
    pthread_mutex_unlock(&p->lock);
    PyEval_RestoreThread(thread);
    return j;
}

static const char POOL[] = "cello.pool";
static _Thread_local struct cl_pool *here;

struct cl_pool *cl_pool_here(void) {
    return here;
}

struct cl_bridge *cl_pool_bridge(const struct cl_pool *p) {
    return p->bridge;
}

/* What became of a thread that was to be started: the context of its capsule, under the GIL. Both
 * stay: start() may raise what a signal handler raised when there is a thread already. */
static char BEGUN, CALLED_OFF;

static PyObject *work(PyObject *capsule, PyObject *ignored) {
    (void)ignored;
    struct cl_pool *p = PyCapsule_GetPointer(capsule, POOL);
    if (!p)
        return NULL;
    if (PyCapsule_GetContext(capsule) == &CALLED_OFF)
        Py_RETURN_NONE;
    (void)PyCapsule_SetContext(capsule, &BEGUN);
    struct cl_job *j;
    here = p; /* which it has a reference to */
    cello_diagnosis_thread_begin();
    for (bool first = true; (j = next_job(p, first)) != NULL; first = false) {
        j->work(j);
        send_home(p, j);
    }
    cello_diagnosis_thread_end();
    Py_RETURN_NONE;
}

static PyMethodDef work_def = {"work", work, METH_NOARGS, NULL};

static void capsule_del(PyObject *capsule) {
    unref(PyCapsule_GetPointer(capsule, POOL));
}

/* What a thread runs; it holds a reference to the pool. */
static PyObject *new_target(struct cl_pool *p) {
    PyObject *capsule = PyCapsule_New(p, POOL, capsule_del);
    if (!capsule)
        return NULL;
    pthread_mutex_lock(&p->lock);
    p->refs++;
    pthread_mutex_unlock(&p->lock);
    PyObject *target = PyCFunction_New(&work_def, capsule);
    Py_DECREF(capsule);
    return target;
}

/* Whether the thread has begun after all; if not, it will do nothing when it does. */
static bool call_off(PyObject *target) {
    PyObject *capsule = PyCFunction_GET_SELF(target);
    if (PyCapsule_GetContext(capsule) == &BEGUN)
        return true;
    (void)PyCapsule_SetContext(capsule, &CALLED_OFF);
    return false;
}

/* threading.Thread(target=work, name="cello-pool-N", daemon=True).start(). -1: there is no thread;
 * an exception may be set in either case. */
static int start_thread(struct cl_pool *p) {
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *type = threading ? PyObject_GetAttrString(threading, "Thread") : NULL;
    PyObject *target = type ? new_target(p) : NULL;
    PyObject *name = target ? PyUnicode_FromFormat("cello-pool-%u", ++p->named) : NULL;
    PyObject *options =
        name ? Py_BuildValue("{sOsOsO}", "target", target, "name", name, "daemon", Py_True) : NULL;
    PyObject *none = options ? PyTuple_New(0) : NULL;
    PyObject *thread = none ? PyObject_Call(type, none, options) : NULL;
    PyObject *done = thread ? PyObject_CallMethod(thread, "start", NULL) : NULL;
    bool started = done || (thread && call_off(target));
    Py_XDECREF(done);
    Py_XDECREF(thread);
    Py_XDECREF(none);
    Py_XDECREF(options);
    Py_XDECREF(name);
    Py_XDECREF(target);
    Py_XDECREF(type);
    Py_XDECREF(threading);
    return started ? 0 : -1;
}

/* ---- jobs ---- */

bool cl_pool_is_full(struct cl_pool *p) {
    pthread_mutex_lock(&p->lock);
    const struct cl_pool_config *cfg = &p->bridge->pool_config;
    uint32_t free_threads = p->idle + p->starting + (cfg->size - p->threads);
    bool full = p->waiting >= (uint64_t)cfg->queue + free_threads;
    pthread_mutex_unlock(&p->lock);
    return full;
}

/* No thread could be started. True: there is no other one either; the job is taken back. */
static bool take_back(struct cl_pool *p) {
    pthread_mutex_lock(&p->lock);
    p->starting--;
    bool alone = --p->threads == 0;
    if (alone) { /* nobody took anything: it is the only one */
        p->jobs.head = NULL;
        p->waiting = 0;
    }
    pthread_mutex_unlock(&p->lock);
    return alone;
}

int cl_pool_submit(struct cl_pool *p, struct cl_job *j) {
    pthread_mutex_lock(&p->lock);
    push(&p->jobs, j);
    p->waiting++;
    bool start = p->waiting > p->idle + p->starting && p->threads < p->bridge->pool_config.size;
    p->threads += start;
    p->starting += start;
    if (!start)
        pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    if (start && start_thread(p) < 0 && take_back(p))
        return -1;
    if (PyErr_Occurred()) {
        PyObject *exception = cl_ext_fetch_exception();
        cl_bridge_end_server_for(p->bridge, exception);
        Py_DECREF(exception);
    }
    return 0;
}

/* ---- errands ---- */

static void run_errand(struct cl_post *post) {
    struct cl_errand *e = (struct cl_errand *)(void *)post;
    e->run(e);
}

static void link_errand(struct cl_pool *p, struct cl_errand *e) {
    e->prev = NULL;
    e->next = p->errands;
    if (e->next)
        e->next->prev = e;
    p->errands = e;
}

static void unlink_errand(struct cl_pool *p, struct cl_errand *e) {
    if (e->next)
        e->next->prev = e->prev;
    if (e->prev)
        e->prev->next = e->next;
    else
        p->errands = e->next;
}

int cl_errand_perform(struct cl_pool *p, struct cl_errand *e) {
    e->pool = p;
    e->post.run = run_errand;
    e->ended = false;
    pthread_cond_init(&e->changed, NULL);
    PyThreadState *thread = PyEval_SaveThread();
    pthread_mutex_lock(&p->lock);
    link_errand(p, e);
    if (!p->detached)
        cello_server_post(p->bridge->server, &e->post);
    while (!e->ended && !p->closed)
        pthread_cond_wait(&e->changed, &p->lock);
    unlink_errand(p, e);
    bool ended = e->ended;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_destroy(&e->changed);
    PyEval_RestoreThread(thread);
    return ended ? CELLO_OK : CELLO_ECANCELED;
}

void cl_errand_end(struct cl_errand *e) {
    pthread_mutex_t *lock = &e->pool->lock;
    pthread_mutex_lock(lock);
    e->ended = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(lock);
}
