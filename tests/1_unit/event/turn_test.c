/* What a turn runs beside connections: hooks, posts, wake-ups, flushes, polls, timers; and the
 * descriptor by which a foreign loop drives this one. */
#include "fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- hooks ---------------------------------------------------------------------------------- */

static char order[64];
static size_t order_len;

static void note(char c) {
    if (order_len < sizeof order - 1)
        order[order_len++] = c;
    order[order_len] = '\0';
}

static void hook_before(void *ctx) {
    (void)ctx;
    note('<');
}

static void hook_after(void *ctx) {
    (void)ctx;
    note('>');
    errno = 0;
}

static int batches_left;

static bool hook_batch(void *ctx) {
    (void)ctx;
    note('b');
    return batches_left-- > 0;
}

static void note_flush(struct cl_flush *f) {
    (void)f;
    note('f');
}

static void note_post(struct cl_post *p) {
    (void)p;
    note('p');
}

static void note_timer(struct cl_timer *t) {
    (void)t;
    note('t');
}

static struct cl_loop *noting_loop;
static struct cl_flush noting_flush = {.run = note_flush};

static void note_recv(struct peer *p, int result) {
    (void)result;
    peer_take(p);
    note('r');
    cl_loop_flush_later(noting_loop, &noting_flush);
}

static void a_turn_has_its_order(void **state) {
    struct cl_loop *l = noting_loop = test_loop(state);
    struct cl_loop_hooks hooks = {NULL, hook_before, hook_after, hook_batch};
    struct cl_timer t;
    struct cl_post post = {.run = note_post};
    struct peer *p = peer_connect(l);
    settle(l);
    p->recv_hook = note_recv;
    cl_timer_init(&t, note_timer);
    cl_loop_set_hooks(l, &hooks);
    order_len = 0;
    batches_left = 2;
    cl_timer_set(cl_loop_timers(l), &t, cl_loop_now_ns(l) + 1);
    struct timespec tick = {.tv_nsec = 2 * CL_TIMER_TICK_MS * (long)CL_NS_PER_MS};
    nanosleep(&tick, NULL);
    cl_loop_post(l, &post);
    send_str(p->far, "x");
    assert_int_equal(cl_loop_turn(l, 0), CELLO_OK); /* a turn that does not wait calls no hook */
    assert_string_equal(order, "rptbf");
    assert_int_equal(cl_loop_turn(l, UINT64_MAX), CELLO_OK); /* the batch had work left */
    assert_int_equal(cl_loop_turn(l, UINT64_MAX), CELLO_OK);
    assert_string_equal(order, "rptbfbb");
    cl_loop_wake(l);
    assert_int_equal(cl_loop_turn(l, UINT64_MAX), CELLO_OK);
    assert_string_equal(order, "rptbfbb<>b");
    batches_left = 0;
    peer_close(l, p);
}

static void ask_for_batch(struct cl_flush *f) {
    (void)f;
    note('f');
    cl_loop_need_batch(noting_loop);
}

static void work_found_after_the_batch_is_not_waited_for(void **state) {
    struct cl_loop *l = noting_loop = test_loop(state);
    struct cl_loop_hooks hooks = {NULL, hook_before, hook_after, hook_batch};
    struct cl_flush f = {.run = ask_for_batch};
    settle(l);
    cl_loop_set_hooks(l, &hooks);
    order_len = 0;
    batches_left = 0;
    cl_loop_flush_later(l, &f);
    assert_int_equal(cl_loop_turn(l, 0), CELLO_OK);
    assert_int_equal(cl_loop_turn(l, UINT64_MAX), CELLO_OK);
    assert_string_equal(order, "bfb");
}

/* ---- flushes -------------------------------------------------------------------------------- */

struct test_flush {
    struct cl_flush super;
    struct cl_loop *loop;
    struct cl_flush *cancel, *ask;
    int runs;
};

static void run_test_flush(struct cl_flush *f) {
    struct test_flush *t = CL_CONTAINER_OF(f, struct test_flush, super);
    t->runs++;
    if (t->cancel)
        cl_loop_flush_cancel(t->loop, t->cancel);
    if (t->ask)
        cl_loop_flush_later(t->loop, t->ask);
}

static void flushes_run_once_and_in_order(void **state) {
    struct cl_loop *l = test_loop(state);
    struct test_flush f[4];
    for (size_t i = 0; i < 4; i++)
        f[i] = (struct test_flush){.super.run = run_test_flush, .loop = l};
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < 4; k++)
            cl_loop_flush_later(l, &f[k].super);
    assert_int_equal(cl_loop_next_ns(l), 0);
    turn(l, UINT64_MAX);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(f[k].runs, 1);
    turn(l, 0);
    assert_int_equal(f[0].runs, 1);
    assert_int_equal(cl_loop_next_ns(l), UINT64_MAX);

    /* One that asks for itself again gets its next run in the next turn. */
    f[0].ask = &f[0].super;
    cl_loop_flush_later(l, &f[0].super);
    for (int i = 2; i < 5; i++) {
        turn(l, UINT64_MAX);
        assert_int_equal(f[0].runs, i);
    }
    cl_loop_flush_cancel(l, &f[0].super);
    f[0].ask = NULL;

    /* Cancelling: the first, the last, one that is not queued, one of the running list. */
    for (size_t k = 0; k < 4; k++) {
        f[k].runs = 0;
        cl_loop_flush_later(l, &f[k].super);
    }
    cl_loop_flush_cancel(l, &f[0].super);
    cl_loop_flush_cancel(l, &f[0].super);
    cl_loop_flush_cancel(l, &f[3].super);
    f[1].cancel = &f[2].super;
    f[1].ask = &f[3].super;
    turn(l, UINT64_MAX);
    assert_int_equal(f[0].runs, 0);
    assert_int_equal(f[1].runs, 1);
    assert_int_equal(f[2].runs, 0);
    assert_int_equal(f[3].runs, 0);
    turn(l, UINT64_MAX);
    assert_int_equal(f[3].runs, 1);
}

/* ---- posts and wake-ups --------------------------------------------------------------------- */

enum { THREADS = 4, POSTS = 2000 };

struct counted_post {
    struct cl_post super;
    int thread, number;
};

static int posts_run, posts_of[THREADS];

static void run_counted(struct cl_post *p) {
    struct counted_post *c = CL_CONTAINER_OF(p, struct counted_post, super);
    assert_int_equal(c->number, posts_of[c->thread]); /* in the order of their sender */
    posts_of[c->thread]++;
    posts_run++;
    free(c);
}

struct poster {
    struct cl_loop *loop;
    int thread;
};

static void *post_many(void *arg) {
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++) {
        struct counted_post *c = malloc(sizeof *c);
        *c = (struct counted_post){{NULL, run_counted}, p->thread, i};
        cl_loop_post(p->loop, &c->super);
    }
    return NULL;
}

static void posts_arrive_from_threads(void **state) {
    struct cl_loop *l = test_loop(state);
    pthread_t threads[THREADS];
    struct poster posters[THREADS];
    posts_run = 0;
    memset(posts_of, 0, sizeof posts_of);
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){l, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    while (posts_run < THREADS * POSTS)
        turn(l, UINT64_MAX); /* a lost wake-up ends in the time limit */
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void *wake_soon(void *arg) {
    struct timespec t = {.tv_nsec = 20 * (long)CL_NS_PER_MS};
    nanosleep(&t, NULL);
    cl_loop_wake(arg);
    return NULL;
}

static void a_thread_wakes_the_wait(void **state) {
    struct cl_loop *l = test_loop(state);
    for (int i = 0; i < 3; i++) {
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, wake_soon, l), 0);
        turn(l, UINT64_MAX);
        pthread_join(t, NULL);
    }
    /* Before the wait counts, too; several at once are one. */
    cl_loop_wake(l);
    cl_loop_wake(l);
    turn(l, UINT64_MAX);
    uint64_t before = cl_now_ns();
    turn(l, 30 * CL_NS_PER_MS);
    assert_true(cl_now_ns() - before >= 20 * CL_NS_PER_MS);
}

static struct cl_loop *signalled;

static volatile sig_atomic_t handler_ran;

static void wake_from_handler(int sig) {
    (void)sig;
    handler_ran = 1;
    cl_loop_wake(signalled);
}

static void a_signal_ends_the_wait(void **state) {
    struct cl_loop *l = signalled = test_loop(state);
    settle(l);
    struct sigaction act = {.sa_handler = wake_from_handler}, old;
    sigaction(SIGUSR1, &act, &old);
    pid_t child = fork();
    if (child == 0) {
        struct timespec t = {.tv_nsec = 30 * (long)CL_NS_PER_MS};
        nanosleep(&t, NULL);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    handler_ran = 0;
    while (!handler_ran)
        turn(l, UINT64_MAX);
    turn(l, CL_NS_PER_MS);
    waitpid(child, NULL, 0);
    sigaction(SIGUSR1, &old, NULL);
}

static void only_note(int sig) {
    (void)sig;
    handler_ran = 1;
}

static void a_signal_is_told(void **state) {
    struct cl_loop *l = test_loop(state);
    settle(l);
    struct sigaction act = {.sa_handler = only_note}, old;
    sigaction(SIGUSR2, &act, &old);
    pid_t child = fork();
    if (child == 0) {
        struct timespec t = {.tv_nsec = 30 * (long)CL_NS_PER_MS};
        nanosleep(&t, NULL);
        kill(getppid(), SIGUSR2);
        _exit(0);
    }
    /* With something to submit at the same time. */
    struct peer *p = peer_connect(l);
    if (cl_loop_backend(l) == CL_BACKEND_EPOLL)
        turn(l, 0); /* an edge of a new socket: it is writable */
    handler_ran = 0;
    int err = CELLO_OK;
    while (!handler_ran)
        err = cl_loop_turn(l, UINT64_MAX);
    assert_int_equal(err, CELLO_ESYS);
    assert_int_equal(errno, EINTR);
    waitpid(child, NULL, 0);
    sigaction(SIGUSR2, &old, NULL);
    peer_close(l, p);
}

/* Made here, run there: io_uring's rings belong to one thread. */
static void *run_elsewhere(void *arg) {
    struct cl_loop *l = arg;
    struct peer *p = peer_connect(l);
    send_str(p->far, "there");
    turn_until(l, p->got_len == 5);
    peer_close(l, p);
    return NULL;
}

static void a_loop_may_run_on_another_thread(void **state) {
    struct cl_loop *l = test_loop(state);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, run_elsewhere, l), 0);
    pthread_join(t, NULL);
}

/* Everything is under way: a recv, a send that nobody reads, a listener. */
static struct peer *left_open;
static struct cl_listener left_listening;
static int listener_closed;
static char left_bytes[4 << 20];

static void on_listener_closed(struct cl_listener *ls) {
    (void)ls;
    listener_closed++;
}

static void *leave_open(void *arg) {
    struct cl_loop *l = arg;
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    left_open = peer_connect(l);
    left_open->iov[0] = (struct iovec){left_bytes, sizeof left_bytes};
    assert_int_equal(cl_io_send(&left_open->io, left_open->iov, 1), CELLO_EAGAIN);
    left_listening = (struct cl_listener){.on_closed = on_listener_closed};
    assert_int_equal(listen(ls, 1), 0);
    assert_int_equal(cl_listener_open(l, &left_listening, ls), CELLO_OK);
    settle(l);
    return NULL;
}

/* The thread of the turns is gone: posts run all the same, and deleting the loop reports the rest,
 * which may be waiting to be closed (`open`). */
static void delete_on_another_thread(void **state, bool open) {
    struct fixture *f = *state;
    struct cl_loop *l = test_loop(state);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, leave_open, l), 0);
    pthread_join(t, NULL);
    if (!open)
        cl_io_close(&left_open->io);
    listener_closed = 0;
    cl_listener_close(&left_listening);
    struct cl_post post = {.run = note_post};
    order_len = 0;
    cl_loop_post(l, &post);
    (void)cl_loop_turn(l, 0);
    assert_string_equal(order, "p");
    cl_loop_stop(l);
    cl_loop_stop(l);
    cl_loop_post(l, &post);
    assert_int_equal(cl_loop_turn(l, UINT64_MAX), CELLO_OK);
    assert_string_equal(order, "pp");
    f->loop = NULL;
    cl_loop_del(l);
    assert_int_equal(left_open->closed, 1);
    assert_int_equal(listener_closed, 1);
    assert_int_equal(left_open->sents, 0);
    left_open->in = NULL;
    peer_del(left_open);
}

static void a_loop_may_be_deleted_on_another_thread(void **state) {
    delete_on_another_thread(state, false);
}

static void a_loop_that_is_deleted_closes_what_is_open(void **state) {
    delete_on_another_thread(state, true);
}

/* ---- polls ---------------------------------------------------------------------------------- */

static int polls_ready;
static bool poll_closes;

static void count_poll(struct cl_poll *p) {
    polls_ready++;
    if (poll_closes)
        cl_poll_close(p);
}

static void polls_are_level_triggered(void **state) {
    struct cl_loop *l = test_loop(state);
    int fd = eventfd(0, EFD_NONBLOCK);
    struct cl_poll p = {.on_ready = count_poll};
    polls_ready = 0;
    poll_closes = false;
    assert_int_equal(cl_poll_open(l, &p, fd), CELLO_OK);
    settle(l);
    assert_int_equal(polls_ready, 0);
    uint64_t n = 1;
    assert_int_equal(write(fd, &n, 8), 8);
    for (int i = 1; i < 4; i++)
        turn_until(l, polls_ready == i);
    assert_int_equal(read(fd, &n, 8), 8);
    settle(l);
    int now = polls_ready;
    settle(l);
    assert_int_equal(polls_ready, now);
    poll_closes = true;
    n = 1;
    assert_int_equal(write(fd, &n, 8), 8);
    turn_until(l, polls_ready == now + 1);
    settle(l);
    assert_int_equal(polls_ready, now + 1);
    close(fd);
}

static struct cl_poll *heap_polls[8];

static void close_all_polls(struct cl_poll *p) {
    (void)p;
    polls_ready++;
    for (size_t i = 0; i < 8; i++) {
        cl_poll_close(heap_polls[i]);
        free(heap_polls[i]); /* at once: nothing may look at it any more */
        heap_polls[i] = NULL;
    }
}

static void a_closed_poll_is_never_touched(void **state) {
    struct cl_loop *l = test_loop(state);
    int fd = eventfd(1, EFD_NONBLOCK);
    int fds[8];
    polls_ready = 0;
    for (size_t i = 0; i < 8; i++) {
        heap_polls[i] = calloc(1, sizeof(struct cl_poll));
        heap_polls[i]->on_ready = close_all_polls;
        fds[i] = dup(fd);
        assert_int_equal(cl_poll_open(l, heap_polls[i], fds[i]), CELLO_OK);
    }
    turn_until(l, polls_ready == 1);
    settle(l);
    assert_int_equal(polls_ready, 1);
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    close(fd);
}

/* ---- timers in turns ------------------------------------------------------------------------ */

static uint64_t fired_ns;

static void note_time(struct cl_timer *t) {
    (void)t;
    fired_ns = cl_now_ns();
}

static void a_timer_ends_the_wait(void **state) {
    struct cl_loop *l = test_loop(state);
    struct cl_timer t;
    cl_timer_init(&t, note_time);
    fired_ns = 0;
    uint64_t deadline_ns = cl_now_ns() + 50 * CL_NS_PER_MS;
    cl_timer_set(cl_loop_timers(l), &t, deadline_ns);
    int turns = 0;
    while (!fired_ns) {
        turn(l, UINT64_MAX);
        assert_true(turns++ < 10);
    }
    assert_true(fired_ns >= deadline_ns);
    assert_true(fired_ns < deadline_ns + 2000 * CL_NS_PER_MS);
}

/* ---- driven by a foreign loop --------------------------------------------------------------- */

static bool readable(int fd, int timeout_ms) {
    struct epoll_event e;
    int n;
    do {
        n = epoll_wait(fd, &e, 1, timeout_ms); /* the ring's task work interrupts it */
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

static void the_poll_fd_tells_a_foreign_loop(void **state) {
    struct cl_loop *l = test_loop(state);
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, cl_loop_poll_fd(l), &e), 0);
    struct peer *p = peer_connect(l);
    for (int i = 0; i < 5; i++)
        turn(l, 0);
    assert_false(readable(outer, 0)); /* quiet */

    send_str(p->far, "x");
    assert_true(readable(outer, 5000));
    while (readable(outer, 20))
        turn(l, 0);
    assert_got(p, "x");

    /* An answer that is given outside a turn. */
    p->iov[0] = (struct iovec){(void *)"y", 1};
    if (cl_io_send(&p->io, p->iov, 1) == CELLO_EAGAIN)
        while (!p->sents && readable(outer, 5000))
            turn(l, 0);
    char c;
    assert_int_equal(recv(p->far, &c, 1, 0), 1);
    while (readable(outer, 20))
        turn(l, 0);

    /* A flush, a post and a close that are asked for outside a turn. */
    struct test_flush f = {.super.run = run_test_flush, .loop = l};
    cl_loop_flush_later(l, &f.super);
    assert_true(readable(outer, 5000));
    while (readable(outer, 20))
        turn(l, 0);
    assert_int_equal(f.runs, 1);
    struct cl_post post = {.run = note_post};
    order_len = 0;
    cl_loop_post(l, &post);
    assert_true(readable(outer, 5000));
    while (readable(outer, 20))
        turn(l, 0);
    assert_string_equal(order, "p");
    cl_io_close(&p->io);
    while (!p->closed) {
        assert_true(readable(outer, 5000));
        turn(l, 0);
    }
    peer_del(p);
    close(outer);
}

/* Many bytes and a paused reader: the descriptor must show what the loop owes itself. */
static void a_foreign_loop_sees_work_left(void **state) {
    struct cl_loop *l = test_loop(state);
    enum { SIZE = 100000 };
    char *bytes = calloc(1, SIZE);
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, cl_loop_poll_fd(l), &e), 0);
    struct peer *p = peer_connect(l);
    assert_int_equal(send(p->far, bytes, SIZE, 0), SIZE);
    while (p->got_len < SIZE / 2) {
        assert_true(readable(outer, 5000));
        turn(l, 0);
    }
    cl_io_recv_pause(&p->io);
    while (readable(outer, 20))
        turn(l, 0);
    assert_true(p->got_len < SIZE || cl_loop_backend(l) == CL_BACKEND_URING);
    cl_io_recv_resume(&p->io);
    while (p->got_len < SIZE) {
        assert_true(readable(outer, 5000));
        turn(l, 0);
    }
    peer_close(l, p);
    close(outer);
    free(bytes);
}

/* ---- the loop itself ------------------------------------------------------------------------ */

static void auto_finds_a_back_end(void **state) {
    (void)state;
    struct cl_loop *l;
    assert_int_equal(cl_loop_new(&l, &(struct cl_loop_config){CL_BACKEND_AUTO, 0}), CELLO_OK);
    assert_int_not_equal(cl_loop_backend(l), CL_BACKEND_AUTO);
    turn(l, 0);
    cl_loop_del(l);
    cl_loop_del(NULL);
}

/* Answers io_uring_setup with an error, as containers do; for this process only. */
static bool refuse_io_uring(uint32_t error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {CL_ARRAY_LEN(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { FELL_BACK, DID_NOT, NO_FILTER };

static int without_io_uring(uint32_t error) {
    struct cl_loop *l;
    if (!refuse_io_uring(error))
        return NO_FILTER;
    if (cl_loop_new(&l, &(struct cl_loop_config){CL_BACKEND_URING, 0}) != CELLO_ENOTSUP)
        return DID_NOT;
    if (cl_loop_new(&l, &(struct cl_loop_config){CL_BACKEND_AUTO, 0}) != CELLO_OK)
        return DID_NOT;
    bool epoll = cl_loop_backend(l) == CL_BACKEND_EPOLL && cl_loop_turn(l, 0) == CELLO_OK;
    cl_loop_del(l);
    return epoll ? FELL_BACK : DID_NOT;
}

static void a_refused_io_uring_means_epoll(void **state) {
    (void)state;
    static const int errors[] = {EPERM, ENOSYS, EINVAL, EACCES};
    for (size_t i = 0; i < CL_ARRAY_LEN(errors); i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(without_io_uring((uint32_t)errors[i]));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == NO_FILTER)
            skip();
        assert_int_equal(WEXITSTATUS(status), FELL_BACK);
    }
}

static void a_loop_that_never_turned_can_go(void **state) {
    struct cl_loop *l = test_loop(state);
    assert_int_equal(cl_loop_open_count(l), 0);
}

static void connection_memory_is_kept(void **state) {
    struct cl_loop *l = test_loop(state);
    void *a = cl_loop_obj_new(l, 500), *b = cl_loop_obj_new(l, 500);
    assert_non_null(a);
    assert_non_null(b);
    cl_loop_obj_del(l, a);
    cl_loop_obj_del(l, b);
#if !defined(CL_POISON)
    uint64_t before = cl_alloc_count();
    for (int i = 0; i < 100; i++)
        cl_loop_obj_del(l, cl_loop_obj_new(l, 500));
    assert_int_equal(cl_alloc_count(), before);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(a_turn_has_its_order),
        BOTH(work_found_after_the_batch_is_not_waited_for),
        BOTH(flushes_run_once_and_in_order),
        BOTH(posts_arrive_from_threads),
        BOTH(a_thread_wakes_the_wait),
        BOTH(a_signal_ends_the_wait),
        BOTH(a_signal_is_told),
        BOTH(a_loop_may_run_on_another_thread),
        BOTH(a_loop_may_be_deleted_on_another_thread),
        BOTH(a_loop_that_is_deleted_closes_what_is_open),
        BOTH(polls_are_level_triggered),
        BOTH(a_closed_poll_is_never_touched),
        BOTH(a_timer_ends_the_wait),
        BOTH(the_poll_fd_tells_a_foreign_loop),
        BOTH(a_foreign_loop_sees_work_left),
        cmocka_unit_test(auto_finds_a_back_end),
        cmocka_unit_test(a_refused_io_uring_means_epoll),
        BOTH(a_loop_that_never_turned_can_go),
        BOTH(connection_memory_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
