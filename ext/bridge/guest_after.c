/* Coroutines that go on when their requests were answered: tasks of the loop, which the server's
 * drain waits for. */
#include "bridge/guest_internal.h"

static const char JOB[] = "cello.after";

static void link_job(struct cl_guest *g, struct cl_after *job) {
    job->guest = g;
    job->prev = NULL;
    job->next = g->spawned;
    if (job->next)
        job->next->prev = job;
    g->spawned = job;
}

static void unlink_job(struct cl_after *job) {
    struct cl_guest *g = job->guest;
    job->guest = NULL;
    if (job->next)
        job->next->prev = job->prev;
    if (job->prev)
        job->prev->next = job->next;
    else
        g->spawned = job->next;
    job->next = job->prev = NULL;
}

/* The callback is gone: mostly because it was called. A loop may also drop it without. */
static void capsule_del(PyObject *capsule) {
    struct cl_after *job = PyCapsule_GetPointer(capsule, JOB);
    if (!job)
        return;
    PyObject *task = job->task;
    job->task = NULL;
    if (job->guest)
        unlink_job(job);
    cl_after_del(job);
    Py_XDECREF(task);
}

static PyObject *on_done(PyObject *capsule, PyObject *task) {
    struct cl_after *job = PyCapsule_GetPointer(capsule, JOB);
    PyObject *exception = job ? PyObject_CallMethod(task, "exception", NULL) : NULL;
    if (!job)
        return NULL;
    if (!exception)
        PyErr_Clear(); /* it was cancelled */
    else if (exception != Py_None && job->bridge)
        cl_after_log(job, Py_NewRef(exception));
    Py_XDECREF(exception);
    struct cl_after *rest = job->guest ? cl_after_split(job) : NULL;
    if (job->guest) {
        unlink_job(job);
        Py_CLEAR(job->task);
    }
    if (rest)
        cl_after_rest(rest);
    Py_RETURN_NONE;
}

static PyMethodDef on_done_def = {"after_answer_done", on_done, METH_O, NULL};

static PyObject *new_task(struct cl_guest *g, PyObject *coro, PyObject *context) {
    PyObject *args[] = {g->loop, coro, context};
    return PyObject_VectorcallMethod(g->state->str_create_task, args, 2, g->state->kw_context);
}

int cl_guest_spawn(struct cl_guest *g, PyObject *coro, struct cl_after *job) {
    PyObject *capsule = PyCapsule_New(job, JOB, NULL);
    PyObject *callback = capsule ? PyCFunction_New(&on_done_def, capsule) : NULL;
    PyObject *task = callback ? new_task(g, coro, job->call.context) : NULL;
    PyObject *done = task ? PyObject_CallMethod(task, "add_done_callback", "O", callback) : NULL;
    if (done) {
        (void)PyCapsule_SetDestructor(capsule, capsule_del);
        job->task = Py_NewRef(task);
        link_job(g, job);
    }
    Py_XDECREF(done);
    Py_XDECREF(task);
    Py_XDECREF(callback);
    Py_XDECREF(capsule);
    return done ? 0 : -1;
}

void cl_guest_forget_spawned(struct cl_guest *g) {
    while (g->spawned) {
        struct cl_after *job = g->spawned;
        PyObject *task = job->task;
        unlink_job(job);
        job->bridge->jobs--;
        job->bridge = NULL;
        job->task = NULL;
        Py_XDECREF(task); /* the job may go with it */
    }
}
