#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/listen.h"

static int flag_of(int fd, int level, int option) {
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value != 0;
}

static int connect_to(const struct cl_addr *a) {
    int fd = socket(a->sa.sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (connect(fd, &a->sa, a->len)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void tcp_on_a_free_port(void **state) {
    (void)state;
    struct cl_addr a, bound;
    int fd;
    assert_int_equal(cl_addr_parse(&a, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&a, 16, false, &fd), CELLO_OK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(cl_listen_addr(fd, &bound), CELLO_OK);
    assert_true(cl_addr_port(&bound) > 0);
    int c = connect_to(&bound), s = accept(fd, NULL, NULL);
    assert_true(c >= 0 && s >= 0);
    assert_true(flag_of(s, IPPROTO_TCP, TCP_NODELAY)); /* inherited */
    close(c);
    close(s);
    close(fd);
}

static void sockets_made_elsewhere_are_tuned(void **state) {
    (void)state;
    struct cl_addr a;
    assert_int_equal(cl_addr_parse(&a, "127.0.0.1", 0), CELLO_OK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && !bind(fd, &a.sa, a.len) && !listen(fd, 16));
    cl_listen_tune(fd);
    assert_int_equal(cl_listen_addr(fd, &a), CELLO_OK);
    int c = connect_to(&a), s = accept(fd, NULL, NULL);
    assert_true(c >= 0 && s >= 0);
    assert_true(flag_of(s, IPPROTO_TCP, TCP_NODELAY));
    close(c);
    close(s);
    close(fd);
}

static void a_busy_port_is_an_error(void **state) {
    (void)state;
    struct cl_addr a;
    int first, second;
    assert_int_equal(cl_addr_parse(&a, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&a, 16, false, &first), CELLO_OK);
    assert_int_equal(cl_listen_addr(first, &a), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&a, 16, false, &second), CELLO_ESYS);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(cl_listen_tcp(&a, 16, true, &second), CELLO_ESYS);
    assert_int_equal(errno, EADDRINUSE);
    close(first);
}

static void reuseport_shares(void **state) {
    (void)state;
    struct cl_addr a;
    int first, second;
    assert_int_equal(cl_addr_parse(&a, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&a, 16, true, &first), CELLO_OK);
    assert_int_equal(cl_listen_addr(first, &a), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&a, 16, true, &second), CELLO_OK);
    close(first);
    close(second);
}

static void ipv6_is_ipv6_only(void **state) {
    (void)state;
    struct cl_addr a;
    int fd;
    assert_int_equal(cl_addr_parse(&a, "::1", 0), CELLO_OK);
    if (cl_listen_tcp(&a, 16, false, &fd))
        skip(); /* a machine without IPv6 */
    assert_true(flag_of(fd, IPPROTO_IPV6, IPV6_V6ONLY));
    close(fd);
}

static void only_ip_addresses(void **state) {
    (void)state;
    struct cl_addr a = {0};
    int fd;
    assert_int_equal(cl_listen_tcp(&a, 16, false, &fd), CELLO_EINVAL);
    assert_int_equal(cl_addr_unix(&a, "/tmp/x"), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&a, 16, false, &fd), CELLO_EINVAL);
    assert_int_equal(cl_listen_addr(-1, &a), CELLO_ESYS);
}

/* ---- unix ----------------------------------------------------------------------------------- */

static char folder[64], path[96];

static int make_folder(void **state) {
    (void)state;
    strncpy(folder, "/tmp/cello-listen-XXXXXX", sizeof folder - 1);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/s.sock", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void unix_socket_with_permissions(void **state) {
    (void)state;
    struct cl_addr a;
    struct stat st;
    int fd;
    assert_int_equal(cl_listen_unix(path, 0600, 16, &fd), CELLO_OK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(cl_listen_addr(fd, &a), CELLO_OK);
    assert_string_equal(a.un.sun_path, path);
    int c = connect_to(&a);
    assert_true(c >= 0);
    close(c);
    close(fd);
}

static void a_stale_socket_is_replaced(void **state) {
    (void)state;
    struct cl_addr a;
    int fd;
    assert_int_equal(cl_listen_unix(path, 0666, 16, &fd), CELLO_OK);
    close(fd); /* the file stays, as after a crash */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(cl_listen_unix(path, 0666, 16, &fd), CELLO_OK);
    assert_int_equal(cl_addr_unix(&a, path), CELLO_OK);
    int c = connect_to(&a);
    assert_true(c >= 0);
    close(c);
    close(fd);
}

static void a_live_socket_is_not_stolen(void **state) {
    (void)state;
    struct cl_addr a;
    int first, second;
    assert_int_equal(cl_listen_unix(path, 0666, 0, &first), CELLO_OK);
    assert_int_equal(cl_listen_unix(path, 0666, 16, &second), CELLO_ESYS);
    assert_int_equal(errno, EADDRINUSE);
    /* Not even when its queue is full, so that a connect would have to wait. */
    assert_int_equal(cl_addr_unix(&a, path), CELLO_OK);
    int queued[4];
    for (int i = 0; i < 4; i++) {
        queued[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(queued[i], &a.sa, a.len);
    }
    assert_int_equal(cl_listen_unix(path, 0666, 16, &second), CELLO_ESYS);
    assert_int_equal(errno, EADDRINUSE);
    for (int i = 0; i < 4; i++)
        close(queued[i]);
    int c = accept(first, NULL, NULL);
    assert_true(c >= 0);
    close(c);
    close(first);
}

static void a_file_is_not_removed(void **state) {
    (void)state;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(cl_listen_unix(path, 0666, 16, &fd), CELLO_ESYS);
    assert_int_equal(errno, ENOTSOCK);
    assert_int_equal(access(path, F_OK), 0);
}

static void bad_paths(void **state) {
    (void)state;
    int fd;
    assert_int_equal(cl_listen_unix("", 0666, 16, &fd), CELLO_EINVAL);
    assert_int_equal(cl_listen_unix("/no/such/folder/s.sock", 0666, 16, &fd), CELLO_ESYS);
    assert_int_equal(errno, ENOENT);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_on_a_free_port),
        cmocka_unit_test(a_busy_port_is_an_error),
        cmocka_unit_test(sockets_made_elsewhere_are_tuned),
        cmocka_unit_test(reuseport_shares),
        cmocka_unit_test(ipv6_is_ipv6_only),
        cmocka_unit_test(only_ip_addresses),
        IN_FOLDER(unix_socket_with_permissions),
        IN_FOLDER(a_stale_socket_is_replaced),
        IN_FOLDER(a_live_socket_is_not_stolen),
        IN_FOLDER(a_file_is_not_removed),
        cmocka_unit_test(bad_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
