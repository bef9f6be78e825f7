/* What clients that mean well do, and never are told to calm down for: more of each than the bucket
 * in abuse.c has, paid for by requests, answers and DATA. */
#include "support/h2_client.h"

enum { MANY = 3000 }; /* beyond each of the buckets, with the clock standing still */

static void begin(struct h2_pair *p) {
    h2_pair_begin(p);
    fixture_stop_clock();
}

static void expect_no_goaway(struct h2_pair *p) {
    h2_turn(&p->h);
    assert_int_equal(p->h.goaways, 0);
    h2_expect(h2_pair_get(p, "/"), 200, "hello");
}

/* ---- cancelling ---- */

/* So many requests that are not answered. */
static void hold(struct h2_pair *p, int n) {
    for (int i = 0; i < n; i++)
        (void)h2_get(&p->h, "/hold");
    h2_turn(&p->h);
}

static void cancel_all(struct h2_pair *p) {
    for (unsigned i = 0; i < p->h.count; i++)
        if (!p->h.messages[i]->closed)
            h2_reset(&p->h, p->h.messages[i], NGHTTP2_CANCEL);
    h2_turn(&p->h);
    fixture_drop(&p->f);
    h2_forget(&p->h);
}

/* Whoever waits for a while before it gives up: its time limit, or a page that is left. */
static void test_time_limits_of_a_client(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    for (int round = 0; round < MANY / 50; round++) {
        hold(&p, 50);
        fixture_pass(&p.f, 10 * CL_NS_PER_MS);
        cancel_all(&p);
    }
    expect_no_goaway(&p);
    h2_pair_end(&p);
}

/* Who asks several and takes the first answer. */
static void test_races(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    for (int round = 0; round < MANY / 4; round++) {
        hold(&p, 4);
        h2_expect(h2_pair_get(&p, "/"), 200, "hello");
        cancel_all(&p);
    }
    expect_no_goaway(&p);
    h2_pair_end(&p);
}

/* A video that is looked for: what has come of an answer is enough. */
static void test_answers_that_are_cut_off(void **state) {
    (void)state;
    struct h2_pair p;
    begin(&p);
    for (int i = 0; i < MANY; i++) {
        struct h2_message *m = h2_pair_get(&p, "/stream/5?wait=1");
        h2_pair_give(&p, CL_STR("some"), false);
        assert_int_equal(m->len, 4);
        h2_reset(&p.h, m, NGHTTP2_CANCEL);
        h2_turn(&p.h);
        fixture_drop(&p.f);
        h2_forget(&p.h);
    }
    expect_no_goaway(&p);
    h2_pair_end(&p);
}

/* Resets that cross the end of an answer, also of one that came before the end of its request. */
static void test_resets_behind_answers(void **state) {
    (void)state;
    static const uint8_t cancel[] = {0, 0, 0, NGHTTP2_CANCEL};
    struct h2_pair p;
    begin(&p);
    for (int i = 0; i < MANY / 2; i++) {
        h2_raw(&p.h, NGHTTP2_RST_STREAM, 0, h2_pair_get(&p, "/")->id, cancel, sizeof cancel);
        struct h2_message *m = h2_pair_post(&p, "/small", NULL, "0123456789abc", 13, true);
        assert_int_equal(m->status, 413);
        h2_reset(&p.h, m, NGHTTP2_NO_ERROR);
        h2_turn(&p.h);
        h2_forget(&p.h);
    }
    expect_no_goaway(&p);
    h2_pair_end(&p);
}

/* ---- what goes with answers ---- */

/* A client without thresholds opens both windows for each frame, and measures the round trip with
 * each: small events, as they come. */
static void test_an_answer_to_each_frame(void **state) {
    (void)state;
    static const uint8_t ten[] = {0, 0, 0, 10};
    struct h2_pair p;
    begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/100000?wait=1");
    for (int i = 0; i < MANY; i++) {
        h2_pair_give(&p, CL_STR("0123456789"), false);
        h2_raw(&p.h, NGHTTP2_WINDOW_UPDATE, 0, 0, ten, sizeof ten);
        h2_raw(&p.h, NGHTTP2_WINDOW_UPDATE, 0, m->id, ten, sizeof ten);
        h2_raw(&p.h, NGHTTP2_PING, 0, 0, "12345678", 8);
    }
    assert_int_equal(m->len, MANY * 10);
    expect_no_goaway(&p);
    fixture_drop(&p.f);
    h2_pair_end(&p);
}

/* Windows as small as that, opened by halves. */
static void test_small_windows(void **state) {
    (void)state;
    enum { WINDOW = 256 };
    struct h2_pair p;
    h2_pair_begin_narrow(&p, WINDOW);
    fixture_stop_clock();
    struct h2_message *m = h2_pair_get(&p, "/bytes/1000000");
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(nghttp2_session_consume(p.h.session, m->id, WINDOW / 2), 0);
        h2_turn(&p.h);
    }
    assert_int_equal(m->len, WINDOW + MANY * WINDOW / 2);
    assert_int_equal(p.h.goaways, 0);
    h2_pair_end(&p);
}

/* ---- what goes with requests ---- */

/* Each with two priorities, a ping, and its window opened: as browsers do, and proxies for many of
 * them. */
static void test_company_of_requests(void **state) {
    (void)state;
    static const uint8_t some[] = {0, 0, 1, 0};
    struct h2_pair p;
    begin(&p);
    for (int i = 0; i < MANY; i++) {
        struct h2_message *m = h2_pair_get(&p, "/");
        h2_expect(m, 200, "hello");
        uint8_t update[] = {0, 0, (uint8_t)(m->id >> 8), (uint8_t)m->id, 'u', '=', '1'};
        h2_raw(&p.h, NGHTTP2_PRIORITY_UPDATE, 0, 0, update, sizeof update);
        h2_raw(&p.h, NGHTTP2_PRIORITY_UPDATE, 0, 0, update, sizeof update);
        h2_raw(&p.h, NGHTTP2_PING, 0, 0, "12345678", 8);
        h2_raw(&p.h, NGHTTP2_WINDOW_UPDATE, 0, m->id, some, sizeof some);
        fixture_turn(&p.f);
        h2_forget(&p.h);
    }
    expect_no_goaway(&p);
    h2_pair_end(&p);
}

/* A library that flushes with an empty frame, once for each piece and once before them. */
static void test_empty_frames_of_uploads(void **state) {
    (void)state;
    static const uint8_t head[] = {0x83, 0x86, 0x44, 5, '/', 'e', 'c', 'h', 'o', 0x41, 1, 'a'};
    struct h2_pair p;
    begin(&p);
    for (int32_t id = 1; id < MANY / 5; id += 2) {
        h2_raw(&p.h, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, head, sizeof head);
        h2_raw(&p.h, NGHTTP2_DATA, 0, id, NULL, 0);
        for (int n = 0; n < 5; n++) {
            h2_raw(&p.h, NGHTTP2_DATA, 0, id, "ab", 2);
            h2_raw(&p.h, NGHTTP2_DATA, 0, id, NULL, 0);
        }
        h2_raw(&p.h, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, NULL, 0);
        fixture_turn(&p.f);
    }
    assert_int_equal(p.f.handled, MANY / 10);
    assert_false(cl_mem_was_shutdown(p.h.c.stream));
    h2_pair_end(&p);
}

/* Heads that take several frames, of a server that wants such, or that are answered with 431. */
static void test_large_heads(void **state) {
    (void)state;
    static char value[60000];
    memset(value, '~', sizeof value - 1); /* which does not become shorter when it is compressed */
    const char *large[] = {"x-large", value, NULL};
    struct cello_http2_config cfg = CELLO_HTTP2_CONFIG_DEFAULT;
    struct cello_server_config server = fixture_config();
    for (int taken = 0; taken < 2; taken++) {
        struct h2_pair p;
        if (taken)
            cfg.max_header_list_size = 200000, server.limits.max_header_size = 200000;
        value[taken ? sizeof value - 1 : 20000] = '\0';
        h2_pair_begin_with(&p, &server, &cfg);
        fixture_stop_clock();
        for (int i = 0; i < 300; i++) {
            h2_expect(h2_pair_request(&p, "GET", "/", large), taken ? 200 : 431, NULL);
            h2_forget(&p.h);
        }
        value[20000] = '~';
        expect_no_goaway(&p);
        h2_pair_end(&p);
    }
}

/* ---- what a client cannot know yet ---- */

static void test_more_streams_than_it_was_told(void **state) {
    (void)state;
    static const uint8_t head[] = {0x82, 0x86, 0x44, 5, '/', 'h', 'o', 'l', 'd', 0x41, 1, 'a'};
    struct h2_pair p;
    h2_pair_begin_silent(&p);
    fixture_stop_clock();
    client_push(&p.h.c, CL_H2_PREFACE, CL_H2_PREFACE_LEN);
    h2_raw(&p.h, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    for (int i = 0; i < 1000; i++)
        h2_raw(&p.h, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 2 * i + 1,
               head, sizeof head);
    fixture_turn(&p.f);
    assert_int_equal(p.f.held_count, 100);
    assert_false(cl_mem_was_shutdown(p.h.c.stream));
    fixture_drop(&p.f);
    h2_pair_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_limits_of_a_client),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_answers_that_are_cut_off),
        cmocka_unit_test(test_resets_behind_answers),
        cmocka_unit_test(test_an_answer_to_each_frame),
        cmocka_unit_test(test_small_windows),
        cmocka_unit_test(test_company_of_requests),
        cmocka_unit_test(test_empty_frames_of_uploads),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_more_streams_than_it_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
