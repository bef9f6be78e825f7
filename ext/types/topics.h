/* _cello.Topics: publish and subscribe, over all workers; _cello.Subscription: what a subscriber
 * has not read yet.
 *
 *      cello_publish here, or the bell in a turn (no GIL)
 *        -> on_message: into the subscription's queue; if it waits, onto the list of news
 *        -> a note -> batch (GIL) -> _news() of each on that list
 *
 * A publisher in this process has the GIL, and calls _news() itself. */
#ifndef CL_EXT_TOPICS_H
#define CL_EXT_TOPICS_H

#include "bridge/bridge.h"

/* A server that listens at the bell. */
struct cl_topics_watch;

/* Before the server is deleted: it listens no more. */
void cl_topics_unwatch(struct cl_bridge *b);

#endif
