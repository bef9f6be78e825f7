/* For tests of the loop: every test runs once for each back end, under a time limit. */
#ifndef CL_TEST_EVENT_FIXTURE_H
#define CL_TEST_EVENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "event/loop.h"

enum { TEST_LIMIT_S = 60, TURNS_MAX = 200000 };

/* What a test gets: a loop of the back end in question. */
struct fixture {
    enum cl_backend backend;
    size_t max_buffered_bytes;
    struct cl_loop *loop;
};

CL_UNUSED static int loop_setup(void **state, enum cl_backend backend, size_t max_bytes) {
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->backend = backend;
    f->max_buffered_bytes = max_bytes;
    alarm(TEST_LIMIT_S);
    int err = cl_loop_new(&f->loop, &(struct cl_loop_config){backend, max_bytes});
    *state = f;
    /* A kernel without io_uring: the tests skip. */
    return err == CELLO_OK || (err == CELLO_ENOTSUP && backend == CL_BACKEND_URING) ? 0 : -1;
}

CL_UNUSED static int setup_epoll(void **state) {
    return loop_setup(state, CL_BACKEND_EPOLL, 0);
}

CL_UNUSED static int setup_uring(void **state) {
    return loop_setup(state, CL_BACKEND_URING, 0);
}

CL_UNUSED static int teardown(void **state) {
    struct fixture *f = *state;
    /* A test that failed left its connections open; its message matters more than the leak. */
    if (!f->loop || cl_loop_open_count(f->loop) == 0)
        cl_loop_del(f->loop);
    free(f);
    alarm(0);
    return 0;
}

CL_UNUSED static struct cl_loop *test_loop(void **state) {
    struct fixture *f = *state;
    if (!f->loop)
        skip();
    return f->loop;
}

#define BOTH(test)                                                                                 \
    {#test " (epoll)", test, setup_epoll, teardown, NULL}, {                                       \
#test " (io_uring)", test, setup_uring, teardown, NULL                                     \
    }

/* A turn that may be interrupted: a ring that was closed by the test before still sends signals. */
CL_UNUSED static void turn(struct cl_loop *l, uint64_t timeout_ns) {
    int err = cl_loop_turn(l, timeout_ns);
    assert_true(err == CELLO_OK || (err == CELLO_ESYS && errno == EINTR));
}

/* Turn until `cond` holds; fails when that takes too many turns. */
#define turn_until(l, cond)                                                                        \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(cond)) {                                                                          \
            assert_true(turns_++ < TURNS_MAX);                                                     \
            turn((l), 50 * CL_NS_PER_MS);                                                          \
        }                                                                                          \
    } while (0)

/* Some turns that do not wait: whatever is going to happen at once has happened. */
CL_UNUSED static void settle(struct cl_loop *l) {
    for (int i = 0; i < 5; i++)
        turn(l, 2 * CL_NS_PER_MS);
}

/* ---- a connection that records what happens to it ------------------------------------------- */

struct peer;
typedef void (*peer_fn)(struct peer *p, int result);

struct peer {
    struct cl_io io;
    int far; /* the other end, which blocks for at most some seconds; -1: none, or closed */
    struct cl_block *in;
    size_t in_max, in_room;
    char *got; /* everything received */
    size_t got_len, got_cap;
    int recvs, last_recv; /* calls, and the last result */
    int ends;             /* EOF and errors reported */
    int sents, last_sent;
    int closed;
    struct iovec iov[4];
    char *out; /* echo: a copy being sent */
    bool echo;
    peer_fn recv_hook, sent_hook, closed_hook;
    void *user;
};

CL_UNUSED static struct peer *peer_of(struct cl_io *io) {
    return CL_CONTAINER_OF(io, struct peer, io);
}

CL_UNUSED static void peer_take(struct peer *p) {
    if (!p->in)
        return;
    size_t n = cl_block_len(p->in);
    if (p->got_len + n > p->got_cap) {
        p->got_cap = (p->got_len + n) * 2;
        p->got = realloc(p->got, p->got_cap);
        assert_non_null(p->got);
    }
    if (n)
        memcpy(p->got + p->got_len, cl_block_rd(p->in), n);
    p->got_len += n;
    p->in->rd = p->in->wr;
}

CL_UNUSED static void peer_on_recv(struct cl_io *io, int result) {
    struct peer *p = peer_of(io);
    assert_false(p->closed);
    p->recvs++;
    p->last_recv = result;
    if (result < 0)
        p->ends++;
    if (p->recv_hook)
        p->recv_hook(p, result);
    else
        peer_take(p);
}

CL_UNUSED static void peer_on_sent(struct cl_io *io, int err) {
    struct peer *p = peer_of(io);
    assert_false(p->closed);
    p->sents++;
    p->last_sent = err;
    if (p->sent_hook)
        p->sent_hook(p, err);
}

CL_UNUSED static void peer_on_closed(struct cl_io *io) {
    struct peer *p = peer_of(io);
    assert_false(p->closed);
    p->closed = 1;
    if (p->closed_hook)
        p->closed_hook(p, 0);
}

static const struct cl_io_ops peer_ops = {peer_on_recv, peer_on_sent, peer_on_closed};

CL_UNUSED static struct peer *peer_new(void) {
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->far = -1;
    p->in_max = 1 << 20;
    p->io.ops = &peer_ops;
    p->io.in = &p->in;
    p->io.in_max = &p->in_max;
    p->io.in_room = &p->in_room;
    return p;
}

CL_UNUSED static struct peer *peer_open(struct cl_loop *l, int fd) {
    struct peer *p = peer_new();
    assert_int_equal(cl_io_open(l, &p->io, fd), CELLO_OK);
    return p;
}

/* A connected pair; [0] is meant for the loop, [1] blocks for at most some seconds. */
CL_UNUSED static void make_pair(int fds[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct timeval limit = {.tv_sec = 10};
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
}

/* One end of a new pair is in the loop, the other one is p->far. */
CL_UNUSED static struct peer *peer_connect(struct cl_loop *l) {
    int fd[2];
    make_pair(fd);
    struct peer *p = peer_open(l, fd[0]);
    p->far = fd[1];
    return p;
}

/* The other end goes, if it is there. */
CL_UNUSED static void peer_hang_up(struct peer *p) {
    if (p->far >= 0)
        close(p->far);
    p->far = -1;
}

CL_UNUSED static void peer_del(struct peer *p) {
    peer_hang_up(p);
    if (p->in)
        cl_block_unref(p->in);
    free(p->got);
    free(p->out);
    free(p);
}

CL_UNUSED static void peer_close(struct cl_loop *l, struct peer *p) {
    cl_io_close(&p->io);
    turn_until(l, p->closed);
    peer_del(p);
}

CL_UNUSED static void send_str(int fd, const char *s) {
    assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), (ssize_t)strlen(s));
}

CL_UNUSED static void assert_got(const struct peer *p, const char *s) {
    assert_int_equal(p->got_len, strlen(s));
    if (*s)
        assert_memory_equal(p->got, s, strlen(s));
}

#endif
