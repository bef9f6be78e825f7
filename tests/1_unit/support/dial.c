#include "support/dial.h"

void dial(struct fixture *f, struct end *e, const char *host) {
    *e = (struct end){0};
    assert_int_equal(cello_server_connect(f->server, host, 50000, &e->c), CELLO_OK);
}

void say_bytes(struct fixture *f, struct end *e, const char *bytes, size_t n) {
    size_t sent;
    if (cello_connection_send(e->c, cl_str(bytes, n), &sent) == CELLO_OK)
        assert_int_equal(sent, n);
    fixture_turn(f);
}

void hear(struct fixture *f, struct end *e) {
    size_t n;
    int err;
    fixture_turn(f);
    while ((err = cello_connection_receive(e->c, e->in + e->got, INBOX - 1 - e->got, &n)) ==
           CELLO_OK)
        e->got += n;
    e->closed = err != CELLO_EAGAIN;
}

void hang_up(struct fixture *f, struct end *e) {
    cello_connection_close(e->c);
    fixture_turn(f);
}
