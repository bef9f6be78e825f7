/* Bodies of requests over HTTP/2: collected, read, in both directions, and their windows. */
#include <stdio.h>

#include "support/h2_client.h"

enum { LARGE = 3 << 20 };

static const char *pattern(void) {
    static char bytes[LARGE + 1];
    for (size_t i = 0; i < LARGE && !bytes[LARGE - 1]; i++)
        bytes[i] = (char)('a' + i % 23);
    return bytes;
}

static struct h2_message *post(struct h2_pair *p, const char *path, const char *body, size_t len) {
    return h2_pair_post(p, path, NULL, body, len, false);
}

static struct h2_message *post_with(struct h2_pair *p, const char *path, const char *name,
                                    const char *value, const char *body, size_t len, bool open) {
    const char *fields[] = {name, value, NULL};
    return h2_pair_post(p, path, fields, body, len, open);
}

static void expect_echo(const struct h2_message *m, size_t n) {
    h2_expect(m, 200, NULL);
    assert_int_equal(m->len, n);
    assert_true(!n || !memcmp(m->body, pattern(), n));
}

/* ---- collected ---- */

static void test_collected(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 13, 5000, 16384, 16385, 70000, 1048576, LARGE};
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(sizes); i++)
        expect_echo(post(&p, "/echo", pattern(), sizes[i]), sizes[i]);
    assert_int_equal(fixture_used(&p.f), 0);
    h2_pair_end(&p);
}

static void test_collected_in_pieces(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_post(&p, "/echo", NULL, pattern(), 1, true);
    for (size_t at = 1; at < 5000; at += 100)
        h2_upload(&p.h, m, pattern() + at, 100, true);
    assert_int_equal(m->status, 0);
    h2_upload(&p.h, m, NULL, 0, false);
    expect_echo(m, 5001);
    h2_pair_end(&p);
}

static void test_many_uploads_at_once(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m[40];
    for (size_t i = 0; i < CL_ARRAY_LEN(m); i++)
        m[i] = h2_post(&p.h, "/echo", NULL, pattern(), i * 3000, false);
    h2_turn(&p.h);
    for (size_t i = 0; i < CL_ARRAY_LEN(m); i++)
        expect_echo(m[i], i * 3000);
    h2_pair_end(&p);
}

static void test_too_large(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    h2_expect(post(&p, "/small", pattern(), 10), 200, "abcdefghij");
    h2_expect(post(&p, "/small", pattern(), 11), 413, NULL);
    h2_expect(post(&p, "/small", pattern(), 900000), 413, NULL);
    h2_expect(post_with(&p, "/small", "content-length", "11", pattern(), 0, true), 413, NULL);
    h2_expect(post_with(&p, "/small", "content-length", "999999999999999999", NULL, 0, true), 413,
              NULL);
    h2_expect(post(&p, "/echo", pattern(), 5), 200, "abcde");
    h2_pair_end(&p);
}

static void test_content_length_is_kept(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    h2_expect(post_with(&p, "/echo", "content-length", "5", pattern(), 5, false), 200, "abcde");
    h2_expect_reset(post_with(&p, "/echo", "content-length", "5", pattern(), 4, false),
                    NGHTTP2_PROTOCOL_ERROR);
    h2_expect_reset(post_with(&p, "/echo", "content-length", "5", pattern(), 6, false),
                    NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(p.f.handled, 1);
    h2_expect_reset(post_with(&p, "/read", "content-length", "5", pattern(), 6, false),
                    NGHTTP2_PROTOCOL_ERROR);
    h2_expect(post(&p, "/echo", pattern(), 5), 200, "abcde");
    h2_pair_end(&p);
}

static void test_trailers_of_requests(void **state) {
    (void)state;
    static const char *const paths[] = {"/echo", "/tee"};
    static char large[20000];
    memset(large, 't', sizeof large - 1);
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < 2; i++) {
        struct h2_message *m = h2_post(&p.h, paths[i], NULL, pattern(), 5, false);
        m->upload_trailer = "1";
        h2_turn(&p.h);
        h2_expect(m, 200, "abcde");
    }
    struct h2_message *m = h2_post(&p.h, "/echo", NULL, pattern(), 5, false);
    m->upload_trailer = large;
    h2_turn(&p.h);
    h2_expect(m, 431, NULL);
    m = h2_post(&p.h, "/read", NULL, pattern(), 5, false);
    m->upload_trailer = large;
    h2_turn(&p.h);
    h2_expect(m, 200, NULL);
    assert_non_null(strstr(m->body, "5 bytes, "));
    assert_null(strstr(m->body, "closed"));
    h2_pair_end(&p);
}

/* ---- expected ---- */

static void test_continue(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = post_with(&p, "/echo", "expect", "100-continue", NULL, 0, true);
    assert_int_equal(m->interims, 1);
    assert_int_equal(m->interim[0], 100);
    h2_upload(&p.h, m, pattern(), 5, false);
    h2_expect(m, 200, "abcde");
    m = post_with(&p, "/read", "expect", "100-continue", NULL, 0, true);
    assert_int_equal(m->interims, 1);
    h2_upload(&p.h, m, pattern(), 5, false);
    h2_expect(m, 200, NULL);
    assert_int_equal(m->interims, 1);
    h2_pair_end(&p);
}

/* A handler that answers without reading has not asked for the body: nothing is waited for. */
static void test_no_continue_without_a_reader(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = post_with(&p, "/later", "expect", "100-continue", NULL, 0, true);
    assert_int_equal(m->interims, 0);
    h2_pair_answer(&p, "no");
    h2_expect(m, 200, "no");
    assert_int_equal(m->interims, 0);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    h2_expect(post_with(&p, "/small", "expect", "100-continue", NULL, 0, false), 200, "");
    m = post_with(&p, "/none", "expect", "100-continue", NULL, 0, true);
    h2_expect(m, 404, NULL);
    assert_int_equal(m->interims, 0);
    h2_pair_end(&p);
}

/* ---- read ---- */

static void test_read(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    h2_expect(post(&p, "/read", pattern(), 0), 200, NULL);
    h2_expect(post(&p, "/read", pattern(), 100), 200, "100 bytes, closed by the peer");
    h2_expect(post(&p, "/read", pattern(), 1048576), 200, NULL);
    h2_pair_end(&p);
}

static void test_too_much_to_read(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const struct h2_message *m = post(&p, "/read", pattern(), (1 << 20) + 1);
    h2_expect(m, 200, NULL);
    assert_non_null(strstr(m->body, cello_strerror(CELLO_EBODY_TOO_LARGE)));
    h2_pair_end(&p);
}

static void test_read_and_answered_at_once(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_post(&p, "/tee", NULL, pattern(), 10, true);
    assert_int_equal(m->status, 200);
    assert_int_equal(m->len, 10);
    for (size_t at = 10; at < 200010; at += 20000)
        h2_upload(&p.h, m, pattern() + at, 20000, true);
    assert_int_equal(m->len, 200010);
    h2_upload(&p.h, m, NULL, 0, false);
    expect_echo(m, 200010);
    expect_echo(post(&p, "/tee", pattern(), 1 << 20), 1 << 20);
    h2_pair_end(&p);
}

/* What nobody reads stays within the window of its stream; others on the connection go on. */
static void test_an_unread_body_waits_at_the_client(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 65536;
    struct h2_pair p;
    h2_pair_begin_with(&p, NULL, &cfg);
    struct h2_message *m = post(&p, "/later", pattern(), 1 << 20);
    assert_int_equal(m->upload_left, (1 << 20) - 65536);
    assert_in_range(fixture_used(&p.f), 65536, 3 * 65536);
    expect_echo(post(&p, "/echo", pattern(), 500000), 500000);
    assert_int_equal(m->upload_left, (1 << 20) - 65536);
    /* Now it is read. */
    struct cl_request *r = fixture_take(&p.f);
    size_t n = 0;
    struct cl_str piece;
    for (int idle = 0; idle < 3; h2_turn(&p.h)) {
        int err;
        idle++;
        while ((err = cello_request_read(r, NULL, &piece)) == CELLO_OK) {
            assert_memory_equal(piece.ptr, pattern() + n, piece.len);
            n += piece.len;
            idle = 0;
        }
        if (err == CELLO_EOF)
            break;
        assert_int_equal(err, CELLO_EAGAIN);
    }
    assert_int_equal(n, 1 << 20);
    cello_respond_bytes(r, CL_STR("read"));
    cello_request_unref(r);
    h2_turn(&p.h);
    h2_expect(m, 200, "read");
    h2_pair_end(&p);
}

/* Of several that nobody reads, all windows come back with their streams. */
static void test_windows_come_back(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    for (int round = 0; round < 10; round++) {
        struct h2_message *m = post(&p, "/later", pattern(), 1 << 20);
        struct cl_request *r = fixture_take(&p.f);
        if (round % 2) {
            h2_reset(&p.h, m, NGHTTP2_CANCEL);
            assert_true(cello_request_is_disconnected(r));
        }
        cello_respond_bytes(r, CL_STR("unread"));
        cello_request_unref(r);
        h2_turn(&p.h);
        if (round % 2 == 0)
            h2_expect(m, 200, "unread");
    }
    expect_echo(post(&p, "/echo", pattern(), LARGE), LARGE);
    h2_pair_end(&p);
}

/* Read, then left alone by the connection, then read again. */
static void test_an_end_stays(void **state) {
    (void)state;
    static const struct {
        size_t len;
        bool more;
        int reads[2], end; /* before, and behind */
    } cases[] = {
        {0, false, {CELLO_EOF, CELLO_EOF}, CELLO_EOF},
        {3, false, {CELLO_OK, CELLO_EOF}, CELLO_EOF},
        {3, true, {CELLO_OK, CELLO_EAGAIN}, CELLO_ECANCELED},
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(cases); i++) {
        for (unsigned kind = 0; kind < 6; kind++) {
            struct h2_pair p;
            struct cl_str piece;
            h2_pair_begin(&p);
            (void)h2_pair_post(&p, "/later", NULL, pattern(), cases[i].len, cases[i].more);
            struct cl_request *r = fixture_take(&p.f);
            unsigned reads = kind / 2;
            for (unsigned n = 0; n < reads; n++)
                assert_int_equal(cello_request_read(r, NULL, &piece), cases[i].reads[n]);
            if (kind % 2)
                cl_mem_reset(p.h.c.stream);
            cello_respond_bytes(r, CL_STR("read"));
            h2_turn(&p.h);
            int end = !reads && cases[i].len ? CELLO_ECANCELED : cases[i].end;
            for (int n = 0; n < 2; n++)
                assert_int_equal(cello_request_read(r, NULL, &piece), end);
            cello_request_unref(r);
            h2_pair_end(&p);
        }
    }
}

/* ---- early ends ---- */

/* The client may go on sending for a while, then is told to stop. */
static void test_an_early_answer(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_post(&p, "/small", NULL, pattern(), 20, true);
    h2_expect(m, 413, NULL);
    assert_false(m->closed);
    h2_upload(&p.h, m, pattern(), 100000, true);
    assert_false(m->closed);
    h2_upload(&p.h, m, pattern(), 5, false);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    m = h2_pair_post(&p, "/small", NULL, pattern(), LARGE, false);
    h2_expect(m, 413, NULL);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    assert_true(m->upload_left > 0);
    m = h2_pair_post(&p, "/small", NULL, pattern(), 20, true);
    fixture_pass(&p.f, CL_LINGER_NS + CELLO_SECOND / 10);
    h2_turn(&p.h);
    h2_expect(m, 413, NULL);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    h2_expect(post(&p, "/echo", pattern(), 5), 200, "abcde");
    h2_pair_end(&p);
}

/* What was dropped before the answer is not what goes on behind it. */
static void test_an_answer_behind_what_was_dropped(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 16 << 20;
    struct h2_pair p;
    h2_pair_begin_with(&p, NULL, &cfg);
    struct h2_message *m = h2_pair_post(&p, "/later", NULL, pattern(), LARGE, true);
    h2_pair_answer(&p, "too much");
    h2_expect(m, 200, "too much");
    h2_upload(&p.h, m, pattern(), 10, true);
    h2_turn(&p.h);
    assert_false(m->closed);
    h2_upload(&p.h, m, pattern(), CL_LINGER_BYTES, true);
    h2_turn(&p.h);
    h2_expect_reset(m, NGHTTP2_NO_ERROR);
    h2_pair_end(&p);
}

static void test_the_client_gives_up(void **state) {
    (void)state;
    static const char *const paths[] = {"/echo", "/read", "/tee", "/later", "/hold"};
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++) {
        struct h2_message *m = h2_pair_post(&p, paths[i], NULL, pattern(), 1000, true);
        h2_reset(&p.h, m, NGHTTP2_CANCEL);
        while (p.f.held_count) {
            struct cl_request *r = fixture_take(&p.f);
            assert_true(cello_request_is_disconnected(r));
            cello_respond_bytes(r, CL_STR("too late"));
            cello_request_unref(r);
        }
    }
    h2_expect(post(&p, "/echo", pattern(), 5), 200, "abcde");
    h2_pair_end(&p);
}

static void test_the_end_of_the_connection(void **state) {
    (void)state;
    static const char *const paths[] = {"/echo", "/read", "/tee", "/later"};
    for (size_t i = 0; i < 2 * CL_ARRAY_LEN(paths); i++) {
        struct h2_pair p;
        h2_pair_begin(&p);
        (void)h2_pair_post(&p, paths[i / 2], NULL, pattern(), 1000, true);
        if (i % 2)
            client_eof(&p.h.c);
        else
            cl_mem_reset(p.h.c.stream);
        fixture_turn(&p.f);
        while (p.f.held_count) {
            struct cl_request *r = fixture_take(&p.f);
            assert_true(cello_request_has_left(r));
            cello_respond_bytes(r, CL_STR("late"));
            cello_request_unref(r);
        }
        fixture_pass(&p.f, CELLO_SECOND);
        assert_null(p.h.c.stream);
        h2_pair_end(&p);
    }
}

/* ---- slow ones ---- */

static void test_slow_bodies(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *collected = h2_post(&p.h, "/echo", NULL, pattern(), 10, true);
    struct h2_message *read = h2_post(&p.h, "/read", NULL, pattern(), 10, true);
    struct h2_message *unread = h2_post(&p.h, "/later", NULL, pattern(), 10, true);
    struct h2_message *brisk = h2_post(&p.h, "/echo", NULL, pattern(), 100, true);
    h2_turn(&p.h);
    for (int s = 0; s < 6; s++) {
        assert_true(s > 4 || !collected->status);
        h2_upload(&p.h, collected, pattern(), 1, true);
        h2_upload(&p.h, read, pattern(), 1, true);
        h2_upload(&p.h, brisk, pattern(), 300, true); /* too little to excuse the others */
        fixture_pass(&p.f, CELLO_SECOND);
        h2_turn(&p.h);
    }
    h2_expect(collected, 408, NULL);
    h2_expect(read, 200, NULL);
    assert_non_null(strstr(read->body, cello_strerror(CELLO_ETIMEOUT)));
    assert_false(unread->closed); /* it is the handler that waits */
    h2_upload(&p.h, brisk, NULL, 0, false);
    h2_expect(brisk, 200, NULL);
    h2_pair_answer(&p, "ok");
    h2_expect(unread, 200, "ok");
    h2_pair_end(&p);
}

/* Clients may send their bodies one behind the other, and the last of them waits for long. */
static void test_bodies_that_share_a_slow_link(void **state) {
    (void)state;
    enum { BODIES = 8, SECONDS = 10, EACH = 2400 };
    struct h2_message *m[BODIES];
    struct h2_pair p;
    h2_pair_begin(&p);
    for (int i = 0; i < BODIES; i++)
        m[i] = h2_pair_post(&p, i % 2 ? "/read" : "/echo", NULL, NULL, 0, true);
    for (int i = 0; i < BODIES; i++) {
        for (int s = 0; s < SECONDS; s++) {
            h2_upload(&p.h, m[i], pattern(), EACH, s + 1 < SECONDS);
            fixture_pass(&p.f, CELLO_SECOND);
            h2_turn(&p.h);
        }
        h2_expect(m[i], 200, NULL);
    }
    h2_pair_end(&p);
}

/* When nothing comes any more, it is not the link. */
static void test_bodies_that_stop(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *silent = h2_pair_post(&p, "/echo", NULL, NULL, 0, true);
    struct h2_message *stops = h2_pair_post(&p, "/echo", NULL, pattern(), 1 << 20, true);
    for (int s = 0; s < 62; s++) {
        assert_true(s > 29 || !stops->status);
        fixture_pass(&p.f, CELLO_SECOND);
        h2_turn(&p.h);
    }
    h2_expect(silent, 408, NULL);
    h2_expect(stops, 408, NULL);
    h2_pair_end(&p);
}

/* ---- read while it is answered ---- */

static unsigned told, stopped;

static void on_told(struct cello_reader *reader, struct cl_request *r) {
    (void)reader, (void)r;
    told++;
}

static void on_proceed(struct cl_generator *g, struct cl_request *r) {
    (void)g, (void)r;
}

static void on_stop(struct cl_generator *g, struct cl_request *r) {
    (void)g;
    stopped++;
    cello_request_unref(r);
}

/* Body and answer share a clock: who has done with the body has not done with the answer, which the
 * client does not read. */
static void test_the_clock_of_the_answer(void **state) {
    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        struct cello_reader reader = {.on_ready = on_told};
        struct cl_generator generator = {on_proceed, on_stop};
        struct h2_pair p;
        struct cl_str piece;
        told = stopped = 0;
        h2_pair_begin_narrow(&p, 10);
        struct h2_message *m = h2_pair_post(&p, "/later", NULL, "ab", 2, true);
        struct cl_request *r = fixture_take(&p.f);
        cello_respond_stream(r, &generator, false, 0);
        h2_turn(&p.h);
        assert_int_equal(cello_request_read(r, &reader, &piece), CELLO_OK);
        assert_int_equal(cello_request_read(r, &reader, &piece), CELLO_EAGAIN);
        cello_response_chunk(r, cl_str(pattern(), 1000), false);
        h2_turn(&p.h);
        assert_int_equal(m->len, 10);
        if (ended) {
            h2_upload(&p.h, m, NULL, 0, false);
            assert_int_equal(told, 1);
            assert_int_equal(cello_request_read(r, &reader, &piece), CELLO_EOF);
        } else {
            cello_request_unread(r);
        }
        for (int s = 0; s < 60 && !m->closed; s += 5) {
            h2_raw(&p.h, 0xfa, 0, 0, "x", 1); /* of no known type: it is alive */
            fixture_pass(&p.f, 5 * CELLO_SECOND);
            h2_turn(&p.h);
        }
        h2_expect_reset(m, NGHTTP2_CANCEL);
        assert_int_equal(stopped, 1);
        h2_pair_end(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collected),
        cmocka_unit_test(test_collected_in_pieces),
        cmocka_unit_test(test_many_uploads_at_once),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_content_length_is_kept),
        cmocka_unit_test(test_trailers_of_requests),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_no_continue_without_a_reader),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_too_much_to_read),
        cmocka_unit_test(test_read_and_answered_at_once),
        cmocka_unit_test(test_an_unread_body_waits_at_the_client),
        cmocka_unit_test(test_windows_come_back),
        cmocka_unit_test(test_an_end_stays),
        cmocka_unit_test(test_an_early_answer),
        cmocka_unit_test(test_an_answer_behind_what_was_dropped),
        cmocka_unit_test(test_the_client_gives_up),
        cmocka_unit_test(test_the_end_of_the_connection),
        cmocka_unit_test(test_the_clock_of_the_answer),
        cmocka_unit_test(test_slow_bodies),
        cmocka_unit_test(test_bodies_that_share_a_slow_link),
        cmocka_unit_test(test_bodies_that_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
