/* _cello.Connection: a client of a server in the same process, made by Server.connect(). */
#ifndef CL_EXT_CONNECTION_H
#define CL_EXT_CONNECTION_H

#include "bridge/bridge.h"

/* The bridge's side of a Connection. The engine notes in it, without the GIL, that there is news;
 * it goes with the GIL held, when no turn is running on another thread. */
struct cl_link;

/* `server` is a _cello.Server; its bridge's list of links holds what is returned. NULL: exception
 * set; ConnectionRefusedError when the server takes no more. */
PyObject *cl_connection_new(struct cl_ext *ext, PyObject *server, const char *host, uint16_t port);
/* After a turn: call on_ready of those with news, and close what was dropped meanwhile. */
void cl_connection_after_turn(struct cl_bridge *b);

#endif
