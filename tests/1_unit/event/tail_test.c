/* Sockets that end a little later: the last bytes of a layer above TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/loop.h"
#include "event/tail.h"

static struct cl_loop *loop;
static int looks, settles_after; /* looks at sockets; the tails are settled from this one on */
static uint64_t looked_for;

static bool settled(int fd, uint64_t bytes) {
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    looked_for = bytes;
    return ++looks >= settles_after;
}

static int setup(void **state) {
    (void)state;
    looks = 0;
    settles_after = 3;
    return cl_loop_new(&loop, &(struct cl_loop_config){CL_BACKEND_EPOLL, 0});
}

static int teardown(void **state) {
    (void)state;
    cl_loop_del(loop);
    return 0;
}

static void make_pair(int fd[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

/* 0: the end; -1: nothing yet. */
static ssize_t peek(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT);
}

/* The descriptor may be closed meanwhile: the end comes when all has left, and not before. */
static void test_end_when_settled(void **state) {
    (void)state;
    int fd[2];
    struct cl_tail *tail = NULL;
    make_pair(fd);
    assert_true(cl_tail_begin(loop, fd[0], settled, 77, &tail));
    assert_non_null(tail);
    close(fd[0]);
    while (tail) {
        assert_true(looks < settles_after);
        assert_int_equal(peek(fd[1]), -1);
        assert_int_equal(cl_loop_turn(loop, UINT64_MAX), CELLO_OK);
    }
    assert_int_equal(looks, settles_after);
    assert_int_equal(looked_for, 77);
    assert_int_equal(peek(fd[1]), 0);
    assert_int_equal(cl_loop_next_ns(loop), UINT64_MAX); /* nobody looks any more */
    close(fd[1]);
}

static void test_cut_and_leave(void **state) {
    (void)state;
    int a[2], b[2];
    struct cl_tail *cut = NULL, *left = NULL;
    make_pair(a);
    make_pair(b);
    assert_true(cl_tail_begin(loop, a[0], settled, 1, &cut));
    assert_true(cl_tail_begin(loop, b[0], settled, 2, &left));
    cl_tail_cut(loop, cut);
    assert_null(cut);
    assert_int_equal(peek(a[1]), -1); /* the caller's is open */
    close(a[0]);
    assert_int_equal(peek(a[1]), 0);
    cl_tail_leave(left);
    close(b[0]);
    while (peek(b[1]) < 0)
        assert_int_equal(cl_loop_turn(loop, UINT64_MAX), CELLO_OK);
    assert_non_null(left); /* nobody wrote there */
    cl_tail_cut(loop, NULL);
    cl_tail_leave(NULL);
    close(a[1]);
    close(b[1]);
}

static void raise_descriptors(void) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_limit(void **state) {
    (void)state;
    int fd[2];
    struct cl_tail *one_more = NULL;
    raise_descriptors();
    make_pair(fd);
    settles_after = INT32_MAX;
    for (int i = 0; i < CL_TAILS_MAX; i++)
        assert_true(cl_tail_begin(loop, fd[0], settled, 1, NULL));
    assert_false(cl_tail_begin(loop, fd[0], settled, 1, &one_more));
    assert_null(one_more);
    close(fd[0]);
    uint64_t before = cl_now_ns();
    cl_loop_stop(loop); /* who takes nothing loses the rest */
    assert_in_range(cl_now_ns() - before, CL_TAIL_STOP_NS, 60 * CL_NS_PER_S);
    assert_int_equal(peek(fd[1]), 0);
    assert_false(cl_tail_begin(loop, fd[1], settled, 1, NULL));
    close(fd[1]);
}

/* A loop that stops waits no longer than it must. */
static void test_stop(void **state) {
    (void)state;
    int fd[2];
    struct cl_tail *tail = NULL;
    make_pair(fd);
    assert_true(cl_tail_begin(loop, fd[0], settled, 1, &tail));
    cl_loop_stop(loop);
    assert_null(tail);
    assert_int_equal(looks, settles_after);
    close(fd[0]);
    close(fd[1]);
}

static void test_no_descriptor(void **state) {
    (void)state;
    errno = 0;
    assert_false(cl_tail_begin(loop, -1, settled, 1, NULL));
    assert_int_equal(errno, EBADF);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_end_when_settled), TEST(test_cut_and_leave), TEST(test_limit), TEST(test_stop),
        TEST(test_no_descriptor),
    };
    return cmocka_run_group_tests_name("tails", tests, NULL, NULL);
}
