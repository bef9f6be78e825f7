/* The application slot: requests wait here until the batch at the end of a turn, where the binding
 * takes them all under one hold of its lock.
 *
 * A queued request has a reference of the queue's, handed to whoever pops it. */
#ifndef CL_HANDLER_APPLICATION_H
#define CL_HANDLER_APPLICATION_H

#include <cello/app.h>
#include <cello/server.h>

#include "base/common.h"

struct cl_request;

struct cl_app_queue {
    struct cl_request *head;
    struct cl_request **tail;
    uint64_t pushed;
};

void cl_app_queue_init(struct cl_app_queue *q);
void cl_app_queue_push(struct cl_app_queue *q, struct cl_request *r);
/* NULL: empty. Requests whose client has gone are dropped on the way. */
struct cl_request *cl_app_queue_pop(struct cl_app_queue *q);

#endif
