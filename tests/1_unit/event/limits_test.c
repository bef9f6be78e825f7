/* What happens when memory ends: the pool's limit, and every allocation in turn. */
#include "fixture.h"

static int setup_small_epoll(void **state) {
    return loop_setup(state, CL_BACKEND_EPOLL, 4 * CL_BLOCK_SIZE);
}

static int setup_small_uring(void **state) {
    return loop_setup(state, CL_BACKEND_URING, 4 * CL_BLOCK_SIZE);
}

static void keep(struct peer *p, int result) {
    (void)p;
    (void)result;
}

/* Six connections want a block each, and the pool has four. */
static void an_empty_pool_pauses_and_recovers(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { N = 6 };
    struct peer *p[N];
    for (int i = 0; i < N; i++) {
        p[i] = peer_connect(l);
        p[i]->recv_hook = keep;
        send_str(p[i]->far, "bytes");
    }
    int full = 0, starved = 0;
    turn_until(l, ({
                   full = starved = 0;
                   for (int i = 0; i < N; i++) {
                       full += p[i]->last_recv > 0;
                       starved += p[i]->last_recv == CELLO_ENOMEM;
                   }
                   full + starved == N;
               }));
    assert_true(full >= 3 && starved >= 2);
    assert_true(cl_loop_pool(l)->used <= 4 * CL_BLOCK_SIZE);
    int recvs = 0;
    for (int i = 0; i < N; i++)
        recvs += p[i]->recvs;
    settle(l);
    for (int i = 0; i < N; i++)
        recvs -= p[i]->recvs;
    assert_int_equal(recvs, 0); /* paused: it is said once */

    /* The happy ones go on and give their blocks back; then the others get theirs. */
    for (int i = 0; i < N; i++) {
        peer_take(p[i]);
        p[i]->recv_hook = NULL;
        cl_block_drop_empty(&p[i]->in);
    }
    for (int i = 0; i < N; i++)
        cl_io_recv_resume(&p[i]->io);
    for (int i = 0; i < N; i++) {
        turn_until(l, p[i]->got_len == 5);
        assert_got(p[i], "bytes");
    }
    for (int i = 0; i < N; i++)
        peer_close(l, p[i]);
}

static void blocks_outside_the_loop_count_too(void **state) {
    struct cl_loop *l = test_loop(state);
    struct cl_block *b[4];
    int got = 0;
    while (got < 4 && (b[got] = cl_block_new(cl_loop_pool(l), 1)) != NULL)
        got++;
    assert_true(got >= 3);
    assert_null(cl_block_new(cl_loop_pool(l), 1));
    struct peer *p = peer_connect(l);
    send_str(p->far, "hi");
    turn_until(l, p->recvs);
    if (got == 4)
        assert_int_equal(p->last_recv, CELLO_ENOMEM);
    while (got)
        cl_block_unref(b[--got]);
    cl_io_recv_resume(&p->io);
    turn_until(l, p->got_len == 2);
    peer_close(l, p);
}

/* A sender that floods a connection with a small limit may cost one burst of buffers, once; from
 * then on it gets them one by one. */
static void a_flood_holds_few_blocks(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 150000, IN_MAX = 1000 };
    char *bytes = calloc(1, SIZE);
    struct peer *p = peer_connect(l);
    p->in_max = IN_MAX;
    settle(l);
    size_t idle_bytes = cl_loop_pool(l)->used;
    for (int round = 0; round < 3; round++) {
        p->recv_hook = keep;
        p->last_recv = 0;
        size_t before = p->got_len;
        assert_int_equal(send(p->far, bytes, SIZE, 0), SIZE);
        turn_until(l, p->last_recv == CELLO_ELIMIT);
        settle(l);
        if (round)
            assert_true(cl_loop_pool(l)->used <= idle_bytes + 3 * CL_BLOCK_SIZE);
        p->recv_hook = NULL;
        peer_take(p);
        cl_io_recv_resume(&p->io);
        turn_until(l, p->got_len == before + SIZE);
    }
    /* With room for a burst it gets bursts again. */
    p->in_max = 1 << 20;
    size_t before = p->got_len;
    assert_int_equal(send(p->far, bytes, SIZE, 0), SIZE);
    turn_until(l, p->got_len == before + SIZE);
    peer_close(l, p);
    free(bytes);
}

/* ---- every allocation fails once ------------------------------------------------------------ */

/* A little of everything. Out of memory may cost the connection, never the loop. */
static bool use_a_loop(enum cl_backend backend) {
    struct cl_loop *l;
    int err = cl_loop_new(&l, &(struct cl_loop_config){backend, 0});
    if (err) {
        assert_int_equal(err, CELLO_ENOMEM);
        return false;
    }
    bool done = false;
    int fd[2];
    make_pair(fd);
    struct peer *p = peer_new();
    p->far = fd[1];
    if (cl_io_open(l, &p->io, fd[0])) {
        close(fd[0]);
        goto closed;
    }
    send_str(p->far, "something");
    turn_until(l, p->recvs);
    if (p->last_recv == CELLO_ENOMEM) {
        cl_io_recv_resume(&p->io); /* and once more */
        turn_until(l, p->got_len == 9);
    } else {
        done = p->last_recv == 9;
    }
    struct cl_poll poll = {.fd = p->far};
    if (cl_poll_open(l, &poll, p->far) == CELLO_OK)
        cl_poll_close(&poll);
    else
        done = false;
    cl_io_close(&p->io);
    turn_until(l, p->closed);
closed:
    peer_del(p);
    cl_loop_del(l);
    return done;
}

static void every_allocation_may_fail(void **state) {
    struct fixture *f = *state;
    test_loop(state);
    assert_true(use_a_loop(f->backend));
    uint64_t n = 1;
    for (;; n++) {
        uint64_t before = cl_alloc_count();
        cl_alloc_fail_nth(n);
        bool done = use_a_loop(f->backend);
        cl_alloc_fail_nth(0);
        if (done && cl_alloc_count() - before < n)
            break; /* it was not reached */
        assert_true(n < 1000);
    }
    assert_true(n > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"an_empty_pool_pauses_and_recovers (epoll)", an_empty_pool_pauses_and_recovers,
         setup_small_epoll, teardown, NULL},
        {"an_empty_pool_pauses_and_recovers (io_uring)", an_empty_pool_pauses_and_recovers,
         setup_small_uring, teardown, NULL},
        {"blocks_outside_the_loop_count_too (epoll)", blocks_outside_the_loop_count_too,
         setup_small_epoll, teardown, NULL},
        {"blocks_outside_the_loop_count_too (io_uring)", blocks_outside_the_loop_count_too,
         setup_small_uring, teardown, NULL},
        BOTH(a_flood_holds_few_blocks),
        BOTH(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
