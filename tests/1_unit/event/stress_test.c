/* Random operations from a fixed seed on many connections. Every byte carries its place in its
 * stream, so that one lost, doubled or delivered to a stranger is seen. */
#include "fixture.h"

#include "support/random.h"

enum { CONNS = 40, STEPS = 20000, OUT_MAX = 100000 };

struct conn {
    struct peer *p; /* NULL: closed */
    int fd;         /* the other end; -1: closed */
    uint32_t salt;
    uint64_t pushed, seen;   /* bytes towards the loop */
    uint64_t sent, returned; /* bytes from the loop */
    bool paused;
    char *out; /* the send in progress */
    struct cl_block *kept;
};

static struct conn conns[CONNS];
static struct cl_loop *loop;
static uint64_t seed;
static int opened, closed_count;

static uint32_t dice(uint32_t n) {
    return (uint32_t)(random_next(&seed) % n);
}

static char byte_at(uint32_t salt, uint64_t at) {
    uint64_t x = (at + 1) * 0x9E3779B97F4A7C15u + salt;
    return (char)(x >> 40);
}

static void fill(char *out, size_t n, uint32_t salt, uint64_t at) {
    for (size_t i = 0; i < n; i++)
        out[i] = byte_at(salt, at + i);
}

static void check(const char *bytes, size_t n, uint32_t salt, uint64_t at) {
    for (size_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], byte_at(salt, at + i));
}

/* ---- the loop's side ------------------------------------------------------------------------ */

static void close_conn(struct conn *c) {
    if (c->p)
        cl_io_close(&c->p->io);
}

static void set_paused(struct conn *c, bool paused) {
    c->paused = paused;
    if (paused)
        cl_io_recv_pause(&c->p->io);
    else
        cl_io_recv_resume(&c->p->io);
}

static void consume(struct conn *c, size_t n) {
    struct cl_block *in = c->p->in;
    check(cl_block_rd(in), n, c->salt, c->seen);
    c->seen += n;
    in->rd += n;
}

static const size_t rooms[] = {0, CL_BLOCK_SIZE + 1, 16384, 65536};

static void on_recv(struct peer *p, int result) {
    struct conn *c = p->user;
    if (dice(16) == 0)
        p->in_room = rooms[dice(4)];
    assert_false(c->paused);
    if (result == CELLO_ELIMIT) {
        consume(c, cl_block_len(p->in));
        c->paused = true;
        set_paused(c, false);
        return;
    }
    if (result < 0) {
        close_conn(c);
        return;
    }
    assert_true((size_t)result <= cl_block_len(p->in));
    assert_true(cl_block_len(p->in) <= p->in_max);
    switch (dice(16)) {
    case 0: break; /* keep it for later */
    case 1: consume(c, dice((uint32_t)cl_block_len(p->in) + 1)); break;
    case 2: set_paused(c, true); break;
    case 3:
        consume(c, cl_block_len(p->in));
        if (c->kept)
            cl_block_unref(c->kept);
        c->kept = p->in; /* taken over, as a request does */
        p->in = NULL;
        break;
    case 4:
        if (dice(8) == 0)
            close_conn(c);
        break;
    case 5: close_conn(&conns[dice(CONNS)]); break;
    default: consume(c, cl_block_len(p->in)); break;
    }
}

static void on_sent(struct peer *p, int err) {
    struct conn *c = p->user;
    free(c->out);
    c->out = NULL;
    if (err)
        close_conn(c);
}

static void on_closed(struct peer *p, int unused) {
    (void)unused;
    struct conn *c = p->user;
    free(c->out);
    c->out = NULL;
    if (c->kept)
        cl_block_unref(c->kept);
    c->kept = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->p = NULL;
    peer_del(p);
    closed_count++;
}

static void open_conn(struct conn *c) {
    static const size_t limits[] = {100, 5000, CL_BLOCK_SIZE, 100000};
    int fd[2];
    make_pair(fd);
    fcntl(fd[1], F_SETFL, O_NONBLOCK);
    *c = (struct conn){.fd = fd[1], .salt = dice(1u << 30)};
    c->p = peer_open(loop, fd[0]);
    c->p->user = c;
    c->p->in_max = limits[dice(4)];
    c->p->in_room = rooms[dice(4)];
    c->p->recv_hook = on_recv;
    c->p->sent_hook = on_sent;
    c->p->closed_hook = on_closed;
    opened++;
}

static void start_send(struct conn *c) {
    if (c->out || !c->p || c->p->io.state & 1 /* closed */)
        return;
    size_t n = 1 + dice(dice(4) ? 300 : OUT_MAX), cut = dice((uint32_t)n);
    c->out = malloc(n);
    fill(c->out, n, c->salt + 1, c->sent);
    c->sent += n;
    c->p->iov[0] = (struct iovec){c->out, cut};
    c->p->iov[1] = (struct iovec){c->out + cut, n - cut};
    int err = cl_io_send(&c->p->io, c->p->iov, 2);
    if (err == CELLO_EAGAIN)
        return;
    free(c->out);
    c->out = NULL;
    if (err)
        close_conn(c);
}

/* ---- the other end -------------------------------------------------------------------------- */

static void push(struct conn *c) {
    static char bytes[OUT_MAX];
    size_t n = 1 + dice(dice(4) ? 500 : OUT_MAX);
    fill(bytes, n, c->salt, c->pushed);
    ssize_t done = send(c->fd, bytes, n, MSG_NOSIGNAL);
    if (done > 0)
        c->pushed += (uint64_t)done;
}

static void pull(struct conn *c) {
    static char bytes[OUT_MAX];
    ssize_t n = recv(c->fd, bytes, 1 + dice(OUT_MAX - 1), 0);
    if (n > 0) {
        check(bytes, (size_t)n, c->salt + 1, c->returned);
        c->returned += (uint64_t)n;
    }
}

static void step(void) {
    struct conn *c = &conns[dice(CONNS)];
    if (!c->p) {
        open_conn(c);
        return;
    }
    switch (dice(12)) {
    case 0:
    case 1:
    case 2:
    case 3: push(c); break;
    case 4:
    case 5: pull(c); break;
    case 6:
    case 7: start_send(c); break;
    case 8: set_paused(c, !c->paused); break;
    case 9:
        if (c->p->in && !c->paused)
            consume(c, cl_block_len(c->p->in));
        break;
    case 10:
        if (dice(20) == 0)
            close_conn(c);
        else if (dice(20) == 0)
            shutdown(c->fd, SHUT_WR);
        break;
    default: turn(loop, dice(3) ? 0 : CL_NS_PER_MS); break;
    }
}

static bool all_closed(void) {
    for (int i = 0; i < CONNS; i++)
        if (conns[i].p)
            return false;
    return true;
}

static uint64_t bytes_moved(void) {
    uint64_t sum = 0;
    for (int i = 0; i < CONNS; i++)
        sum += conns[i].seen + conns[i].returned;
    return sum;
}

/* Resume everybody and read on both sides until nothing moves any more. */
static void drain(void) {
    for (int quiet = 0; quiet < 20; quiet++) {
        uint64_t before = bytes_moved();
        for (int i = 0; i < CONNS; i++) {
            struct conn *c = &conns[i];
            if (!c->p)
                continue;
            if (c->paused)
                set_paused(c, false);
            if (c->p->in)
                consume(c, cl_block_len(c->p->in));
            pull(c);
        }
        turn(loop, CL_NS_PER_MS);
        if (bytes_moved() != before)
            quiet = 0;
    }
}

static void random_operations(void **state) {
    loop = test_loop(state);
    seed = 42;
    opened = closed_count = 0;
    memset(conns, 0, sizeof conns);
    for (int i = 0; i < STEPS; i++)
        step();
    drain();
    int alive = 0;
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &conns[i];
        if (!c->p)
            continue;
        assert_int_equal(c->seen, c->pushed);
        assert_int_equal(c->returned, c->sent);
        alive++;
    }
    assert_true(alive > 0 && closed_count > CONNS);
    for (int i = 0; i < CONNS; i++)
        close_conn(&conns[i]);
    turn_until(loop, all_closed());
    assert_int_equal(opened, closed_count);
    assert_int_equal(cl_loop_open_count(loop), 0);
}

static int setup_tight_epoll(void **state) {
    return loop_setup(state, CL_BACKEND_EPOLL, 2 << 20);
}

static int setup_tight_uring(void **state) {
    return loop_setup(state, CL_BACKEND_URING, 2 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(random_operations),
        {"random_operations, little memory (epoll)", random_operations, setup_tight_epoll, teardown,
         NULL},
        {"random_operations, little memory (io_uring)", random_operations, setup_tight_uring,
         teardown, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
