/* Requests that wait for their handlers: who is told that the client has left, or that time is up;
 * and messages to the thread of the turns. */
#include <pthread.h>

#include "support/fixture.h"

#define SECOND CELLO_SECOND

struct watcher {
    struct cello_observer super;
    struct cl_request *request;
    unsigned left, overdue, draining;
    int answer; /* with this status when an event comes; 0: not */
};

static void on_event(struct cello_observer *o, struct cl_request *r, enum cello_event event) {
    struct watcher *w = CL_CONTAINER_OF(o, struct watcher, super);
    assert_ptr_equal(r, w->request);
    w->left += event == CELLO_EVENT_LEFT;
    w->overdue += event == CELLO_EVENT_OVERDUE;
    w->draining += event == CELLO_EVENT_DRAINING;
    if (w->answer)
        cello_respond_problem(r, w->answer, cl_str(NULL, 0));
}

static void begin(struct fixture *f, struct client *c, struct watcher *w) {
    fixture_init(f, NULL);
    client_open(f, c);
    client_send(c, GET("/hold"));
    w->super.on_event = on_event;
    w->request = fixture_take(f);
    cello_request_observe(w->request, &w->super);
}

static void end(struct fixture *f, struct client *c, struct watcher *w) {
    cello_request_unref(w->request);
    client_free(c);
    fixture_free(f);
}

static void test_a_client_that_ends_its_side_has_left(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {0};
    begin(&f, &c, &w);
    client_eof(&c);
    fixture_turn(&f);
    assert_int_equal(w.left, 1);
    assert_false(cello_request_is_disconnected(w.request));
    cello_respond_bytes(w.request, CL_STR("late"));
    fixture_turn(&f);
    client_expect(&c, 200, "late"); /* it may still read */
    assert_int_equal(w.left, 1);
    end(&f, &c, &w);
}

static void test_a_client_that_is_gone(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {.answer = 500};
    begin(&f, &c, &w);
    cl_mem_reset(c.stream);
    fixture_turn(&f);
    assert_int_equal(w.left, 1);
    assert_true(cello_request_is_disconnected(w.request));
    fixture_pass(&f, 100 * SECOND);
    assert_int_equal(w.overdue, 0);
    end(&f, &c, &w);
}

static void test_deadlines(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {0};
    begin(&f, &c, &w);
    cello_request_set_deadline(w.request, 2 * SECOND);
    fixture_pass(&f, SECOND);
    assert_int_equal(w.overdue, 0);
    cello_request_set_deadline(w.request, 0);
    fixture_pass(&f, 5 * SECOND);
    assert_int_equal(w.overdue, 0);
    cello_request_set_deadline(w.request, SECOND);
    w.answer = 504;
    fixture_pass(&f, 2 * SECOND);
    assert_int_equal(w.overdue, 1);
    client_expect(&c, 504, NULL);
    fixture_pass(&f, 5 * SECOND);
    assert_int_equal(w.overdue + w.left, 1);
    end(&f, &c, &w);
}

static void test_nothing_is_told_after_the_answer(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {0};
    begin(&f, &c, &w);
    cello_request_set_deadline(w.request, SECOND);
    cello_respond_bytes(w.request, CL_STR("x"));
    fixture_pass(&f, 5 * SECOND);
    client_expect(&c, 200, "x");
    cl_mem_reset(c.stream);
    fixture_turn(&f);
    cello_request_observe(w.request, &w.super); /* too late for anything to happen */
    assert_int_equal(w.overdue + w.left, 0);
    end(&f, &c, &w);
}

static void test_a_drain(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {0};
    begin(&f, &c, &w);
    assert_false(cello_server_draining(f.server));
    cello_server_stop(f.server, 100 * SECOND);
    fixture_turn(&f);
    assert_true(cello_server_draining(f.server));
    assert_int_equal(w.draining, 1);
    cello_server_stop(f.server, 50 * SECOND); /* the same drain */
    fixture_turn(&f);
    assert_int_equal(w.draining, 1);
    assert_false(cello_server_done(f.server));
    cello_respond_bytes(w.request, CL_STR("x"));
    fixture_turn(&f);
    client_expect(&c, 200, "x");
    end(&f, &c, &w);
}

/* Whoever answers then does so in time, even when a stop leaves none. */
static void test_an_answer_to_a_drain(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {.answer = 503};
    begin(&f, &c, &w);
    cello_server_stop(f.server, 0);
    fixture_turn(&f);
    assert_int_equal(w.draining, 1);
    client_expect(&c, 503, NULL);
    end(&f, &c, &w);
}

static void test_nobody_is_told_of_a_drain(void **state) {
    (void)state;
    struct fixture f;
    struct client c;
    struct watcher w = {0};
    begin(&f, &c, &w);
    cello_request_observe(w.request, NULL);
    cello_server_stop(f.server, 0);
    fixture_turn(&f);
    assert_int_equal(w.draining, 0);
    end(&f, &c, &w);
}

/* ---- posts and batches ---- */

struct caller {
    struct cl_post post;
    struct cl_server *server;
    unsigned posts, batches, again, unfinished;
};

static void on_post(struct cl_post *p) {
    struct caller *k = CL_CONTAINER_OF(p, struct caller, post);
    k->posts++;
    cello_server_need_batch(k->server);
}

static bool run_batch(void *ctx) {
    struct caller *k = ctx;
    k->batches++;
    if (k->again && k->again--)
        cello_server_need_batch(k->server);
    return k->unfinished && k->unfinished--;
}

static void *post(void *ctx) {
    struct caller *k = ctx;
    cello_server_post(k->server, &k->post);
    return NULL;
}

static void test_a_post_asks_for_a_batch(void **state) {
    (void)state;
    struct caller k = {.post.run = on_post, .again = 2};
    struct cello_server_config cfg = fixture_config();
    struct fixture f;
    cfg.application = (struct cello_application){.ctx = &k, .run = run_batch};
    fixture_init(&f, &cfg);
    k.server = f.server;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post, &k), 0);
    while (k.batches < 3) /* none of these waits for ever */
        assert_int_equal(cello_server_turn(f.server, UINT64_MAX), CELLO_OK);
    pthread_join(thread, NULL);
    assert_int_equal(k.posts, 1);
    fixture_turn(&f);
    assert_int_equal(k.batches, 3);
    fixture_free(&f);
}

/* A batch that stopped before its end goes on, though nobody asks again. */
static void test_a_batch_goes_on(void **state) {
    (void)state;
    struct caller k = {.unfinished = 3};
    struct cello_server_config cfg = fixture_config();
    struct fixture f;
    cfg.application = (struct cello_application){.ctx = &k, .run = run_batch};
    fixture_init(&f, &cfg);
    cello_server_need_batch(f.server);
    fixture_turn(&f);
    assert_int_equal(k.batches, 4);
    fixture_free(&f);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_client_that_ends_its_side_has_left),
        T(a_client_that_is_gone),
        T(deadlines),
        T(nothing_is_told_after_the_answer),
        T(a_drain),
        T(an_answer_to_a_drain),
        T(nobody_is_told_of_a_drain),
        T(a_post_asks_for_a_batch),
        T(a_batch_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
