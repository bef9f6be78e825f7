/* A client that has dialled the server as a program in its process does (<cello/connection.h>). */
#ifndef CL_TEST_DIAL_H
#define CL_TEST_DIAL_H

#include "support/fixture.h"

enum { INBOX = 1 << 16 };

struct end {
    struct cl_connection *c;
    char in[INBOX]; /* what was heard, `got` bytes */
    size_t got;
    bool closed;
};

/* From an address, port 50000. */
void dial(struct fixture *f, struct end *e, const char *host);
void say_bytes(struct fixture *f, struct end *e, const char *bytes, size_t n);
#define say(f, e, literal) say_bytes(f, e, literal, sizeof(literal) - 1)
/* Whatever has come so far. */
void hear(struct fixture *f, struct end *e);
void hang_up(struct fixture *f, struct end *e);

#endif
