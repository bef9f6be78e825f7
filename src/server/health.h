/* What the health endpoints share. */
#ifndef CL_SERVER_HEALTH_H
#define CL_SERVER_HEALTH_H

#include <cello/health.h>

#include "cluster/member.h"
#include "server/server_internal.h"

/* Status, type, and that nobody keeps the answer. */
void cl_health_head(struct cl_request *r, int status);

#endif
