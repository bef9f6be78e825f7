#include "cluster/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/listen.h"

struct opened {
    struct cl_sockets *sockets;
    char why[CL_SOCKETS_ERROR_MAX];
    const int *fds;
    size_t fd_count;
};

static int open_places(struct opened *o, uint32_t workers, const char *const *texts, size_t count) {
    struct cl_place places[CL_ADDRESSES_MAX];
    for (size_t i = 0; i < count; i++)
        assert_int_equal(cl_place_parse(&places[i], texts[i]), CELLO_OK);
    const struct cl_sockets_config config = {
        .places = places,
        .count = count,
        .workers = workers,
        .uds_mode = 0640,
        .owner = UINT32_MAX,
        .group = UINT32_MAX,
    };
    *o = (struct opened){0};
    int err = cl_sockets_open(&o->sockets, &config, o->why);
    if (!err)
        o->fd_count = cl_sockets_fds(o->sockets, &o->fds);
    return err;
}

static int open_one(struct opened *o, uint32_t workers, const char *text) {
    return open_places(o, workers, &text, 1);
}

static uint16_t port_of(int fd) {
    struct cl_addr addr;
    assert_int_equal(cl_listen_addr(fd, &addr), CELLO_OK);
    return cl_addr_port(&addr);
}

static int connect_to(uint16_t port) {
    struct cl_addr addr;
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", port), CELLO_OK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &addr.sa, addr.len), 0);
    return fd;
}

static void every_worker_has_a_socket_of_its_own(void **state) {
    (void)state;
    enum { WORKERS = 4, CLIENTS = 400 };
    struct opened o;
    int clients[CLIENTS], accepted = 0;
    assert_int_equal(open_one(&o, WORKERS, "tcp:127.0.0.1:0"), CELLO_OK);
    assert_int_equal(o.fd_count, WORKERS);
    assert_true(cl_sockets_are_divided(o.sockets));
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(port_of(o.fds[0]));
    for (int i = 0; i < WORKERS; i++) {
        int count = 0, fd;
        assert_int_equal(port_of(o.fds[i]), port_of(o.fds[0]));
        assert_true(fcntl(o.fds[i], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fcntl(o.fds[i], F_SETFL, O_NONBLOCK), 0);
        for (; (fd = accept(o.fds[i], NULL, NULL)) >= 0; count++)
            close(fd);
        assert_in_range(count, CLIENTS / WORKERS / 2, CLIENTS / WORKERS * 2);
        accepted += count;
    }
    assert_int_equal(accepted, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    cl_sockets_del(o.sockets);
}

static void one_worker_shares_its_port_with_nobody(void **state) {
    (void)state;
    struct opened o;
    struct cl_addr addr;
    int shares = 1, fd;
    socklen_t len = sizeof shares;
    assert_int_equal(open_one(&o, 1, "tcp:127.0.0.1:0"), CELLO_OK);
    assert_false(cl_sockets_are_divided(o.sockets));
    assert_int_equal(getsockopt(o.fds[0], SOL_SOCKET, SO_REUSEPORT, &shares, &len), 0);
    assert_int_equal(shares, 0);
    assert_int_equal(cl_addr_parse(&addr, "127.0.0.1", port_of(o.fds[0])), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&addr, 1, true, &fd), CELLO_ESYS);
    cl_sockets_del(o.sockets);
}

static void a_port_that_others_share_is_busy(void **state) {
    (void)state;
    struct opened first, second;
    char text[64], why[128];
    assert_int_equal(open_one(&first, 2, "tcp:127.0.0.1:0"), CELLO_OK);
    snprintf(text, sizeof text, "tcp:127.0.0.1:%u", port_of(first.fds[0]));
    assert_int_equal(open_one(&second, 2, text), CELLO_ESYS);
    snprintf(why, sizeof why, "cannot listen on %s: Address already in use", text + 4);
    assert_string_equal(second.why, why);
    cl_sockets_del(first.sockets);
}

static void unix_sockets_are_one_for_all(void **state) {
    (void)state;
    struct opened o;
    struct stat st;
    char text[96];
    snprintf(text, sizeof text, "unix:/tmp/cello-sockets-%d", getpid());
    const char *path = text + 5;
    assert_int_equal(open_one(&o, 3, text), CELLO_OK);
    assert_int_equal(o.fd_count, 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    struct opened other;
    assert_int_equal(open_one(&other, 3, text), CELLO_ESYS); /* in use */
    assert_int_equal(stat(path, &st), 0);
    cl_sockets_close(o.sockets, true);
    assert_int_not_equal(stat(path, &st), 0);
    cl_sockets_close(o.sockets, true);
    cl_sockets_del(o.sockets);
}

static void a_file_that_another_has_put_there_stays(void **state) {
    (void)state;
    struct opened o;
    struct stat st;
    char text[96];
    snprintf(text, sizeof text, "unix:/tmp/cello-stranger-%d", getpid());
    assert_int_equal(open_one(&o, 1, text), CELLO_OK);
    assert_int_equal(unlink(text + 5), 0);
    close(open(text + 5, O_CREAT | O_CLOEXEC, 0600));
    cl_sockets_close(o.sockets, true);
    assert_int_equal(stat(text + 5, &st), 0);
    assert_int_equal(unlink(text + 5), 0);
    cl_sockets_del(o.sockets);
}

static void workers_are_told_of_all(void **state) {
    (void)state;
    struct opened o;
    char text[256], want[256], path[64];
    int fd;
    struct cl_addr any;
    assert_int_equal(cl_addr_parse(&any, "127.0.0.1", 0), CELLO_OK);
    assert_int_equal(cl_listen_tcp(&any, 1, false, &fd), CELLO_OK);
    snprintf(path, sizeof path, "fd:%d", fd);
    const char *const places[] = {"tcp:127.0.0.1:0", path, "tcp:[::1]:0"};
    assert_int_equal(open_places(&o, 2, places, 3), CELLO_OK);
    assert_int_equal(o.fd_count, 5);
    size_t n = cl_sockets_text(o.sockets, text, sizeof text);
    snprintf(want, sizeof want, "2:%d,%d,1:%d,2:%d,%d", o.fds[0], o.fds[1], fd, o.fds[3], o.fds[4]);
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
    assert_int_equal(cl_sockets_text(o.sockets, NULL, 0), n);
    assert_int_equal(cl_sockets_text(o.sockets, text, 4), n);
    assert_int_equal(strlen(text), 3);
    snprintf(want, sizeof want, "http://127.0.0.1:%u, http://127.0.0.1:%u, http://[::1]:%u",
             port_of(o.fds[0]), port_of(fd), port_of(o.fds[3]));
    cl_sockets_urls(o.sockets, 0, text, sizeof text);
    assert_string_equal(text, want);
    cl_sockets_del(o.sockets);
}

/* As another supervisor would with `place`, from the sockets of `from`. */
static int inherit(struct opened *o, const struct opened *from, uint32_t workers,
                   const char *place) {
    struct cl_place places[1];
    struct cl_worker_text text;
    char line[128] = "0,0,1,";
    cl_sockets_text(from->sockets, line + 6, sizeof line - 6);
    assert_int_equal(cl_worker_text_parse(&text, line), CELLO_OK);
    for (size_t i = 0; i < text.fd_count; i++)
        text.fds[i] = dup(text.fds[i]);
    assert_int_equal(cl_place_parse(places, place), CELLO_OK);
    const struct cl_sockets_config config = {.places = places, .count = 1, .workers = workers};
    *o = (struct opened){0};
    int err = cl_sockets_inherit(&o->sockets, &config, &text, o->why);
    for (size_t i = 0; err && i < text.fd_count; i++)
        close(text.fds[i]);
    cl_free(text.fds);
    if (!err)
        o->fd_count = cl_sockets_fds(o->sockets, &o->fds);
    return err;
}

static void sockets_are_inherited_by_who_has_the_same_places(void **state) {
    (void)state;
    struct opened o, heir;
    char place[64];
    assert_int_equal(open_one(&o, 2, "tcp:127.0.0.1:0"), CELLO_OK);
    uint16_t port = port_of(o.fds[0]);
    assert_int_equal(inherit(&heir, &o, 2, "tcp:127.0.0.1:0"), CELLO_OK); /* whatever port it is */
    assert_int_equal(heir.fd_count, 2);
    assert_true(cl_sockets_are_divided(heir.sockets));
    assert_int_equal(port_of(heir.fds[1]), port);
    assert_true(fcntl(heir.fds[1], F_GETFD) & FD_CLOEXEC);
    cl_sockets_del(heir.sockets);
    snprintf(place, sizeof place, "tcp:127.0.0.1:%u", port);
    assert_int_equal(inherit(&heir, &o, 2, place), CELLO_OK);
    cl_sockets_del(heir.sockets);
    snprintf(place, sizeof place, "tcp:127.0.0.1:%u", port ^ 1);
    assert_int_equal(inherit(&heir, &o, 2, place), CELLO_EINVAL);
    assert_string_equal(heir.why,
                        "cannot take over the sockets of another supervisor: they are not "
                        "those of the same addresses");
    assert_int_equal(inherit(&heir, &o, 3, "tcp:127.0.0.1:0"), CELLO_EINVAL);
    assert_int_equal(inherit(&heir, &o, 2, "unix:/tmp/x"), CELLO_EINVAL);
    cl_sockets_del(o.sockets);
}

static void what_fails_leaves_nothing_open(void **state) {
    (void)state;
    struct opened o;
    int before = dup(0);
    close(before);
    const char *const places[] = {"tcp:127.0.0.1:0", "tcp:no.such.host.invalid:80"};
    assert_int_equal(open_places(&o, 2, places, 2), CELLO_ENOENT);
    assert_string_equal(o.why, "cannot listen on no.such.host.invalid:80: there is no such host");
    assert_int_equal(open_one(&o, 2, "fd:999"), CELLO_ESYS);
    assert_string_equal(o.why, "cannot listen on descriptor 999: Bad file descriptor");
    int pipes[2];
    char text[32];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    close(pipes[1]);
    snprintf(text, sizeof text, "fd:%d", pipes[0]);
    assert_int_equal(open_one(&o, 2, text), CELLO_ESYS);
    close(pipes[0]);
    cl_alloc_fail_nth(1);
    assert_int_equal(open_one(&o, 1, "tcp:127.0.0.1:0"), CELLO_ENOMEM);
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_has_a_socket_of_its_own),
        cmocka_unit_test(one_worker_shares_its_port_with_nobody),
        cmocka_unit_test(a_port_that_others_share_is_busy),
        cmocka_unit_test(unix_sockets_are_one_for_all),
        cmocka_unit_test(a_file_that_another_has_put_there_stays),
        cmocka_unit_test(workers_are_told_of_all),
        cmocka_unit_test(sockets_are_inherited_by_who_has_the_same_places),
        cmocka_unit_test(what_fails_leaves_nothing_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
