/* What records of workers say of their health, and the listener that tells. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <cello/health.h>
#include <cello/server.h>

#include "server/health_view.h"

#define HEARTBEAT_NS (30 * CL_NS_PER_S)

static struct cl_segment *segment;
static struct cl_members *members;

static int set_up(void **state) {
    (void)state;
    alarm(60);
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = cl_members_size(2)};
    assert_int_equal(cl_segment_new(&segment, sizes), CELLO_OK);
    members = cl_members_of(segment, 2);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cl_segment_del(segment);
    return 0;
}

static struct cl_health_view look(void) {
    struct cl_health_view v;
    cl_health_view(&v, members, members->count, HEARTBEAT_NS, cl_now_ns());
    return v;
}

static void hang(struct cl_member *m, bool hung) {
    m->busy_since_ns = hung ? cl_now_ns() - HEARTBEAT_NS - 1 : 0;
}

/* ---- the view ---- */

static void a_worker_that_serves_is_enough(void **state) {
    (void)state;
    struct cl_health_view v = look();
    assert_true(cl_health_is_live(&v)); /* nobody hangs: they are being started */
    assert_false(cl_health_is_ready(&v));
    members->at[0].state = CL_MEMBER_STARTING;
    v = look();
    assert_false(cl_health_is_ready(&v));
    members->at[1].state = CL_MEMBER_READY;
    v = look();
    assert_true(cl_health_is_live(&v) && cl_health_is_ready(&v));
    members->at[1].state = CL_MEMBER_DRAINING;
    v = look();
    assert_true(cl_health_is_live(&v));
    assert_false(cl_health_is_ready(&v));
}

static void a_stop_that_has_begun(void **state) {
    (void)state;
    members->at[0].state = CL_MEMBER_READY;
    members->stopping = 1;
    struct cl_health_view v = look();
    assert_true(cl_health_is_live(&v));
    assert_false(cl_health_is_ready(&v));
}

static void only_when_all_hang_it_is_dead(void **state) {
    (void)state;
    members->at[0].state = members->at[1].state = CL_MEMBER_READY;
    members->at[0].busy_since_ns = cl_now_ns(); /* busy, but not for long */
    struct cl_health_view v = look();
    assert_int_equal(v.hung, 0);
    assert_int_equal(v.ready, 2);
    hang(&members->at[0], true);
    v = look();
    assert_int_equal(v.hung, 1);
    assert_true(cl_health_is_live(&v) && cl_health_is_ready(&v));
    hang(&members->at[1], true);
    v = look();
    assert_false(cl_health_is_live(&v));
    assert_false(cl_health_is_ready(&v));
    cl_health_view(&v, members, members->count, 0, cl_now_ns()); /* no heartbeat: nobody hangs */
    assert_true(cl_health_is_live(&v) && cl_health_is_ready(&v));
}

static void checks_have_to_be_good_and_fresh(void **state) {
    (void)state;
    struct cl_member *m = &members->at[0];
    m->state = CL_MEMBER_READY;
    m->checks = 2;
    m->checked_ns = cl_now_ns();
    struct cl_health_view v = look();
    assert_true(cl_health_is_ready(&v));
    m->failing = 1;
    v = look();
    assert_false(cl_health_is_ready(&v));
    m->failing = 0;
    m->checked_ns = cl_now_ns() - CL_CHECKS_FRESH_NS - 1;
    v = look();
    assert_false(cl_health_is_ready(&v));
    assert_true(cl_health_is_live(&v));
}

/* ---- the listener ---- */

static struct cello_health_server *serve(const char *address, uint16_t *port) {
    struct cello_health_server *h;
    const struct cello_health_config cfg = {
        .address = address, .path = "/health", .segment = segment, .heartbeat_ns = HEARTBEAT_NS};
    char host[128];
    assert_int_equal(cello_health_serve(&h, &cfg), CELLO_OK);
    assert_int_equal(cello_health_address(h, host, port), CELLO_OK);
    return h;
}

static const char *get(uint16_t port, const char *path) {
    static char text[16384];
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    dprintf(fd, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
    size_t got = 0;
    ssize_t n;
    while ((n = read(fd, text + got, sizeof text - 1 - got)) > 0)
        got += (size_t)n;
    text[got] = '\0';
    close(fd);
    return text;
}

static void assert_answer(uint16_t port, const char *path, const char *status, const char *part) {
    const char *text = get(port, path);
    char line[64];
    snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    assert_memory_equal(text, line, strlen(line));
    assert_non_null(strstr(text, part));
    assert_non_null(strstr(text, "Cache-Control: no-store\r\n"));
}

static void it_answers_while_all_workers_hang(void **state) {
    (void)state;
    uint16_t port;
    struct cello_health_server *h = serve("127.0.0.1:0", &port);
    assert_answer(port, "/health/live", "200", "{\"status\":\"ok\",\"serving\":0");
    assert_answer(port, "/health/startup", "503", "{\"status\":\"starting\"");
    assert_answer(port, "/health/ready", "503", "{\"status\":\"not ready\"");
    struct cl_member *m = &members->at[1];
    m->worker_id = 1;
    m->pid = 4242;
    m->requests = 7;
    m->started_ns = cl_now_ns();
    m->state = CL_MEMBER_READY;
    assert_answer(port, "/health/ready", "200", "{\"status\":\"ok\",\"serving\":1,\"ready\":1,");
    assert_answer(port, "/health/startup", "200", "{\"status\":\"ok\"");
    const char *worker = "{\"workers\":[{\"id\":1,\"pid\":4242,\"state\":\"ready\",\"hung\":false,";
    assert_answer(port, "/health/workers", "200", worker);
    assert_answer(port, "/health/workers", "200", "\"requests\":7,");
    hang(m, true);
    assert_answer(port, "/health/live", "503", "{\"status\":\"hung\",\"serving\":1,");
    assert_answer(port, "/health/ready", "503", "{\"status\":\"hung\"");
    hang(m, false);
    members->stopping = 1;
    assert_answer(port, "/health/ready", "503", "{\"status\":\"stopping\"");
    m->state = CL_MEMBER_FREE; /* all are gone; it has started nevertheless */
    assert_answer(port, "/health/startup", "200", "{\"status\":\"ok\"");
    assert_non_null(strstr(get(port, "/"), "HTTP/1.1 404 "));
    cello_health_end(h);
}

static void addresses_that_cannot_be(void **state) {
    (void)state;
    const char *const bad[] = {"",
                               "9000",
                               ":9000",
                               "127.0.0.1",
                               "127.0.0.1:",
                               "127.0.0.1:65536",
                               "127.0.0.1:-1",
                               "127.0.0.1:9x",
                               "unix:"};
    struct cello_health_server *h;
    struct cello_health_config cfg = {.path = "/health", .segment = segment};
    for (size_t i = 0; i < CL_ARRAY_LEN(bad); i++) {
        cfg.address = bad[i];
        assert_int_equal(cello_health_serve(&h, &cfg), CELLO_EINVAL);
    }
    cfg.address = "127.0.0.1:0";
    cfg.path = "health";
    assert_int_equal(cello_health_serve(&h, &cfg), CELLO_EINVAL);
}

static void an_address_that_is_taken(void **state) {
    (void)state;
    uint16_t port;
    struct cello_health_server *first = serve("127.0.0.1:0", &port), *second;
    char address[32], host[128];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    struct cello_health_config cfg = {.address = address, .path = "/second", .segment = segment};
    assert_int_equal(cello_health_serve(&second, &cfg), CELLO_ESYS);
    assert_int_equal(errno, EADDRINUSE);
    cfg.waits = true;
    assert_int_equal(cello_health_serve(&second, &cfg), CELLO_OK);
    assert_int_equal(cello_health_address(second, host, &port), CELLO_EAGAIN);
    cello_health_end(first);
    while (cello_health_address(second, host, &port) == CELLO_EAGAIN)
        usleep(1000);
    assert_answer(port, "/second/live", "200", "{\"status\":\"ok\"");
    cello_health_end(second);
    first = serve(address, &port);
    assert_int_equal(cello_health_serve(&second, &cfg), CELLO_OK);
    cello_health_end(second); /* while it waits */
    cello_health_end(first);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_worker_that_serves_is_enough),    TEST(a_stop_that_has_begun),
        TEST(only_when_all_hang_it_is_dead),     TEST(checks_have_to_be_good_and_fresh),
        TEST(it_answers_while_all_workers_hang), TEST(addresses_that_cannot_be),
        TEST(an_address_that_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
