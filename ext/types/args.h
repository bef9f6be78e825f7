/* Arguments by position and keyword, for methods called by vectorcall and for tp_new and tp_init.
 */
#ifndef CL_EXT_ARGS_H
#define CL_EXT_ARGS_H

#include "module.h"

enum { CL_ARGS_MAX = 12 };

/* One for each function, static. */
struct cl_args_spec {
    const char *function; /* "Response.set_cookie", for messages */
    unsigned required;    /* the first ones, which must be given */
    unsigned positional;  /* how many may be given by position; the others are keyword-only */
    /* In order, NULL-terminated. An alias is another name for one of them. */
    const char *names[CL_ARGS_MAX + 1];
    struct {
        const char *name;
        unsigned index;
    } aliases[4];
};

/* Fills out[i] for names[i] with a borrowed reference, or NULL for what was not given. 0, or -1
 * with TypeError. `nargs` is of a vectorcall, with or without the offset bit. */
int cl_args_parse(const struct cl_args_spec *spec, PyObject *const *args, size_t nargs,
                  PyObject *kwnames, PyObject **out);
/* The same for a tuple and a dict or NULL. */
int cl_args_parse_tuple(const struct cl_args_spec *spec, PyObject *args, PyObject *kwargs,
                        PyObject **out);

/* Give one with None the value NULL, as if it had not been given. */
static inline void cl_args_none_is_absent(PyObject **arg) {
    if (*arg == Py_None)
        *arg = NULL;
}

/* 0 with *out, or -1 with TypeError or ValueError that names the argument. NULL leaves *out. */
int cl_args_str(const char *name, PyObject *arg, struct cl_str *out);
int cl_args_bool(const char *name, PyObject *arg, bool *out);
int cl_args_int64(const char *name, PyObject *arg, int64_t *out);
/* Raise `type`; the format takes the name and the value as %R and %R, then `why` as %s. Both are
 * held meanwhile: the __repr__ of one may empty what holds the other. */
void cl_args_refuse_pair(PyObject *type, const char *format, PyObject *name, PyObject *value,
                         const char *why);
/* The status of an answer, 200 to 599; -1 with ValueError, also for NULL. */
int cl_args_status(PyObject *arg);

#endif
