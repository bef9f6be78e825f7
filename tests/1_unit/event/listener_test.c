/* Accepting connections, on both back ends. */
#include "fixture.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { CLIENTS_MAX = 128 };

struct server {
    struct cl_listener super;
    struct cl_loop *loop;
    struct sockaddr_in addr;
    int accepted, closed;
    int fds[CLIENTS_MAX];
    bool close_in_accept, pause_in_accept;
};

static void on_accept(struct cl_listener *ls, int fd) {
    struct server *s = CL_CONTAINER_OF(ls, struct server, super);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(s->accepted < CLIENTS_MAX);
    s->fds[s->accepted++] = fd;
    if (s->close_in_accept)
        cl_listener_close(ls);
    if (s->pause_in_accept)
        cl_listener_pause(ls);
}

static void on_closed(struct cl_listener *ls) {
    struct server *s = CL_CONTAINER_OF(ls, struct server, super);
    s->closed++;
}

static void server_open(struct server *s, struct cl_loop *l) {
    *s = (struct server){.loop = l, .super = {.on_accept = on_accept, .on_closed = on_closed}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->addr.sin_family = AF_INET;
    s->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof s->addr;
    assert_int_equal(bind(fd, (struct sockaddr *)&s->addr, len), 0);
    assert_int_equal(listen(fd, CLIENTS_MAX), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&s->addr, &len), 0);
    assert_int_equal(cl_listener_open(l, &s->super, fd), CELLO_OK);
}

static void server_close(struct server *s) {
    cl_listener_close(&s->super);
    cl_listener_close(&s->super);
    turn_until(s->loop, s->closed);
    assert_int_equal(s->closed, 1);
    for (int i = 0; i < s->accepted; i++)
        close(s->fds[i]);
}

static int client(const struct server *s) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s->addr, sizeof s->addr), 0);
    return fd;
}

static void accepts(void **state) {
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    int fds[100];
    for (int i = 0; i < 100; i++)
        fds[i] = client(&s);
    turn_until(l, s.accepted == 100);
    fds[0] = (close(fds[0]), client(&s));
    turn_until(l, s.accepted == 101);
    /* What was accepted works in the loop. */
    struct peer *p = peer_open(l, s.fds[100]);
    s.accepted--;
    send_str(fds[0], "hello");
    turn_until(l, p->got_len == 5);
    peer_close(l, p);
    server_close(&s);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
}

static void pauses_and_goes_on(void **state) {
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    settle(l);
    cl_listener_pause(&s.super);
    cl_listener_pause(&s.super);
    settle(l);
    int a = client(&s), b = client(&s);
    settle(l);
    assert_int_equal(s.accepted, 0);
    cl_listener_resume(&s.super);
    turn_until(l, s.accepted == 2);
    cl_listener_resume(&s.super);
    cl_listener_pause(&s.super);
    cl_listener_resume(&s.super);
    int c = client(&s);
    turn_until(l, s.accepted == 3);
    server_close(&s);
    close(a);
    close(b);
    close(c);
}

/* A connection limit: a few may be over it, and none is lost. */
static void pauses_in_on_accept(void **state) {
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    s.pause_in_accept = true;
    int fds[20];
    for (int i = 0; i < 20; i++)
        fds[i] = client(&s);
    turn_until(l, s.accepted >= 1);
    settle(l);
    if (cl_loop_backend(l) == CL_BACKEND_EPOLL)
        assert_int_equal(s.accepted, 1);
    s.pause_in_accept = false;
    cl_listener_resume(&s.super);
    turn_until(l, s.accepted == 20);
    server_close(&s);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
}

static void closes_in_on_accept(void **state) {
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    s.close_in_accept = true;
    int a = client(&s), b = client(&s);
    turn_until(l, s.closed == 1);
    assert_in_range(s.accepted, 1, 2); /* io_uring had taken the second one already */
    server_close(&s);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(c, (const struct sockaddr *)&s.addr, sizeof s.addr), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(a);
    close(b);
    close(c);
}

static void closes_before_the_first_turn(void **state) {
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    assert_int_equal(cl_loop_open_count(l), 1);
    server_close(&s);
    assert_int_equal(cl_loop_open_count(l), 0);
}

static int vanished_clients(struct server *s, int n) {
    for (int i = 0; i < n; i++) {
        int fd = client(s);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(fd);
    }
    return n;
}

static void clients_that_vanish_do_no_harm(void **state) {
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    vanished_clients(&s, 10);
    settle(l);
    int before = s.accepted;
    int fd = client(&s);
    turn_until(l, s.accepted > before);
    server_close(&s);
    close(fd);
}

/* In a child, because the limit is the process's. Answers 0, or the line that failed. */
#define require(cond)                                                                              \
    do {                                                                                           \
        if (!(cond))                                                                               \
            _exit(__LINE__ % 256 ? __LINE__ % 256 : 1);                                            \
    } while (0)

static int child_accepted, child_fds[CLIENTS_MAX];

static void child_accept(struct cl_listener *ls, int fd) {
    (void)ls;
    child_fds[child_accepted++] = fd;
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * CL_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void out_of_descriptors(enum cl_backend backend, int listen_fd, int clients) {
    struct cl_loop *l;
    struct cl_listener ls = {.on_accept = child_accept, .on_closed = on_closed};
    alarm(20);
    require(cl_loop_new(&l, &(struct cl_loop_config){backend, 0}) == CELLO_OK);
    require(cl_listener_open(l, &ls, listen_fd) == CELLO_OK);
    int highest = dup(0);
    close(highest);
    struct rlimit limit = {(rlim_t)highest + 3, (rlim_t)highest + 3}; /* three are left */
    require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (child_accepted < 3)
        cl_loop_turn(l, CL_NS_PER_S);
    /* Resting, not spinning: some retries in half a second, and next to no time used. */
    uint64_t until_ns = cl_now_ns() + 500 * CL_NS_PER_MS, cpu_before_ns = cpu_ns();
    int turns = 0;
    for (; cl_now_ns() < until_ns; turns++)
        cl_loop_turn(l, until_ns - CL_MIN(cl_now_ns(), until_ns));
    require(turns < 40);
    require(cpu_ns() - cpu_before_ns < 100 * CL_NS_PER_MS);
    require(child_accepted == 3);
    /* Descriptors come back: all who waited in the queue get in. */
    for (int done = 0; done < clients; done++) {
        while (child_accepted <= done)
            cl_loop_turn(l, CL_NS_PER_S);
        close(child_fds[done]);
    }
    require(child_accepted == clients);
    _exit(0);
}

static void accept_survives_the_end_of_descriptors(void **state) {
    enum { CLIENTS = 8 };
    struct fixture *f = *state;
    struct cl_loop *l = test_loop(state);
    struct server s;
    server_open(&s, l);
    cl_listener_pause(&s.super);
    settle(l);
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client(&s);
    pid_t child = fork();
    if (child == 0)
        out_of_descriptors(f->backend, s.super.fd, CLIENTS);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    server_close(&s);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(accepts),
        BOTH(pauses_and_goes_on),
        BOTH(pauses_in_on_accept),
        BOTH(closes_in_on_accept),
        BOTH(closes_before_the_first_turn),
        BOTH(clients_that_vanish_do_no_harm),
        BOTH(accept_survives_the_end_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
