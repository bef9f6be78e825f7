/* The loop of both ceilings over epoll: accept, one recv, an answer, one send.
 *
 * The file that includes it defines what makes the difference:
 *   answer_input   answers what is complete in conns[fd].in, into conns[fd].out; may drop fd
 *   forget         lets go of what it keeps for a connection that is being dropped
 *   before_wait    what is due; returns the milliseconds to wait at most, -1 for no limit */
#ifndef EPOLL_LOOP_H
#define EPOLL_LOOP_H

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ceiling.h"

enum { EPOLL_EVENTS = 256 };

struct conn {
    struct buffer in, out;
    size_t sent;
    bool waits; /* for room in the socket's send buffer */
};

static struct conn conns[CEILING_FDS];
static int poller;

static void answer_input(int fd);
static void forget(int fd);
static int before_wait(void);

static inline void watch(int fd, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    epoll_ctl(poller, op, fd, &e);
}

static inline void drop(int fd) {
    struct conn *c = &conns[fd];
    close(fd);
    c->in.len = c->out.len = c->sent = 0;
    c->waits = false;
    forget(fd);
}

static inline void flush_out(int fd) {
    struct conn *c = &conns[fd];
    while (c->sent < c->out.len) {
        ssize_t n = send(fd, c->out.bytes + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            drop(fd);
            return;
        }
        if (n < 0) {
            if (!c->waits)
                watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->waits = true;
            return;
        }
        c->sent += (size_t)n;
    }
    c->out.len = c->sent = 0;
    if (c->waits)
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    c->waits = false;
}

static inline void receive(int fd) {
    struct conn *c = &conns[fd];
    buffer_reserve(&c->in, CEILING_RECV_ROOM);
    ssize_t n = recv(fd, c->in.bytes + c->in.len, c->in.cap - c->in.len, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    c->in.len += (size_t)n;
    answer_input(fd);
    if (c->out.len)
        flush_out(fd);
}

static inline void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CEILING_FDS) {
            close(fd);
            continue;
        }
        ceiling_no_delay(fd);
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

_Noreturn static inline void serve_for_ever(int port) {
    struct epoll_event events[EPOLL_EVENTS];
    int listener = ceiling_listen(port, SOCK_NONBLOCK);
    poller = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(poller, events, EPOLL_EVENTS, before_wait());
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT)
                flush_out(fd);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(fd);
        }
    }
}

#endif
