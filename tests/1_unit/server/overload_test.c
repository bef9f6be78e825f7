/* More than there is room for: descriptors and memory that run out when connections come, and
 * clients that want the server for themselves. On both back ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "support/fixture.h"

enum { LIMIT_S = 60, TURNS_MAX = 5000, FLOODERS = 20 };

/* ---- accept(2) fails as the test wants ---- */

static int accept_error;
static unsigned accepts;

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags) {
    accepts++;
    if (accept_error) {
        errno = accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, addr, len, flags);
}

static unsigned warnings;

static void count_warnings(void *ctx, enum cl_log_level level, const char *line) {
    (void)ctx;
    if (level == CL_LOG_WARNING && strstr(line, "cannot accept"))
        warnings++;
}

/* ---- a server and its clients ---- */

struct live {
    struct fixture f;
    struct sockaddr_in addr;
};

static void start(struct live *l) {
    char host[128];
    uint16_t port;
    alarm(LIMIT_S);
    *l = (struct live){0};
    fixture_init(&l->f, NULL);
    assert_int_equal(cello_server_listen(l->f.server, "127.0.0.1", 0), CELLO_OK);
    cello_server_address(l->f.server, 0, host, &port);
    l->addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    l->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void turn(struct live *l) {
    int err = cello_server_turn(l->f.server, 2 * MS);
    assert_true(err == CELLO_OK || errno == EINTR);
}

#define until(l, cond)                                                                             \
    do {                                                                                           \
        for (int turns_ = 0; !(cond); turns_++) {                                                  \
            assert_true(turns_ < TURNS_MAX);                                                       \
            turn(l);                                                                               \
        }                                                                                          \
    } while (0)

static int dial(struct live *l) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&l->addr, sizeof l->addr), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that has come; -1: the end. */
static ssize_t hear(int fd) {
    static char sink[1 << 18];
    ssize_t n = recv(fd, sink, sizeof sink, 0);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static void expect_answer(struct live *l, int fd) {
    ssize_t n;
    until(l, (n = hear(fd)) != 0);
    assert_true(n > 0);
}

static void stop(struct live *l) {
    until(l, l->f.server->worker.conn_count == 0);
    fixture_free(&l->f);
    alarm(0);
}

/* ---- no descriptors, no memory ---- */

static uint64_t clock_ns(void) {
    struct timespec t;
    assert_int_equal(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t), 0);
    return (uint64_t)t.tv_sec * CELLO_SECOND + (uint64_t)t.tv_nsec;
}

/* The server waits while it cannot accept: a loop that spins would make these turns at once. */
static void expect_rest(struct live *l) {
    enum { TURNS = 16, EACH_MS = 20 };
    turn(l);
    uint64_t begin = clock_ns();
    for (int i = 0; i < TURNS; i++)
        (void)cello_server_turn(l->f.server, EACH_MS * MS);
    assert_true(clock_ns() - begin > TURNS * EACH_MS * MS / 2);
}

/* Descriptors of this process: few, and all taken. io_uring looks at the limit when it begins to
 * accept, so it is set before that. */
struct descriptors {
    rlim_t before;
    int fds[128];
    int count;
};

static void have_few(struct descriptors *d) {
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    d->before = r.rlim_cur;
    d->count = 0;
    int lowest = dup(0);
    close(lowest);
    r.rlim_cur = (rlim_t)lowest + CL_ARRAY_LEN(d->fds) / 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static void take_all(struct descriptors *d) {
    int fd;
    while ((fd = dup(0)) >= 0) {
        assert_in_range(d->count, 0, CL_ARRAY_LEN(d->fds) - 1);
        d->fds[d->count++] = fd;
    }
    assert_int_equal(errno, EMFILE);
}

static void give_back(struct descriptors *d) {
    while (d->count)
        close(d->fds[--d->count]);
}

static void have_many(const struct descriptors *d) {
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    r.rlim_cur = d->before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static void test_no_descriptors(void **state) {
    (void)state;
    struct live l;
    struct descriptors d;
    start(&l);
    have_few(&d);
    int in = dial(&l);
    say(in, GET("/"));
    expect_answer(&l, in);
    int waiting = dial(&l);
    say(waiting, GET("/"));
    take_all(&d);
    warnings = 0;
    cl_log_set_sink(count_warnings, NULL);
    expect_rest(&l);
    assert_int_equal(hear(waiting), 0); /* it waits in the kernel, and is not turned away */
    say(in, GET("/"));
    expect_answer(&l, in);
    assert_int_equal(warnings, 1); /* however often it tried */
    give_back(&d);
    fixture_pass(&l.f, 200 * MS); /* nothing else happens: it tries again by itself */
    expect_answer(&l, waiting);
    cl_log_set_sink(NULL, NULL);
    close(in);
    close(waiting);
    have_many(&d);
    stop(&l);
}

static void test_accept_fails(void **state) {
    (void)state;
    static const int errors[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, EIO};
    if (fixture_backend != CELLO_BACKEND_EPOLL)
        return; /* the kernel accepts by itself */
    for (size_t i = 0; i < CL_ARRAY_LEN(errors); i++) {
        struct live l;
        start(&l);
        accept_error = errors[i];
        int fd = dial(&l);
        say(fd, GET("/"));
        accepts = 0;
        cl_log_set_sink(count_warnings, NULL);
        expect_rest(&l);
        cl_log_set_sink(NULL, NULL);
        assert_in_range(accepts, 1, 10);
        accept_error = 0;
        fixture_pass(&l.f, 200 * MS);
        expect_answer(&l, fd);
        close(fd);
        stop(&l);
    }
}

/* The new connection's own trouble is no reason to rest. */
static void test_connections_that_failed_before(void **state) {
    (void)state;
    struct live l;
    if (fixture_backend != CELLO_BACKEND_EPOLL)
        return;
    start(&l);
    accept_error = ECONNABORTED;
    int fd = dial(&l);
    say(fd, GET("/"));
    turn(&l);
    accept_error = 0;
    turn(&l);
    assert_int_equal(l.f.server->worker.conn_count, 1);
    expect_answer(&l, fd);
    close(fd);
    stop(&l);
}

/* ---- fairness ---- */

/* A client that sends the same bytes over and over, as fast as it is let. */
struct flooder {
    int fd;
    const char *bytes;
    size_t len, at;
};

static void flood(struct flooder *f) {
    for (;;) {
        ssize_t n = send(f->fd, f->bytes + f->at, f->len - f->at, MSG_NOSIGNAL);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            break;
        }
        f->at = (f->at + (size_t)n) % f->len;
    }
    while (hear(f->fd) > 0) {
    }
}

static void flood_all(struct flooder *f, size_t count) {
    for (size_t i = 0; i < count; i++)
        flood(&f[i]);
}

/* A quiet client asks `asks` times; each answer comes within so many turns, and behind so many of
 * the flood's. */
static void quiet_is_served(struct live *l, struct flooder *f, size_t count, uint64_t most_turns,
                            uint64_t most_others) {
    enum { ASKS = 20 };
    int quiet = dial(l);
    for (int i = 0; i < 20; i++) { /* all are in, and busy */
        flood_all(f, count);
        turn(l);
    }
    for (int i = 0; i < ASKS; i++) {
        flood_all(f, count);
        struct cello_stats before, after;
        cello_server_stats(l->f.server, &before);
        say(quiet, GET("/item/7"));
        ssize_t n;
        while ((n = hear(quiet)) == 0) {
            turn(l);
            cello_server_stats(l->f.server, &after);
            assert_true(after.turns - before.turns <= most_turns);
            flood_all(f, count);
        }
        assert_true(n > 0);
        assert_true(after.requests - before.requests <= most_others);
    }
    close(quiet);
}

static void be_flooded(struct live *l, size_t count, const char *bytes, size_t len,
                       uint64_t most_turns, uint64_t most_others) {
    struct flooder f[FLOODERS];
    for (size_t i = 0; i < count; i++)
        f[i] = (struct flooder){.fd = dial(l), .bytes = bytes, .len = len};
    quiet_is_served(l, f, count, most_turns, most_others);
    for (size_t i = 0; i < count; i++)
        close(f[i].fd);
}

/* In a turn a connection gives as many answers as may wait for it (max_pipelined), and the answers
 * leave before its next ones are made. */
static void test_a_pipeline_does_not_starve_others(void **state) {
    (void)state;
    enum { MANY = 2000, TURNS = 4 };
    static const char ask[] = GET("/");
    size_t len = sizeof ask - 1;
    char *bytes = malloc(MANY * len);
    assert_non_null(bytes);
    for (size_t i = 0; i < MANY; i++)
        memcpy(bytes + i * len, ask, len);
    for (size_t count = 1; count <= FLOODERS; count *= FLOODERS) {
        struct live l;
        start(&l);
        be_flooded(&l, count, bytes, MANY * len, TURNS,
                   TURNS * (count * l.f.server->worker.limits.max_pipelined + 1));
        stop(&l);
    }
    free(bytes);
}

static void test_large_bodies_do_not_starve_others(void **state) {
    (void)state;
    enum { BODY = 1 << 20, TURNS = 4 };
    static const char *const heads[] = {
        "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(heads); i++) {
        size_t head = strlen(heads[i]);
        char *bytes = malloc(head + BODY);
        assert_non_null(bytes);
        memcpy(bytes, heads[i], head);
        memset(bytes + head, 'x', BODY);
        for (size_t count = 1; count <= FLOODERS; count *= FLOODERS) {
            struct live l;
            start(&l);
            be_flooded(&l, count, bytes, head + BODY, TURNS, TURNS * (count + 1));
            stop(&l);
        }
        free(bytes);
    }
}

/* Newcomers, and those of before who leave, are served in the order in which they came, with who is
 * in between them. From Linux 6.13 on a turn of io_uring takes 20 completions. */
static void test_newcomers_do_not_starve_others(void **state) {
    (void)state;
    enum { NEWCOMERS = 200, TURNS = 4 + 2 * NEWCOMERS / 20 };
    struct live l;
    int fds[NEWCOMERS];
    start(&l);
    int quiet = dial(&l);
    say(quiet, GET("/"));
    expect_answer(&l, quiet);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < NEWCOMERS; i++)
            fds[i] = dial(&l);
        struct cello_stats before, after;
        cello_server_stats(l.f.server, &before);
        say(quiet, GET("/"));
        expect_answer(&l, quiet);
        cello_server_stats(l.f.server, &after);
        assert_true(after.turns - before.turns <= TURNS);
        for (int i = 0; i < NEWCOMERS; i++)
            close(fds[i]);
    }
    close(quiet);
    stop(&l);
}

#define T(name) cmocka_unit_test(test_##name)

static const struct CMUnitTest tests[] = {
    T(no_descriptors),
    T(accept_fails),
    T(connections_that_failed_before),
    T(a_pipeline_does_not_starve_others),
    T(large_bodies_do_not_starve_others),
    T(newcomers_do_not_starve_others),
};

int main(void) {
    return fixture_run_backends(tests);
}
