/* Requests at a fixed rate over many connections: latency as a visitor sees it.
 *
 *   open_loop PORT CONNECTIONS RATE SECONDS PATH
 *
 * Requests are due at fixed times, whether or not earlier ones are answered, each on a connection
 * that is taken at random among those that wait for nothing; its latency counts from when it was
 * due, so that a server that stalls cannot hide it (no coordinated omission). Connections are
 * spread over the loopback network, for one address has too few ports.
 *
 * Prints "REQUESTS P50_US P90_US P99_US P999_US MAX_US LATE_P99_US": the last is how late the
 * client itself sent, which bounds what the figures can mean. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "client.h"

enum { EVENTS = 512, PER_ADDRESS = 20000, WARM_UP_S = 1 };

struct connection {
    int fd;
    uint64_t due_ns; /* of the request that is out */
    size_t got;
};

static struct connection *connections;
static uint32_t *idle; /* those that wait for nothing */
static size_t idle_count, answer_len;
static uint64_t *latencies, *lateness;
static size_t done, sent, most;
static char request[512];
static size_t request_len;

static void raise_limit(size_t connections_wanted) {
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < connections_wanted + 64)
        r.rlim_cur = connections_wanted + 64 < r.rlim_max ? connections_wanted + 64 : r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

static int dial(int port, size_t number) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number / PER_ADDRESS));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) ||
        connect(fd, (struct sockaddr *)&a, sizeof a))
        fail("connection %zu: %s", number, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void answered(struct connection *c, uint64_t now) {
    if (c->due_ns && done < most)
        latencies[done++] = now - c->due_ns;
    c->got = 0;
    idle[idle_count++] = (uint32_t)(c - connections);
}

static void hear(struct connection *c) {
    char bytes[CLIENT_HEAD_ROOM];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        fail("recv: %s", n ? strerror(errno) : "closed by the server");
    if (!c->got)
        check_status(bytes);
    c->got += (size_t)n;
    if (c->got > answer_len)
        fail("an answer that is longer than the first one");
    if (c->got == answer_len)
        answered(c, now_ns());
}

static void ask(uint64_t due_ns, bool counts) {
    if (!idle_count)
        fail("every connection waits: the server does not keep up");
    size_t at = random_bits() % idle_count;
    struct connection *c = &connections[idle[at]];
    idle[at] = idle[--idle_count];
    c->due_ns = counts ? due_ns : 0;
    if (counts && sent < most)
        lateness[sent++] = now_ns() - due_ns;
    send_all(c->fd, request, request_len);
}

/* One answer, to learn how long they are. */
static void learn(struct connection *c) {
    char bytes[CLIENT_HEAD_ROOM];
    send_all(c->fd, request, request_len);
    for (size_t len = 0;;) {
        len += receive(c->fd, bytes + len, sizeof bytes - 1 - len);
        bytes[len] = 0;
        const char *end = strstr(bytes, "\r\n\r\n"), *value = head_field(bytes, "content-length");
        if (!end)
            continue;
        if (!value)
            fail("an answer without a length");
        answer_len = (size_t)(end + 4 - bytes) + strtoul(value, NULL, 10);
        if (len >= answer_len)
            return;
    }
}

static int open_all(int port, size_t count) {
    int epoll = epoll_create1(0);
    for (size_t i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->fd = dial(port, i);
        learn(c); /* who has asked once is idle, and not slow to ask */
        answered(c, 0);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
    }
    return epoll;
}

static void run(int epoll, uint64_t period_ns, uint64_t seconds) {
    struct epoll_event events[EVENTS];
    uint64_t begin = now_ns() + 100000000u, next = begin;
    uint64_t counted = begin + WARM_UP_S * 1000000000u, end = counted + seconds * 1000000000u;
    for (;;) {
        uint64_t now = now_ns();
        while (next <= now && next < end) {
            ask(next, next >= counted);
            next += period_ns;
        }
        if (next >= end && (done == sent || now > end + CLIENT_PATIENCE_S * 1000000000u))
            return;
        const struct timespec wait = {.tv_nsec =
                                          next < end && next > now ? (long)(next - now) : 1000000};
        int n =
            epoll_pwait2(epoll, events, EVENTS, next <= now ? &(struct timespec){0} : &wait, NULL);
        for (int i = 0; i < n; i++)
            hear(events[i].data.ptr);
    }
}

int main(int argc, char **argv) {
    if (argc != 6)
        fail("usage: open_loop PORT CONNECTIONS RATE SECONDS PATH");
    size_t count = strtoul(argv[2], NULL, 10);
    uint64_t rate = strtoul(argv[3], NULL, 10), seconds = strtoul(argv[4], NULL, 10);
    raise_limit(count);
    prctl(PR_SET_TIMERSLACK, 1);
    most = rate * seconds + 1;
    connections = calloc(count, sizeof *connections);
    idle = calloc(count, sizeof *idle);
    latencies = calloc(most, sizeof *latencies);
    lateness = calloc(most, sizeof *lateness);
    if (!count || !rate || !connections || !idle || !latencies || !lateness)
        fail("no memory, or nothing to do");
    request_len = (size_t)snprintf(request, sizeof request,
                                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[5]);
    run(open_all((int)strtol(argv[1], NULL, 10), count), 1000000000u / rate, seconds);
    if (done < sent)
        fail("%zu of %zu requests were not answered", sent - done, sent);
    printf("%zu", done);
    for (int i = 0; i < 5; i++) {
        static const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};
        printf(" %.1f", percentile_us(latencies, done, shares[i]));
    }
    printf(" %.1f\n", percentile_us(lateness, sent, 0.99));
}
