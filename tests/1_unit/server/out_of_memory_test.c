/* Every allocation of a server's life fails once: start, connections, requests of all kinds, stop.
 * Nothing may crash or leak (AddressSanitizer looks), and the server goes on where it had begun. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "http2/conn.h"
#include "support/fixture.h"

enum { ROUNDS_MAX = 5000, LIMIT_S = 110 };

static const char *const texts[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /item/1%32?q=a%20b HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n"
    "GET /a/../none HTTP/1.1\r\nHost: a\r\n\r\n"
    "DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20000\r\n\r\n",
    NULL, /* that body */
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    "POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20000\r\n\r\n",
    NULL,
    "POST /tee HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n",
    NULL,
    "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    "GET /stream/3 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /sink/30000 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /pinned/30000 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /segments/20000 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /segments/70000?parts=2&bytes=5000 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /header?name=X&value=y HTTP/1.1\r\nHost: a\r\n\r\n"
    "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
};

static enum cello_backend backend;

static void turns(struct cl_server *s) {
    for (int i = 0; i < 6; i++)
        assert_int_equal(cello_server_turn(s, i < 4 ? 0 : 500000), CELLO_OK);
}

static int dial(const struct cl_server *s) {
    char host[128];
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cello_server_address(s, 0, host, &a.sin_port);
    a.sin_port = htons(a.sin_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void talk(struct cl_server *s) {
    static char body[20000], in[100000];
    int fd = dial(s);
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        const char *text = texts[i] ? texts[i] : body;
        size_t len = texts[i] ? strlen(text) : sizeof body;
        (void)!send(fd, text, len, MSG_NOSIGNAL);
        turns(s);
        (void)!recv(fd, in, sizeof in, 0);
    }
    close(fd);
    turns(s);
}

/* HTTP/2 in clear: a beginning in two pieces, GET / twice, and an upload without an end. */
static void talk_http2(struct cl_server *s) {
    static const char text[] = CL_H2_PREFACE "\0\0\0\4\0\0\0\0\0"
                                             "\0\0\4\1\1\0\0\0\1\x82\x84\x86\x41"
                                             "\0\0\2\x9\4\0\0\0\1\1a";
    static const char more[] = "\0\0\6\1\5\0\0\0\3\x82\x84\x86\x41\1a"
                               "\0\0\xc\1\4\0\0\0\5\x83\x86\1\1a\4\5/echo"
                               "\0\0\3\0\0\0\0\0\5abc";
    static char in[10000];
    int fd = dial(s);
    (void)!send(fd, text, 10, MSG_NOSIGNAL);
    turns(s);
    (void)!send(fd, text + 10, sizeof text - 11, MSG_NOSIGNAL);
    turns(s);
    (void)!send(fd, more, sizeof more - 1, MSG_NOSIGNAL);
    turns(s);
    (void)!recv(fd, in, sizeof in, 0);
    close(fd);
    turns(s);
}

static int add_steps(struct cl_app *app) {
    const struct cello_security_headers headers = {.x_frame_options = CL_STR("DENY"),
                                                   .x_content_type_options = true};
    struct cl_step *steps[] = {cello_step_request_id(CL_STR("X-Request-ID")),
                               cello_step_security_headers(&headers)};
    int result = CELLO_OK;
    for (size_t i = 0; i < CL_ARRAY_LEN(steps); i++) {
        int err = steps[i] ? cello_app_use(app, steps[i]) : CELLO_ENOMEM;
        if (err)
            cello_step_del(steps[i]);
        if (err)
            result = err;
    }
    return result;
}

/* The whole life. True: it came as far as serving. */
static bool live(struct fixture *f, int log_fd) {
    struct cello_server_config cfg = fixture_config();
    struct cello_http2_config http2 = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.backend = backend;
    cfg.access_log_fd = log_fd;
    cfg.limits.max_connections_per_ip = 10;
    f->app = cello_app_new();
    if (!f->app)
        return false;
    int err = fixture_routes(f, f->app);
    if (!err)
        err = add_steps(f->app);
    if (!err)
        err = cello_server_new(&f->server, f->app, &cfg);
    cello_app_del(f->app);
    if (err)
        return false;
    http2.h2c = true;
    err = cello_server_use_http2(f->server, &http2);
    bool serving = !err && cello_server_listen(f->server, "127.0.0.1", 0) == CELLO_OK;
    if (serving) {
        talk(f->server);
        talk_http2(f->server);
        talk(f->server);
        cello_server_stop(f->server, 0);
        turns(f->server);
    }
    cello_server_del(f->server);
    assert_int_equal(f->pinned, f->released);
    assert_int_equal(f->streams, f->stopped);
    assert_int_equal(f->readers, f->read);
    return serving;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    alarm(LIMIT_S);
    cl_log_set_sink(fixture_no_log, NULL);
    struct fixture f = {0};
    uint64_t before = cl_alloc_count();
    bool whole = live(&f, null);
    if (!whole && backend == CELLO_BACKEND_IO_URING)
        skip(); /* a kernel without it */
    assert_true(whole);
    uint64_t needed = cl_alloc_count() - before;
    assert_in_range(needed, 20, ROUNDS_MAX);
    unsigned handled = f.handled, served = 0;
    for (uint64_t n = 1; n <= needed; n++) {
        f = (struct fixture){0};
        cl_alloc_fail_nth(n);
        (void)live(&f, null);
        cl_alloc_fail_nth(0);
        served += f.handled >= handled / 2; /* one of two connections got everything */
    }
    assert_true(served > 0);
    close(null);
    cl_log_set_sink(NULL, NULL);
    alarm(0);
}

static void test_each_allocation_fails_epoll(void **state) {
    backend = CELLO_BACKEND_EPOLL;
    test_each_allocation_fails(state);
}

static void test_each_allocation_fails_uring(void **state) {
    backend = CELLO_BACKEND_IO_URING;
    test_each_allocation_fails(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails_epoll),
        cmocka_unit_test(test_each_allocation_fails_uring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
