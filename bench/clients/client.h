/* What the clients share: the clock, connections to 127.0.0.1, and the end of a head.
 *
 * A client is a load generator for one kind of stream, started by bench/streams.py. It checks what
 * tells a working server from a broken one, prints figures, and ends with 1 and a line on stderr
 * when the server does not do its part. */
#ifndef CLIENT_H
#define CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT_HEAD_ROOM = 16384, CLIENT_PATIENCE_S = 20 };

_Noreturn __attribute__((format(printf, 1, 2))) static inline void fail(const char *form, ...) {
    va_list args;
    va_start(args, form);
    vfprintf(stderr, form, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The same in each run: xorshift, Marsaglia 2003. */
static inline uint64_t random_bits(void) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    return x ^= x << 17;
}

/* A blocking connection that gives up on a server that stays silent. */
static inline int connect_to(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = CLIENT_PATIENCE_S};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a))
        fail("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static inline void send_all(int fd, const char *bytes, size_t len) {
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            fail("send: %s", strerror(errno));
        bytes += n;
        len -= (size_t)n;
    }
}

/* At least one byte. */
static inline size_t receive(int fd, char *bytes, size_t room) {
    ssize_t n = recv(fd, bytes, room, 0);
    if (n <= 0)
        fail("recv: %s", n ? strerror(errno) : "closed by the server");
    return (size_t)n;
}

static inline void check_status(const char *head) {
    if (strncmp(head, "HTTP/1.1 2", 10))
        fail("answered %.40s", head);
}

/* The value of a field of a head that ends in NUL, without the blanks before it; NULL: no such
 * field. */
static inline const char *head_field(const char *head, const char *name) {
    for (const char *line = head; (line = strstr(line, "\r\n")); line += 2) {
        if (strncasecmp(line + 2, name, strlen(name)) || line[2 + strlen(name)] != ':')
            continue;
        const char *value = line + 3 + strlen(name);
        return value + strspn(value, " ");
    }
    return NULL;
}

/* ---- figures ---- */

static inline int compare_ns(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples. */
static inline double percentile_us(uint64_t *samples, size_t n, double share) {
    if (!n)
        return 0;
    qsort(samples, n, sizeof *samples, compare_ns);
    size_t at = (size_t)(share * (double)n);
    return (double)samples[at < n ? at : n - 1] / 1e3;
}

#endif
