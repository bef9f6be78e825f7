/* What a process says when it dies of SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT: version and build
 * id, what it was about, the C stack of the thread, and the stacks of another language. Then
 * whatever the signal did before happens: a core dump, the exit by this signal, or the handler that
 * somebody else had set.
 *
 * The report is written in steps; if one of them fails in the same way, the next one goes on. One
 * for the process; async-signal-safe. */
#ifndef CL_OBSERVE_CRASH_H
#define CL_OBSERVE_CRASH_H

#include "observe/stacks.h"

/* Report crashes from now on; `d` is copied, a later call changes it. */
void cl_crash_start(const struct cl_diagnosis *d);

/* A stack for handlers of signals, so that this thread can report that its own is exhausted; it
 * stays until cl_crash_thread_end. Nothing happens when there is no memory, or when there is one.
 */
void cl_crash_thread_begin(void);
void cl_crash_thread_end(void);

#endif
