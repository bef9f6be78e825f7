/* _cello.Server: one engine server and its bridge. */
#ifndef CL_EXT_SERVER_H
#define CL_EXT_SERVER_H

#include "bridge/bridge.h"

/* The bridge of a _cello.Server; NULL with TypeError set for anything else. Lives as long as it. */
struct cl_bridge *cl_server_bridge(struct cl_ext *ext, PyObject *server);

/* Whether a turn of the server may be going on, without the GIL, on another thread than this. */
bool cl_server_turns_elsewhere(PyObject *server);

/* are_networks(text) of the module. */
PyObject *cl_server_are_networks(PyObject *module, PyObject *text);
/* service_sockets() of the module. */
PyObject *cl_server_service_sockets(PyObject *module, PyObject *ignored);

#endif
