/* Streams over sockets: an echo through a listener, TCP and unix, on both back ends. */
#include "../event/fixture.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "net/listen.h"
#include "net/tcp.h"

struct echo {
    struct cl_listener super;
    struct cl_loop *loop;
    struct cl_stream *stream; /* the newest */
    struct iovec iov;
    struct cl_block *sending;
    int accepted, ends, closed, listener_closed, open_failures;
    int told; /* that there are bytes to receive by hand */
};

static void send_back(struct echo *e) {
    struct cl_stream *s = e->stream;
    if (e->sending || !s->in)
        return;
    e->sending = s->in;
    s->in = NULL;
    e->iov = (struct iovec){cl_block_rd(e->sending), cl_block_len(e->sending)};
    int err = cl_stream_send(s, &e->iov, 1);
    if (err == CELLO_EAGAIN)
        return;
    assert_int_equal(err, CELLO_OK);
    cl_block_unref(e->sending);
    e->sending = NULL;
}

static void on_recv(struct cl_stream *s, int result) {
    struct echo *e = s->protocol;
    if (result == CELLO_EAGAIN) {
        e->told++;
        return;
    }
    if (result < 0) {
        assert_int_equal(result, CELLO_EOF);
        e->ends++;
        cl_stream_close(s);
        return;
    }
    send_back(e);
}

static void on_sent(struct cl_stream *s, int err) {
    struct echo *e = s->protocol;
    assert_int_equal(err, CELLO_OK);
    cl_block_unref(e->sending);
    e->sending = NULL;
    send_back(e);
}

static void on_closed(struct cl_stream *s) {
    struct echo *e = s->protocol;
    if (e->sending)
        cl_block_unref(e->sending);
    e->sending = NULL;
    e->closed++;
}

static const struct cl_stream_handler echo_handler = {on_recv, on_sent, on_closed};

static void on_accept(struct cl_listener *ls, int fd) {
    struct echo *e = CL_CONTAINER_OF(ls, struct echo, super);
    e->accepted++;
    int err = cl_tcp_open(e->loop, fd, &echo_handler, e, &e->stream);
    if (err) {
        assert_int_equal(err, CELLO_ENOMEM);
        e->open_failures++;
        close(fd);
    }
}

static void on_listener_closed(struct cl_listener *ls) {
    struct echo *e = CL_CONTAINER_OF(ls, struct echo, super);
    e->listener_closed++;
}

static void echo_open(struct echo *e, struct cl_loop *l, int fd) {
    *e = (struct echo){.super = {.on_accept = on_accept, .on_closed = on_listener_closed},
                       .loop = l};
    assert_int_equal(cl_listener_open(l, &e->super, fd), CELLO_OK);
}

static void echo_close(struct echo *e) {
    cl_listener_close(&e->super);
    turn_until(e->loop, e->listener_closed);
}

static void exchange(struct echo *e, const struct cl_addr *addr) {
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), before = e->accepted;
    assert_int_equal(connect(fd, &addr->sa, addr->len), 0);
    turn_until(e->loop, e->accepted > before);
    for (int i = 0; i < 5; i++) {
        char got[16];
        send_str(fd, "hello world");
        size_t len = 0;
        turn_until(e->loop, ({
                       ssize_t n = recv(fd, got + len, sizeof got - len, MSG_DONTWAIT);
                       if (n > 0)
                           len += (size_t)n;
                       len == 11;
                   }));
        assert_memory_equal(got, "hello world", 11);
    }
    assert_null(e->stream->in);
    int closed = e->closed;
    close(fd);
    turn_until(e->loop, e->closed > closed);
}

static void echo_over_tcp(void **state) {
    struct cl_loop *l = test_loop(state);
    struct cl_addr addr;
    struct echo e;
    char text[CL_ADDR_TEXT_MAX];
    int fd;
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&addr, 16, false, &fd), CELLO_OK);
    assert_int_equal(cl_listen_addr(fd, &addr), CELLO_OK);
    echo_open(&e, l, fd);
    exchange(&e, &addr);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(c, &addr.sa, addr.len), 0);
    turn_until(l, e.accepted == 2);
    struct cl_addr mine;
    assert_int_equal(cl_listen_addr(c, &mine), CELLO_OK);
    cl_addr_host(&e.stream->peer, text);
    assert_string_equal(text, "127.0.0.1");
    assert_int_equal(cl_addr_port(&e.stream->peer), cl_addr_port(&mine));
    close(c);
    turn_until(l, e.closed == 2);
    echo_close(&e);
}

static void echo_over_a_unix_socket(void **state) {
    struct cl_loop *l = test_loop(state);
    char folder[] = "/tmp/cello-tcp-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    struct cl_addr addr;
    struct echo e;
    int fd;
    assert_int_equal(cl_addr_unix(&addr, path), CELLO_OK);
    assert_int_equal(cl_listen_unix(path, 0600, 16, &fd), CELLO_OK);
    echo_open(&e, l, fd);
    exchange(&e, &addr);
    exchange(&e, &addr);
    echo_close(&e);
    unlink(path);
    rmdir(folder);
}

static void no_allocation_in_steady_state(void **state) {
    struct cl_loop *l = test_loop(state);
    struct cl_addr addr;
    struct echo e;
    int fd;
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&addr, 16, false, &fd), CELLO_OK);
    assert_int_equal(cl_listen_addr(fd, &addr), CELLO_OK);
    echo_open(&e, l, fd);
    exchange(&e, &addr);
#if !defined(CL_POISON)
    uint64_t before = cl_alloc_count();
    for (int i = 0; i < 10; i++)
        exchange(&e, &addr);
    assert_int_equal(cl_alloc_count(), before);
#endif
    echo_close(&e);
}

/* Out of memory drops the connection; the next one is served. */
/* Few bytes wait in the kernel until there are more, until they are asked for, or until the end. */
static void gathers(void **state) {
    struct cl_loop *l = test_loop(state);
    struct cl_addr addr;
    struct echo e;
    char got[2000], many[1500];
    int fd;
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&addr, 16, false, &fd), CELLO_OK);
    assert_int_equal(cl_listen_addr(fd, &addr), CELLO_OK);
    echo_open(&e, l, fd);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c, &addr.sa, addr.len), 0);
    turn_until(l, e.accepted == 1);
    e.stream->in_room = 65536;
    for (int i = 0; i < 3; i++) { /* the first is received as ever, the others in bulk */
        send_str(c, "x");
        turn_until(l, recv(c, got, sizeof got, MSG_DONTWAIT) == 1);
    }
    memset(many, 'm', sizeof many);
    cl_stream_gather(e.stream, 1000);
    send_str(c, "few");
    settle(l);
    assert_int_equal(recv(c, got, sizeof got, MSG_DONTWAIT), -1);
    assert_int_equal(send(c, many, sizeof many, 0), sizeof many);
    turn_until(l, recv(c, got, sizeof got, MSG_DONTWAIT | MSG_PEEK) == 3 + sizeof many);
    assert_int_equal(recv(c, got, sizeof got, 0), 3 + sizeof many);
    send_str(c, "few");
    settle(l);
    assert_int_equal(recv(c, got, sizeof got, MSG_DONTWAIT), -1);
    cl_stream_gather(e.stream, 1);
    turn_until(l, recv(c, got, sizeof got, MSG_DONTWAIT) == 3);
    cl_stream_gather(e.stream, 1000);
    send_str(c, "last");
    settle(l);
    assert_int_equal(recv(c, got, sizeof got, MSG_DONTWAIT), -1);
    assert_int_equal(shutdown(c, SHUT_WR), 0);
    turn_until(l, recv(c, got, sizeof got, MSG_DONTWAIT | MSG_PEEK) == 4);
    turn_until(l, e.closed == 1);
    close(c);
    echo_close(&e);
}

/* A connection whose bytes are received by hand: the client's end. */
static int connect_by_hand(struct echo *e, struct cl_loop *l) {
    struct cl_addr addr;
    char got[1];
    int fd, c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&addr, 16, false, &fd), CELLO_OK);
    assert_int_equal(cl_listen_addr(fd, &addr), CELLO_OK);
    echo_open(e, l, fd);
    assert_int_equal(connect(c, &addr.sa, addr.len), 0);
    turn_until(l, e->accepted == 1);
    e->stream->in_room = 65536;
    for (int i = 0; i < 3; i++) { /* the first is received as ever, the others in bulk */
        send_str(c, "x");
        turn_until(l, recv(c, got, sizeof got, MSG_DONTWAIT) == 1);
    }
    settle(l);
    cl_stream_by_hand(e->stream, true);
    return c;
}

/* The owner is told once that there are bytes, and takes them where it likes; what it leaves, and
 * the end, are received as ever when it wants that again. */
static void receives_by_hand(void **state) {
    struct cl_loop *l = test_loop(state);
    struct echo e;
    char got[100];
    int c = connect_by_hand(&e, l);
    assert_int_equal(cl_stream_recv_now(e.stream, got, sizeof got), CELLO_EAGAIN);
    send_str(c, "hello world");
    turn_until(l, e.told == 1);
    settle(l);
    assert_int_equal(e.told, 1);
    assert_int_equal(cl_stream_recv_now(e.stream, got, 6), 6);
    assert_memory_equal(got, "hello ", 6);
    cl_stream_resume(e.stream); /* it was filled: there may be more */
    turn_until(l, e.told == 2);
    assert_int_equal(cl_stream_recv_now(e.stream, got, sizeof got), 5);
    assert_memory_equal(got, "world", 5);
    assert_int_equal(cl_stream_recv_now(e.stream, got, sizeof got), CELLO_EAGAIN);
    cl_stream_resume(e.stream);
    settle(l);
    assert_int_equal(e.told, 2);
    send_str(c, "again");
    assert_int_equal(shutdown(c, SHUT_WR), 0);
    turn_until(l, e.told == 3);
    assert_int_equal(cl_stream_recv_now(e.stream, got, 2), 2);
    cl_stream_by_hand(e.stream, false);
    cl_stream_resume(e.stream);
    turn_until(l, recv(c, got, sizeof got, MSG_DONTWAIT) == 3);
    assert_memory_equal(got, "ain", 3);
    turn_until(l, e.closed == 1);
    close(c);
    echo_close(&e);
}

/* Until the other end's kernel has all that was sent. */
static void await_delivery(int fd) {
    int queued = 1;
    while (queued) {
        (void)poll(NULL, 0, 1);
        assert_int_equal(ioctl(fd, SIOCOUTQ, &queued), 0);
    }
}

static bool has_events(struct cl_loop *l) {
    struct pollfd p = {.fd = cl_loop_poll_fd(l), .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* While the owner has not asked for more, what comes wakes nobody; an end does no harm. */
static void is_quiet_between(void **state) {
    struct cl_loop *l = test_loop(state);
    struct echo e;
    char got[100];
    int c = connect_by_hand(&e, l);
    (void)has_events(l); /* from now on it can tell */
    send_str(c, "first");
    turn_until(l, e.told == 1);
    assert_int_equal(cl_stream_recv_now(e.stream, got, sizeof got), 5);
    settle(l);
    assert_false(has_events(l));
    send_str(c, "second");
    await_delivery(c);
    assert_false(has_events(l));
    cl_stream_resume(e.stream);
    turn_until(l, e.told == 2);
    assert_int_equal(cl_stream_recv_now(e.stream, got, sizeof got), 6);
    assert_int_equal(shutdown(c, SHUT_WR), 0);
    settle(l);
    assert_int_equal(e.told, 2);
    cl_stream_by_hand(e.stream, false);
    cl_stream_resume(e.stream);
    turn_until(l, e.closed == 1);
    assert_int_equal(e.ends, 1);
    close(c);
    echo_close(&e);
}

/* An end that is met by hand is reported, too. */
static void ends_by_hand(void **state) {
    struct cl_loop *l = test_loop(state);
    struct echo e;
    char got[100];
    int c = connect_by_hand(&e, l);
    assert_int_equal(shutdown(c, SHUT_WR), 0);
    turn_until(l, e.told == 1);
    assert_int_equal(cl_stream_recv_now(e.stream, got, sizeof got), CELLO_EOF);
    assert_int_equal(e.ends, 0);
    cl_stream_by_hand(e.stream, false);
    cl_stream_resume(e.stream);
    turn_until(l, e.closed == 1);
    assert_int_equal(e.ends, 1);
    close(c);
    echo_close(&e);
}

static void every_allocation_may_fail(void **state) {
    struct cl_loop *l = test_loop(state);
    struct cl_addr addr;
    struct echo e;
    int fd;
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&addr, 16, false, &fd), CELLO_OK);
    assert_int_equal(cl_listen_addr(fd, &addr), CELLO_OK);
    echo_open(&e, l, fd);
    settle(l);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    cl_alloc_fail_nth(1);
    assert_int_equal(connect(c, &addr.sa, addr.len), 0);
    turn_until(l, e.accepted == 1);
    cl_alloc_fail_nth(0);
    assert_int_equal(e.open_failures, 1);
    close(c);
    exchange(&e, &addr);
    echo_close(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(echo_over_tcp), BOTH(echo_over_a_unix_socket),   BOTH(no_allocation_in_steady_state),
        BOTH(gathers),       BOTH(every_allocation_may_fail), BOTH(receives_by_hand),
        BOTH(ends_by_hand),  BOTH(is_quiet_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
