/* Connections that begin with a PROXY head. */
#include <stdio.h>

#include "support/dial.h"

#define PROXY "10.1.2.3"
#define LINE "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\r\n"
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BLOCK SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x10\x92\x01\xbb"

static void begin(struct fixture *f, const struct cello_server_config *cfg) {
    fixture_init(f, cfg);
    assert_int_equal(cello_server_expect_proxy(f->server, CL_STR("10.0.0.0/8, ::1")), CELLO_OK);
}

static unsigned conns(const struct fixture *f) {
    return f->server->worker.conn_count;
}

/* Who the oldest of held[] came from, and answers it. */
static void is_from(struct fixture *f, const char *host, uint16_t port) {
    uint16_t found;
    struct cl_request *r = fixture_take(f);
    struct cl_str text = cello_request_peer(r, &found);
    assert_true(cl_str_eq(text, cl_str(host, strlen(host))));
    assert_int_equal(found, port);
    cello_respond_empty(r);
    cello_request_unref(r);
    fixture_turn(f);
}

static void test_the_client_is_who_the_proxy_says(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL);
    for (int i = 0; i < 2; i++) {
        dial(&f, &e, PROXY);
        if (i)
            say(&f, &e, BLOCK GET("/hold") GET("/hold"));
        else
            say(&f, &e, LINE GET("/hold") GET("/hold"));
        is_from(&f, "192.0.2.7", 4242);
        is_from(&f, "192.0.2.7", 4242); /* the second request of the connection, too */
        hear(&f, &e);
        assert_memory_equal(e.in, "HTTP/1.1 200 OK\r\n", 17);
        assert_false(e.closed);
        hang_up(&f, &e);
    }
    fixture_free(&f);
}

static void test_the_proxy_speaks_for_itself(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL);
    dial(&f, &e, PROXY);
    say(&f, &e, SIGNATURE "\x20\0\0\0" GET("/hold"));
    is_from(&f, "10.1.2.3", 50000);
    hang_up(&f, &e);
    dial(&f, &e, PROXY);
    say(&f, &e, "PROXY UNKNOWN\r\n" GET("/hold"));
    is_from(&f, "10.1.2.3", 50000);
    hang_up(&f, &e);
    fixture_free(&f);
}

static void test_any_cut(void **state) {
    (void)state;
    static const char text[] = BLOCK GET("/hold");
    struct fixture f;
    struct end e;
    begin(&f, NULL);
    dial(&f, &e, PROXY);
    for (size_t i = 0; i < sizeof text - 1; i++)
        say_bytes(&f, &e, text + i, 1);
    is_from(&f, "192.0.2.7", 4242);
    hang_up(&f, &e);
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        dial(&f, &e, PROXY);
        say_bytes(&f, &e, text, cut);
        say_bytes(&f, &e, text + cut, sizeof text - 1 - cut);
        is_from(&f, "192.0.2.7", 4242);
        hang_up(&f, &e);
    }
    fixture_free(&f);
}

static void test_a_body_behind_it(void **state) {
    (void)state;
    static char text[20000];
    int head = snprintf(text, sizeof text,
                        LINE "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 15000\r\n\r\n");
    memset(text + head, 'x', 15000);
    struct fixture f;
    struct end e;
    begin(&f, NULL);
    dial(&f, &e, PROXY);
    say_bytes(&f, &e, text, (size_t)head + 15000);
    hear(&f, &e);
    assert_memory_equal(e.in, "HTTP/1.1 200 OK\r\n", 17);
    assert_memory_equal(e.in + e.got - 15000, text + head, 15000);
    hang_up(&f, &e);
    fixture_free(&f);
}

static void test_what_is_no_head_is_closed(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL);
    dial(&f, &e, PROXY);
    say(&f, &e, GET("/"));
    hear(&f, &e);
    assert_true(e.closed && e.got == 0);
    hang_up(&f, &e);
    dial(&f, &e, PROXY);
    say(&f, &e, SIGNATURE "\x21\x11\xff\xff"); /* longer than the limit */
    hear(&f, &e);
    assert_true(e.closed && e.got == 0);
    hang_up(&f, &e);
    dial(&f, &e, PROXY);
    say(&f, &e, "PROXY TCP4");
    cello_connection_end(e.c);
    hear(&f, &e);
    assert_true(e.closed && e.got == 0);
    hang_up(&f, &e);
    /* A second head is a request line, and not one that HTTP knows. */
    dial(&f, &e, PROXY);
    say(&f, &e, LINE LINE);
    hear(&f, &e);
    assert_memory_equal(e.in, "HTTP/1.1 400 ", 13);
    hang_up(&f, &e);
    assert_int_equal(f.handled, 0);
    fixture_free(&f);
}

static void test_others_are_turned_away(void **state) {
    (void)state;
    struct fixture f;
    struct cl_connection *c;
    begin(&f, NULL);
    assert_int_equal(cello_server_connect(f.server, "11.0.0.1", 1, &c), CELLO_EINVAL);
    assert_int_equal(cello_server_connect(f.server, "127.0.0.1", 1, &c), CELLO_EINVAL);
    fixture_turn(&f);
    assert_int_equal(conns(&f), 0);
    assert_int_equal(cello_server_connect(f.server, "::1", 1, &c), CELLO_OK);
    cello_connection_close(c);
    fixture_turn(&f);
    fixture_free(&f);
}

static void test_networks(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, NULL);
    assert_int_equal(cello_server_expect_proxy(f.server, CL_STR("10.0.0.0/33")), CELLO_EINVAL);
    assert_int_equal(cello_server_expect_proxy(f.server, cl_str(NULL, 0)), CELLO_EINVAL);
    assert_false(cello_networks_valid(CL_STR("localhost")));
    assert_true(cello_networks_valid(CL_STR("127.0.0.0/8,::1")));
    fixture_free(&f);
}

static void test_it_has_the_time_of_a_head(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.timeouts.read_header_ns = CELLO_SECOND;
    struct fixture f;
    struct end silent, slow, prompt;
    begin(&f, &cfg);
    dial(&f, &silent, PROXY);
    dial(&f, &slow, PROXY);
    dial(&f, &prompt, PROXY);
    say(&f, &prompt, LINE);
    say(&f, &slow, "PROXY TCP4");
    fixture_pass(&f, CELLO_SECOND / 2);
    say(&f, &slow, " ");
    fixture_pass(&f, CELLO_SECOND / 4);
    say(&f, &prompt, GET("/"));
    fixture_pass(&f, CELLO_SECOND / 2);
    hear(&f, &silent);
    hear(&f, &slow);
    hear(&f, &prompt);
    assert_true(silent.closed && slow.closed && !prompt.closed && prompt.got);
    hang_up(&f, &silent);
    hang_up(&f, &slow);
    hang_up(&f, &prompt);
    fixture_free(&f);
}

static void test_clients_are_counted(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections_per_ip = 1;
    struct fixture f;
    struct end waiting[3], first, second, other;
    begin(&f, &cfg);
    for (int i = 0; i < 3; i++)
        dial(&f, &waiting[i], PROXY); /* the proxy itself may have any number */
    dial(&f, &first, PROXY);
    say(&f, &first, LINE GET("/"));
    hear(&f, &first);
    assert_true(first.got && !first.closed);
    dial(&f, &second, PROXY);
    say(&f, &second, LINE GET("/"));
    hear(&f, &second);
    assert_true(!second.got && second.closed);
    dial(&f, &other, PROXY);
    say(&f, &other, "PROXY TCP4 192.0.2.8 198.51.100.1 4242 443\r\n" GET("/"));
    hear(&f, &other);
    assert_true(other.got && !other.closed);
    hang_up(&f, &second);
    hang_up(&f, &first);
    dial(&f, &second, PROXY);
    say(&f, &second, LINE GET("/"));
    hear(&f, &second);
    assert_true(second.got && !second.closed);
    hang_up(&f, &second);
    hang_up(&f, &other);
    for (int i = 0; i < 3; i++)
        hang_up(&f, &waiting[i]);
    assert_int_equal(conns(&f), 0);
    fixture_free(&f);
}

static void test_who_waits_makes_room(void **state) {
    (void)state;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections = 2;
    struct fixture f;
    struct end e[3];
    begin(&f, &cfg);
    dial(&f, &e[0], PROXY);
    fixture_pass(&f, CL_IDLE_GRACE_NS);
    dial(&f, &e[1], PROXY);
    dial(&f, &e[2], PROXY);
    hear(&f, &e[0]);
    assert_true(e[0].closed);
    assert_int_equal(conns(&f), 2);
    for (int i = 1; i < 3; i++) {
        say(&f, &e[i], LINE GET("/"));
        hear(&f, &e[i]);
        assert_true(e[i].got && !e[i].closed);
    }
    for (int i = 0; i < 3; i++)
        hang_up(&f, &e[i]);
    fixture_free(&f);
}

static void test_a_stop_does_not_wait_for_it(void **state) {
    (void)state;
    struct fixture f;
    struct end silent, late;
    begin(&f, NULL);
    dial(&f, &silent, PROXY);
    dial(&f, &late, PROXY);
    cello_server_stop(f.server, UINT64_MAX);
    fixture_turn(&f);
    say(&f, &late, LINE GET("/"));
    hear(&f, &late);
    assert_memory_equal(late.in, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(late.closed);
    hear(&f, &silent);
    assert_false(silent.closed);
    fixture_pass(&f, 2 * CL_DRAIN_GRACE_NS);
    hear(&f, &silent);
    assert_true(silent.closed && !silent.got);
    hang_up(&f, &silent);
    hang_up(&f, &late);
    assert_true(cello_server_done(f.server));
    fixture_free(&f);
}

#define T(name) cmocka_unit_test(test_##name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(the_client_is_who_the_proxy_says),
        T(the_proxy_speaks_for_itself),
        T(any_cut),
        T(a_body_behind_it),
        T(what_is_no_head_is_closed),
        T(others_are_turned_away),
        T(networks),
        T(it_has_the_time_of_a_head),
        T(clients_are_counted),
        T(who_waits_makes_room),
        T(a_stop_does_not_wait_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
