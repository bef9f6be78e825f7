/* Servers over real sockets, on both back ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/listen.h"
#include "support/fixture.h"

enum { PATIENCE_MS = 10000, LIMIT_S = 60, INBOX = 1 << 21, PEERS_MAX = 4 };

/* A client's socket and what came from it. */
struct peer {
    int fd; /* -1: hung up */
    char *in;
    size_t got, at;
    bool eof, reset;
};

/* A server that listens on a free port of 127.0.0.1, and those who called it. */
struct live {
    struct fixture f;
    uint16_t port;
    unsigned peer_count;
    struct peer peers[PEERS_MAX];
};

/* `cfg` NULL: the default one. */
static void start(struct live *l, const struct cello_server_config *cfg) {
    char host[128];
    alarm(LIMIT_S);
    *l = (struct live){0};
    fixture_init(&l->f, cfg);
    assert_int_equal(cello_server_listen(l->f.server, "127.0.0.1", 0), CELLO_OK);
    cello_server_address(l->f.server, 0, host, &l->port);
    assert_string_equal(host, "127.0.0.1");
}

static void turn(struct live *l) {
    int err = cello_server_turn(l->f.server, 2 * MS);
    assert_true(err == CELLO_OK || errno == EINTR);
}

/* Turn until `cond` holds. */
#define until(l, cond)                                                                             \
    do {                                                                                           \
        uint64_t end_ = cl_now_ns() + PATIENCE_MS * MS;                                            \
        while (!(cond)) {                                                                          \
            assert_true(cl_now_ns() < end_);                                                       \
            turn(l);                                                                               \
        }                                                                                          \
    } while (0)

/* A place for one more, those of hung-up ones first. */
static struct peer *new_peer(struct live *l, int family) {
    unsigned i = 0;
    while (i < l->peer_count && l->peers[i].fd >= 0)
        i++;
    assert_true(i < PEERS_MAX);
    l->peer_count = CL_MAX(l->peer_count, i + 1);
    struct peer *p = &l->peers[i];
    *p = (struct peer){.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), .in = malloc(INBOX)};
    assert_true(p->fd >= 0 && p->in);
    return p;
}

static void call(struct peer *p, const void *addr, size_t len) {
    assert_int_equal(connect(p->fd, addr, (socklen_t)len), 0);
    assert_int_equal(fcntl(p->fd, F_SETFL, O_NONBLOCK), 0);
}

/* It hangs up by itself in stop(). */
static struct peer *dial(struct live *l) {
    struct peer *p = new_peer(l, AF_INET);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(l->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    call(p, &a, sizeof a);
    return p;
}

static void hang_up(struct peer *p) {
    close(p->fd);
    free(p->in);
    p->fd = -1;
}

static void hang_up_all(struct live *l) {
    for (unsigned i = 0; i < l->peer_count; i++)
        if (l->peers[i].fd >= 0)
            hang_up(&l->peers[i]);
}

static void stop(struct live *l) {
    hang_up_all(l);
    until(l, l->f.server->worker.conn_count == 0 &&
                 cl_worker_live_requests(&l->f.server->worker) == l->f.held_count);
    fixture_free(&l->f);
    alarm(0);
}

/* Close so that the server sees a reset. */
static void slam(struct peer *p) {
    struct linger now = {.l_onoff = 1};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(p);
}

static void say(struct peer *p, const char *text) {
    assert_int_equal(send(p->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hear(struct peer *p) {
    ssize_t n = recv(p->fd, p->in + p->got, INBOX - p->got, 0);
    if (n > 0)
        p->got += (size_t)n;
    else if (n == 0)
        p->eof = true;
    else if (errno != EAGAIN)
        p->eof = p->reset = true;
}

static struct response expect(struct live *l, struct peer *p, int status) {
    struct response r;
    long n = 0;
    until(l,
          (hear(p), (n = response_parse(p->in + p->at, p->got - p->at, p->eof, false, &r)) != 0));
    if (n < 0 || r.status != status)
        fail_msg("%d expected in: %.*s", status, (int)(p->got - p->at), p->in + p->at);
    p->at += (size_t)n;
    return r;
}

static void expect_end(struct live *l, struct peer *p) {
    until(l, (hear(p), p->eof));
    assert_int_equal(p->at, p->got);
}

static void expect_alive(struct live *l, struct peer *p) {
    for (int i = 0; i < 5; i++)
        turn(l);
    hear(p);
    assert_false(p->eof);
}

static struct cl_request *held(struct live *l) {
    until(l, l->f.held_count > 0);
    return fixture_take(&l->f);
}

static void answer(struct cl_request *r, const char *body) {
    cello_respond_bytes(r, cl_str(body, strlen(body)));
    cello_request_unref(r);
}

/* ---- answers ---- */

static void test_requests(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    for (int i = 0; i < 3; i++) {
        say(p,
            GET("/") GET("/bytes/300000") GET("/stream/3") GET("/sink/20000") GET("/pinned/70000"));
        expect(&l, p, 200);
        assert_int_equal(expect(&l, p, 200).body_len, 300000);
        expect(&l, p, 200);
        assert_int_equal(expect(&l, p, 200).body_len, 20000);
        assert_int_equal(expect(&l, p, 200).body_len, 70000);
    }
    shutdown(p->fd, SHUT_WR);
    expect_end(&l, p);
    assert_false(p->reset);
    hang_up(p);
    struct cello_stats stats;
    cello_server_stats(l.f.server, &stats);
    assert_int_equal(stats.requests, 15);
    stop(&l);
}

/* The client sends a megabyte that nobody wants, and reads the answer to it afterwards. */
static void test_early_answer_is_readable(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    say(p, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    static char junk[10000];
    for (size_t sent = 0; sent < 1000000;) {
        ssize_t n = send(p->fd, junk, sizeof junk, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        if (n > 0)
            sent += (size_t)n;
        turn(&l);
    }
    expect(&l, p, 413);
    expect_end(&l, p);
    assert_false(p->reset);
    stop(&l);
}

static void test_half_close(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    say(p, GET("/item/1") GET("/hold"));
    shutdown(p->fd, SHUT_WR);
    expect(&l, p, 200);
    answer(held(&l), "late");
    expect(&l, p, 200);
    expect_end(&l, p);
    stop(&l);
}

/* A reset while a generator goes on: its connection is gone before the flush that it asked for. */
static void test_reset_inside_a_stream(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct live l;
        start(&l, NULL);
        struct peer *p = dial(&l);
        say(p, i % 2 ? GET("/stream/1000000") : GET("/stream/1?wait=1"));
        until(&l, (hear(p), p->got > 0));
        slam(p);
        if (i % 2 == 0) {
            struct cl_request *r = held(&l);
            cello_response_chunk(r, CL_STR("x"), false);
            cello_request_unref(r);
        }
        while (l.f.server->worker.conn_count) {
            turn(&l);
            while (l.f.held_count) {
                struct cl_request *r = fixture_take(&l.f);
                cello_response_chunk(r, CL_STR("x"), false);
                cello_request_unref(r);
            }
        }
        assert_int_equal(l.f.stopped, 1);
        stop(&l);
    }
}

static struct peer *victim;

static void slam_and_go_on(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    if (victim)
        slam(victim);
    victim = NULL; /* what it gives at once is gathered: it is asked again before the write */
    cello_response_chunk(r, CL_STR("x"), false);
}

static void stop_nothing(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    (void)r;
}

/* The reset comes while the flush runs that asked for another flush: none may follow. */
static void test_reset_inside_a_flush(void **state) {
    (void)state;
    static struct cl_generator g = {slam_and_go_on, stop_nothing};
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    victim = p;
    say(p, GET("/hold"));
    struct cl_request *r = held(&l);
    cello_respond_stream(r, &g, false, 0);
    cello_request_unref(r);
    until(&l, l.f.server->worker.conn_count == 0);
    stop(&l);
}

/* ---- connections ---- */

static void test_oldest_idle_makes_room(void **state) {
    (void)state;
    struct live l;
    struct peer *p[4];
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections = 3;
    start(&l, &cfg);
    for (int i = 0; i < 3; i++) {
        p[i] = dial(&l);
        say(p[i], GET("/"));
        expect(&l, p[i], 200);
    }
    say(p[0], GET("/")); /* not the oldest any more */
    expect(&l, p[0], 200);
    fixture_pass(&l.f, CL_IDLE_GRACE_NS);
    p[3] = dial(&l);
    say(p[3], GET("/"));
    expect(&l, p[3], 200);
    expect_end(&l, p[1]);
    expect_alive(&l, p[0]);
    expect_alive(&l, p[2]);
    assert_int_equal(l.f.server->worker.conn_count, 3);
    stop(&l);
}

/* Who was just accepted or just answered is not closed for a newcomer, who waits for a moment. */
static void test_newcomers_wait_for_the_fresh(void **state) {
    (void)state;
    struct live l;
    struct peer *p[3];
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections = 2;
    start(&l, &cfg);
    p[0] = dial(&l);
    p[1] = dial(&l);
    until(&l, l.f.server->worker.conn_count == 2);
    p[2] = dial(&l);
    say(p[2], GET("/"));
    expect_alive(&l, p[0]);
    say(p[0], GET("/"));
    expect(&l, p[0], 200);
    assert_int_equal((hear(p[2]), p[2]->got), 0);
    fixture_pass(&l.f, CL_IDLE_GRACE_NS); /* nothing else happens: a timer lets the third in */
    expect(&l, p[2], 200);
    expect_end(&l, p[1]);
    expect_alive(&l, p[0]);
    stop(&l);
}

static void test_accepting_pauses_when_all_are_busy(void **state) {
    (void)state;
    struct live l;
    struct peer *p[3];
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections = 2;
    start(&l, &cfg);
    for (int i = 0; i < 2; i++) {
        p[i] = dial(&l);
        say(p[i], GET("/hold"));
        until(&l, l.f.held_count == (unsigned)i + 1);
    }
    turn(&l);
    p[2] = dial(&l); /* waits in the kernel */
    say(p[2], GET("/"));
    expect_alive(&l, p[2]);
    assert_int_equal(p[2]->got, 0);
    assert_int_equal(l.f.server->worker.conn_count, 2);
    answer(held(&l), "done"); /* the first one becomes idle, and is closed for the third */
    expect(&l, p[0], 200);
    fixture_pass(&l.f, CL_IDLE_GRACE_NS);
    expect(&l, p[2], 200);
    expect_end(&l, p[0]);
    answer(held(&l), "done");
    expect(&l, p[1], 200);
    stop(&l);
}

static void test_connections_per_ip(void **state) {
    (void)state;
    struct live l;
    struct peer *p[3];
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections_per_ip = 2;
    start(&l, &cfg);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++) {
            p[i] = dial(&l);
            say(p[i], GET("/"));
            expect(&l, p[i], 200);
        }
        p[2] = dial(&l);
        expect_end(&l, p[2]);
        hang_up_all(&l);
        until(&l, l.f.server->worker.conn_count == 0);
    }
    stop(&l);
}

static void test_out_of_descriptors(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    say(p, GET("/"));
    expect(&l, p, 200);
    struct peer *q = dial(&l); /* connected; the server has not accepted it yet */
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest = dup(0);
    close(lowest);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    say(q, GET("/"));
    for (int i = 0; i < 20; i++) {
        say(p, GET("/")); /* who is in is served */
        expect(&l, p, 200);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    expect(&l, q, 200);
    stop(&l);
}

/* ---- slow readers ---- */

static void shrink(struct peer *p) {
    int size = 4096;
    setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

/* Answers of some megabytes, so that no socket buffer holds them. */
static const char BIG[] = GET("/static/1000000") GET("/static/1000000") GET("/static/1000000")
    GET("/static/1000000") GET("/static/1000000") GET("/static/1000000") GET("/static/1000000");
static const char FILES[] =
    GET("/segments/3000000") GET("/segments/3000000") GET("/segments/3000000");

static void drop_who_stops(const char *text) {
    struct live l;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts.write_ns = 100 * MS;
    start(&l, &cfg);
    struct peer *p = dial(&l);
    shrink(p);
    say(p, text);
    until(&l, l.f.server->worker.conn_count == 1);
    until(&l, l.f.server->worker.conn_count == 0);
    stop(&l);
}

static void test_reader_that_stopped_is_dropped(void **state) {
    (void)state;
    drop_who_stops(BIG);
    drop_who_stops(FILES);
}

/* One that reads, however slowly, is not dropped. */
static void keep_who_is_slow(const char *text) {
    struct live l;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts.write_ns = 400 * MS; /* twice what the kernel may wait between two probes */
    start(&l, &cfg);
    struct peer *p = dial(&l);
    shrink(p);
    say(p, text);
    for (uint64_t end = cl_now_ns() + 1200 * MS; cl_now_ns() < end; turn(&l)) {
        ssize_t n = recv(p->fd, p->in, 16384, 0);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        usleep(5000);
    }
    stop(&l);
}

static void test_slow_reader_is_kept(void **state) {
    (void)state;
    keep_who_is_slow(BIG);
    keep_who_is_slow(FILES);
}

/* ---- files ---- */

/* Whether `r` is the answer of "/segments/n". */
static bool is_file(const struct response *r, size_t n) {
    if (r->body_len != n + 2 || r->body[0] != '[' || r->body[n + 1] != 'x')
        return false;
    for (size_t i = 0; i < n; i++)
        if (r->body[i + 1] != fixture_file_byte(i + 3))
            return false;
    return true;
}

static void test_files(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    for (int i = 0; i < 3; i++) {
        say(p, GET("/segments/500") GET("/segments/10000") GET("/") GET("/segments/600000"));
        struct response r = expect(&l, p, 200);
        assert_true(is_file(&r, 500));
        r = expect(&l, p, 200);
        assert_true(is_file(&r, 10000));
        assert_int_equal(expect(&l, p, 200).body_len, 5);
        r = expect(&l, p, 200);
        assert_true(is_file(&r, 600000));
        p->got = p->at = 0; /* room for the next ones */
    }
    assert_int_equal(l.f.released, 9);
    stop(&l);
}

static void test_a_file_that_became_shorter(void **state) {
    (void)state;
    static const char *const texts[] = {GET("/segments/500?size=100"),
                                        GET("/segments/600000?size=500000")};
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct live l;
        start(&l, NULL);
        struct peer *p = dial(&l);
        say(p, texts[i]);
        until(&l, ({
            hear(p);
            p->eof || p->reset;
        }));
        assert_true(p->reset);
        assert_int_equal(l.f.released, 1);
        stop(&l);
    }
}

/* Without SIGPIPE, which would end the process. */
static void test_clients_that_leave_during_a_file(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    for (unsigned i = 1; i <= 20; i++) {
        struct peer *p = dial(&l);
        shrink(p);
        say(p, GET("/segments/1000000") GET("/segments/1000000"));
        until(&l, ({
            hear(p);
            p->got > 1000;
        }));
        if (i % 2)
            slam(p);
        else
            hang_up(p);
        until(&l, l.f.server->worker.conn_count == 0);
        assert_int_equal(l.f.released, l.f.pinned);
    }
    stop(&l);
}

static void on_pipe(int sig) {
    (void)sig;
}

static void test_sigpipe_is_ignored_by_default(void **state) {
    (void)state;
    struct live l;
    struct sigaction now;
    (void)signal(SIGPIPE, SIG_DFL);
    start(&l, NULL);
    sigaction(SIGPIPE, NULL, &now);
    assert_true(now.sa_handler == SIG_IGN);
    stop(&l);
    (void)signal(SIGPIPE, on_pipe); /* the program's own wish */
    start(&l, NULL);
    sigaction(SIGPIPE, NULL, &now);
    assert_true(now.sa_handler == on_pipe);
    stop(&l);
    (void)signal(SIGPIPE, SIG_DFL);
}

/* ---- stop ---- */

static void test_drain(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *idle = dial(&l);
    say(idle, GET("/"));
    expect(&l, idle, 200);
    struct peer *busy = dial(&l);
    say(busy, GET("/hold") GET("/"));
    until(&l, l.f.held_count == 1);
    struct peer *body = dial(&l);
    say(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    struct peer *stream = dial(&l);
    say(stream, GET("/stream/1?wait=1"));
    until(&l, l.f.held_count == 2);
    cello_server_stop(l.f.server, 60000 * MS);
    expect_end(&l, idle);
    assert_false(cello_server_done(l.f.server));
    answer(held(&l), "done");
    assert_true(expect(&l, busy, 200).close);
    expect_end(&l, busy); /* what was pipelined behind is not served */
    say(body, "bc");
    assert_true(expect(&l, body, 200).close);
    expect_end(&l, body);
    struct cl_request *r = held(&l);
    cello_response_chunk(r, CL_STR("x"), true);
    cello_request_unref(r);
    expect(&l, stream, 200);
    expect_end(&l, stream);
    hang_up_all(&l);
    until(&l, cello_server_done(l.f.server));
    stop(&l);
}

/* Who was accepted may ask once; who does not is not waited for. */
static void test_drain_of_new_connections(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *asks = dial(&l);
    struct peer *halves = dial(&l);
    struct peer *silent = dial(&l);
    until(&l, l.f.server->worker.conn_count == 3);
    say(asks, GET("/")); /* the server has not read it when it stops */
    cello_server_stop(l.f.server, 60000 * MS);
    uint64_t begin = cl_now_ns();
    turn(&l);
    assert_true(expect(&l, asks, 200).close);
    expect_end(&l, asks);
    say(halves, GET("/"));
    assert_true(expect(&l, halves, 200).close);
    assert_false(cello_server_done(l.f.server));
    expect_end(&l, silent);
    assert_int_equal(silent->got, 0);
    assert_in_range(cl_now_ns() - begin, 40 * MS, 2000 * MS);
    until(&l, l.f.server->worker.conn_count <= 2);
    hang_up_all(&l);
    until(&l, cello_server_done(l.f.server));
    stop(&l);
}

static void test_drain_deadline(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    say(p, GET("/hold"));
    until(&l, l.f.held_count == 1);
    usleep(60000); /* time that the loop has not seen does not count */
    cello_server_stop(l.f.server, 100 * MS);
    uint64_t begin = cl_now_ns();
    assert_int_equal(cello_server_run(l.f.server), CELLO_OK);
    assert_in_range(cl_now_ns() - begin, 90 * MS, 5000 * MS);
    assert_true(cello_server_done(l.f.server));
    assert_true(cello_request_is_disconnected(l.f.held[0]));
    expect_end(&l, p);
    stop(&l);
}

/* Work behind an answer: the answer has left when the turn ends, and a stop waits. */
static void test_hold(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    say(p, GET("/hold"));
    until(&l, l.f.held_count == 1);
    answer(held(&l), "done");
    cello_server_hold(l.f.server);
    turn(&l);
    struct pollfd answered = {.fd = p->fd, .events = POLLIN};
    assert_int_equal(poll(&answered, 1, PATIENCE_MS), 1);
    expect(&l, p, 200);
    cello_server_stop(l.f.server, 60000 * MS);
    expect_end(&l, p);
    until(&l, l.f.server->worker.conn_count == 0 && l.f.server->open_listeners == 0);
    assert_false(cello_server_done(l.f.server));
    cello_server_release(l.f.server);
    assert_true(cello_server_done(l.f.server));
    stop(&l);
}

static void test_hold_is_not_for_ever(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    cello_server_hold(l.f.server);
    cello_server_stop(l.f.server, 50 * MS);
    assert_int_equal(cello_server_run(l.f.server), CELLO_OK);
    assert_true(cello_server_done(l.f.server));
    stop(&l);
}

static void *stop_soon(void *server) {
    usleep(20000);
    cello_server_stop(server, 0);
    return NULL;
}

static void test_stop_from_another_thread(void **state) {
    (void)state;
    struct live l;
    pthread_t thread;
    start(&l, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, l.f.server), 0);
    assert_int_equal(cello_server_run(l.f.server), CELLO_OK);
    pthread_join(thread, NULL);
    stop(&l);
}

static void test_nobody_accepts_when_done(void **state) {
    (void)state;
    struct live l;
    pthread_t thread;
    start(&l, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, l.f.server), 0);
    assert_int_equal(cello_server_run(l.f.server), CELLO_OK);
    pthread_join(thread, NULL);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(l.port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    stop(&l);
}

/* ---- requests that outlive things ---- */

static void *drop(void *r) {
    cello_request_drop(r);
    return NULL;
}

static void test_drop_from_another_thread(void **state) {
    (void)state;
    struct live l;
    start(&l, NULL);
    struct peer *p = dial(&l);
    for (int i = 0; i < 50; i++) {
        say(p, GET("/hold"));
        struct cl_request *r = held(&l);
        cello_respond_empty(r);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, drop, r), 0);
        expect(&l, p, 200);
        pthread_join(thread, NULL);
    }
    hang_up(p);
    until(&l, cl_worker_live_requests(&l.f.server->worker) == 0);
    stop(&l);
}

/* The server goes first: whoever drops the last request, on whatever thread, frees what is left. */
static void test_requests_outlive_the_server(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct live l;
        struct peer *p[3];
        pthread_t threads[3];
        struct cl_request *r[3];
        start(&l, NULL);
        for (int i = 0; i < 3; i++) {
            p[i] = dial(&l);
            say(p[i], "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
            r[i] = held(&l);
        }
        if (how == 3) { /* posted to a loop that needs no turn any more */
            cello_server_stop(l.f.server, 0);
            until(&l, cl_loop_open_count(l.f.server->worker.loop) == 0);
            assert_int_equal(pthread_create(&threads[0], NULL, drop, r[0]), 0);
            pthread_join(threads[0], NULL);
        }
        cello_server_del(l.f.server);
        cello_app_del(l.f.app);
        for (int i = how == 3; i < 3; i++) {
            struct cl_str body = cello_request_body(r[i]);
            assert_true(cl_str_eq(body, CL_STR("abc")));
            if (how == 0)
                cello_request_unref(r[i]);
            else if (how == 1)
                cello_request_drop(r[i]);
            else
                assert_int_equal(pthread_create(&threads[i], NULL, drop, r[i]), 0);
        }
        for (int i = how == 3; i < 3 && how >= 2; i++)
            pthread_join(threads[i], NULL);
        hang_up_all(&l);
        alarm(0);
    }
}

/* ---- unix sockets ---- */

static void test_unix_socket(void **state) {
    (void)state;
    char path[100];
    snprintf(path, sizeof path, "/tmp/cello-test-%d.sock", (int)getpid());
    struct stat st;
    for (int own = 0; own < 2; own++) {
        struct live l;
        start(&l, NULL);
        if (own) {
            assert_int_equal(cello_server_listen_unix(l.f.server, path, 0600), CELLO_OK);
        } else {
            int fd;
            assert_int_equal(cl_listen_unix(path, 0600, 10, &fd), CELLO_OK);
            assert_int_equal(cello_server_listen_fd(l.f.server, fd), CELLO_OK);
        }
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        memcpy(a.sun_path, path, strlen(path));
        struct peer *p = new_peer(&l, AF_UNIX);
        call(p, &a, sizeof a);
        say(p, GET("/"));
        expect(&l, p, 200);
        stop(&l);
        assert_int_equal(stat(path, &st) != 0, own); /* a file of somebody else's stays */
    }
}

#define T(name) cmocka_unit_test(test_##name)

static const struct CMUnitTest tests[] = {
    T(requests),
    T(early_answer_is_readable),
    T(half_close),
    T(reset_inside_a_stream),
    T(reset_inside_a_flush),
    T(oldest_idle_makes_room),
    T(newcomers_wait_for_the_fresh),
    T(accepting_pauses_when_all_are_busy),
    T(connections_per_ip),
    T(out_of_descriptors),
    T(reader_that_stopped_is_dropped),
    T(slow_reader_is_kept),
    T(files),
    T(a_file_that_became_shorter),
    T(clients_that_leave_during_a_file),
    T(sigpipe_is_ignored_by_default),
    T(drain),
    T(drain_of_new_connections),
    T(drain_deadline),
    T(hold),
    T(hold_is_not_for_ever),
    T(stop_from_another_thread),
    T(nobody_accepts_when_done),
    T(drop_from_another_thread),
    T(requests_outlive_the_server),
    T(unix_socket),
};

int main(void) {
    return fixture_run_backends(tests);
}
