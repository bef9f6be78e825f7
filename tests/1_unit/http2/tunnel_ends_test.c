/* The ends of tunnels (extended CONNECT): of one side, of both, by time, and with the server. */
#include "support/talk.h"

/* ---- ends of one side ---- */

static void test_the_client_ends_its_side(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_open(&p);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    h2_upload(&p.h, m, "bye", 3, false);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(talk_hear(), CELLO_EOF);
    talk_expect_heard("bye");
    talk_say(&p, CL_STR("more"), false);
    fixture_pass(&p.f, 100 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_int_equal(talk_inflight(&p), 1);
    talk_say(&p, CL_STR(" and more"), true);
    h2_expect(m, 200, "more and more");
    assert_true(m->closed && !m->error);
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(talk_inflight(&p), 0);
    assert_int_equal(talk_hear(), CELLO_EOF);
    talk_end(&p);
}

/* It says nothing from the beginning on. */
static void test_the_client_only_listens(void **state) {
    (void)state;
    const char *fields[] = {":protocol", "websocket", NULL};
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = h2_request(&p.h, "CONNECT", "/talk/1", fields);
    h2_turn(&p.h);
    assert_int_equal(talk_hear(), CELLO_EOF);
    cello_respond_stream(talk.r, &talk.generator, false, 0);
    h2_turn(&p.h);
    talk_say(&p, CL_STR("news"), true);
    h2_expect(m, 200, "news");
    talk_end(&p);
}

static void test_the_protocol_ends_its_side(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_open(&p);
    talk_say(&p, CL_STR("bye"), true);
    assert_true(m->ended && !m->closed);
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    for (unsigned i = 1; i <= 3; i++) {
        fixture_pass(&p.f, 25 * CELLO_SECOND);
        h2_upload(&p.h, m, "more ", 5, true);
        assert_int_equal(talk.ready, i);
        assert_int_equal(talk_hear(), CELLO_EAGAIN);
    }
    assert_int_equal(talk_inflight(&p), 1);
    h2_upload(&p.h, m, NULL, 0, false);
    assert_int_equal(talk.ready, 4);
    assert_int_equal(talk_hear(), CELLO_EOF);
    talk_expect_heard("more more more ");
    assert_true(m->closed && !m->error);
    assert_int_equal(talk_inflight(&p), 0);
    talk_end(&p);
}

/* The stream goes with its second end; what has come is there to be read. */
static void test_the_last_words_can_be_read(void **state) {
    (void)state;
    char *bytes = talk_bytes(TALK_PIECE);
    for (int how = 0; how < 4; how++) {
        struct h2_pair p;
        struct cl_str piece = {0};
        talk_begin(&p);
        struct h2_message *m = talk_open(&p);
        bool client_first = how & 1, looks = how & 2;
        if (looks) { /* at a piece in a block of its own */
            h2_upload(&p.h, m, bytes, 16000, true);
            assert_int_equal(cello_request_read(talk.r, NULL, &piece), CELLO_OK);
        }
        if (!client_first)
            talk_say(&p, CL_STR("bye"), true);
        h2_upload(&p.h, m, bytes, TALK_PIECE, false);
        if (client_first)
            talk_say(&p, CL_STR("bye"), true);
        assert_true(m->ended && m->closed && !m->error);
        assert_true(cello_request_is_disconnected(talk.r));
        assert_true(!piece.len || !memcmp(piece.ptr, bytes, piece.len));
        client_eof(&p.h.c);
        assert_null(p.h.c.stream);
        assert_int_equal(talk_hear(), CELLO_EOF);
        assert_int_equal(talk.len, TALK_PIECE);
        assert_true(!memcmp(talk.heard, bytes, TALK_PIECE));
        assert_int_equal(talk_hear(), CELLO_EOF);
        talk_end(&p);
    }
    free(bytes);
}

/* They are dropped with the request when nobody reads them, and do not hold up others. */
static void test_last_words_that_nobody_reads(void **state) {
    (void)state;
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    cfg.initial_window_size = 65535;
    char *bytes = talk_bytes(TALK_PIECE);
    struct h2_pair p;
    talk_begin_with(&p, &cfg, 0);
    for (int i = 0; i < 20; i++) {
        struct h2_message *m = talk_open(&p);
        talk_say(&p, cl_str(NULL, 0), true);
        h2_upload(&p.h, m, bytes, 60000, false);
        assert_true(m->closed && !m->error);
        talk_hang_up();
        talk.stopped = 0;
    }
    struct h2_message *m = h2_pair_post(&p, "/read", NULL, bytes, TALK_PIECE, false);
    h2_expect(m, 200, NULL);
    assert_true(!strncmp(m->body, "100000 bytes", 12));
    talk_end(&p);
    free(bytes);
}

static void test_nobody_reads_on(void **state) {
    (void)state;
    static char large[TALK_PIECE];
    for (int late = 0; late < 2; late++) {
        struct h2_pair p;
        talk_begin(&p);
        struct h2_message *m = talk_open(&p);
        struct cl_request *r = talk.r;
        talk.asked = false;
        if (!late)
            talk_hang_up();
        cello_response_chunk(r, CL_STR("bye"), true);
        h2_turn(&p.h);
        assert_int_equal(talk.stopped, 1);
        h2_upload(&p.h, m, large, sizeof large, true);
        if (late) {
            fixture_pass(&p.f, 10 * CELLO_SECOND);
            assert_int_equal(talk_inflight(&p), 1);
            talk_hang_up();
            fixture_pass(&p.f, 3 * CELLO_SECOND);
        }
        assert_int_equal(talk_inflight(&p), 0);
        fixture_pass(&p.f, 3 * CELLO_SECOND);
        h2_turn(&p.h);
        h2_expect_reset(m, NGHTTP2_NO_ERROR);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        talk_end(&p);
    }
}

/* What is lent to a send is given back before the protocol is told that it is over. */
static void test_the_last_chunk_is_being_sent(void **state) {
    (void)state;
    char *bytes = talk_bytes(TALK_PIECE);
    for (int reset = 0; reset < 2; reset++) {
        struct h2_pair p;
        talk_begin_with(&p, NULL, 1 << 20);
        h2_pair_window(&p, 0, 1 << 20);
        struct h2_message *m = talk_open(&p);
        cl_mem_hold_sends(p.h.c.stream, true);
        talk_say(&p, cl_str(bytes, TALK_PIECE), true);
        assert_int_equal(talk_hear(), CELLO_EAGAIN);
        if (reset)
            h2_reset(&p.h, m, NGHTTP2_CANCEL);
        assert_int_equal(talk.stopped, 0);
        cl_mem_hold_sends(p.h.c.stream, false);
        while (cl_mem_finish_send(p.h.c.stream, CELLO_OK))
            h2_turn(&p.h);
        h2_turn(&p.h);
        assert_int_equal(talk.stopped, 1);
        if (!reset) {
            assert_true(m->ended && m->len == TALK_PIECE);
            h2_upload(&p.h, m, "heard", 5, false);
            assert_int_equal(talk_hear(), CELLO_EOF);
            talk_expect_heard("heard");
        }
        assert_int_equal(talk_inflight(&p), 0);
        talk_end(&p);
    }
    free(bytes);
}

/* ---- ends of both ---- */

static void test_the_client_resets(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct h2_pair p;
        talk_begin(&p);
        struct h2_message *m = how == 3 ? talk_call(&p) : talk_open(&p);
        if (how == 1)
            talk_say(&p, CL_STR("bye"), true);
        if (how == 2)
            h2_upload(&p.h, m, NULL, 0, false);
        int before = talk_hear();
        assert_int_equal(before, how == 2 ? CELLO_EOF : CELLO_EAGAIN);
        h2_reset(&p.h, m, NGHTTP2_CANCEL);
        assert_int_equal(talk.stopped, how != 3);
        assert_int_equal(talk.ready, how != 2);
        assert_int_equal(talk_hear(), how == 2 ? CELLO_EOF : CELLO_ECANCELED);
        assert_int_equal(talk_inflight(&p), 0);
        if (how == 3) /* too late */
            cello_respond_stream(talk.r, &talk.generator, false, 0);
        assert_int_equal(talk.stopped, 1);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        talk_end(&p);
    }
}

static void test_the_protocol_resets(void **state) {
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct h2_pair p;
        talk_begin_with(&p, NULL, 1000);
        struct h2_message *m = talk_open(&p);
        if (how == 1) /* it waits for a window */
            talk_say(&p, CL_STR("0123456789"), false);
        if (how == 2)
            talk_say(&p, CL_STR("bye"), true);
        if (how == 3)
            h2_upload(&p.h, m, NULL, 0, false);
        if (how == 4)
            h2_upload(&p.h, m, "unheard", 7, true);
        else
            assert_int_equal(talk_hear(), how == 3 ? CELLO_EOF : CELLO_EAGAIN);
        cello_response_abort(talk.r);
        h2_turn(&p.h);
        h2_expect_reset(m, NGHTTP2_CANCEL);
        assert_int_equal(talk.stopped, 1);
        assert_int_equal(talk_hear(), how == 3 ? CELLO_EOF : CELLO_ECANCELED);
        assert_int_equal(talk_inflight(&p), 0);
        assert_int_equal(p.h.goaways, 0);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        talk_end(&p);
    }
}

/* RFC 9113, 8.5. */
static void test_nothing_but_data(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_open(&p);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    m->upload_trailer = "1";
    h2_upload(&p.h, m, "and", 3, false);
    h2_expect_reset(m, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    assert_int_equal(talk.stopped, 1);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    talk_end(&p);
}

/* The client is counted, as for requests; the server's resets are its own. */
static void test_resets_are_counted(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    fixture_stop_clock(); /* what comes late is free */
    for (int i = 0; i < 600; i++) {
        struct h2_message *m = talk_open(&p);
        talk.asked = false;
        cello_response_abort(talk.r);
        h2_turn(&p.h);
        h2_expect_reset(m, NGHTTP2_CANCEL);
        talk_hang_up();
        talk.stopped = 0;
        h2_forget(&p.h);
    }
    assert_int_equal(p.h.goaways, 0);
    talk_end(&p);
    for (int mistake = 0; mistake < 2; mistake++) {
        talk_begin(&p);
        fixture_stop_clock();
        for (int i = 0; i < 600 && !p.h.goaways; i++) {
            struct h2_message *m = talk_open(&p);
            m->upload_trailer = "1";
            if (mistake)
                h2_upload(&p.h, m, NULL, 0, false);
            else
                h2_reset(&p.h, m, NGHTTP2_CANCEL);
            talk_hang_up();
            talk.stopped = 0;
            h2_forget(&p.h);
        }
        h2_expect_goaway(&p.h, NGHTTP2_ENHANCE_YOUR_CALM);
        talk_end(&p);
    }
}

/* ---- time ---- */

static void pass(struct h2_pair *p, unsigned seconds) {
    for (unsigned i = 0; i < seconds; i += 5) {
        fixture_pass(&p->f, 5 * CELLO_SECOND);
        h2_turn(&p->h); /* the client answers pings */
    }
}

static void test_a_silent_one_stays(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_open(&p);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    pass(&p, 600);
    assert_true(p.h.pings > 10);
    for (int i = 0; i < 10; i++) { /* far below the rate of a body */
        h2_upload(&p.h, m, ".", 1, true);
        assert_int_equal(talk_hear(), CELLO_EAGAIN);
        talk_say(&p, CL_STR(","), false);
        pass(&p, 60);
    }
    talk_expect_heard("..........");
    assert_int_equal(m->len, 10);
    assert_false(m->closed);
    talk_end(&p);
}

/* Each body has its part in what comes of all; tunnels, which stay open, have none. */
static void test_silent_ones_do_not_slow_bodies(void **state) {
    (void)state;
    enum { TUNNELS = 40, SECONDS = 10, EACH = 2400 };
    static const char bytes[EACH];
    struct h2_message *m[2];
    struct h2_pair p;
    talk_begin(&p);
    for (int i = 0; i < TUNNELS; i++)
        (void)h2_tunnel(&p.h, "/tunnel", "websocket");
    for (size_t i = 0; i < CL_ARRAY_LEN(m); i++)
        m[i] = h2_pair_post(&p, "/echo", NULL, NULL, 0, true);
    for (size_t i = 0; i < CL_ARRAY_LEN(m); i++) {
        for (int s = 0; s < SECONDS; s++) {
            h2_upload(&p.h, m[i], bytes, EACH, s + 1 < SECONDS);
            fixture_pass(&p.f, CELLO_SECOND);
            h2_turn(&p.h);
        }
        h2_expect(m[i], 200, NULL);
    }
    talk_end(&p);
}

/* Before it is answered, too; by when that is, the handler's deadline says. */
static void test_silent_before_the_answer(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_call(&p);
    cello_request_observe(talk.r, &talk.observer);
    cello_request_set_deadline(talk.r, 100 * CELLO_SECOND);
    pass(&p, 90);
    assert_int_equal(talk.overdue, 0);
    pass(&p, 20);
    assert_int_equal(talk.overdue, 1);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    pass(&p, 120);
    assert_int_equal(talk.ready, 0);
    cello_response_status(talk.r, 504);
    cello_respond_empty(talk.r);
    h2_turn(&p.h);
    h2_expect(m, 504, "");
    talk_end(&p);
}

static void test_a_client_that_does_not_answer(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    (void)talk_open(&p);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    for (int i = 0; i < 4; i++)
        fixture_pass(&p.f, 31 * CELLO_SECOND);
    assert_null(p.h.c.stream);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    assert_int_equal(talk.stopped, 1);
    talk_end(&p);
}

/* However much it says itself. */
static void test_a_client_that_does_not_read(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin_with(&p, NULL, 1000);
    h2_pair_window(&p, 0, 1 << 28);
    struct h2_message *m = talk_open(&p);
    static char large[TALK_PIECE];
    talk_say(&p, cl_str(large, sizeof large), false);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    for (int i = 0; i < 12; i++) {
        fixture_pass(&p.f, 5 * CELLO_SECOND);
        if (m->closed)
            break;
        assert_true(i < 8);
        h2_upload(&p.h, m, ".", 1, true);
        (void)talk_hear();
    }
    h2_expect_reset(m, NGHTTP2_CANCEL);
    assert_int_equal(talk.stopped, 1);
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    h2_expect(h2_pair_get(&p, "/"), 200, NULL);
    talk_end(&p);
}

/* ---- the server stops ---- */

static void test_a_drain_lets_it_finish(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_open(&p);
    cello_request_observe(talk.r, &talk.observer);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    cello_server_stop(p.f.server, 30 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_int_equal(talk.draining, 1);
    assert_true(p.h.goaways > 0);
    assert_int_equal(p.h.goaway_error, NGHTTP2_NO_ERROR);
    h2_upload(&p.h, m, "wait", 4, true);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    talk_say(&p, CL_STR("bye"), true);
    h2_upload(&p.h, m, " then", 5, false);
    assert_int_equal(talk_hear(), CELLO_EOF);
    talk_expect_heard("wait then");
    h2_expect(m, 200, "bye");
    h2_expect_goaway(&p.h, NGHTTP2_NO_ERROR);
    talk_end(&p);
}

static void test_a_drain_ends(void **state) {
    (void)state;
    struct h2_pair p;
    talk_begin(&p);
    struct h2_message *m = talk_open(&p);
    assert_int_equal(talk_hear(), CELLO_EAGAIN);
    cello_server_stop(p.f.server, 30 * CELLO_SECOND);
    h2_turn(&p.h);
    fixture_pass(&p.f, 29 * CELLO_SECOND);
    h2_turn(&p.h);
    assert_false(m->closed);
    assert_int_equal(talk.ready, 0);
    fixture_pass(&p.f, 2 * CELLO_SECOND);
    assert_null(p.h.c.stream);
    assert_int_equal(talk.ready, 1);
    assert_int_equal(talk_hear(), CELLO_ECANCELED);
    assert_int_equal(talk.stopped, 1);
    talk_end(&p);
}

/* The connection goes, at either end of it. */
static void test_the_connection_ends(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct h2_pair p;
        talk_begin(&p);
        struct h2_message *m = talk_open(&p);
        h2_upload(&p.h, m, "unheard", 7, true);
        if (how)
            cl_mem_reset(p.h.c.stream);
        else
            client_eof(&p.h.c);
        fixture_pass(&p.f, CELLO_SECOND);
        assert_null(p.h.c.stream);
        assert_int_equal(talk.stopped, 1);
        assert_int_equal(talk_hear(), CELLO_ECANCELED);
        talk_end(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_client_ends_its_side),
        cmocka_unit_test(test_the_client_only_listens),
        cmocka_unit_test(test_the_protocol_ends_its_side),
        cmocka_unit_test(test_the_last_words_can_be_read),
        cmocka_unit_test(test_last_words_that_nobody_reads),
        cmocka_unit_test(test_nobody_reads_on),
        cmocka_unit_test(test_the_last_chunk_is_being_sent),
        cmocka_unit_test(test_the_client_resets),
        cmocka_unit_test(test_the_protocol_resets),
        cmocka_unit_test(test_nothing_but_data),
        cmocka_unit_test(test_resets_are_counted),
        cmocka_unit_test(test_a_silent_one_stays),
        cmocka_unit_test(test_silent_ones_do_not_slow_bodies),
        cmocka_unit_test(test_silent_before_the_answer),
        cmocka_unit_test(test_a_client_that_does_not_answer),
        cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_a_drain_lets_it_finish),
        cmocka_unit_test(test_a_drain_ends),
        cmocka_unit_test(test_the_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
