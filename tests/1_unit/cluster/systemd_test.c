#include "cluster/systemd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

/* Listens as systemd does, at a path or an abstract name, and tells the environment. */
static int listen_at(const char *kind) {
    char text[64];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(text, sizeof text, "%scello-notify-%d", kind, getpid());
    memcpy(addr.sun_path, text, (size_t)n);
    if (text[0] == '@')
        addr.sun_path[0] = '\0';
    else
        unlink(text);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                     0);
    setenv("NOTIFY_SOCKET", text, 1);
    return fd;
}

static void expect(int fd, const char *text) {
    char got[256] = "";
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
}

static void words_arrive(void **state) {
    (void)state;
    static const char *const kinds[] = {"/tmp/", "@"};
    for (size_t i = 0; i < CL_ARRAY_LEN(kinds); i++) {
        struct cl_notify n;
        int fd = listen_at(kinds[i]);
        cl_notify_open(&n);
        assert_int_equal(n.watchdog_ns, 0);
        cl_notify_say(&n, "READY=%d\nSTATUS=%s", 1, "fine");
        expect(fd, "READY=1\nSTATUS=fine");
        cl_notify_close(&n);
        cl_notify_close(&n);
        if (kinds[i][0] == '/')
            unlink(getenv("NOTIFY_SOCKET"));
        close(fd);
    }
}

static void a_reload_says_when_it_began(void **state) {
    (void)state;
    struct cl_notify n;
    char got[256] = "";
    unsigned long long us = 0;
    int fd = listen_at("@");
    cl_notify_open(&n);
    cl_notify_reloading(&n);
    assert_true(recv(fd, got, sizeof got - 1, MSG_DONTWAIT) > 0);
    assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu\n", &us), 1);
    assert_in_range(us, cl_now_ns() / 1000 - 1000000, cl_now_ns() / 1000);
    cl_notify_close(&n);
    close(fd);
}

static void the_watchdog_hears_twice_in_its_time(void **state) {
    (void)state;
    struct cl_notify n;
    char pid[32];
    int fd = listen_at("@");
    setenv("WATCHDOG_USEC", "3000000", 1);
    cl_notify_open(&n);
    assert_int_equal(n.watchdog_ns, 1500 * CL_NS_PER_MS);
    cl_notify_close(&n);
    setenv("WATCHDOG_PID", "1", 1); /* another process */
    cl_notify_open(&n);
    assert_int_equal(n.watchdog_ns, 0);
    cl_notify_close(&n);
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "3s", 1);
    cl_notify_open(&n);
    assert_int_equal(n.watchdog_ns, 0);
    cl_notify_close(&n);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    close(fd);
}

static void nobody_listens(void **state) {
    (void)state;
    static const char *const names[] = {"", "relative", "/", "/nowhere/at/all", "@nobody-is-here"};
    struct cl_notify n;
    char text[2048];
    for (size_t i = 0; i < CL_ARRAY_LEN(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        cl_notify_open(&n);
        assert_int_equal(n.fd, -1);
        cl_notify_say(&n, "READY=1");
    }
    memset(text, '/', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    setenv("NOTIFY_SOCKET", text, 1);
    cl_notify_open(&n);
    assert_int_equal(n.fd, -1);
    unsetenv("NOTIFY_SOCKET");
    cl_notify_open(&n);
    assert_int_equal(n.fd, -1);
    cl_notify_close(&n);
}

static void sockets_are_for_one_process(void **state) {
    (void)state;
    char pid[32];
    assert_int_equal(cl_listen_fds(), 0);
    setenv("LISTEN_FDS", "2", 1);
    assert_int_equal(cl_listen_fds(), 0);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(cl_listen_fds(), 0);
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    assert_int_equal(cl_listen_fds(), 2);
    setenv("LISTEN_FDS", "-1", 1);
    assert_int_equal(cl_listen_fds(), 0);
    setenv("LISTEN_FDS", "1000000", 1);
    assert_int_equal(cl_listen_fds(), 0);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_arrive),
        cmocka_unit_test(a_reload_says_when_it_began),
        cmocka_unit_test(the_watchdog_hears_twice_in_its_time),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(sockets_are_for_one_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
