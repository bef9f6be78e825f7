/* What the asyncio guest knows for the whole module: its own types, and names of asyncio.
 *
 * One object per module, in ext->guest_types. Of asyncio's names, those that are private may be
 * missing (NULL): each use says what is done then. GIL held. */
#ifndef CL_EXT_GUEST_STATE_H
#define CL_EXT_GUEST_STATE_H

#include "module.h"

struct cl_handle;

struct cl_guest_state {
    PyObject_HEAD PyTypeObject *handle_type; /* types/handle.c */
    PyTypeObject *timer_type;                /* types/handle.c */
    PyTypeObject *loop_type;                 /* types/loop.c */
    PyTypeObject *selector_type;             /* types/selector.c */
    PyTypeObject *runner_type;               /* bridge/guest_runner.c */

    /* Filled by cl_guest_state_load. */
    bool loaded;
    PyObject *base_loop;       /* asyncio.SelectorEventLoop */
    PyObject *future_type;     /* asyncio.Future */
    PyObject *plain_task_type; /* asyncio.Task */
    PyObject *cancelled_error; /* asyncio.CancelledError */
    PyTypeObject *task_type;   /* bridge/guest_task.c: a subclass of asyncio.Task; may be NULL */
    PyObject *enter_task;      /* private, may be NULL, and then leave_task is, too */
    PyObject *leave_task;
    PyObject *base_cancel, *base_uncancel, *base_set_name, *base_add_done_callback, *base_done,
        *base_get_coro, *base_get_context; /* of asyncio.Task, for the subclass */

    /* Interned names. */
    PyObject *str_append, *str_appendleft, *str_popleft, *str_cancel, *str_close, *str_call_soon,
        *str_call_soon_threadsafe, *str_call_later, *str_call_at, *str_when, *str_write_to_self,
        *str_report, *str_create_task, *str_get_task_factory, *str_qualname;
    PyObject *kw_loop, *kw_eager, *kw_context; /* tuples of keyword names */

    struct cl_handle *spare_handles;
    unsigned spare_handle_count;
};

/* The state of a module: made on first use. NULL: exception set. Borrowed. */
struct cl_guest_state *cl_guest_state(struct cl_ext *ext, PyObject *module);
static inline struct cl_guest_state *cl_guest_state_of(const struct cl_ext *ext) {
    return (struct cl_guest_state *)(void *)ext->guest_types;
}
/* Look up what asyncio has; asyncio is imported by now, or is here. -1: exception set. */
int cl_guest_state_load(struct cl_guest_state *s, PyObject *module);

/* In the files named above: each adds its type to the state, and to the module if it is public. */
int cl_handle_setup_types(PyObject *module, struct cl_guest_state *s);
int cl_loop_setup_types(PyObject *module, struct cl_guest_state *s);
int cl_selector_setup_types(PyObject *module, struct cl_guest_state *s);
int cl_runner_setup_types(PyObject *module, struct cl_guest_state *s);
/* The subclass of asyncio.Task. -1: exception set (a Task that cannot be subclassed). */
int cl_guest_task_load(struct cl_guest_state *s, PyObject *module);

#endif
