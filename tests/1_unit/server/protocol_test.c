/* Which protocol a connection in clear speaks. */
#include "http2/conn.h"
#include "support/dial.h"

#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define HEADER_TIME (5 * CELLO_SECOND)

static const char begin_http2[] = CL_H2_PREFACE SETTINGS;
enum { BEGIN_LEN = sizeof begin_http2 - 1 };

static void begin(struct fixture *f, const struct cello_server_config *cfg, bool h2c) {
    fixture_init(f, cfg);
    struct cello_http2_config http2 = CELLO_HTTP2_CONFIG_DEFAULT;
    http2.h2c = h2c;
    assert_int_equal(cello_server_use_http2(f->server, &http2), CELLO_OK);
}

static unsigned conns(const struct fixture *f) {
    return f->server->worker.conn_count;
}

/* SETTINGS, and an acknowledgement of the client's. */
static void speaks_http2(struct fixture *f, struct end *e) {
    hear(f, e);
    assert_true(e->got >= 9 && e->in[3] == 4 && e->in[4] == 0);
    assert_non_null(memmem(e->in, e->got, "\0\0\0\4\1\0\0\0\0", 9));
    assert_false(e->closed);
}

static void speaks_http1(struct fixture *f, struct end *e, const char *status) {
    hear(f, e);
    assert_true(e->got > 12);
    assert_memory_equal(e->in, "HTTP/1.1 ", 9);
    assert_memory_equal(e->in + 9, status, 3);
}

static void test_the_preface_cut_anywhere(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL, true);
    for (size_t cut = 0; cut <= BEGIN_LEN; cut++) {
        dial(&f, &e, "10.1.2.3");
        say_bytes(&f, &e, begin_http2, cut);
        assert_int_equal(conns(&f), 1);
        say_bytes(&f, &e, begin_http2 + cut, BEGIN_LEN - cut);
        speaks_http2(&f, &e);
        hang_up(&f, &e);
        assert_int_equal(conns(&f), 0);
    }
    dial(&f, &e, "10.1.2.3");
    for (size_t i = 0; i < BEGIN_LEN; i++)
        say_bytes(&f, &e, begin_http2 + i, 1);
    speaks_http2(&f, &e);
    hang_up(&f, &e);
    fixture_free(&f);
}

static void test_what_is_no_preface_is_http1(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL, true);
    static const char get[] = GET("/");
    for (size_t cut = 0; cut < sizeof get; cut++) {
        dial(&f, &e, "10.1.2.3");
        say_bytes(&f, &e, get, cut);
        say_bytes(&f, &e, get + cut, sizeof get - 1 - cut);
        speaks_http1(&f, &e, "200");
        hang_up(&f, &e);
    }
    for (size_t same = 1; same < CL_H2_PREFACE_LEN; same++) {
        dial(&f, &e, "10.1.2.3");
        say_bytes(&f, &e, begin_http2, same);
        say(&f, &e, "?");
        say(&f, &e, GET("/"));
        hear(&f, &e);
        assert_true(same == 1 || (e.got > 9 && memcmp(e.in, "HTTP/1.1 ", 9) == 0));
        hang_up(&f, &e);
    }
    fixture_free(&f);
}

static void test_without_h2c(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL, false);
    dial(&f, &e, "10.1.2.3");
    say_bytes(&f, &e, begin_http2, BEGIN_LEN);
    speaks_http1(&f, &e, "400");
    hang_up(&f, &e);
    fixture_free(&f);
}

static void test_behind_a_proxy_head(void **state) {
    (void)state;
    static const char line[] = "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\r\n";
    struct fixture f;
    struct end e;
    begin(&f, NULL, true);
    assert_int_equal(cello_server_expect_proxy(f.server, CL_STR("10.0.0.0/8")), CELLO_OK);
    char all[sizeof line + BEGIN_LEN];
    memcpy(all, line, sizeof line - 1);
    memcpy(all + sizeof line - 1, begin_http2, BEGIN_LEN);
    size_t len = sizeof line - 1 + BEGIN_LEN;
    for (size_t cut = 1; cut < len; cut++) {
        dial(&f, &e, "10.1.2.3");
        say_bytes(&f, &e, all, cut);
        say_bytes(&f, &e, all + cut, len - cut);
        speaks_http2(&f, &e);
        hang_up(&f, &e);
    }
    dial(&f, &e, "10.1.2.3");
    say(&f, &e, "PROXY TCP4 192.0.2.7 198.51.100.1 4242 443\r\n" GET("/"));
    speaks_http1(&f, &e, "200");
    hang_up(&f, &e);
    fixture_free(&f);
}

static void test_who_says_too_little_is_closed(void **state) {
    (void)state;
    struct fixture f;
    struct end e;
    begin(&f, NULL, true);
    for (size_t said = 0; said < CL_H2_PREFACE_LEN; said += 7) {
        dial(&f, &e, "10.1.2.3");
        say_bytes(&f, &e, begin_http2, said);
        fixture_pass(&f, HEADER_TIME - CELLO_SECOND);
        assert_int_equal(conns(&f), 1);
        fixture_pass(&f, CELLO_SECOND + CELLO_SECOND / 10);
        hear(&f, &e);
        assert_true(e.closed && e.got == 0);
        assert_int_equal(conns(&f), 0);
        hang_up(&f, &e);
    }
    dial(&f, &e, "10.1.2.3");
    say(&f, &e, "PRI");
    cello_connection_end(e.c);
    hear(&f, &e);
    assert_true(e.closed);
    hang_up(&f, &e);
    fixture_free(&f);
}

/* As one that waits for its first request does. */
static void test_one_that_waits_is_counted(void **state) {
    (void)state;
    struct fixture f;
    struct end e, other;
    struct cl_connection *more;
    struct cello_server_config cfg = fixture_config();
    cfg.limits.max_connections_per_ip = 1;
    begin(&f, &cfg, true);
    for (int i = 0; i < 2; i++) {
        dial(&f, &e, "10.1.2.3");
        say(&f, &e, "PRI");
        assert_int_equal(cello_server_connect(f.server, "10.1.2.3", 1, &more), CELLO_ELIMIT);
        dial(&f, &other, "10.1.2.4");
        hang_up(&f, &other);
        if (i)
            say_bytes(&f, &e, begin_http2 + 3, BEGIN_LEN - 3);
        hang_up(&f, &e);
    }
    dial(&f, &e, "10.1.2.3"); /* the place was given back, whatever it had become */
    cello_server_stop(f.server, UINT64_MAX);
    fixture_pass(&f, CL_DRAIN_GRACE_NS + CELLO_SECOND);
    assert_int_equal(conns(&f), 0);
    hang_up(&f, &e);
    fixture_free(&f);
}

/* It had waited, for its preface or a handshake, when the server began to end. */
static void test_one_that_begins_late(void **state) {
    (void)state;
    static const uint8_t goaway[] = {0, 0, 8, 7, 0, 0, 0, 0, 0};
    struct fixture f;
    struct end e;
    for (int retires = 0; retires < 2; retires++) {
        begin(&f, NULL, true);
        dial(&f, &e, "10.1.2.3");
        say(&f, &e, "PRI");
        if (retires)
            cello_server_retire(f.server, 3600 * CELLO_SECOND);
        else
            cello_server_stop(f.server, 3600 * CELLO_SECOND);
        fixture_turn(&f);
        say_bytes(&f, &e, begin_http2 + 3, BEGIN_LEN - 3);
        speaks_http2(&f, &e);
        fixture_pass(&f, 2 * CELLO_SECOND); /* for a request, or an answer to a PING */
        hear(&f, &e);
        assert_non_null(memmem(e.in, e.got, goaway, sizeof goaway));
        assert_true(e.closed || conns(&f) == 1);
        cello_connection_end(e.c);
        fixture_pass(&f, 4 * CELLO_SECOND);
        assert_int_equal(conns(&f), 0);
        hang_up(&f, &e);
        fixture_free(&f);
    }
}

static void test_values(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, NULL);
    const struct cello_http2_config good = CELLO_HTTP2_CONFIG_DEFAULT;
    struct cello_http2_config wrong[7] = {good, good, good, good, good, good, good};
    wrong[0].max_concurrent_streams = 0;
    wrong[1].max_concurrent_streams = CELLO_HTTP2_MAX_STREAMS + 1;
    wrong[2].initial_window_size = 0;
    wrong[3].initial_window_size = CELLO_HTTP2_MAX_WINDOW + 1;
    wrong[4].max_frame_size = CELLO_HTTP2_MIN_FRAME - 1;
    wrong[5].max_frame_size = CELLO_HTTP2_MAX_FRAME + 1;
    wrong[6].max_header_list_size = 0;
    for (size_t i = 0; i < CL_ARRAY_LEN(wrong); i++)
        assert_int_equal(cello_server_use_http2(f.server, &wrong[i]), CELLO_EINVAL);
    assert_int_equal(cello_server_use_http2(f.server, &good), CELLO_OK);
    assert_int_equal(cello_server_use_http2(f.server, &good), CELLO_OK);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_preface_cut_anywhere),
        cmocka_unit_test(test_what_is_no_preface_is_http1),
        cmocka_unit_test(test_without_h2c),
        cmocka_unit_test(test_behind_a_proxy_head),
        cmocka_unit_test(test_who_says_too_little_is_closed),
        cmocka_unit_test(test_one_that_waits_is_counted),
        cmocka_unit_test(test_one_that_begins_late),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
