/* A protocol that takes streams over by extended CONNECT, and does on them what the test says. */
#ifndef CL_TEST_TALK_H
#define CL_TEST_TALK_H

#include "support/h2_client.h"

enum { TALK_PIECE = 100000 };

/* Of the stream that is open, or was; one at a time. */
struct talk {
    struct cello_reader reader;
    struct cl_generator generator;
    struct cello_observer observer;
    struct cl_request *r; /* with a reference */
    bool asked;           /* for what is said next */
    unsigned ready, stopped, draining, overdue;
    char *heard;
    size_t len;
};

extern struct talk talk;

/* A server with its route, CONNECT /talk/{a}, and a client that is offered it: h2_open_offering. */
void talk_begin(struct h2_pair *p);
void talk_begin_with(struct h2_pair *p, const struct cello_http2_config *cfg, uint32_t window);
void talk_end(struct h2_pair *p);

/* A request reaches the protocol, which has not answered yet. */
struct h2_message *talk_call(struct h2_pair *p);
/* And is answered: the tunnel is open. */
struct h2_message *talk_open(struct h2_pair *p);
/* The protocol's next chunk, then a turn. */
void talk_say(struct h2_pair *p, struct cl_str bytes, bool last);
/* It reads all that has come, and waits; what reading ended with. */
int talk_hear(void);
void talk_expect_heard(const char *text);
/* It lets go of the request. */
void talk_hang_up(void);

/* That tell where they stand; the caller frees them. */
char *talk_bytes(size_t n);
unsigned talk_inflight(const struct h2_pair *p);

#endif
