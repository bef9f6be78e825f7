/* Very many listeners of one stream of events.
 *
 *   sse PORT PATH PUBLISH LISTENERS
 *
 * Every listener gets PATH and expects one event at once; then it prints "connected SECONDS". For
 * each line "N" on its standard input it posts to PUBLISH N times, each time waiting until every
 * listener got one more event, and prints "EVENTS P50_US P99_US": the time from the request to the
 * last listener. It ends when its input does. */
#include <sys/epoll.h>

#include "client.h"

enum { LISTENERS_MAX = 20000, ROUNDS_MAX = 4096, BATCH = 64, EVENTS = 512, ROOM = 65536 };

/* How much of "data:" the bytes before ended in, for each socket. */
static uint8_t matched[LISTENERS_MAX + 64];
static int poller;
static char room[ROOM];

/* Counts "data:", also where a read or a chunk cut it in two. */
static size_t count_events(int fd, const char *bytes, size_t len) {
    static const char word[] = "data:";
    size_t found = 0;
    uint8_t at = matched[fd];
    for (size_t i = 0; i < len; i++) {
        at = bytes[i] == word[at] ? (uint8_t)(at + 1) : bytes[i] == word[0];
        if (at == sizeof word - 1) {
            found++;
            at = 0;
        }
    }
    matched[fd] = at;
    return found;
}

/* Reads until all sockets together got this many events. */
static void await_events(size_t expected) {
    struct epoll_event events[EVENTS];
    for (size_t got = 0; got < expected;) {
        int n = epoll_wait(poller, events, EVENTS, CLIENT_PATIENCE_S * 1000);
        if (n <= 0)
            fail("%zu of %zu events did not come", expected - got, expected);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            got += count_events(fd, room, receive(fd, room, sizeof room));
        }
    }
}

static void connect_listeners(int port, const char *path, size_t listeners) {
    char request[512];
    int len =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", path);
    for (size_t i = 0; i < listeners;) {
        size_t batch = listeners - i < BATCH ? listeners - i : BATCH;
        for (size_t k = 0; k < batch; k++) {
            int fd = connect_to(port);
            if (fd >= (int)sizeof matched)
                fail("too many descriptors");
            struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
            send_all(fd, request, (size_t)len);
        }
        await_events(batch);
        i += batch;
    }
}

/* Asks for one event for everybody. The answer is read after the events: those are what counts. */
static uint64_t publish(int fd, const char *path, size_t listeners) {
    char request[512];
    int len = snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", path);
    uint64_t start = now_ns();
    send_all(fd, request, (size_t)len);
    await_events(listeners);
    uint64_t end = now_ns();
    room[receive(fd, room, sizeof room - 1)] = 0;
    check_status(room);
    return end - start;
}

int main(int argc, char **argv) {
    static uint64_t samples[ROUNDS_MAX];
    if (argc != 5)
        fail("usage: sse PORT PATH PUBLISH LISTENERS");
    int port = (int)strtol(argv[1], NULL, 10);
    size_t listeners = strtoul(argv[4], NULL, 10);
    if (!listeners || listeners > LISTENERS_MAX)
        fail("1 to %d listeners", LISTENERS_MAX);
    poller = epoll_create1(0);
    uint64_t start = now_ns();
    connect_listeners(port, argv[2], listeners);
    printf("connected %.3f\n", (double)(now_ns() - start) / 1e9);
    fflush(stdout);
    int publisher = connect_to(port);
    char line[32];
    while (fgets(line, sizeof line, stdin)) {
        size_t rounds = strtoul(line, NULL, 10);
        if (rounds > ROUNDS_MAX)
            fail("at most %d", ROUNDS_MAX);
        for (size_t i = 0; i < rounds; i++)
            samples[i] = publish(publisher, argv[3], listeners);
        double p50 = percentile_us(samples, rounds, 0.5);
        printf("%zu %.1f %.1f\n", rounds * listeners, p50, percentile_us(samples, rounds, 0.99));
        fflush(stdout);
    }
}
