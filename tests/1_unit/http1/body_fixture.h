/* A client whose body is not collected, and a reader of it that counts what it is told. */
#ifndef CL_TEST_BODY_FIXTURE_H
#define CL_TEST_BODY_FIXTURE_H

#include "support/fixture.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(target, fields) "POST " target " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define MS 1000000ull

struct pair {
    struct fixture f;
    struct client c;
};

/* cfg: NULL is the default. */
static inline void begin(struct pair *p, const struct cello_server_config *cfg) {
    fixture_init(&p->f, cfg);
    client_open(&p->f, &p->c);
}

static inline void finish(struct pair *p) {
    client_free(&p->c);
    fixture_free(&p->f);
}

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
