/* Servers that share sockets, as workers do, on both back ends: adoption, retirement, and what
 * becomes of connections that wait while somebody leaves. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/fixture.h"

enum { PATIENCE_MS = 10000, LIMIT_S = 60, WAIT_MS = 200, SETTLE_TURNS = 20 };
enum { FIRST, SECOND, SERVERS };

static const uint64_t NEVER = 60 * CL_NS_PER_S;

/* A socket that listens, kept open as a supervisor does, and two servers of one application. */
struct cluster {
    struct fixture f;
    struct cl_server *servers[SERVERS];
    int socket;
    struct sockaddr_in at;
};

struct peer {
    int fd;
    char in[4096];
    size_t got;
    bool eof;
};

static int listening(struct sockaddr_in *at) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *at;
    *at = (struct sockaddr_in){.sin_family = AF_INET};
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static int copy_of(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Nobody listens yet. max_connections 0: the default. */
static void begin(struct cluster *c, uint32_t max_connections) {
    struct cello_server_config cfg = fixture_config();
    if (max_connections)
        cfg.limits.max_connections = max_connections;
    alarm(LIMIT_S);
    *c = (struct cluster){0};
    fixture_init(&c->f, &cfg);
    c->servers[FIRST] = c->f.server;
    assert_int_equal(cello_server_new(&c->servers[SECOND], c->f.app, &cfg), CELLO_OK);
    c->socket = listening(&c->at);
}

static void turn(struct cl_server *s, uint64_t timeout_ns) {
    int err = cello_server_turn(s, timeout_ns);
    assert_true(err == CELLO_OK || errno == EINTR);
}

static void turn_both(struct cluster *c) {
    for (int i = 0; i < SERVERS; i++)
        turn(c->servers[i], MS);
}

#define until(c, cond)                                                                             \
    do {                                                                                           \
        uint64_t end_ = cl_now_ns() + PATIENCE_MS * MS;                                            \
        while (!(cond)) {                                                                          \
            assert_true(cl_now_ns() < end_);                                                       \
            turn_both(c);                                                                          \
        }                                                                                          \
    } while (0)

static void settle(struct cluster *c) {
    for (int i = 0; i < SETTLE_TURNS; i++)
        turn_both(c);
}

static void serve(struct cluster *c, int server) {
    assert_int_equal(cl_server_listen_own(c->servers[server], copy_of(c->socket), true), CELLO_OK);
    turn(c->servers[server], 0);
}

static uint32_t connections(const struct cluster *c, int server) {
    return c->servers[server]->worker.conn_count;
}

static void end(struct cluster *c) {
    until(c, connections(c, FIRST) + connections(c, SECOND) == 0);
    cello_server_del(c->servers[SECOND]);
    close(c->socket);
    fixture_free(&c->f);
    alarm(0);
}

static void call(struct peer *p, const struct sockaddr_in *at) {
    *p = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(connect(p->fd, (const struct sockaddr *)at, sizeof *at), 0);
}

static void say(struct peer *p, const char *text) {
    assert_int_equal(send(p->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static bool heard(struct peer *p, const char *text) {
    ssize_t n = recv(p->fd, p->in + p->got, sizeof p->in - 1 - p->got, MSG_DONTWAIT);
    assert_true(n >= 0 || errno == EAGAIN);
    p->eof = p->eof || n == 0;
    p->got += n > 0 ? (size_t)n : 0;
    p->in[p->got] = '\0';
    return strstr(p->in, text) != NULL;
}

static bool ended(struct peer *p) {
    heard(p, "");
    return p->eof;
}

static void forget(struct peer *p) {
    p->got = 0;
    p->in[0] = '\0';
}

static void ask(struct cluster *c, struct peer *p) {
    forget(p);
    say(p, GET("/"));
    until(c, heard(p, "\r\n\r\nhello"));
}

static void answer_held(struct cluster *c) {
    until(c, c->f.held_count > 0);
    struct cl_request *r = fixture_take(&c->f);
    cello_respond_bytes(r, CL_STR("done"));
    cello_request_unref(r);
}

/* ---- adoption ---- */

static void test_adoption_and_its_end(void **state) {
    (void)state;
    struct cluster c;
    struct peer first, queued, later;
    begin(&c, 0);
    struct cl_server *s = c.servers[FIRST];
    assert_int_equal(cl_server_adopt(s, copy_of(c.socket), 1, false), CELLO_OK);
    call(&first, &c.at);
    ask(&c, &first);
    assert_int_equal(connections(&c, FIRST), 1);
    /* Who waits while it ends is taken in, not left in between. */
    settle(&c);
    call(&queued, &c.at);
    cl_server_release(s, 1);
    until(&c, s->open_listeners == 0);
    ask(&c, &queued);
    assert_int_equal(connections(&c, FIRST), 2);
    /* Who comes afterwards waits for the successor. */
    call(&later, &c.at);
    settle(&c);
    assert_int_equal(connections(&c, FIRST), 2);
    serve(&c, SECOND);
    ask(&c, &later);
    assert_int_equal(connections(&c, SECOND), 1);
    /* It still serves those it has. */
    ask(&c, &first);
    close(first.fd);
    close(queued.fd);
    close(later.fd);
    end(&c);
}

static void test_adoption_of_several(void **state) {
    (void)state;
    struct cluster c;
    struct peer of_first, of_second;
    struct sockaddr_in other;
    begin(&c, 0);
    int second = listening(&other);
    struct cl_server *s = c.servers[FIRST];
    assert_int_equal(cl_server_adopt(s, copy_of(c.socket), 1, false), CELLO_OK);
    assert_int_equal(cl_server_adopt(s, copy_of(second), 2, false), CELLO_OK);
    cl_server_release(s, 1);
    cl_server_release(s, 7);
    until(&c, s->open_listeners == 1);
    call(&of_first, &c.at);
    call(&of_second, &other);
    ask(&c, &of_second);
    assert_int_equal(connections(&c, FIRST), 1);
    cello_server_stop(s, NEVER);
    until(&c, cello_server_done(s));
    close(of_first.fd);
    close(of_second.fd);
    close(second);
    end(&c);
}

/* ---- a socket for several ---- */

static bool is_nonblocking(const struct cluster *c) {
    return fcntl(c->socket, F_GETFL) & O_NONBLOCK;
}

/* The flag belongs to the socket, not to the server: one of another kind may have set it. */
static void test_socket_that_does_not_block(void **state) {
    (void)state;
    struct cluster c;
    struct peer p;
    begin(&c, 0);
    for (int i = 0; i < 2; i++) { /* before it listens, and while it does */
        assert_int_equal(fcntl(c.socket, F_SETFL, O_NONBLOCK), 0);
        if (!i)
            serve(&c, FIRST);
        for (int k = 0; k < 3; k++) {
            call(&p, &c.at);
            ask(&c, &p);
            close(p.fd);
        }
        until(&c, connections(&c, FIRST) == 0);
        settle(&c);
        assert_true(is_nonblocking(&c));
        /* It waits, instead of asking again and again. */
        uint64_t begun = cl_now_ns();
        turn(c.servers[FIRST], WAIT_MS * MS);
        assert_true(cl_now_ns() - begun >= WAIT_MS * MS / 2);
    }
    end(&c);
}

/* By io_uring in turns. epoll tells one of those who are in a wait, and here nobody else is. */
static void test_connections_are_spread(void **state) {
    (void)state;
    struct cluster c;
    struct peer p[6];
    begin(&c, 0);
    serve(&c, FIRST);
    serve(&c, SECOND);
    for (size_t i = 0; i < CL_ARRAY_LEN(p); i++) {
        call(&p[i], &c.at);
        ask(&c, &p[i]);
    }
    if (fixture_backend == CELLO_BACKEND_IO_URING) {
        assert_int_equal(connections(&c, FIRST), CL_ARRAY_LEN(p) / 2);
        assert_int_equal(connections(&c, SECOND), CL_ARRAY_LEN(p) / 2);
    }
    for (size_t i = 0; i < CL_ARRAY_LEN(p); i++)
        close(p[i].fd);
    end(&c);
}

/* The kernel wakes one of those that wait, and this one leaves. */
static void test_who_leaves_strands_nobody(void **state) {
    (void)state;
    struct cluster c;
    struct peer p;
    begin(&c, 0);
    serve(&c, FIRST);
    serve(&c, SECOND);
    call(&p, &c.at);
    say(&p, GET("/"));
    cello_server_stop(c.servers[FIRST], NEVER);
    until(&c, heard(&p, "\r\n\r\nhello"));
    assert_true(is_nonblocking(&c)); /* for good: another one may be taking in the rest, too */
    close(p.fd);
    end(&c);
}

/* One that is full leaves the rest to others, and says so: the kernel may have told nobody else. */
static void test_who_leaves_takes_what_it_may(void **state) {
    (void)state;
    struct cluster c;
    struct peer busy, waiting[3];
    struct cl_control said = {0};
    struct cl_member member = {0};
    struct cl_cluster own = {.member = &member, .is_worker = true};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    own.inherited.control = ends[0];
    begin(&c, 2);
    c.servers[FIRST]->cluster = &own;
    serve(&c, FIRST);
    call(&busy, &c.at);
    say(&busy, GET("/hold"));
    until(&c, c.f.held_count == 1);
    for (size_t i = 0; i < CL_ARRAY_LEN(waiting); i++) {
        call(&waiting[i], &c.at);
        say(&waiting[i], GET("/"));
    }
    cello_server_stop(c.servers[FIRST], NEVER);
    until(&c, c.servers[FIRST]->open_listeners == 0);
    assert_true(connections(&c, FIRST) <= 2);
    assert_int_equal(recv(ends[1], &said, sizeof said, MSG_DONTWAIT), sizeof said);
    assert_int_equal(said.kind, CL_CONTROL_LOOK);
    serve(&c, SECOND);
    for (size_t i = 0; i < CL_ARRAY_LEN(waiting); i++) {
        until(&c, heard(&waiting[i], "\r\n\r\nhello"));
        close(waiting[i].fd);
    }
    answer_held(&c);
    until(&c, heard(&busy, "done"));
    close(busy.fd);
    end(&c);
    close(ends[0]);
    close(ends[1]);
}

/* ---- retirement against a stop ---- */

static void test_who_retires_answers_once_more(void **state) {
    (void)state;
    struct cluster c;
    struct peer idle, silent, busy;
    begin(&c, 0);
    serve(&c, FIRST);
    call(&idle, &c.at);
    call(&silent, &c.at);
    call(&busy, &c.at);
    ask(&c, &idle);
    ask(&c, &silent);
    say(&busy, GET("/hold"));
    until(&c, c.f.held_count == 1);
    cello_server_retire(c.servers[FIRST], NEVER);
    until(&c, c.servers[FIRST]->open_listeners == 0);
    settle(&c);
    assert_false(ended(&idle) || ended(&silent));
    ask(&c, &idle);
    assert_true(heard(&idle, "Connection: close"));
    until(&c, ended(&idle));
    answer_held(&c);
    until(&c, heard(&busy, "done") && heard(&busy, "Connection: close") && ended(&busy));
    assert_false(cello_server_done(c.servers[FIRST]));
    /* A stop behind it waits for idle ones no more. */
    cello_server_stop(c.servers[FIRST], NEVER);
    until(&c, ended(&silent) && cello_server_done(c.servers[FIRST]));
    close(idle.fd);
    close(silent.fd);
    close(busy.fd);
    end(&c);
}

static void test_who_stops_closes_the_idle(void **state) {
    (void)state;
    struct cluster c;
    struct peer idle, busy;
    begin(&c, 0);
    serve(&c, FIRST);
    call(&idle, &c.at);
    call(&busy, &c.at);
    ask(&c, &idle);
    say(&busy, GET("/hold"));
    until(&c, c.f.held_count == 1);
    cello_server_stop(c.servers[FIRST], NEVER);
    until(&c, ended(&idle));
    answer_held(&c);
    until(&c, heard(&busy, "done") && heard(&busy, "Connection: close") && ended(&busy));
    until(&c, cello_server_done(c.servers[FIRST]));
    close(idle.fd);
    close(busy.fd);
    end(&c);
}

#define T(name) cmocka_unit_test(test_##name)

static const struct CMUnitTest tests[] = {
    T(adoption_and_its_end),          T(adoption_of_several),       T(socket_that_does_not_block),
    T(connections_are_spread),        T(who_leaves_strands_nobody), T(who_leaves_takes_what_it_may),
    T(who_retires_answers_once_more), T(who_stops_closes_the_idle),
};

int main(void) {
    return fixture_run_backends(tests);
}
