/* Answers that come piece by piece over HTTP/2: generators, windows, priorities, trailers, hints,
 * and clients that do not read. */
#include <stdio.h>

#include "support/h2_client.h"

/* ---- generators ---- */

static void test_chunks(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    const struct h2_message *m = h2_pair_get(&p, "/stream/3");
    h2_expect(m, 200, "012345678901234567890123456789");
    assert_null(h2_field(m, "content-length"));
    assert_int_equal(p.h.data_frames, 1); /* joined */
    m = h2_pair_get(&p, "/stream/20000");
    h2_expect(m, 200, NULL);
    assert_int_equal(m->len, 200000);
    assert_in_range(p.h.data_frames, 12, 30);
    h2_expect(h2_pair_get(&p, "/stream/0"), 200, "");
    m = h2_pair_get(&p, "/stream/2?length=20");
    h2_expect(m, 200, "01234567890123456789");
    assert_string_equal(h2_field(m, "content-length"), "20");
    h2_pair_end(&p);
}

static void test_a_length_that_is_not_kept(void **state) {
    (void)state;
    static const char *const paths[] = {"/stream/2?length=19", "/stream/2?length=21"};
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < 2; i++) {
        const struct h2_message *m = h2_pair_get(&p, paths[i]);
        assert_false(m->ended);
        h2_expect_reset(m, NGHTTP2_INTERNAL_ERROR);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

static void test_pieces_leave_as_they_come(void **state) {
    (void)state;
    static char large[100000];
    memset(large, 'x', sizeof large);
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    assert_int_equal(m->status, 200);
    assert_int_equal(p.f.held_count, 1);
    h2_pair_give(&p, CL_STR("ab"), false);
    assert_int_equal(m->len, 2);
    h2_pair_give(&p, cl_str(NULL, 0), false);
    h2_pair_give(&p, cl_str(large, sizeof large), false);
    assert_int_equal(m->len, 100002);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_give(&p, cl_str(NULL, 0), true);
    h2_expect(m, 200, NULL);
    assert_int_equal(m->len, 100002);
    h2_pair_end(&p);
}

/* Large chunks are sent from where they lie, before the generator is asked again. */
static void test_large_chunks_are_not_copied(void **state) {
    (void)state;
    static char large[100000];
    memset(large, 'x', sizeof large);
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    cl_mem_hold_sends(p.h.c.stream, true);
    fixture_give(&p.f, cl_str(large, 60000), false);
    assert_int_equal(p.f.held_count, 0);
    assert_true(fixture_used(&p.f) <= 2 * CL_BLOCK_SIZE);
    assert_true(cl_mem_finish_send(p.h.c.stream, CELLO_OK));
    fixture_turn(&p.f);
    cl_mem_hold_sends(p.h.c.stream, false);
    h2_turn(&p.h);
    assert_int_equal(p.f.held_count, 1);
    h2_pair_give(&p, CL_STR("."), true);
    h2_expect(m, 200, NULL);
    assert_int_equal(m->len, 60001);
    h2_pair_end(&p);
}

/* One send has room for so many pieces; frames that the session copies come behind others that lie
 * elsewhere. */
static void test_pieces_of_both_kinds_fill_a_send(void **state) {
    (void)state;
    for (unsigned large = 1; large <= 20; large++) {
        struct h2_pair p;
        h2_pair_begin(&p);
        struct h2_message *m[22];
        cl_mem_hold_sends(p.h.c.stream, true);
        for (unsigned i = 0; i < large + 2; i++)
            m[i] = h2_get(&p.h, i == 0 ? "/" : i <= large ? "/static/3000" : "/stream/3");
        h2_turn(&p.h); /* all are answered while the first answer is being sent */
        cl_mem_hold_sends(p.h.c.stream, false);
        assert_true(cl_mem_finish_send(p.h.c.stream, CELLO_OK));
        h2_turn(&p.h);
        for (unsigned i = 1; i <= large; i++) {
            h2_expect(m[i], 200, NULL);
            assert_int_equal(m[i]->len, 3000);
        }
        h2_expect(m[large + 1], 200, "012345678901234567890123456789");
        h2_pair_end(&p);
    }
}

static void test_a_generator_that_fails(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    h2_pair_give(&p, CL_STR("ab"), false);
    struct cl_request *r = fixture_take(&p.f);
    cello_response_abort(r);
    cello_request_unref(r);
    h2_turn(&p.h);
    assert_int_equal(m->len, 2);
    assert_false(m->ended);
    h2_expect_reset(m, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(p.f.stopped, 1);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

/* The client learns it where it lets nothing else come, too. */
static void test_a_generator_that_fails_behind_a_window(void **state) {
    (void)state;
    for (int too_much = 0; too_much < 2; too_much++) {
        struct h2_pair p;
        h2_pair_begin_narrow(&p, 65535);
        struct h2_message *m =
            h2_pair_get(&p, too_much ? "/stream/1?wait=1&length=3" : "/stream/1?wait=1");
        (void)h2_pair_get(&p, "/bytes/100000"); /* has all of the connection's window */
        if (too_much) {
            h2_pair_give(&p, CL_STR("much"), false);
        } else {
            struct cl_request *r = fixture_take(&p.f);
            cello_response_abort(r);
            cello_request_unref(r);
            h2_turn(&p.h);
        }
        assert_int_equal(p.f.stopped, 1);
        h2_expect_reset(m, NGHTTP2_INTERNAL_ERROR);
        h2_pair_end(&p);
    }
}

static void test_the_client_cancels(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    h2_reset(&p.h, m, NGHTTP2_CANCEL);
    assert_int_equal(p.f.stopped, 1);
    struct cl_request *r = fixture_take(&p.f);
    assert_true(cello_request_is_disconnected(r));
    cello_response_chunk(r, CL_STR("late"), true);
    cello_request_unref(r);
    h2_turn(&p.h);
    m = h2_pair_get(&p, "/hold");
    h2_reset(&p.h, m, NGHTTP2_CANCEL);
    r = fixture_take(&p.f);
    cello_respond_bytes(r, CL_STR("late"));
    cello_request_unref(r);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

/* Bytes lent to a send stay until it is over, also when their stream is not there any more. */
static void test_a_cancel_while_it_is_being_sent(void **state) {
    (void)state;
    static const char *const paths[] = {"/pinned/90000", "/sink/90000", "/stream/1?wait=1"};
    static char large[60000];
    struct h2_pair p;
    h2_pair_begin(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++) {
        cl_mem_hold_sends(p.h.c.stream, true);
        struct h2_message *m = h2_pair_get(&p, paths[i]);
        if (p.f.held_count) {
            cl_mem_finish_send(p.h.c.stream, CELLO_OK);
            fixture_give(&p.f, cl_str(large, sizeof large), false);
        }
        unsigned stopped = p.f.stopped, released = p.f.released;
        h2_reset(&p.h, m, NGHTTP2_CANCEL);
        assert_int_equal(p.f.stopped, stopped);
        assert_int_equal(p.f.released, released);
        assert_int_equal(p.f.server->worker.inflight, 0);
        cl_mem_hold_sends(p.h.c.stream, false);
        while (cl_mem_finish_send(p.h.c.stream, CELLO_OK))
            h2_turn(&p.h);
        h2_turn(&p.h);
        assert_int_equal(p.f.streams, p.f.stopped);
        assert_int_equal(p.f.pinned, p.f.released);
    }
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

/* The client breaks the rules on a stream while its generator waits: the stream goes, and what is
 * given meanwhile does no harm. */
static void test_a_mistake_while_a_generator_waits(void **state) {
    (void)state;
    static const uint8_t too_much[] = {0x7f, 0xff, 0xff, 0xff};
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    cl_mem_hold_sends(p.h.c.stream, true);
    (void)h2_pair_get(&p, "/bytes/5000"); /* the output is busy */
    h2_raw(&p.h, NGHTTP2_WINDOW_UPDATE, 0, m->id, too_much, sizeof too_much);
    fixture_give(&p.f, CL_STR("ab"), false);
    cl_mem_hold_sends(p.h.c.stream, false);
    assert_true(cl_mem_finish_send(p.h.c.stream, CELLO_OK));
    h2_turn(&p.h);
    h2_expect_reset(m, NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(p.f.stopped, 1);
    h2_expect(h2_pair_get(&p, "/"), 200, "hello");
    h2_pair_end(&p);
}

/* ---- trailers and hints ---- */

static void test_trailers(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    struct cl_request *r = p.f.held[0];
    assert_int_equal(cello_response_trailer(r, CL_STR("Digest"), CL_STR("abc")), CELLO_OK);
    assert_int_equal(cello_response_trailer(r, CL_STR("X-Rows"), CL_STR("")), CELLO_OK);
    h2_pair_give(&p, CL_STR("ab"), true);
    h2_expect(m, 200, "ab");
    assert_string_equal(m->trailers, "digest: abc\nx-rows: \n");
    m = h2_pair_get(&p, "/stream/1?wait=1");
    r = p.f.held[0];
    assert_int_equal(cello_response_trailer(r, CL_STR("Digest"), CL_STR("abc")), CELLO_OK);
    h2_pair_give(&p, cl_str(NULL, 0), true);
    h2_expect(m, 200, "");
    assert_string_equal(m->trailers, "digest: abc\n");
    m = h2_pair_get(&p, "/stream/1?wait=1&length=2");
    r = p.f.held[0];
    assert_int_equal(cello_response_trailer(r, CL_STR("Digest"), CL_STR("abc")), CELLO_OK);
    h2_pair_give(&p, CL_STR("ab"), true);
    h2_expect(m, 200, "ab");
    assert_string_equal(m->trailers, "");
    h2_pair_end(&p);
}

static void test_early_hints(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *m = h2_pair_get(&p, "/hold");
    struct cl_request *r = p.f.held[0];
    const struct cello_field fields[] = {{CL_STR("Link"), CL_STR("</a>; rel=preload")},
                                         {CL_STR("X-Own"), CL_STR("1")}};
    assert_int_equal(cello_response_early_hints(r, fields, 2), CELLO_OK);
    assert_int_equal(cello_response_early_hints(r, fields, 1), CELLO_OK);
    h2_turn(&p.h);
    assert_int_equal(m->interims, 2);
    assert_int_equal(m->interim[0], 103);
    assert_string_equal(m->fields, "link: </a>; rel=preload\nx-own: 1\nlink: </a>; rel=preload\n");
    cello_respond_bytes(r, CL_STR("done"));
    cello_request_unref(fixture_take(&p.f));
    h2_turn(&p.h);
    h2_expect(m, 200, "done");
    h2_pair_end(&p);
}

/* ---- windows ---- */

/* The connection's windows are wide, those of streams are not. */
static void widen_connection(struct h2_pair *p) {
    h2_pair_window(p, 0, 1 << 28);
}

static void test_nothing_beyond_the_windows(void **state) {
    (void)state;
    static const char *const paths[] = {"/pinned/50000", "/sink/50000", "/bytes/50000",
                                        "/stream/5000", "/segments/49998"};
    struct h2_pair p;
    h2_pair_begin_narrow(&p, 1000);
    widen_connection(&p);
    for (size_t i = 0; i < CL_ARRAY_LEN(paths); i++) {
        struct h2_message *m = h2_pair_get(&p, paths[i]);
        assert_int_equal(m->status, 200);
        assert_int_equal(m->len, 1000);
        h2_pair_window(&p, m->id, 1);
        assert_int_equal(m->len, 1001);
        h2_pair_window(&p, m->id, 20000);
        assert_int_equal(m->len, 21001);
        h2_pair_window(&p, m->id, 100000);
        h2_expect(m, 200, NULL);
        assert_int_equal(m->len, 50000);
    }
    h2_pair_end(&p);
}

/* A generator is asked only when there is a window for what it gives. */
static void test_a_generator_waits_for_the_window(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_narrow(&p, 10);
    widen_connection(&p);
    struct h2_message *m = h2_pair_get(&p, "/stream/1?wait=1");
    h2_pair_give(&p, CL_STR("0123456789"), false);
    assert_int_equal(m->len, 10);
    assert_int_equal(p.f.held_count, 0);
    h2_pair_window(&p, m->id, 5);
    assert_int_equal(p.f.held_count, 1);
    h2_pair_give(&p, CL_STR("0123456789"), true);
    assert_int_equal(m->len, 15);
    h2_pair_window(&p, m->id, 5);
    h2_expect(m, 200, "01234567890123456789");
    h2_pair_end(&p);
}

static void test_a_slow_reader_blocks_nobody(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_narrow(&p, 1000);
    widen_connection(&p);
    struct h2_message *slow[3] = {h2_pair_get(&p, "/bytes/100000"),
                                  h2_pair_get(&p, "/stream/10000"),
                                  h2_pair_get(&p, "/segments/100000")};
    for (int i = 0; i < 20; i++)
        h2_expect(h2_pair_get(&p, "/bytes/900"), 200, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(slow[i]->len, 1000);
        h2_pair_window(&p, slow[i]->id, 1 << 20);
        h2_expect(slow[i], 200, NULL);
    }
    h2_pair_end(&p);
}

static void test_a_window_that_never_opens(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_narrow(&p, 1000);
    widen_connection(&p);
    struct h2_message *stuck = h2_pair_get(&p, "/bytes/5000"),
                      *slow = h2_pair_get(&p, "/bytes/5000");
    struct h2_message *waits = h2_pair_get(&p, "/stream/1?wait=1"); /* for the handler */
    for (int i = 0; i < 4; i++) {
        fixture_pass(&p.f, 9 * CELLO_SECOND);
        h2_pair_window(&p, slow->id, 1);
    }
    h2_expect_reset(stuck, NGHTTP2_CANCEL);
    assert_false(slow->closed);
    assert_false(waits->closed);
    h2_pair_window(&p, slow->id, 10000);
    h2_expect(slow, 200, NULL);
    h2_pair_give(&p, CL_STR("ab"), true);
    h2_expect(waits, 200, "ab");
    h2_pair_end(&p);
}

/* The window of the connection goes to one answer after the other, and each may take its time. */
static void test_answers_that_wait_for_others(void **state) {
    (void)state;
    enum { WINDOW = 65535 }; /* of the connection */
    struct h2_pair p;
    struct h2_message *m[3];
    h2_pair_begin_narrow(&p, 1 << 20);
    for (int i = 0; i < 3; i++)
        m[i] = h2_get(&p.h, "/bytes/400000");
    h2_turn(&p.h);
    for (int i = 0; i < 3; i++) {
        for (int n = 0; n < 10 && !m[i]->ended; n++) {
            fixture_pass(&p.f, 9 * CELLO_SECOND);
            assert_int_equal(nghttp2_session_consume_connection(p.h.session, WINDOW), 0);
            h2_turn(&p.h);
        }
        h2_expect(m[i], 200, NULL);
    }
    /* When the window stays closed, nobody is waited for. */
    m[0] = h2_pair_get(&p, "/bytes/400000");
    m[1] = h2_pair_get(&p, "/bytes/400000");
    for (int n = 0; n < 7; n++)
        fixture_pass(&p.f, 9 * CELLO_SECOND);
    h2_turn(&p.h);
    h2_expect_reset(m[0], NGHTTP2_CANCEL);
    h2_expect_reset(m[1], NGHTTP2_CANCEL);
    h2_pair_end(&p);
}

/* ---- priorities: RFC 9218 ---- */

static struct h2_message *get_with_priority(struct h2_pair *p, const char *path,
                                            const char *priority) {
    const char *fields[] = {"priority", priority, NULL};
    return h2_request(&p->h, "GET", path, fields);
}

static unsigned first_frame(const struct h2_pair *p, const struct h2_message *m) {
    for (unsigned i = 0; i < p->h.data_frames; i++)
        if (p->h.order[i] == m->id)
            return i;
    fail_msg("no frame of stream %d", m->id);
    return 0;
}

static unsigned last_frame(const struct h2_pair *p, const struct h2_message *m) {
    unsigned last = first_frame(p, m);
    for (unsigned i = last; i < p->h.data_frames; i++)
        if (p->h.order[i] == m->id)
            last = i;
    return last;
}

static void test_urgent_answers_go_first(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *low = get_with_priority(&p, "/bytes/60000", "u=7");
    struct h2_message *usual = h2_get(&p.h, "/bytes/60000");
    struct h2_message *high = get_with_priority(&p, "/bytes/60000", "u=0");
    h2_turn_at_once(&p.h);
    assert_true(last_frame(&p, high) < first_frame(&p, usual));
    assert_true(last_frame(&p, usual) < first_frame(&p, low));
    h2_pair_end(&p);
}

static void test_incremental_answers_share(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    struct h2_message *a = get_with_priority(&p, "/bytes/60000", "i");
    struct h2_message *b = get_with_priority(&p, "/bytes/60000", "i");
    h2_turn_at_once(&p.h);
    assert_true(first_frame(&p, b) < last_frame(&p, a));
    assert_true(first_frame(&p, a) < last_frame(&p, b));
    struct h2_message *c = h2_get(&p.h, "/bytes/60000");
    struct h2_message *d = h2_get(&p.h, "/bytes/60000");
    h2_turn_at_once(&p.h);
    assert_true(last_frame(&p, c) < first_frame(&p, d));
    h2_pair_end(&p);
}

static void test_priority_update(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin_narrow(&p, 40000);
    widen_connection(&p);
    struct h2_message *a = h2_get(&p.h, "/bytes/80000");
    struct h2_message *b = h2_get(&p.h, "/bytes/80000");
    h2_turn_at_once(&p.h);
    assert_int_equal(a->len + b->len, 80000);
    static const uint8_t field[] = "u=1";
    uint8_t payload[7] = {0, 0, 0, (uint8_t)b->id};
    memcpy(payload + 4, field, 3);
    h2_raw(&p.h, 0x10, 0, 0, payload, sizeof payload);
    unsigned before = p.h.data_frames;
    nghttp2_submit_window_update(p.h.session, NGHTTP2_FLAG_NONE, a->id, 50000);
    nghttp2_submit_window_update(p.h.session, NGHTTP2_FLAG_NONE, b->id, 50000);
    h2_turn_at_once(&p.h);
    assert_int_equal(p.h.order[before], b->id);
    h2_expect(a, 200, NULL);
    h2_expect(b, 200, NULL);
    h2_pair_end(&p);
}

/* ---- clients that do not read ---- */

static void test_a_client_that_does_not_read(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    cl_mem_hold_sends(p.h.c.stream, true);
    (void)h2_get(&p.h, "/bytes/100000");
    (void)h2_get(&p.h, "/stream/100000");
    h2_turn(&p.h);
    for (int i = 0; i < 5; i++) {
        fixture_pass(&p.f, 20 * CELLO_SECOND);
        cl_mem_read_some(p.h.c.stream);
    }
    assert_non_null(p.h.c.stream);
    fixture_pass(&p.f, 31 * CELLO_SECOND);
    fixture_pass(&p.f, 31 * CELLO_SECOND);
    assert_null(p.h.c.stream);
    assert_true(p.h.c.was_reset);
    h2_pair_end(&p);
}

/* What waits for a client that does not read is bounded: one output. */
static void test_what_waits_is_bounded(void **state) {
    (void)state;
    struct h2_pair p;
    h2_pair_begin(&p);
    cl_mem_hold_sends(p.h.c.stream, true);
    for (int i = 0; i < 60; i++)
        (void)h2_get(&p.h, i % 2 ? "/stream/100000" : "/segments/1000000");
    h2_turn(&p.h);
    assert_true(fixture_used(&p.f) < 400000);
    cl_mem_hold_sends(p.h.c.stream, false);
    while (cl_mem_finish_send(p.h.c.stream, CELLO_OK))
        h2_turn(&p.h);
    h2_turn(&p.h);
    for (unsigned i = 0; i < p.h.count; i++)
        h2_expect(p.h.messages[i], 200, NULL);
    h2_pair_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_a_length_that_is_not_kept),
        cmocka_unit_test(test_pieces_leave_as_they_come),
        cmocka_unit_test(test_large_chunks_are_not_copied),
        cmocka_unit_test(test_pieces_of_both_kinds_fill_a_send),
        cmocka_unit_test(test_a_generator_that_fails),
        cmocka_unit_test(test_a_generator_that_fails_behind_a_window),
        cmocka_unit_test(test_the_client_cancels),
        cmocka_unit_test(test_a_cancel_while_it_is_being_sent),
        cmocka_unit_test(test_a_mistake_while_a_generator_waits),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_early_hints),
        cmocka_unit_test(test_nothing_beyond_the_windows),
        cmocka_unit_test(test_a_generator_waits_for_the_window),
        cmocka_unit_test(test_a_slow_reader_blocks_nobody),
        cmocka_unit_test(test_a_window_that_never_opens),
        cmocka_unit_test(test_answers_that_wait_for_others),
        cmocka_unit_test(test_urgent_answers_go_first),
        cmocka_unit_test(test_incremental_answers_share),
        cmocka_unit_test(test_priority_update),
        cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_what_waits_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
