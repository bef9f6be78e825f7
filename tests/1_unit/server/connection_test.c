/* Clients in the same process, through the public API. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "support/fixture.h"

enum { INBOX = 1 << 21, FULL = CELLO_CONNECTION_BUFFER_BYTES };

/* One end of a connection, and what it has received. */
struct end {
    struct cl_connection *c;
    char *in;
    size_t got;
    unsigned ready; /* calls of on_ready */
};

static void note_ready(void *ctx) {
    ((struct end *)ctx)->ready++;
}

static void open_end(struct fixture *f, struct end *e) {
    *e = (struct end){.in = test_calloc(1, INBOX)};
    assert_int_equal(cello_server_connect(f->server, "127.0.0.1", 50000, &e->c), CELLO_OK);
    cello_connection_on_ready(e->c, note_ready, e);
}

static void close_end(struct end *e) {
    cello_connection_close(e->c);
    test_free(e->in);
}

static size_t send_some(struct end *e, const char *bytes, size_t n) {
    size_t sent;
    assert_int_equal(cello_connection_send(e->c, cl_str(bytes, n), &sent), CELLO_OK);
    return sent;
}

static void send_text(struct end *e, const char *text) {
    assert_int_equal(send_some(e, text, strlen(text)), strlen(text));
}

/* At most `max` bytes. The result of cello_connection_receive. */
static int receive(struct end *e, size_t max) {
    size_t n = 0;
    assert_true(e->got + max < INBOX);
    bool readable = cello_connection_is_readable(e->c);
    int err = cello_connection_receive(e->c, e->in + e->got, max, &n);
    assert_int_equal(readable, err != CELLO_EAGAIN);
    e->got += n;
    return err;
}

/* All there is, turning until nothing more comes: CELLO_EAGAIN or the end. */
static int receive_all(struct fixture *f, struct end *e) {
    int err;
    do {
        fixture_turn(f);
        while ((err = receive(e, 4096)) == CELLO_OK) {
        }
        fixture_turn(f);
    } while (cello_connection_is_readable(e->c) && err == CELLO_EAGAIN);
    return err;
}

static void assert_ends_with(const struct end *e, const char *text) {
    size_t n = strlen(text);
    assert_true(e->got >= n);
    assert_memory_equal(e->in + e->got - n, text, n);
}

static struct cello_stats stats(const struct fixture *f) {
    struct cello_stats s;
    cello_server_stats(f->server, &s);
    return s;
}

static void test_a_request_and_its_answer(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    assert_int_equal(receive(&e, 10), CELLO_EAGAIN);
    send_text(&e, GET("/"));
    assert_int_equal(stats(&f).requests, 0); /* not before a turn */
    assert_int_equal(e.ready, 0);
    assert_int_equal(receive_all(&f, &e), CELLO_EAGAIN);
    assert_true(e.ready > 0);
    assert_memory_equal(e.in, "HTTP/1.1 200 OK\r\n", 17);
    assert_ends_with(&e, "\r\n\r\nhello");
    send_text(&e, GET("/item/7") GET("/item/8"));
    assert_int_equal(receive_all(&f, &e), CELLO_EAGAIN);
    assert_ends_with(&e, "8,");
    assert_int_equal(stats(&f).requests, 3);
    close_end(&e);
    fixture_turn(&f);
    assert_int_equal(stats(&f).connections, 0);
    fixture_free(&f);
}

static void test_the_client_has_an_address(void **state) {
    (void)state;
    struct fixture f;
    struct cl_connection *c;
    size_t sent;
    uint16_t port;
    fixture_init(&f, NULL);
    assert_int_equal(cello_server_connect(f.server, "192.0.2.7", 4711, &c), CELLO_OK);
    assert_int_equal(cello_connection_send(c, CL_STR(GET("/hold")), &sent), CELLO_OK);
    fixture_turn(&f);
    struct cl_request *r = fixture_take(&f);
    struct cl_str host = cello_request_peer(r, &port);
    assert_true(cl_str_eq(host, CL_STR("192.0.2.7")));
    assert_int_equal(port, 4711);
    cello_respond_empty(r);
    cello_request_unref(r);
    cello_connection_close(c);
    c = NULL;
    assert_int_equal(cello_server_connect(f.server, "", 1, &c), CELLO_EINVAL);
    assert_null(c);
    fixture_free(&f);
}

/* Whatever came of the first time, the connection is not asked again: other threads may be at it.
 */
static void test_the_address_is_asked_for_once(void **state) {
    (void)state;
    struct fixture f;
    struct cl_connection *c;
    size_t sent;
    uint16_t port;
    fixture_init(&f, NULL);
    assert_int_equal(cello_server_connect(f.server, "192.0.2.7", 4711, &c), CELLO_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cello_connection_send(c, CL_STR(GET("/hold")), &sent), CELLO_OK);
        fixture_turn(&f);
        struct cl_request *r = fixture_take(&f);
        for (bool room = i == 0; room; cl_alloc_fail_nth(1)) {
            cl_alloc_fail_nth(1);
            room = cl_arena_alloc(&r->arena, 8) != NULL;
        }
        size_t known = cello_request_peer(r, &port).len;
        cl_alloc_fail_nth(0);
        assert_int_equal(known, i ? strlen("192.0.2.7") : 0);
        assert_int_equal(cello_request_peer(r, &port).len, known);
        cello_respond_empty(r);
        cello_request_unref(r);
        fixture_turn(&f);
    }
    cello_connection_close(c);
    fixture_free(&f);
}

static void test_several_at_once(void **state) {
    (void)state;
    struct fixture f;
    struct end ends[20];
    char text[64];
    fixture_init(&f, NULL);
    for (int i = 0; i < 20; i++)
        open_end(&f, &ends[i]);
    assert_int_equal(stats(&f).connections, 20);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "GET /item/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
        send_text(&ends[i], text);
    }
    for (int i = 19; i >= 0; i--) {
        assert_int_equal(receive_all(&f, &ends[i]), CELLO_EAGAIN);
        snprintf(text, sizeof text, "\r\n\r\n%d,", i);
        assert_ends_with(&ends[i], text);
        close_end(&ends[i]);
    }
    fixture_free(&f);
}

/* The server stops making an answer that nobody takes, and goes on when somebody does. */
static void test_answers_wait_for_the_client(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, GET("/static/1000000"));
    fixture_turn(&f);
    size_t start = e.got;
    while (receive(&e, 4096) == CELLO_OK) {
    }
    assert_int_equal(e.got - start, FULL);
    unsigned ready = e.ready;
    assert_int_equal(receive_all(&f, &e), CELLO_EAGAIN);
    assert_true(e.ready > ready);
    assert_true(e.got > 1000000);
    assert_ends_with(&e, "xxxx");
    close_end(&e);
    fixture_free(&f);
}

/* A client that is not read has no room to send, and is told when it has. */
static void test_requests_wait_for_the_server(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    char *body = test_calloc(1, 3 * FULL);
    char head[96];
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
             3 * FULL);
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, head);
    size_t sent = send_some(&e, body, 3 * FULL);
    assert_int_equal(sent, FULL - strlen(head));
    assert_int_equal(send_some(&e, body, 1), 0);
    assert_int_equal(e.ready, 0);
    while (sent < 3 * FULL) {
        fixture_turn(&f);
        assert_true(e.ready > 0);
        size_t n = send_some(&e, body + sent, 3 * FULL - sent);
        assert_true(n > 0);
        sent += n;
    }
    assert_int_equal(receive_all(&f, &e), CELLO_EAGAIN);
    assert_true(e.got > 3 * FULL);
    close_end(&e);
    test_free(body);
    fixture_free(&f);
}

static void test_ends_both_ways(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    size_t sent;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, GET("/item/1"));
    cello_connection_end(e.c); /* the answer still comes */
    assert_int_equal(cello_connection_send(e.c, CL_STR("x"), &sent), CELLO_ESYS);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(receive_all(&f, &e), CELLO_EOF);
    assert_ends_with(&e, "1,");
    close_end(&e);
    open_end(&f, &e);
    send_text(&e, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_int_equal(receive_all(&f, &e), CELLO_EOF);
    assert_ends_with(&e, "hello");
    close_end(&e);
    fixture_free(&f);
}

/* A body whose end is the end of the connection, and is cut short. */
static void test_a_failure_is_no_end(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, "GET /stream/3?wait=1 HTTP/1.0\r\n\r\n");
    fixture_turn(&f);
    struct cl_request *r = fixture_take(&f);
    cello_response_chunk(r, CL_STR("half"), false);
    fixture_turn(&f);
    fixture_drop(&f);
    cello_response_abort(r);
    cello_request_unref(r);
    assert_int_equal(receive_all(&f, &e), CELLO_ESYS);
    assert_int_equal(errno, ECONNRESET);
    close_end(&e);
    fixture_free(&f);
}

/* The client goes while its request is being answered, before and after the answer was sent. */
static void test_hanging_up(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, GET("/hold"));
    fixture_turn(&f);
    close_end(&e);
    fixture_turn(&f);
    fixture_answer(&f, "late");
    assert_int_equal(stats(&f).connections, 0);
    open_end(&f, &e);
    send_text(&e, GET("/static/1000000"));
    fixture_turn(&f);
    close_end(&e); /* most of it was not sent yet */
    fixture_turn(&f);
    assert_int_equal(stats(&f).connections, 0);
    fixture_free(&f);
}

static void test_limits_on_connections(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    struct cl_connection *other;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections_per_ip = 1;
    cfg.limits.max_connections = 2;
    fixture_init(&f, &cfg);
    open_end(&f, &e);
    assert_int_equal(cello_server_connect(f.server, "127.0.0.1", 1, &other), CELLO_ELIMIT);
    fixture_turn(&f);
    assert_int_equal(cello_server_connect(f.server, "192.0.2.1", 1, &other), CELLO_OK);
    struct cl_connection *third;
    assert_int_equal(cello_server_connect(f.server, "192.0.2.2", 1, &third), CELLO_ELIMIT);
    cello_connection_close(other);
    close_end(&e);
    fixture_turn(&f);
    open_end(&f, &e);
    close_end(&e);
    fixture_free(&f);
}

static void test_time_limits(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, "GET / HT");
    fixture_turn(&f);
    fixture_pass(&f, 6000000000ull); /* read_header is 5 s */
    assert_int_equal(receive_all(&f, &e), CELLO_EOF);
    assert_memory_equal(e.in, "HTTP/1.1 408 ", 13);
    close_end(&e);
    fixture_free(&f);
}

/* Stopping waits for the request in flight and turns newcomers away. */
static void test_the_drain_counts_them(void **state) {
    (void)state;
    struct fixture f;
    struct end e, idle;
    struct cl_connection *late;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    open_end(&f, &idle);
    send_text(&e, GET("/hold"));
    fixture_turn(&f);
    cello_server_stop(f.server, 60000000000ull);
    fixture_turn(&f);
    fixture_pass(&f, CL_DRAIN_GRACE_NS + 20000000);
    assert_int_equal(receive_all(&f, &idle), CELLO_EOF);
    assert_false(cello_server_done(f.server));
    assert_int_equal(cello_server_connect(f.server, "127.0.0.1", 1, &late), CELLO_ESTATE);
    struct cl_request *r = fixture_take(&f);
    cello_respond_bytes(r, CL_STR("done"));
    cello_request_unref(r);
    assert_int_equal(receive_all(&f, &e), CELLO_EOF);
    assert_ends_with(&e, "done");
    close_end(&e);
    close_end(&idle);
    fixture_turn(&f);
    assert_true(cello_server_done(f.server));
    fixture_free(&f);
}

static void test_it_may_outlive_the_server(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    size_t sent;
    fixture_init(&f, NULL);
    open_end(&f, &e);
    send_text(&e, GET("/"));
    fixture_turn(&f);
    cello_server_del(f.server);
    cello_app_del(f.app);
    assert_int_equal(receive(&e, 4096), CELLO_OK);
    assert_ends_with(&e, "hello");
    assert_int_equal(receive(&e, 4096), CELLO_EOF);
    assert_int_equal(cello_connection_send(e.c, CL_STR("x"), &sent), CELLO_ESYS);
    close_end(&e);
    cello_connection_close(NULL);
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, NULL);
    bool opened = false;
    for (unsigned n = 1; !opened; n++) {
        assert_true(n < 20);
        struct cl_connection *c = NULL;
        size_t sent;
        cl_alloc_fail_nth(n);
        int err = cello_server_connect(f.server, "127.0.0.1", 1, &c);
        opened = !err && cello_connection_send(c, CL_STR("GET"), &sent) == CELLO_OK;
        cl_alloc_fail_nth(0);
        assert_true(err == CELLO_OK || err == CELLO_ENOMEM);
        cello_connection_close(c);
        fixture_turn(&f);
        assert_int_equal(stats(&f).connections, 0);
    }
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_and_its_answer),
        cmocka_unit_test(test_the_client_has_an_address),
        cmocka_unit_test(test_the_address_is_asked_for_once),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_answers_wait_for_the_client),
        cmocka_unit_test(test_requests_wait_for_the_server),
        cmocka_unit_test(test_ends_both_ways),
        cmocka_unit_test(test_a_failure_is_no_end),
        cmocka_unit_test(test_hanging_up),
        cmocka_unit_test(test_limits_on_connections),
        cmocka_unit_test(test_time_limits),
        cmocka_unit_test(test_the_drain_counts_them),
        cmocka_unit_test(test_it_may_outlive_the_server),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
