/* CPython's own writer of stacks is faulthandler's, which needs neither the GIL nor memory. It does
 * not export it, but installs it where it is asked to: as the handler of a signal. We let it have
 * ours, keep the address of its handler, which writes to the descriptor it was given, and take the
 * signal back. */
#include "diagnosis.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static void (*volatile write_stacks)(int number);

static void copy(int from, int to, off_t at) {
    char part[1024];
    ssize_t n;
    while ((n = pread(from, part, sizeof part, at)) > 0) {
        if (write(to, part, (size_t)n) != n)
            return;
        at += n;
    }
}

/* In a handler of a signal. */
static void other_stacks(int fd) {
    void (*writer)(int) = write_stacks;
    int file = cello_diagnosis_fd();
    off_t at = lseek(file, 0, SEEK_CUR);
    if (!writer)
        return;
    static const char head[] = "Stacks of Python:\n";
    (void)!write(file, head, sizeof head - 1);
    writer(cello_stacks_signal());
    if (fd != file)
        copy(file, fd, at);
}

/* faulthandler.register(signal, file, all_threads=True, chain=False) */
static int ask_faulthandler(void) {
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *done = module ? PyObject_CallMethod(module, "register", "iiii", cello_stacks_signal(),
                                                  cello_diagnosis_fd(), 1, 0)
                            : NULL;
    Py_XDECREF(module);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *cl_diagnosis_start(PyObject *module, PyObject *worker_id) {
    (void)module;
    long id = PyLong_AsLong(worker_id);
    if (id == -1 && PyErr_Occurred())
        return NULL;
    const struct cello_diagnosis cfg = {.worker_id = (int)id, .other_stacks = other_stacks};
    struct sigaction theirs, ours;
    int number = cello_stacks_signal();
    if (cello_diagnosis_start(&cfg) != CELLO_OK || sigaction(number, NULL, &ours) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (!write_stacks) {
        if (ask_faulthandler() < 0)
            return NULL;
        if (sigaction(number, &ours, &theirs) < 0)
            return PyErr_SetFromErrno(PyExc_OSError);
        write_stacks = theirs.sa_handler;
    }
    Py_RETURN_NONE;
}

PyObject *cl_diagnosis_end(PyObject *module, PyObject *ignored) {
    (void)module, (void)ignored;
    write_stacks = NULL;
    Py_RETURN_NONE;
}

PyObject *cl_diagnosis_log_as(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n != 3) {
        PyErr_SetString(PyExc_TypeError, "log_as takes 3 arguments");
        return NULL;
    }
    struct cello_log_config cfg = {.format = PyUnicode_AsUTF8(args[0])};
    cfg.level = cfg.format ? PyUnicode_AsUTF8(args[1]) : NULL;
    cfg.worker_id = cfg.level ? (int)PyLong_AsLong(args[2]) : -1;
    if (PyErr_Occurred())
        return NULL;
    if (cello_log_open(&cfg) != CELLO_OK) {
        PyErr_SetString(PyExc_ValueError, "no such format or level");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *raise_for(int err) {
    switch (err) {
    case CELLO_ENOMEM: return PyErr_NoMemory();
    case CELLO_ENOENT:
        PyErr_SetString(PyExc_ProcessLookupError, "there is no such process");
        return NULL;
    case CELLO_ENOTSUP:
        PyErr_SetString(PyExc_ValueError, "it is not a process that serves with Cello's run()");
        return NULL;
    case CELLO_ETIMEOUT:
        PyErr_SetString(PyExc_TimeoutError,
                        "it does not answer: it is stopped, or the kernel does not let go of it");
        return NULL;
    default: return PyErr_SetFromErrno(PyExc_OSError);
    }
}

PyObject *cl_diagnosis_stacks(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n != 3) {
        PyErr_SetString(PyExc_TypeError, "stacks takes a process, a descriptor and seconds");
        return NULL;
    }
    long pid = PyLong_AsLong(args[0]), fd = PyLong_AsLong(args[1]);
    double seconds = PyFloat_AsDouble(args[2]);
    if (PyErr_Occurred())
        return NULL;
    if (pid <= 0 || pid > INT32_MAX || !(seconds >= 0 && seconds < 1e6)) {
        PyErr_SetString(PyExc_ValueError, "no such process, or time");
        return NULL;
    }
    int err = cello_stacks_read((pid_t)pid, (int)fd, (uint64_t)(seconds * 1e9));
    return err ? raise_for(err) : Py_NewRef(Py_None);
}
