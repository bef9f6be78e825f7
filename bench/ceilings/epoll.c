/* The ceiling of one core with epoll: one recv, one send, a constant in between.
 *
 *   epoll PORT */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ceiling.h"

enum { EVENTS = 256 };

struct conn {
    struct buffer in, out;
    size_t sent;
    bool waits; /* for room in the socket's send buffer */
};

static struct conn conns[CEILING_FDS];
static struct answers answers;
static int poller;

static void watch(int fd, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    epoll_ctl(poller, op, fd, &e);
}

static void drop(int fd) {
    struct conn *c = &conns[fd];
    close(fd);
    c->in.len = c->out.len = c->sent = 0;
    c->waits = false;
}

static void flush_out(int fd) {
    struct conn *c = &conns[fd];
    while (c->sent < c->out.len) {
        ssize_t n = send(fd, c->out.bytes + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                drop(fd);
            else if (!c->waits)
                watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->waits = errno == EAGAIN;
            return;
        }
        c->sent += (size_t)n;
    }
    c->out.len = c->sent = 0;
    if (c->waits)
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    c->waits = false;
}

static void receive(int fd) {
    struct conn *c = &conns[fd];
    buffer_reserve(&c->in, CEILING_RECV_ROOM);
    ssize_t n = recv(fd, c->in.bytes + c->in.len, c->in.cap - c->in.len, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    c->in.len += (size_t)n;
    buffer_drop(&c->in, answer_all(&answers, c->in.bytes, c->in.len, &c->out));
    if (c->out.len)
        flush_out(fd);
}

static void accept_all(int listener) {
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

int main(int argc, char **argv) {
    struct epoll_event events[EVENTS];
    int listener = ceiling_listen(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8000, SOCK_NONBLOCK);
    answers_init(&answers);
    poller = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
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
