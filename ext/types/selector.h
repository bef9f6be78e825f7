/* _cello.Selector: what asyncio's SelectorEventLoop waits with, as the selectors module has it.
 *
 * asyncio's descriptors lie in an epoll set of their own, level-triggered as asyncio expects. Alone
 * it waits on that; with a guest, select() is the engine's wait, and the engine watches the set. */
#ifndef CL_EXT_SELECTOR_H
#define CL_EXT_SELECTOR_H

#include "bridge/guest_state.h"

struct cl_guest;
struct cl_selector;

/* The Selector of an EngineLoop; a new reference. NULL: exception set. */
struct cl_selector *cl_selector_of_loop(struct cl_guest_state *s, PyObject *loop);
int cl_selector_fd(const struct cl_selector *sel);
/* Borrowed; NULL: none. */
void cl_selector_set_guest(struct cl_selector *sel, struct cl_guest *g);

#endif
