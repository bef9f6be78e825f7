/* _cello.Cluster: this process as one of those that serve an application together. */
#ifndef CL_EXT_CLUSTER_H
#define CL_EXT_CLUSTER_H

#include "module.h"

/* The cluster of a _cello.Cluster; NULL with TypeError set for anything else. Lives as long as it.
 */
struct cl_cluster *cl_cluster_of(struct cl_ext *ext, PyObject *object);

/* _cello.become(user, group, /). */
PyObject *cl_cluster_become(PyObject *module, PyObject *args);

#endif
