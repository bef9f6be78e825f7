/* Connections in a loop: receive, send, pause, close, ends and limits, on both back ends. */
#include "fixture.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

static void receives_what_arrives(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    send_str(p->far, "hello");
    turn_until(l, p->got_len == 5);
    assert_got(p, "hello");
    assert_null(p->in); /* an idle connection holds no block */
    send_str(p->far, " world");
    turn_until(l, p->got_len == 11);
    assert_got(p, "hello world");
    assert_int_equal(p->recvs, 2);
    peer_close(l, p);
}

static void receives_what_was_there_before(void **state) {
    struct cl_loop *l = test_loop(state);
    int fd[2];
    make_pair(fd);
    send_str(fd[1], "early");
    close(fd[1]);
    struct peer *p = peer_open(l, fd[0]);
    turn_until(l, p->ends);
    assert_got(p, "early");
    assert_int_equal(p->last_recv, CELLO_EOF);
    peer_close(l, p);
}

static void keeps_unread_bytes(struct peer *p, int result) {
    (void)p;
    (void)result;
}

static void appends_to_unread_bytes(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    p->recv_hook = keeps_unread_bytes;
    send_str(p->far, "one ");
    turn_until(l, p->recvs == 1);
    send_str(p->far, "two ");
    turn_until(l, p->recvs == 2);
    /* Somebody looks at what is there: it must not move. */
    const char *at = cl_block_rd(p->in);
    struct cl_block *held = p->in;
    cl_block_ref(held);
    send_str(p->far, "three");
    turn_until(l, p->recvs == 3);
    assert_ptr_equal(p->in, held);
    assert_ptr_equal(cl_block_rd(p->in), at);
    cl_block_unref(held);
    p->recv_hook = NULL;
    peer_take(p);
    assert_got(p, "one two three");
    peer_close(l, p);
}

static struct cl_block *taken[8];
static int taken_count;

static void take_block_over(struct peer *p, int result) {
    assert_true(result > 0);
    taken[taken_count++] = p->in;
    p->in = NULL;
}

static void blocks_can_be_taken_over(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    p->recv_hook = take_block_over;
    taken_count = 0;
    for (int i = 0; i < 8; i++) {
        send_str(p->far, "abcdefgh");
        turn_until(l, taken_count == i + 1);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(cl_block_len(taken[i]), 8);
        assert_memory_equal(cl_block_rd(taken[i]), "abcdefgh", 8);
        cl_block_unref(taken[i]);
    }
    peer_close(l, p);
}

static void fill(char *bytes, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (char)(seed >> 24);
    }
}

static void receives_megabytes(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 3 << 20 };
    char *bytes = malloc(SIZE);
    fill(bytes, SIZE, 1);
    struct peer *p = peer_connect(l);
    fcntl(p->far, F_SETFL, O_NONBLOCK);
    size_t sent = 0;
    turn_until(l, ({
                   ssize_t n = sent < SIZE ? send(p->far, bytes + sent, SIZE - sent, 0) : 0;
                   if (n > 0)
                       sent += (size_t)n;
                   p->got_len == SIZE;
               }));
    assert_memory_equal(p->got, bytes, SIZE);
    peer_close(l, p);
    free(bytes);
}

/* ---- send ----------------------------------------------------------------------------------- */

static void sends_small_answers(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    p->iov[0] = (struct iovec){(void *)"ab", 2};
    p->iov[1] = (struct iovec){(void *)"", 0};
    p->iov[2] = (struct iovec){(void *)"cde", 3};
    int err = cl_io_send(&p->io, p->iov, 3);
    if (err == CELLO_EAGAIN)
        turn_until(l, p->sents == 1);
    else
        assert_int_equal(err, CELLO_OK);
    assert_int_equal(p->last_sent, CELLO_OK);
    char buf[8];
    assert_int_equal(recv(p->far, buf, 8, 0), 5);
    assert_memory_equal(buf, "abcde", 5);
    p->iov[0] = (struct iovec){NULL, 0};
    assert_int_equal(cl_io_send(&p->io, p->iov, 1), CELLO_OK);
    peer_close(l, p);
}

static void sends_megabytes_to_a_slow_reader(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 2 << 20 };
    char *bytes = malloc(SIZE), *got = malloc(SIZE + 1);
    fill(bytes, SIZE, 2);
    struct peer *p = peer_connect(l);
    p->iov[0] = (struct iovec){bytes, SIZE / 3};
    p->iov[1] = (struct iovec){bytes + SIZE / 3, SIZE - SIZE / 3};
    assert_int_equal(cl_io_send(&p->io, p->iov, 2), CELLO_EAGAIN);
    settle(l);
    assert_int_equal(p->sents, 0);
    /* A half-close meanwhile waits for the bytes. */
    cl_io_shutdown(&p->io);
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(p->far, got + len, CL_MIN((size_t)30000, SIZE - len + 1), MSG_DONTWAIT);
        if (n == 0)
            break;
        if (n > 0)
            len += (size_t)n;
        turn(l, CL_NS_PER_MS);
    }
    assert_int_equal(len, SIZE);
    assert_memory_equal(got, bytes, SIZE);
    assert_int_equal(p->sents, 1);
    assert_int_equal(p->last_sent, CELLO_OK);
    peer_close(l, p);
    free(bytes);
    free(got);
}

static void sends_more_parts_than_the_kernel_takes(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { PARTS = 20000 }; /* twenty system calls: more than one go */
    struct iovec *iov = calloc(PARTS, sizeof *iov);
    char *bytes = malloc(PARTS), *got = malloc(PARTS);
    fill(bytes, PARTS, 3);
    for (int i = 0; i < PARTS; i++)
        iov[i] = (struct iovec){bytes + i, 1};
    struct peer *p = peer_connect(l);
    if (cl_io_send(&p->io, iov, PARTS) == CELLO_EAGAIN)
        turn_until(l, p->sents == 1);
    assert_int_equal(p->last_sent, CELLO_OK);
    assert_int_equal(recv(p->far, got, PARTS, MSG_WAITALL), PARTS);
    assert_memory_equal(got, bytes, PARTS);
    peer_close(l, p);
    free(iov);
    free(bytes);
    free(got);
}

static void a_send_to_a_dead_peer_fails(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    peer_hang_up(p);
    turn_until(l, p->ends == 1);
    p->iov[0] = (struct iovec){(void *)"late", 4};
    int err = cl_io_send(&p->io, p->iov, 1);
    if (err == CELLO_EAGAIN) {
        turn_until(l, p->sents == 1);
        err = p->last_sent;
    }
    assert_int_equal(err, CELLO_ESYS);
    assert_false(p->closed);
    peer_close(l, p);
}

static void a_peer_that_dies_ends_the_send(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 4 << 20 };
    char *bytes = calloc(1, SIZE);
    struct peer *p = peer_connect(l);
    p->iov[0] = (struct iovec){bytes, SIZE};
    assert_int_equal(cl_io_send(&p->io, p->iov, 1), CELLO_EAGAIN);
    settle(l);
    peer_hang_up(p);
    turn_until(l, p->sents == 1);
    assert_int_equal(p->last_sent, CELLO_ESYS);
    peer_close(l, p);
    free(bytes);
}

/* ---- pause, limits -------------------------------------------------------------------------- */

static void pauses_and_resumes(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    settle(l);
    cl_io_recv_pause(&p->io);
    cl_io_recv_pause(&p->io);
    send_str(p->far, "while paused");
    settle(l);
    assert_int_equal(p->recvs, 0);
    cl_io_recv_resume(&p->io);
    assert_int_equal(p->recvs, 0); /* not inside the call */
    turn_until(l, p->got_len == 12);
    /* There and back within a turn, and with nothing to report. */
    cl_io_recv_pause(&p->io);
    cl_io_recv_resume(&p->io);
    cl_io_recv_resume(&p->io);
    send_str(p->far, "!");
    turn_until(l, p->got_len == 13);
    cl_io_recv_pause(&p->io);
    peer_hang_up(p);
    settle(l);
    assert_int_equal(p->ends, 0);
    cl_io_recv_resume(&p->io);
    turn_until(l, p->ends == 1);
    assert_int_equal(p->last_recv, CELLO_EOF);
    peer_close(l, p);
}

static void pause_now(struct peer *p, int result) {
    assert_true(result > 0);
    peer_take(p);
    cl_io_recv_pause(&p->io);
}

static void a_callback_may_pause(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 100000 };
    char *bytes = malloc(SIZE);
    fill(bytes, SIZE, 4);
    struct peer *p = peer_connect(l);
    assert_int_equal(send(p->far, bytes, SIZE, 0), SIZE);
    p->recv_hook = pause_now;
    int recvs = 0;
    while (p->got_len < SIZE) {
        turn_until(l, p->recvs > recvs);
        recvs = p->recvs;
        settle(l);
        assert_int_equal(p->recvs, recvs);
        cl_io_recv_resume(&p->io);
    }
    assert_memory_equal(p->got, bytes, SIZE);
    peer_close(l, p);
    free(bytes);
}

/* The more is asked for, the fewer calls bring it; also when that changes on the way. */
static void receives_in_bulk(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 1 << 20, STEP = 1 << 17 };
    char *bytes = malloc(SIZE);
    fill(bytes, SIZE, 3);
    struct peer *p = peer_connect(l);
    for (size_t at = 0; at < SIZE; at += STEP) {
        int recvs = p->recvs;
        p->in_room = at % (2 * STEP) ? 0 : 65536;
        send_str(p->far, "x"); /* the change is seen with the next bytes */
        turn_until(l, p->got_len == at + at / STEP + 1);
        turn(l, 0);
        recvs = p->recvs;
        assert_int_equal(send(p->far, bytes + at, STEP, 0), STEP);
        turn_until(l, p->got_len == at + STEP + at / STEP + 1);
        assert_memory_equal(p->got + at + at / STEP + 1, bytes + at, STEP);
        if (p->in_room)
            assert_in_range(p->recvs - recvs, 1, 12);
        assert_null(p->in);
        assert_in_range(cl_loop_pool(l)->used, 0, 64 * CL_BLOCK_SIZE); /* io_uring's ring */
    }
    close(p->far);
    p->far = -1;
    turn_until(l, p->ends == 1);
    assert_int_equal(p->last_recv, CELLO_EOF);
    peer_close(l, p);
    free(bytes);
}

static void a_full_buffer_is_reported(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 50000 };
    static const size_t limits[] = {10, 3000, CL_BLOCK_SIZE, 20000};
    char *bytes = malloc(SIZE);
    fill(bytes, SIZE, 5);
    for (size_t i = 0; i < CL_ARRAY_LEN(limits); i++) {
        struct peer *p = peer_connect(l);
        p->in_max = limits[i];
        p->recv_hook = keeps_unread_bytes;
        assert_int_equal(send(p->far, bytes, SIZE, 0), SIZE);
        while (p->got_len < SIZE) {
            bool all = SIZE - p->got_len <= limits[i];
            turn_until(l, p->last_recv == CELLO_ELIMIT ||
                              (all && p->in && cl_block_len(p->in) == SIZE - p->got_len));
            assert_int_equal(cl_block_len(p->in), CL_MIN(limits[i], SIZE - p->got_len));
            int recvs = p->recvs;
            if (!all) {
                turn(l, 0);
                assert_int_equal(p->recvs, recvs); /* paused */
            }
            peer_take(p);
            p->last_recv = 0;
            cl_io_recv_resume(&p->io);
        }
        assert_memory_equal(p->got, bytes, SIZE);
        peer_close(l, p);
    }
    free(bytes);
}

static void the_limit_may_grow(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    p->in_max = 4;
    p->recv_hook = keeps_unread_bytes;
    send_str(p->far, "0123456789");
    turn_until(l, p->last_recv == CELLO_ELIMIT);
    p->in_max = 100;
    cl_io_recv_resume(&p->io);
    turn_until(l, cl_block_len(p->in) == 10);
    peer_take(p);
    assert_got(p, "0123456789");
    peer_close(l, p);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void a_reset_is_an_error(void **state) {
    struct cl_loop *l = test_loop(state);
    int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    assert_int_equal(bind(s, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(s, 5), 0);
    assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(connect(c, (struct sockaddr *)&a, len), 0);
    int fd = accept(s, NULL, NULL);
    struct peer *p = peer_open(l, fd);
    settle(l);
    setsockopt(c, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(c);
    turn_until(l, p->ends == 1);
    assert_int_equal(p->last_recv, CELLO_ESYS);
    settle(l);
    assert_int_equal(p->ends, 1);
    peer_close(l, p);
    close(s);
}

static void a_half_closed_peer_still_reads(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    send_str(p->far, "question");
    shutdown(p->far, SHUT_WR);
    turn_until(l, p->ends == 1);
    assert_got(p, "question");
    assert_int_equal(p->last_recv, CELLO_EOF);
    p->iov[0] = (struct iovec){(void *)"answer", 6};
    if (cl_io_send(&p->io, p->iov, 1) == CELLO_EAGAIN)
        turn_until(l, p->sents == 1);
    cl_io_shutdown(&p->io);
    char buf[16];
    assert_int_equal(recv(p->far, buf, 16, MSG_WAITALL), 6);
    settle(l);
    assert_int_equal(p->ends, 1);
    peer_close(l, p);
}

/* ---- close in every callback ---------------------------------------------------------------- */

static void close_now(struct peer *p, int result) {
    (void)result;
    cl_io_close(&p->io);
    cl_io_close(&p->io);
    assert_false(p->closed); /* not inside the call */
}

static void close_in_on_recv(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    p->recv_hook = close_now;
    send_str(p->far, "x");
    turn_until(l, p->closed);
    assert_int_equal(p->recvs, 1);
    char c;
    assert_true(recv(p->far, &c, 1, 0) <= 0);
    peer_del(p);
}

static void close_in_on_recv_of_the_end(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    p->recv_hook = close_now;
    peer_hang_up(p);
    turn_until(l, p->closed);
    assert_int_equal(p->last_recv, CELLO_EOF);
    peer_del(p);
}

static void close_in_on_sent(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 2 << 20 };
    char *bytes = calloc(1, SIZE), *got = malloc(SIZE);
    struct peer *p = peer_connect(l);
    p->sent_hook = close_now;
    p->iov[0] = (struct iovec){bytes, SIZE};
    assert_int_equal(cl_io_send(&p->io, p->iov, 1), CELLO_EAGAIN);
    turn_until(l, ({
                   recv(p->far, got, SIZE, MSG_DONTWAIT);
                   p->closed;
               }));
    peer_del(p);
    free(bytes);
    free(got);
}

static void close_in_the_middle_of_a_send(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 4 << 20 };
    char *bytes = calloc(1, SIZE);
    struct peer *p = peer_connect(l);
    p->iov[0] = (struct iovec){bytes, SIZE};
    assert_int_equal(cl_io_send(&p->io, p->iov, 1), CELLO_EAGAIN);
    settle(l);
    cl_io_close(&p->io);
    turn_until(l, p->closed);
    assert_int_equal(p->sents, 0);
    free(bytes);
    peer_del(p);
}

static void close_before_the_first_turn(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    send_str(p->far, "unread");
    assert_int_equal(cl_loop_open_count(l), 1);
    cl_io_close(&p->io);
    turn_until(l, p->closed);
    assert_int_equal(p->recvs, 0);
    assert_int_equal(cl_loop_open_count(l), 0);
    peer_del(p);
}

static void close_while_paused_with_bytes_waiting(void **state) {
    struct cl_loop *l = test_loop(state);
    struct peer *p = peer_connect(l);
    settle(l);
    send_str(p->far, "waiting");
    cl_io_recv_pause(&p->io);
    settle(l);
    cl_io_close(&p->io);
    turn_until(l, p->closed);
    assert_int_equal(p->recvs, 0);
    peer_del(p);
}

static struct peer *victim;

static void close_the_other(struct peer *p, int result) {
    peer_take(p);
    if (result > 0 && victim != p)
        cl_io_close(&victim->io);
}

/* Both are readable in the same turn: whoever comes second must not hear of it. */
static void a_callback_may_close_another_connection(void **state) {
    struct cl_loop *l = test_loop(state);
    for (int i = 0; i < 2; i++) {
        struct peer *p[2] = {peer_connect(l), peer_connect(l)};
        settle(l);
        victim = p[i];
        p[!i]->recv_hook = close_the_other;
        send_str(p[0]->far, "to a");
        send_str(p[1]->far, "to b");
        turn_until(l, victim->closed);
        assert_true(victim->recvs <= 1);
        peer_del(victim);
        peer_close(l, p[!i]);
    }
}

/* A descriptor number that is used again in the same turn belongs to the new connection. */
static void reused_descriptors_are_not_confused(void **state) {
    struct cl_loop *l = test_loop(state);
    for (int i = 0; i < 200; i++) {
        struct peer *p = peer_connect(l);
        send_str(p->far, "old");
        cl_io_close(&p->io);
        struct peer *q = peer_connect(l);
        send_str(q->far, "new");
        turn_until(l, q->got_len >= 3 && p->closed);
        assert_got(q, "new");
        peer_del(p);
        peer_close(l, q);
    }
}

/* ---- fairness ------------------------------------------------------------------------------- */

static void a_flood_does_not_starve_others(void **state) {
    struct cl_loop *l = test_loop(state);
    char *bytes = calloc(1, 1 << 20);
    struct peer *flood = peer_connect(l), *quiet = peer_connect(l);
    fcntl(flood->far, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 100; i++) {
        while (send(flood->far, bytes, 1 << 20, 0) > 0)
            ;
        send_str(quiet->far, "x");
        int turns = 0;
        while (quiet->got_len < (size_t)i + 1) {
            turn(l, 0);
            assert_true(turns++ < 20);
        }
    }
    assert_true(flood->got_len > 0);
    peer_close(l, flood);
    peer_close(l, quiet);
    free(bytes);
}

static void many_connections_at_once(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { N = 400 };
    static struct peer *p[N];
    for (int i = 0; i < N; i++)
        p[i] = peer_connect(l);
    settle(l);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < N; i++)
            send_str(p[i]->far, "0123456789");
        for (int i = 0; i < N; i++)
            turn_until(l, p[i]->got_len == (size_t)round * 10);
    }
    for (int i = 0; i < N; i++) {
        peer_hang_up(p[i]);
        peer_close(l, p[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(receives_what_arrives),
        BOTH(receives_what_was_there_before),
        BOTH(appends_to_unread_bytes),
        BOTH(blocks_can_be_taken_over),
        BOTH(receives_megabytes),
        BOTH(receives_in_bulk),
        BOTH(sends_small_answers),
        BOTH(sends_megabytes_to_a_slow_reader),
        BOTH(sends_more_parts_than_the_kernel_takes),
        BOTH(a_send_to_a_dead_peer_fails),
        BOTH(a_peer_that_dies_ends_the_send),
        BOTH(pauses_and_resumes),
        BOTH(a_callback_may_pause),
        BOTH(a_full_buffer_is_reported),
        BOTH(the_limit_may_grow),
        BOTH(a_reset_is_an_error),
        BOTH(a_half_closed_peer_still_reads),
        BOTH(close_in_on_recv),
        BOTH(close_in_on_recv_of_the_end),
        BOTH(close_in_on_sent),
        BOTH(close_in_the_middle_of_a_send),
        BOTH(close_before_the_first_turn),
        BOTH(close_while_paused_with_bytes_waiting),
        BOTH(a_callback_may_close_another_connection),
        BOTH(reused_descriptors_are_not_confused),
        BOTH(a_flood_does_not_starve_others),
        BOTH(many_connections_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
