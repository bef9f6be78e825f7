/* A reader of a body that is not collected, which counts what it is told. */
#ifndef CL_TEST_BODY_FIXTURE_H
#define CL_TEST_BODY_FIXTURE_H

#include "support/fixture.h"

struct told {
    struct cello_reader reader;
    struct cello_observer observer;
    unsigned ready, left, overdue;
};

static inline void told_ready(struct cello_reader *reader, struct cl_request *r) {
    (void)r;
    CL_CONTAINER_OF(reader, struct told, reader)->ready++;
}

static inline void told_event(struct cello_observer *o, struct cl_request *r,
                              enum cello_event event) {
    (void)r;
    struct told *t = CL_CONTAINER_OF(o, struct told, observer);
    t->left += event == CELLO_EVENT_LEFT;
    t->overdue += event == CELLO_EVENT_OVERDUE;
}

#endif
